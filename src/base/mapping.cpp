#include "base/mapping.h"

#include <sys/mman.h>

#include <cstdint>
#include <string_view>

namespace mote {

namespace {

/// Nothing but address space is asked for, so ENOMEM means a limit of that.
std::unexpected<Error> mapping_failed(std::string_view tried, size_t size) {
    std::unexpected<Error> failure = fail_errno("cannot {} {} bytes of address space", tried, size);
    if (failure.error().code == ENOMEM)
        failure.error().message += "; raise the limit of address space (ulimit -v), or give less";
    return failure;
}

/// Maps `size` anonymous bytes at a multiple of `alignment`; the surplus on both sides goes back.
Result<std::byte*> map_aligned(size_t size, size_t alignment, int protection, int flags) {
    const size_t total = size + alignment;
    if (total < size) return fail("cannot map {} bytes: the size overflows", size);
    void* start = ::mmap(nullptr, total, protection, flags, -1, 0);
    if (start == MAP_FAILED) return mapping_failed("reserve", total);
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
    if (alignment != 0 && (flags & MAP_ANONYMOUS) != 0)
        return Mapping(TRY(map_aligned(size, alignment, PROT_READ | PROT_WRITE, flags)), size);
    void* wanted = nullptr;
    if (alignment != 0) {
        wanted = TRY(
            map_aligned(size, alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE));
        flags |= MAP_FIXED;
    }
    void* data =
        ::mmap(wanted, size, PROT_READ | PROT_WRITE, flags, fd, static_cast<off_t>(offset));
    if (data == MAP_FAILED) {
        std::unexpected<Error> failure = mapping_failed("map", size);
        if (wanted != nullptr) ::munmap(wanted, size);
        return failure;
    }
    return Mapping(static_cast<std::byte*>(data), size);
}

Result<Mapping> Mapping::shared_file(int fd, size_t file_size, bool read_only, size_t size,
                                     size_t alignment) {
    const int protection = read_only ? PROT_READ : PROT_READ | PROT_WRITE;
    constexpr int kPadding = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    Mapping mapping(TRY(map_aligned(size, alignment, protection, kPadding)), size);
    if (::mmap(mapping.data_, file_size, protection, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
        return mapping_failed("map", file_size);
    ::madvise(mapping.data_, size, MADV_DONTDUMP);
    return mapping;
}

Result<Mapping> Mapping::anonymous(size_t size) {
    return create(size, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, 0);
}

}  // namespace mote
