// The x86_64 machine: COM1, the ACPI registers and pvpanic. No i8042 and no PIT.
#include "vmm/platform.h"

#include <sys/ioctl.h>

#include <algorithm>

#include "boot/boot.h"
#include "boot/cmdline.h"
#include "boot/x86_64/cpu_start.h"
#include "devices/acpi_registers.h"
#include "devices/pvpanic.h"
#include "kvm/kvm_api.h"
#include "kvm/x86_64/cpuid.h"
#include "memory/layout.h"
#include "memory/x86_64/layout.h"
#include "vmm/x86_64/com1.h"
#include "vmm/x86_64/cpu_setup.h"

namespace mote {

namespace {

constexpr uint64_t kCom1Ports = 8;

class X86Platform final : public Platform {
  public:
    X86Platform(const PlatformInput& input, EventFd ged_line);
    Result<> add_devices(const PlatformInput& input);

    Result<> load(const GuestMemory& memory, const Resources& resources, size_t virtio,
                  std::span<Vcpu* const> vcpus) override;
    [[nodiscard]] const Bus& ports() const override { return ports_; }
    [[nodiscard]] const Bus& mmio() const override { return mmio_; }
    void press_power_button() override { events_device_.raise(GenericEventDevice::kPowerButton); }
    ConsoleInput* serial_input() override { return com1_ ? &com1_->serial() : nullptr; }

  private:
    [[nodiscard]] std::string command_line() const;
    [[nodiscard]] Result<> check_cmdline(const BootConfig& boot) const;

    const Kvm& kvm_;
    const MachineConfig config_;
    SleepRegisters sleep_;
    ResetRegister reset_;
    ResetRegister pc_reset_;
    GenericEventDevice events_device_;
    Pvpanic pvpanic_;
    std::unique_ptr<Com1> com1_;
    Bus ports_;
    Bus mmio_;
};

X86Platform::X86Platform(const PlatformInput& input, EventFd ged_line)
    : kvm_(input.kvm),
      config_(input.config),
      sleep_(input.events, layout::kSleepTypePowerOff),
      reset_(input.events, layout::kResetValue),
      pc_reset_(input.events, layout::kPcResetValue),
      events_device_(std::move(ged_line)),
      pvpanic_(input.events) {}

Result<> X86Platform::add_devices(const PlatformInput& input) {
    TRY(input.vm.add_interrupt(events_device_.line(), layout::kGedGsi));
    ports_.place(layout::kGedSelectPort, sizeof(uint32_t), events_device_);
    ports_.place(layout::kSleepControlPort, 2, sleep_);
    ports_.place(layout::kResetPort, 1, reset_);
    ports_.place(layout::kPcResetPort, 1, pc_reset_);
    if (config_.pvpanic) ports_.place(layout::kPvpanicPort, 1, pvpanic_);
    if (input.output == nullptr) return {};
    com1_ = TRY(
        Com1::create(input.vm, input.worker, *input.output, input.writes, input.coalesce_ports));
    ports_.place(layout::kCom1Port, kCom1Ports, *com1_);
    return {};
}

std::string X86Platform::command_line() const {
    std::optional<RootDevice> root;
    if (!config_.disks.empty())
        root = {.path = "/dev/vda", .read_only = config_.disks.front().read_only};
    else if (!config_.pmems.empty())
        root = {.path = "/dev/pmem0", .read_only = config_.pmems.front().read_only};
    std::string line = default_cmdline(
        {.serial = com1_ != nullptr, .virtio = config_.virtio_console.kind != ConsoleKind::off},
        config_.acpi, root);
    // What is plugged is used without somebody in the guest who puts it online; and as much of it
    // as the kernel's own memory bears can go again ("movable").
    if (config_.hotplug_memory)
        line += " memhp_default_state=online memory_hotplug.online_policy=auto-movable";
    for (const std::string& words : {config_.own_cmdline, config_.cmdline})
        if (!words.empty()) line += " " + words;
    return line;
}

/// What the user gave has to fit beside what mote adds.
Result<> X86Platform::check_cmdline(const BootConfig& boot) const {
    const std::string line =
        boot.acpi ? boot.cmdline : with_virtio_devices(boot.cmdline, boot.virtio);
    if (line.size() < layout::kCommandLineSize) return {};
    const size_t added = line.size() - config_.cmdline.size();
    const size_t limit = layout::kCommandLineSize - 1;
    return fail("cmdline: {} bytes are too many, {} are left of {} beside mote's own; shorten it",
                config_.cmdline.size(), limit - std::min(added, limit), limit);
}

Result<> X86Platform::load(const GuestMemory& memory, const Resources& resources, size_t virtio,
                           std::span<Vcpu* const> vcpus) {
    BootConfig boot;
    boot.kernel_fd = resources.kernel.get();
    boot.initrd_fd = resources.initrd.get();
    boot.cmdline = command_line();
    boot.cpus = config_.cpus;
    boot.acpi = config_.acpi;
    boot.serial = com1_ != nullptr;
    boot.pvpanic = config_.pvpanic;
    const VirtioLayout place = virtio_layout();
    for (size_t i = 0; i < virtio; ++i)
        boot.virtio.push_back({.address = {place.first_page.value + i * kVirtioPageSize},
                               .size = kVirtioPageSize,
                               .gsi = place.first_gsi + static_cast<uint32_t>(i)});
    boot.kernel_name = fmt::format("kernel: {}", config_.kernel);
    boot.initrd_name = fmt::format("initrd: {}", config_.initrd.value_or(""));
    TRY(check_cmdline(boot));
    const CpuStart start = TRY(load_guest(memory, boot));
    return set_up_cpus(kvm_, vcpus, start);
}

}  // namespace

// Intel CPUs without "unrestricted guest" run real mode, where application processors start, as a
// virtual 8086 task, which needs a TSS.
Result<> Platform::prepare(const Vm& vm) {
    if (::ioctl(vm.fd(), KVM_SET_TSS_ADDR, layout::kKvmTss.value) != 0)
        return fail_errno("KVM: cannot set the address of the TSS");
    return {};
}

Result<uint32_t> Platform::address_bits(const Kvm& kvm) {
    constexpr uint32_t kAddressSizes = 0x8000'0008;  // EAX: bits 7 to 0
    constexpr uint32_t kWithoutLeaf = 36;
    const Cpuid cpuid = TRY(Cpuid::create(kvm, 1, 0));
    for (const kvm_cpuid_entry2& entry : cpuid.entries_for(0))
        if (entry.function == kAddressSizes) return entry.eax & 0xFFU;
    return kWithoutLeaf;
}

Result<std::unique_ptr<Platform>> Platform::create(const PlatformInput& input) {
    auto platform = std::make_unique<X86Platform>(input, TRY(EventFd::create()));
    TRY(platform->add_devices(input));
    return platform;
}

}  // namespace mote
