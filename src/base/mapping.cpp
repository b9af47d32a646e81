#include "base/mapping.h"

#include <sys/mman.h>

#include <cstdint>

namespace mote {

namespace {

/// Reserves `size` bytes at a multiple of `alignment`; the surplus on both sides goes back.
Result<std::byte*> reserve_aligned(size_t size, size_t alignment) {
    const size_t total = size + alignment;
    if (total < size) return fail("cannot map {} bytes: the size overflows", size);
    void* start =
        ::mmap(nullptr, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) return fail_errno("cannot reserve {} bytes of address space", total);
    auto* first = static_cast<std::byte*>(start);
    const size_t head = -reinterpret_cast<uintptr_t>(start) & (alignment - 1);
    if (head != 0) ::munmap(first, head);
    if (alignment != head) ::munmap(first + head + size, alignment - head);
    return first + head;
}

}  // namespace

Mapping::~Mapping() {
    if (data_ != nullptr) ::munmap(data_, size_);
}

Result<Mapping> Mapping::create(size_t size, int flags, int fd, size_t offset, size_t alignment) {
    void* wanted = nullptr;
    if (alignment != 0) {
        wanted = TRY(reserve_aligned(size, alignment));
        flags |= MAP_FIXED;
    }
    void* data =
        ::mmap(wanted, size, PROT_READ | PROT_WRITE, flags, fd, static_cast<off_t>(offset));
    if (data == MAP_FAILED) {
        const int code = errno;
        if (wanted != nullptr) ::munmap(wanted, size);
        return fail_code(code, "cannot map {} bytes", size);
    }
    return Mapping(static_cast<std::byte*>(data), size);
}

Result<Mapping> Mapping::anonymous(size_t size) {
    return create(size, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, 0);
}

}  // namespace mote
