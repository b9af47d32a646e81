// VsockBacklog: what a full socket of the host did not take.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <vector>

namespace mote {

/// Bytes in the order they came. Takes no memory while empty; the connection's window bounds it.
class VsockBacklog {
  public:
    [[nodiscard]] bool empty() const { return first_ == bytes_.size(); }
    [[nodiscard]] std::span<const std::byte> bytes() const {
        return std::span(bytes_).subspan(first_);
    }
    /// Adds what `parts` hold after the first `skip` bytes.
    void append(std::span<const iovec> parts, size_t skip);
    /// The first `size` bytes are gone.
    void consume(size_t size);
    void clear();

  private:
    std::vector<std::byte> bytes_;
    size_t first_ = 0;  ///< bytes before this one are gone
};

}  // namespace mote
