#include "kvm/kvm.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include "kvm/kvm_api.h"

namespace mote {

Result<Kvm> Kvm::open() {
    UniqueFd fd(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
    if (!fd.valid()) return fail_errno("cannot open /dev/kvm (`mote check` tells what to do)");
    const int version = ::ioctl(fd.get(), KVM_GET_API_VERSION, 0);
    if (version != KVM_API_VERSION)
        return fail_code(ENOTSUP, "/dev/kvm speaks API version {}, mote needs {}", version,
                         KVM_API_VERSION);
    return Kvm(std::move(fd));
}

int Kvm::check_extension(int capability) const noexcept {
    const int value = ::ioctl(fd_.get(), KVM_CHECK_EXTENSION, capability);
    return value < 0 ? 0 : value;
}

Result<size_t> Kvm::vcpu_mapping_size() const {
    const int size = ::ioctl(fd_.get(), KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < 0) return fail_errno("/dev/kvm: cannot read the size of a vCPU's mapping");
    return static_cast<size_t>(size);
}

}  // namespace mote
