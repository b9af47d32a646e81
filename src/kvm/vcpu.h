// Vcpu: one virtual CPU; run() lets the guest go on until it needs something.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/mapping.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "kvm/kvm_api.h"
#include "kvm/vm.h"

namespace mote {

/// Why the guest stopped running.
struct Exit {
    enum class Kind : uint8_t {
        port_read,    ///< fill `data`: `count` items of `size` bytes from `address`
        port_write,   ///< likewise, out of `data`
        mmio_read,    ///< fill `data` from the guest physical `address`
        mmio_write,   ///< take `data`
        interrupted,  ///< by a signal or immediate_exit: no guest event
        shutdown,     ///< triple fault
        power_off,    ///< system event: the guest asked its firmware for it
        reset,
        failure,  ///< KVM cannot run this guest on; failure() tells why
    };
    Kind kind;
    uint64_t address = 0;
    uint32_t size = 0;   ///< of one item, bytes
    uint32_t count = 1;  ///< of items (string I/O)
    std::span<std::byte> data{};
};

/// A KVM vCPU. run() and the register calls: its own thread only (or before it has one).
class Vcpu {
  public:
    /// `mapping_size` from Kvm::vcpu_mapping_size(). Errors: EINVAL (more vCPUs than KVM allows),
    /// ENOMEM, EMFILE.
    static Result<Vcpu> create(const Vm& vm, uint32_t id, size_t mapping_size);

    /// KVM_RUN. What the exit asks for is done before the next run(). Errors: what makes a further
    /// run pointless (ENOMEM, EFAULT: guest memory that the host cannot give).
    Result<Exit> run();
    /// Makes a running or the next run() return `interrupted`. Async-signal-safe.
    void request_exit() noexcept { run_->immediate_exit = 1; }
    void clear_exit_request() noexcept { run_->immediate_exit = 0; }
    /// After an Exit of kind failure: KVM's reason in words.
    [[nodiscard]] std::string failure() const;

    [[nodiscard]] uint32_t id() const noexcept { return id_; }
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    /// The VM's ring of coalesced writes, seen through this vCPU's mapping.
    [[nodiscard]] std::span<std::byte> page(size_t index) const;

  private:
    Vcpu(uint32_t id, UniqueFd fd, Mapping mapping);
    [[nodiscard]] Exit port_exit() const;
    [[nodiscard]] Exit mmio_exit() const;

    uint32_t id_;
    UniqueFd fd_;
    Mapping mapping_;
    kvm_run* run_;
};

}  // namespace mote
