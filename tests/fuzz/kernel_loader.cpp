// Fuzzes load_guest() with hostile kernel images: no crash, and what it accepts keeps its promises.
//
// Input: one byte of choices (bit 0: an initrd, bit 1: no ACPI), then the image.

#include <sys/mman.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "boot/boot.h"
#include "boot/image_file.h"
#include "boot/kernel_image.h"
#include "boot/x86_64/cpu_start.h"
#include "memory/layout.h"
#include "memory/x86_64/layout.h"
#include "support/fuzz.h"

using namespace mote;

namespace {

constexpr uint64_t kRam = uint64_t{64} << 20U;
constexpr uint64_t kInitrdSize = uint64_t{1} << 20U;

/// A file in memory that lives as long as the process, `size` bytes long.
int memory_file(uint64_t size) {
    const int fd = ::memfd_create("fuzz", MFD_CLOEXEC);
    require(fd >= 0 && ::ftruncate(fd, static_cast<off_t>(size)) == 0, "memfd");
    return fd;
}

void check(const GuestMemory& memory, const BootConfig& config, const CpuStart& start) {
    const auto kernel = load_kernel(memory, ImageFile::open(config.kernel_fd).value());
    require(kernel.has_value(), "loads the second time too");
    require(start.rip == kernel->entry.value, "starts at the entry");
    require(start.rip >= layout::kHighRam.value && start.rip < kRam, "the entry is in high RAM");
    require(kernel->end.value <= kRam && start.rip < kernel->end.value, "the kernel ends in RAM");
    if (config.initrd_fd < 0) return;
    const bool pvh = kernel->protocol == BootProtocol::pvh;
    const GuestAddress at =
        pvh ? layout::kPvhModules : GuestAddress{layout::kZeroPage.value + 0x218};
    const uint64_t initrd =
        pvh ? memory.load<uint64_t>(at).value() : memory.load<uint32_t>(at).value();
    require(initrd >= kernel->end.value, "the initrd is above the kernel");
    require(initrd + kInitrdSize <= kernel->initrd_limit.value, "the initrd is below its limit");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const GuestMemory memory = GuestMemory::create(ram_regions(kRam)).value();
    static const int kernel = memory_file(0);
    static const int initrd = memory_file(kInitrdSize);
    if (size == 0) return -1;
    const unsigned choices = data[0];
    require(::ftruncate(kernel, 0) == 0, "ftruncate");
    require(::pwrite(kernel, data + 1, size - 1, 0) == static_cast<ssize_t>(size - 1), "pwrite");
    BootConfig config;
    config.kernel_fd = kernel;
    config.initrd_fd = (choices & 1U) != 0 ? initrd : -1;
    config.acpi = (choices & 2U) == 0;
    config.cmdline = "console=ttyS0 -- init";
    config.virtio = {{.address = {0xC000'1000}, .size = 0x1000, .gsi = 5}};
    if (const auto start = load_guest(memory, config)) check(memory, config, *start);
    return 0;
}
