// Kvm: the /dev/kvm device, and what the host's KVM can do.
#pragma once

#include <cstddef>

#include "base/result.h"
#include "base/unique_fd.h"

namespace mote {

/// An open /dev/kvm (KVM API, "System ioctls"). Any thread.
class Kvm {
  public:
    /// Opens /dev/kvm and checks its version. Errors: not there, not permitted (`mote check` tells
    /// what to do), or a KVM of another API version.
    static Result<Kvm> open();

    /// KVM_CHECK_EXTENSION: 0 where the capability is missing.
    [[nodiscard]] int check_extension(int capability) const noexcept;
    /// KVM_GET_VCPU_MMAP_SIZE, in bytes.
    Result<size_t> vcpu_mapping_size() const;

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  private:
    explicit Kvm(UniqueFd fd) noexcept : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace mote
