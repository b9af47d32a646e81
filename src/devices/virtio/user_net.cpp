#include "devices/virtio/user_net.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "devices/virtio/net_protocol.h"

namespace mote {

namespace {

constexpr size_t kLength = 4;  // in front of each frame
constexpr size_t kMaxFrame = 18 + 65536;
constexpr size_t kRead = size_t{128} << 10U;  // at most at once

uint32_t read_length(const std::byte* at) {
    uint32_t value = 0;
    for (size_t i = 0; i < kLength; ++i)
        value = value << 8U | std::to_integer<uint32_t>(at[i]);
    return value;
}

bool all_zero(std::span<const std::byte> bytes) {
    return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{}; });
}

/// Fills `parts` with `bytes`, from `offset` of them on; returns how many did fit.
size_t scatter(std::span<const iovec> parts, size_t offset, std::span<const std::byte> bytes) {
    size_t done = 0;
    for (const iovec& part : parts) {
        const size_t skipped = std::min(offset, part.iov_len);
        const size_t here = std::min(part.iov_len - skipped, bytes.size() - done);
        std::memcpy(static_cast<std::byte*>(part.iov_base) + skipped, bytes.data() + done, here);
        offset -= skipped;
        done += here;
    }
    return done;
}

}  // namespace

bool is_for_loopback(std::span<const std::byte> frame) {
    constexpr size_t kType = 12;
    constexpr size_t kIp = 14;
    if (frame.size() < kIp) return false;
    const uint32_t type =
        std::to_integer<uint32_t>(frame[kType]) << 8U | std::to_integer<uint32_t>(frame[kType + 1]);
    const auto packet = frame.subspan(kIp);
    // 127/8; and 0/8, by which Linux means the host itself.
    const auto names_host = [](std::byte first) {
        return first == std::byte{127} || first == std::byte{0};
    };
    if (type == 0x0800) return packet.size() >= 20 && names_host(packet[16]);
    if (type != 0x86DD || packet.size() < 40) return false;
    // ::1, :: and the rest of ::/96; and ::ffff:0:0/96, which is IPv4.
    const auto address = packet.subspan(24, 16);
    if (!all_zero(address.first(10))) return false;
    const auto middle = address.subspan(10, 2);
    const bool mapped = middle[0] == std::byte{0xFF} && middle[1] == std::byte{0xFF};
    return all_zero(middle) || mapped;
}

UserNet::UserNet(UniqueFd socket) : socket_(std::move(socket)), in_(kMaxFrame + kRead) {
    out_.reserve(kLength + kMaxFrame);
}

Result<> UserNet::set_offloads(uint64_t features) {
    static_cast<void>(features);  // none is offered
    return {};
}

/// Reads more; a negative errno where there is nothing.
ssize_t UserNet::fill() {
    if (in_.size() - end_ < kRead) {
        std::memmove(in_.data(), in_.data() + begin_, waiting());
        end_ -= begin_;
        begin_ = 0;
    }
    for (;;) {
        const ssize_t got = ::recv(fd(), in_.data() + end_, in_.size() - end_, MSG_DONTWAIT);
        if (got > 0) end_ += static_cast<size_t>(got);
        if (got > 0) return got;
        if (got == 0 || errno == ECONNRESET) return kGone;
        if (errno != EINTR) return -errno;
    }
}

ssize_t UserNet::receive(std::span<const iovec> parts) {
    for (;;) {
        const size_t size = waiting() >= kLength ? read_length(&in_[begin_]) : 0;
        // A stream that is out of step cannot be put right.
        if (size > kMaxFrame) return kGone;
        if (waiting() >= kLength + size && waiting() >= kLength) {
            static constexpr std::array<std::byte, sizeof(virtio::NetHeader)> kHeader{};
            size_t done = scatter(parts, 0, kHeader);
            done += scatter(parts, kHeader.size(), std::span(in_).subspan(begin_ + kLength, size));
            begin_ += kLength + size;
            return static_cast<ssize_t>(done);
        }
        const ssize_t got = fill();
        if (got < 0) return got;
    }
}

ssize_t UserNet::send(std::span<const iovec> parts) {
    if (!flush()) return -EAGAIN;
    size_t header = sizeof(virtio::NetHeader);
    out_.resize(kLength);
    sent_ = 0;
    for (const iovec& part : parts) {
        const size_t skipped = std::min(header, part.iov_len);
        const auto* const data = static_cast<const std::byte*>(part.iov_base);
        out_.insert(out_.end(), data + skipped, data + part.iov_len);
        header -= skipped;
    }
    const size_t size = out_.size() - kLength;
    for (size_t i = 0; i < kLength; ++i)
        out_[i] = static_cast<std::byte>(size >> (8 * (kLength - 1 - i)));
    const bool refused = size > kMaxFrame || is_for_loopback(std::span(out_).subspan(kLength));
    if (refused) {
        out_.clear();
        return -EPERM;
    }
    static_cast<void>(flush());
    return static_cast<ssize_t>(sizeof(virtio::NetHeader) + size);
}

bool UserNet::flush() {
    while (sent_ < out_.size()) {
        const ssize_t done =
            ::send(fd(), out_.data() + sent_, out_.size() - sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (done >= 0) {
            sent_ += static_cast<size_t>(done);
        } else if (errno == EAGAIN) {
            return false;
        } else if (errno != EINTR) {
            break;  // the end of the stream: receive() tells it
        }
    }
    out_.clear();
    sent_ = 0;
    return true;
}

}  // namespace mote
