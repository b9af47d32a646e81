#include "boot/boot.h"

#include "boot/cmdline.h"
#include "boot/image_file.h"
#include "boot/kernel_image.h"
#include "boot/x86_64/acpi_tables.h"
#include "boot/x86_64/boot_data.h"
#include "boot/x86_64/cpu_start.h"
#include "boot/x86_64/memory_map.h"
#include "boot/x86_64/mp_table.h"
#include "boot/x86_64/pvh.h"
#include "boot/x86_64/zero_page.h"
#include "memory/x86_64/layout.h"

namespace mote {

namespace {

constexpr uint64_t kPageSize = 4096;
constexpr uint64_t kMiB = uint64_t{1} << 20U;

/// The result with `name` before its message.
template <class T>
Result<T> named(const std::string& name, Result<T> result) {
    if (result) return result;
    Error error = std::move(result).error();
    error.message = name + " " + error.message;
    return std::unexpected(std::move(error));
}

/// Loads the initrd as high as it goes, so that nothing the kernel unpacks meets it.
Result<InitrdRange> load_initrd(const GuestMemory& memory, const LoadedKernel& kernel, int fd) {
    const ImageFile file = TRY(ImageFile::open(fd));
    const uint64_t limit = kernel.initrd_limit.value;
    const uint64_t base = file.size() > limit ? 0 : (limit - file.size()) / kPageSize * kPageSize;
    if (base < kernel.end.value)
        return fail(
            "has {} MiB, which do not fit between the kernel, up to {} MiB, and {} MiB; give "
            "the guest more memory",
            (file.size() + kMiB - 1) / kMiB, (kernel.end.value + kMiB - 1) / kMiB, limit / kMiB);
    TRY(file.load(memory, {base}, 0, file.size()));
    return InitrdRange{.base = {base}, .size = file.size()};
}

Result<LoadedKernel> load_kernel_file(const GuestMemory& memory, int fd) {
    const ImageFile file = TRY(ImageFile::open(fd));
    return load_kernel(memory, file);
}

}  // namespace

Result<CpuStart> load_guest(const GuestMemory& memory, const BootConfig& config) {
    if (low_ram_end(memory) <= layout::kHighRam.value)
        return fail("guest memory: {} KiB are not enough to boot; give at least 2 MiB",
                    low_ram_end(memory) / 1024);
    const LoadedKernel kernel =
        TRY(named(config.kernel_name, load_kernel_file(memory, config.kernel_fd)));
    BootData data;
    if (config.initrd_fd >= 0)
        data.initrd = TRY(named(config.initrd_name, load_initrd(memory, kernel, config.initrd_fd)));
    if (config.acpi) {
        data.rsdp = TRY(write_acpi_tables(memory, config));
        TRY(write_cmdline(memory, config.cmdline));
    } else {
        TRY(write_mp_table(memory, config));
        TRY(write_cmdline(memory, with_virtio_devices(config.cmdline, config.virtio)));
    }
    const auto map = make_memory_map(memory);
    if (kernel.protocol == BootProtocol::pvh)
        write_pvh_start_info(memory, map, data);
    else
        write_zero_page(memory, kernel, map, data);
    return named(config.kernel_name, make_cpu_start(memory, kernel));
}

}  // namespace mote
