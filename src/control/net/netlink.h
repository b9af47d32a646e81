// Netlink: messages to the kernel's network configuration, and its answers.
#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/endian.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace mote {

/// Messages one behind the other, each with its attributes, aligned as the kernel wants them.
class NetlinkMessages {
  public:
    /// Begins a message with the header of its family behind netlink's own. Its sequence number
    /// counts from 1.
    template <class Header>
    void begin(uint16_t type, uint16_t flags, const Header& header) {
        begin(type, flags, std::as_bytes(std::span(&header, 1)));
    }

    /// Attributes of the message begun last.
    void bytes(uint16_t type, std::span<const std::byte> value);
    void text(uint16_t type, std::string_view value);  ///< with a zero behind it
    template <class T>
    void value(uint16_t type, const T& value) {
        bytes(type, std::as_bytes(std::span(&value, 1)));
    }
    /// netfilter's integers.
    void number(uint16_t type, uint32_t value) { this->value(type, be32(value)); }
    /// Attributes from open() to close(), which gets what open() has returned, lie within this one.
    size_t open(uint16_t type);
    void close(size_t at);
    /// The same around what `fill` adds.
    template <class Fill>
    void nest(uint16_t type, Fill&& fill) {
        const size_t at = open(type);
        fill();
        close(at);
    }

    [[nodiscard]] std::span<const std::byte> all() const { return bytes_; }
    /// Messages that ask for an answer.
    [[nodiscard]] unsigned answers() const { return answers_; }

  private:
    void begin(uint16_t type, uint16_t flags, std::span<const std::byte> header);
    void append(std::span<const std::byte> value);

    std::vector<std::byte> bytes_;
    size_t message_ = 0;  ///< where the one begun last lies
    uint32_t sequence_ = 0;
    unsigned answers_ = 0;
};

/// An attribute's value by its type, of those in `bytes`; checked to lie in there.
std::optional<std::span<const std::byte>> find_attribute(std::span<const std::byte> bytes,
                                                         uint16_t type);

/// The T at the front of an attribute's value, or nothing where it is shorter.
template <class T>
std::optional<T> read_value(std::optional<std::span<const std::byte>> bytes) {
    if (!bytes || bytes->size() < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, bytes->data(), sizeof value);
    return value;
}

/// One thread. The kernel answers within the call that asks, so nothing waits.
class NetlinkSocket {
  public:
    /// A message of an answer, behind netlink's own header.
    using OnMessage = std::function<void(uint16_t type, std::span<const std::byte> body)>;

    /// Errors: EPROTONOSUPPORT where the kernel lacks `protocol`, EMFILE.
    static Result<NetlinkSocket> create(int protocol);

    /// Sends `messages` and takes all answers: errors and acknowledgements of single messages, what
    /// a dump has, each to `on_message` but the former. Errors: the first that the kernel tells.
    Result<> request(const NetlinkMessages& messages, const OnMessage& on_message = {});

  private:
    explicit NetlinkSocket(UniqueFd fd) : fd_(std::move(fd)) {}

    UniqueFd fd_;
};

}  // namespace mote
