#include "support/vhost_user_back_end.h"

#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstdlib>

namespace mote::test {

using namespace vhost_user;

FakeBackEnd::FakeBackEnd() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) std::abort();
    front_end_.reset(ends[0]);
    socket_.reset(ends[1]);
    space.size = kConfigBytes;
    const uint64_t sectors = 2048;
    std::memcpy(space.bytes.data(), &sectors, sizeof sectors);
    thread_ = std::thread([this] { run(); });
}

FakeBackEnd::~FakeBackEnd() {
    hang_up();
    thread_.join();
}

void FakeBackEnd::hang_up() {
    ::shutdown(socket_.get(), SHUT_RDWR);
}

void FakeBackEnd::on(Request request, Answer answer) {
    const std::lock_guard lock(mutex_);
    answers_[request] = std::move(answer);
}

void FakeBackEnd::send(uint32_t request, uint32_t flags, uint32_t size,
                       std::span<const std::byte> payload, std::span<const int> files) {
    const Header header{.request = request, .flags = flags, .size = size};
    std::vector<std::byte> bytes(sizeof header);
    std::memcpy(bytes.data(), &header, sizeof header);
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    send_bytes(bytes, files);
}

void FakeBackEnd::send_bytes(std::span<const std::byte> bytes, std::span<const int> files) {
    iovec part{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(8 * sizeof(int))> control{};
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
    // Whoever has hung up takes nothing any more; that is for the test to see.
    [[maybe_unused]] const auto sent = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
}

void FakeBackEnd::answer(Request request) {
    const auto send_value = [&](const auto& value) {
        send(static_cast<uint32_t>(request), kVersion | kReply, sizeof value,
             std::as_bytes(std::span(&value, 1)));
    };
    if (request == Request::get_features) send_value(features);
    if (request == Request::get_protocol_features) send_value(protocol_features);
    if (request == Request::get_config) send_value(space);
    if (request == Request::get_vring_base) send_value(stopped_at);
}

bool FakeBackEnd::receive(Message& message) const {
    Header header{};
    iovec part{.iov_base = &header, .iov_len = sizeof header};
    msghdr received{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(8 * sizeof(int))> control{};
    received.msg_iov = &part;
    received.msg_iovlen = 1;
    received.msg_control = control.data();
    received.msg_controllen = control.size();
    if (::recvmsg(socket_.get(), &received, MSG_WAITALL | MSG_CMSG_CLOEXEC) !=
        static_cast<ssize_t>(sizeof header))
        return false;
    if (const cmsghdr* const rights = CMSG_FIRSTHDR(&received); rights != nullptr) {
        std::vector<int> files((rights->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        std::memcpy(files.data(), CMSG_DATA(rights), files.size() * sizeof(int));
        for (const int fd : files)
            message.files.emplace_back(fd);
    }
    message.request = static_cast<Request>(header.request);
    message.payload.resize(header.size);
    return header.size == 0 || ::recv(socket_.get(), message.payload.data(), header.size,
                                      MSG_WAITALL) == static_cast<ssize_t>(header.size);
}

void FakeBackEnd::run() {
    for (;;) {
        Message message;
        if (!receive(message)) return;
        const Request request = message.request;
        Answer instead;
        {
            const std::lock_guard lock(mutex_);
            messages_.push_back(std::move(message));
            if (const auto found = answers_.find(request); found != answers_.end())
                instead = found->second;
        }
        came_.notify_all();
        instead ? instead() : answer(request);
    }
}

size_t FakeBackEnd::count(Request request) {
    const std::lock_guard lock(mutex_);
    return static_cast<size_t>(std::ranges::count(messages_, request, &Message::request));
}

bool FakeBackEnd::wait_for(Request request, size_t count) {
    std::unique_lock lock(mutex_);
    return came_.wait_for(lock, std::chrono::seconds(10), [&] {
        return static_cast<size_t>(std::ranges::count(messages_, request, &Message::request)) >=
               count;
    });
}

std::vector<FakeBackEnd::Request> FakeBackEnd::requests() {
    const std::lock_guard lock(mutex_);
    std::vector<Request> all;
    all.reserve(messages_.size());
    for (const Message& message : messages_)
        all.push_back(message.request);
    return all;
}

const FakeBackEnd::Message& FakeBackEnd::last(Request request) {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(messages_.rbegin(), messages_.rend(),
                                    [request](const auto& m) { return m.request == request; });
    if (found == messages_.rend()) std::abort();
    return *found;
}

}  // namespace mote::test
