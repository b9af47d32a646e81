// Mapping: memory from mmap(2) with one owner.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "base/result.h"

namespace mote {

/// Owns a mapping and unmaps it. Move-only.
class Mapping {
  public:
    Mapping() = default;
    Mapping(Mapping&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    Mapping& operator=(Mapping&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    ~Mapping();

    /// mmap(2) of `size` bytes, readable and writable. `flags` and `fd` as there; fd -1 for none.
    /// `alignment` is 0 (page) or a power of two that the address becomes a multiple of.
    /// Errors: ENOMEM, EACCES, EINVAL, ENODEV.
    static Result<Mapping> create(size_t size, int flags, int fd, size_t offset, size_t alignment);
    /// The first `file_size` bytes of `fd`, shared with all who use the file, and zeroed private
    /// memory behind them up to `size`; at a multiple of `alignment`, a power of two of at least a
    /// page. Not in a core dump. Bytes that the file loses later raise SIGBUS. Errors: as create().
    static Result<Mapping> shared_file(int fd, size_t file_size, bool read_only, size_t size,
                                       size_t alignment);
    /// Zeroed private memory, page-aligned.
    static Result<Mapping> anonymous(size_t size);

    [[nodiscard]] std::byte* data() const noexcept { return data_; }
    [[nodiscard]] size_t size() const noexcept { return size_; }
    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {data_, size_}; }

  private:
    Mapping(std::byte* data, size_t size) noexcept : data_(data), size_(size) {}
    std::byte* data_ = nullptr;
    size_t size_ = 0;
};

}  // namespace mote
