#include "kvm/vcpu.h"

#include <sys/ioctl.h>
#include <sys/mman.h>

namespace mote {

namespace {
constexpr size_t kPageSize = 4096;
}

Vcpu::Vcpu(uint32_t id, UniqueFd fd, Mapping mapping)
    : id_(id),
      fd_(std::move(fd)),
      mapping_(std::move(mapping)),
      run_(reinterpret_cast<kvm_run*>(mapping_.data())) {}

Result<Vcpu> Vcpu::create(const Vm& vm, uint32_t id, size_t mapping_size) {
    UniqueFd fd(::ioctl(vm.fd(), KVM_CREATE_VCPU, id));
    if (!fd.valid()) return fail_errno("KVM: cannot create vCPU {}", id);
    auto mapping = Mapping::create(mapping_size, MAP_SHARED, fd.get(), 0, 0);
    if (!mapping) return fail_code(mapping.error().code, "KVM: cannot map vCPU {}", id);
    return Vcpu(id, std::move(fd), *std::move(mapping));
}

Result<Exit> Vcpu::run() {
    if (::ioctl(fd_.get(), KVM_RUN, 0) != 0) {
        // EAGAIN: an application processor that has not been started yet.
        if (errno == EINTR || errno == EAGAIN) return Exit{.kind = Exit::Kind::interrupted};
        return fail_errno("KVM: cannot run vCPU {}", id_);
    }
    switch (run_->exit_reason) {
        case KVM_EXIT_IO:
            return port_exit();
        case KVM_EXIT_MMIO:
            return mmio_exit();
        case KVM_EXIT_INTR:
        case KVM_EXIT_HLT:
            return Exit{.kind = Exit::Kind::interrupted};
        case KVM_EXIT_SHUTDOWN:
            return Exit{.kind = Exit::Kind::shutdown};
        case KVM_EXIT_SYSTEM_EVENT:
            if (run_->system_event.type == KVM_SYSTEM_EVENT_RESET)
                return Exit{.kind = Exit::Kind::reset};
            if (run_->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN)
                return Exit{.kind = Exit::Kind::power_off};
            return Exit{.kind = Exit::Kind::failure};
        default:
            return Exit{.kind = Exit::Kind::failure};
    }
}

Exit Vcpu::port_exit() const {
    const auto& io = run_->io;
    Exit exit{.kind =
                  io.direction == KVM_EXIT_IO_IN ? Exit::Kind::port_read : Exit::Kind::port_write};
    exit.address = io.port;
    exit.size = io.size;
    exit.count = io.count;
    exit.data = mapping_.bytes().subspan(io.data_offset, size_t{io.size} * io.count);
    return exit;
}

Exit Vcpu::mmio_exit() const {
    auto& mmio = run_->mmio;
    Exit exit{.kind = mmio.is_write != 0 ? Exit::Kind::mmio_write : Exit::Kind::mmio_read};
    exit.address = mmio.phys_addr;
    exit.size = mmio.len;
    exit.data = std::as_writable_bytes(std::span(mmio.data, mmio.len));
    return exit;
}

std::string Vcpu::failure() const {
    kvm_regs regs{};
    ::ioctl(fd_.get(), KVM_GET_REGS, &regs);
    std::string where = fmt::format("vCPU {} at {:#x}", id_, regs.rip);
    switch (run_->exit_reason) {
        case KVM_EXIT_INTERNAL_ERROR:
            if (run_->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
                return where +
                       ": KVM met an instruction that it cannot emulate; see mote check, "
                       "this host's KVM may be unable to run Linux";
            return fmt::format("{}: KVM internal error {}", where, run_->internal.suberror);
        case KVM_EXIT_FAIL_ENTRY:
            return fmt::format(
                "{}: the CPU refused to enter the guest, hardware reason {:#x}", where,
                static_cast<uint64_t>(run_->fail_entry.hardware_entry_failure_reason));
        case KVM_EXIT_SYSTEM_EVENT:
            return fmt::format("{}: system event {}", where, run_->system_event.type + 0U);
        default:
            return fmt::format("{}: unexpected KVM exit {}", where, run_->exit_reason);
    }
}

std::span<std::byte> Vcpu::page(size_t index) const {
    return mapping_.bytes().subspan(index * kPageSize, kPageSize);
}

}  // namespace mote
