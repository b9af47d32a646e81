#include "control/net/netlink.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace mote {

namespace {

constexpr size_t aligned(size_t size) {
    return (size + NLMSG_ALIGNTO - 1) & ~size_t{NLMSG_ALIGNTO - 1};
}
static_assert(NLMSG_ALIGNTO == NLA_ALIGNTO && aligned(sizeof(nlmsghdr)) == sizeof(nlmsghdr));

/// What one datagram of the kernel's told.
struct Told {
    unsigned answers = 0;
    int code = 0;  ///< the first error's errno
};

void read_answers(std::span<const std::byte> datagram, const NetlinkSocket::OnMessage& on_message,
                  Told& told) {
    while (const auto header = read_value<nlmsghdr>(datagram)) {
        if (header->nlmsg_len < sizeof(nlmsghdr) || header->nlmsg_len > datagram.size()) return;
        const auto body = datagram.subspan(sizeof(nlmsghdr), header->nlmsg_len - sizeof(nlmsghdr));
        if (header->nlmsg_type == NLMSG_ERROR || header->nlmsg_type == NLMSG_DONE) {
            ++told.answers;
            const int code = -read_value<int>(body).value_or(0);
            if (told.code == 0) told.code = code;
        } else if (on_message) {
            on_message(header->nlmsg_type, body);
        }
        datagram = datagram.subspan(std::min(aligned(header->nlmsg_len), datagram.size()));
    }
}

}  // namespace

void NetlinkMessages::begin(uint16_t type, uint16_t flags, std::span<const std::byte> header) {
    message_ = bytes_.size();
    const nlmsghdr own{.nlmsg_len = 0,
                       .nlmsg_type = type,
                       .nlmsg_flags = static_cast<uint16_t>(flags | NLM_F_REQUEST),
                       .nlmsg_seq = ++sequence_,
                       .nlmsg_pid = 0};
    append(std::as_bytes(std::span(&own, 1)));
    append(header);
    if ((flags & (NLM_F_ACK | NLM_F_DUMP)) != 0) ++answers_;
}

void NetlinkMessages::append(std::span<const std::byte> value) {
    bytes_.insert(bytes_.end(), value.begin(), value.end());
    bytes_.resize(aligned(bytes_.size()));
    const auto size = static_cast<uint32_t>(bytes_.size() - message_);
    std::memcpy(bytes_.data() + message_ + offsetof(nlmsghdr, nlmsg_len), &size, sizeof size);
}

void NetlinkMessages::bytes(uint16_t type, std::span<const std::byte> value) {
    const nlattr header{.nla_len = static_cast<uint16_t>(sizeof(nlattr) + value.size()),
                        .nla_type = type};
    append(std::as_bytes(std::span(&header, 1)));
    append(value);
}

void NetlinkMessages::text(uint16_t type, std::string_view value) {
    const std::string terminated(value);
    bytes(type, std::as_bytes(std::span(terminated.c_str(), terminated.size() + 1)));
}

size_t NetlinkMessages::open(uint16_t type) {
    const size_t at = bytes_.size();
    const nlattr header{.nla_len = 0, .nla_type = static_cast<uint16_t>(type | NLA_F_NESTED)};
    append(std::as_bytes(std::span(&header, 1)));
    return at;
}

void NetlinkMessages::close(size_t at) {
    const auto size = static_cast<uint16_t>(bytes_.size() - at);
    std::memcpy(bytes_.data() + at + offsetof(nlattr, nla_len), &size, sizeof size);
}

std::optional<std::span<const std::byte>> find_attribute(std::span<const std::byte> bytes,
                                                         uint16_t type) {
    while (const auto header = read_value<nlattr>(bytes)) {
        if (header->nla_len < sizeof(nlattr) || header->nla_len > bytes.size()) break;
        if ((header->nla_type & NLA_TYPE_MASK) == type)
            return bytes.subspan(sizeof(nlattr), header->nla_len - sizeof(nlattr));
        bytes = bytes.subspan(std::min(aligned(header->nla_len), bytes.size()));
    }
    return std::nullopt;
}

Result<NetlinkSocket> NetlinkSocket::create(int protocol) {
    UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
    if (!fd.valid()) return fail_errno("cannot open a netlink socket ({})", protocol);
    return NetlinkSocket(std::move(fd));
}

Result<> NetlinkSocket::request(const NetlinkMessages& messages, const OnMessage& on_message) {
    const auto bytes = messages.all();
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    const ssize_t sent = ::sendto(fd_.get(), bytes.data(), bytes.size(), 0,
                                  reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
    if (sent != static_cast<ssize_t>(bytes.size())) return fail_errno("cannot ask the kernel");
    std::vector<std::byte> datagram(size_t{64} << 10U);
    Told told;
    for (;;) {
        const ssize_t got = ::recv(fd_.get(), datagram.data(), datagram.size(), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) break;
        if (got < 0) return fail_errno("cannot read the kernel's answer");
        read_answers(std::span(datagram).first(static_cast<size_t>(got)), on_message, told);
    }
    if (told.code != 0) return fail_code(told.code, "the kernel refuses");
    if (told.answers < messages.answers())
        return fail_code(EPROTO, "the kernel has answered {} of {} messages", told.answers,
                         messages.answers());
    return {};
}

}  // namespace mote
