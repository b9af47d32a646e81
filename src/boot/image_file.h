// ImageFile: a kernel or initrd file, read straight into guest memory.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"
#include "memory/guest_memory.h"

namespace mote {

/// A regular file of known size. Borrows the descriptor; never moves its position.
class ImageFile {
  public:
    /// Errors: not a regular file (a directory, a FIFO, ...), empty, or fstat(2)'s.
    static Result<ImageFile> open(int fd);

    [[nodiscard]] uint64_t size() const noexcept { return size_; }
    /// True where [offset, offset + length) is inside the file.
    [[nodiscard]] bool contains(uint64_t offset, uint64_t length) const noexcept {
        return offset <= size_ && length <= size_ - offset;
    }

    /// Fills `out` from `offset`. Errors: the file ends before that, or what read(2) said.
    Result<> read(uint64_t offset, std::span<std::byte> out) const;
    /// read() into guest RAM. Errors also: [address, address + length) is not RAM.
    Result<> load(const GuestMemory& memory, GuestAddress address, uint64_t offset,
                  uint64_t length) const;

  private:
    ImageFile(int fd, uint64_t size) noexcept : fd_(fd), size_(size) {}
    int fd_;
    uint64_t size_;
};

}  // namespace mote
