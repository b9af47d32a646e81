#include "devices/virtio/user_net.h"

#include <sys/socket.h>

#include <cstring>
#include <string>

#include "devices/virtio/net_protocol.h"
#include "unit/catch.h"

using namespace mote;

namespace {

constexpr size_t kHeader = sizeof(virtio::NetHeader);

struct Fixture {
    UniqueFd host;
    std::unique_ptr<UserNet> net;
    Fixture() {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        host.reset(ends[0]);
        net = std::make_unique<UserNet>(UniqueFd(ends[1]));
    }
    void put(std::string_view bytes) const {
        REQUIRE(::send(host.get(), bytes.data(), bytes.size(), 0) ==
                static_cast<ssize_t>(bytes.size()));
    }
    std::string take(size_t most) const {
        std::string bytes(most, '\0');
        const ssize_t got = ::recv(host.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
        bytes.resize(got < 0 ? 0 : static_cast<size_t>(got));
        return bytes;
    }
    ssize_t receive(std::string& frame, size_t room = 70000) const {
        frame.assign(room, '?');
        const iovec parts[]{{frame.data(), 5}, {frame.data() + 5, room - 5}};
        const ssize_t got = net->receive(parts);
        if (got >= 0) frame.resize(static_cast<size_t>(got));
        return got;
    }
    ssize_t send(std::string frame) const {
        frame.insert(0, kHeader, '\x55');
        const iovec parts[]{{frame.data(), 5}, {frame.data() + 5, frame.size() - 5}};
        return net->send(parts);
    }
};

std::string on_wire(std::string_view frame) {
    const size_t n = frame.size();
    std::string text{static_cast<char>(n >> 24U), static_cast<char>(n >> 16U),
                     static_cast<char>(n >> 8U), static_cast<char>(n)};
    return text.append(frame);
}

/// An IPv4 packet, or IPv6 where `address` has 16 bytes, to that address.
std::string packet_to(std::string_view address) {
    const bool old = address.size() == 4;
    std::string frame(12, '\1');
    frame += old ? std::string("\x08\x00", 2) : std::string("\x86\xDD", 2);
    frame.append(old ? 16 : 24, '\1').append(address);
    return frame;
}

}  // namespace

TEST_CASE_METHOD(Fixture, "UserNet: frames of the host, however they are cut") {
    std::string frame;
    CHECK(receive(frame) == -EAGAIN);
    const std::string stream = on_wire("first") + on_wire(std::string(65535, 'x')) + on_wire("");
    for (size_t at = 0; at < stream.size(); at += 7000) {
        put(std::string_view(stream).substr(at, 7000));
        if (at == 0) {
            CHECK(receive(frame) == kHeader + 5);
            CHECK(frame == std::string(kHeader, '\0') + "first");
        }
        if (at + 7000 < 65535) CHECK(receive(frame) == -EAGAIN);
    }
    CHECK(receive(frame) == kHeader + 65535);
    CHECK(frame == std::string(kHeader, '\0') + std::string(65535, 'x'));
    CHECK(receive(frame) == kHeader);
    CHECK(receive(frame) == -EAGAIN);
    for (const char byte : on_wire("slow")) {
        CHECK(receive(frame) == -EAGAIN);
        put({&byte, 1});
    }
    CHECK(receive(frame) == kHeader + 4);
}

TEST_CASE_METHOD(Fixture, "UserNet: what does not fit is lost, the next frame is whole") {
    std::string frame;
    put(on_wire("much too long") + on_wire("next"));
    CHECK(receive(frame, 20) == 20);
    CHECK(receive(frame) == kHeader + 4);
    CHECK(frame.substr(kHeader) == "next");
}

TEST_CASE_METHOD(Fixture, "UserNet: a stream that ends or is out of step is gone") {
    std::string frame;
    SECTION("it ends") {
        put(on_wire("last") + "\1");
        host.reset();
        CHECK(receive(frame) == kHeader + 4);
        CHECK(send("void") == kHeader + 4);
    }
    SECTION("a length that no frame has") {
        put("\1\1\1\1 and so on");
    }
    CHECK(receive(frame) == NetBackend::kGone);
    CHECK(receive(frame) == NetBackend::kGone);
}

TEST_CASE_METHOD(Fixture, "UserNet: frames of the guest, also where the socket is full") {
    CHECK(send("hello") == kHeader + 5);
    CHECK(take(100) == on_wire("hello"));
    std::string expected;
    std::string got;
    unsigned sent = 0;
    for (;; ++sent) {
        const std::string frame(20000 + sent, static_cast<char>('a' + sent % 26));
        if (send(frame) < 0) break;
        expected += on_wire(frame);
    }
    CHECK(sent > 2);
    CHECK(send("more") == -EAGAIN);
    CHECK_FALSE(net->flush());
    while (got.size() < expected.size()) {
        const std::string part = take(50000);
        REQUIRE_FALSE(part.empty());
        got += part;
        static_cast<void>(net->flush());
    }
    CHECK(got == expected);
    CHECK(net->flush());
    CHECK(send("more") == kHeader + 4);
    CHECK(take(100) == on_wire("more"));
}

TEST_CASE_METHOD(Fixture, "UserNet: nothing goes to the host's loopback") {
    using namespace std::string_literals;
    const std::string zeros(16, '\0');
    for (const std::string& address :
         {"\x7F\0\0\1"s, "\x7F\xFF\xFF\xFE"s, "\0\0\0\0"s, "\0\1\2\3"s, zeros,
          zeros.substr(1) + "\1", zeros.substr(4) + "\x7F\0\0\1"s,
          zeros.substr(6) + "\xFF\xFF\x7F\0\0\1"s}) {
        CHECK(send(packet_to(address)) == -EPERM);
        CHECK(take(100).empty());
    }
    const std::string other = "\x20\1" + zeros.substr(2);
    for (const std::string& address : {"\x0A\0\0\1"s, "\x80\0\0\1"s, other})
        CHECK(send(packet_to(address)) > 0);
    CHECK(send(std::string(12, '\1') + "\x08\x06" + std::string(28, '\x7F')) > 0);  // ARP
    CHECK(send("short") > 0);
}
