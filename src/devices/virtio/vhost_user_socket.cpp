#include "devices/virtio/vhost_user_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cassert>
#include <cstring>

namespace mote {

using vhost_user::Header;
using vhost_user::Request;

// --- VhostUserAnswer -----------------------------------------------------------------------------

void VhostUserAnswer::expect(Request request, size_t size) {
    assert(size <= vhost_user::kMaxAnswer);
    request_ = request;
    size_ = size;
    used_ = 0;
    expected_ = true;
}

std::span<std::byte> VhostUserAnswer::room() {
    if (!expected_) return {};
    // The header is looked at before anything behind it is read.
    const size_t end = used_ < sizeof(Header) ? sizeof(Header) : sizeof(Header) + size_;
    return std::span(buffer_).subspan(used_, end - used_);
}

Result<bool> VhostUserAnswer::filled(size_t count) {
    assert(count <= room().size());
    const bool had_header = used_ >= sizeof(Header);
    used_ += count;
    if (used_ < sizeof(Header)) return false;
    if (!had_header) TRY(check_header());
    expected_ = used_ < sizeof(Header) + size_;
    return !expected_;
}

Result<> VhostUserAnswer::check_header() const {
    Header header{};
    std::memcpy(&header, buffer_.data(), sizeof header);
    if (header.request != static_cast<uint32_t>(request_))
        return fail("answers request {} where {} was sent", header.request,
                    static_cast<uint32_t>(request_));
    if (header.flags != (vhost_user::kVersion | vhost_user::kReply))
        return fail("answers request {} with the flags {:#x}", header.request, header.flags);
    if (header.size != size_)
        return fail("answers request {} with {} bytes, not {}", header.request, header.size, size_);
    return {};
}

// --- VhostUserSocket -----------------------------------------------------------------------------

Result<> VhostUserSocket::send(Request request, std::span<const std::byte> payload,
                               std::span<const int> files) {
    Header header{.request = static_cast<uint32_t>(request),
                  .flags = vhost_user::kVersion,
                  .size = static_cast<uint32_t>(payload.size())};
    std::array<iovec, 2> parts{{
        {.iov_base = &header, .iov_len = sizeof header},
        // sendmsg(2) only reads from it.
        {.iov_base = const_cast<std::byte*>(payload.data()), .iov_len = payload.size()},
    }};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    alignas(cmsghdr) std::array<char, CMSG_SPACE(vhost_user::kMaxRegions * sizeof(int))> control{};
    assert(files.size() <= vhost_user::kMaxRegions);
    if (!files.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(files.size_bytes());
        cmsghdr rights{};
        rights.cmsg_level = SOL_SOCKET;
        rights.cmsg_type = SCM_RIGHTS;
        rights.cmsg_len = CMSG_LEN(files.size_bytes());
        std::memcpy(control.data(), &rights, sizeof rights);
        std::memcpy(control.data() + CMSG_LEN(0), files.data(), files.size_bytes());
    }
    ssize_t sent = 0;
    do
        sent = ::sendmsg(fd(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent == static_cast<ssize_t>(sizeof header + payload.size())) return {};
    // So few bytes go whole or not at all: what is in between is as good as the latter.
    if (sent >= 0 || errno == EAGAIN) return fail("does not read what it is sent");
    if (errno == EPIPE || errno == ECONNRESET) return fail("has hung up");
    return fail_errno("cannot be written to");
}

Result<bool> VhostUserSocket::receive() {
    for (;;) {
        const std::span<std::byte> room = answer_.room();
        // Where nothing is expected, one byte tells whether something came all the same.
        std::byte unexpected{};
        iovec part{.iov_base = &unexpected, .iov_len = 1};
        if (!room.empty()) part = {.iov_base = room.data(), .iov_len = room.size()};
        // No place for control data: the kernel closes what files it brings, and says so.
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        const ssize_t got = ::recvmsg(fd(), &message, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return false;
        if (got == 0 || (got < 0 && errno == ECONNRESET)) return fail("has hung up");
        if (got < 0) return fail_errno("cannot be read from");
        if ((message.msg_flags & MSG_CTRUNC) != 0) return fail("sends files that nobody asked for");
        if (room.empty()) return fail("sends what nobody asked for");
        if (TRY(answer_.filled(static_cast<size_t>(got)))) return true;
    }
}

Result<> VhostUserSocket::ask(Request request, std::span<const std::byte> payload, size_t size,
                              Deadline deadline) {
    using std::chrono::milliseconds;
    expect(request, size);
    TRY(send(request, payload));
    while (!TRY(receive())) {
        const auto left =
            std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
        if (left <= milliseconds(0))
            return fail("does not answer request {} in time", static_cast<uint32_t>(request));
        pollfd descriptor{.fd = fd(), .events = POLLIN, .revents = 0};
        ::poll(&descriptor, 1, static_cast<int>(left.count()));
    }
    return {};
}

}  // namespace mote
