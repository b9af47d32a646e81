#include "support/net_driver.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cstring>
#include <stdexcept>

namespace mote::test {

using namespace virtio;

SocketBackend::SocketBackend() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        throw std::runtime_error("no socket pair");
    fd_.reset(ends[0]);
    wire_->host.reset(ends[1]);
}

uint64_t SocketBackend::offloads() const {
    return kNetCsum | kNetGuestCsum | kNetGuestTso4 | kNetHostTso4;
}

Result<> SocketBackend::set_offloads(uint64_t features) {
    wire_->offloads = features;
    return {};
}

ssize_t SocketBackend::receive(std::span<const iovec> parts) {
    ++wire_->receives;
    if (wire_->receive_error != 0) return wire_->receive_error;
    const ssize_t got = ::readv(fd_.get(), parts.data(), static_cast<int>(parts.size()));
    return got < 0 ? -errno : got;
}

ssize_t SocketBackend::send(std::span<const iovec> parts) {
    if (wire_->before_send) wire_->before_send();
    ++wire_->sends;
    if (wire_->send_error != 0) return wire_->send_error;
    const ssize_t done = ::writev(fd_.get(), parts.data(), static_cast<int>(parts.size()));
    return done < 0 ? -errno : done;
}

bool SocketBackend::Wire::put(std::string_view frame) const {
    const std::string whole = with_header(frame);
    return ::write(host.get(), whole.data(), whole.size()) == static_cast<ssize_t>(whole.size());
}

std::optional<std::string> SocketBackend::Wire::take() const {
    std::string frame(NetDevice::kMaxFrame + 4096, '\0');
    const ssize_t got = ::read(host.get(), frame.data(), frame.size());
    if (got < 0) return std::nullopt;
    frame.resize(static_cast<size_t>(got));
    return frame;
}

std::optional<std::string> SocketBackend::Wire::wait() const {
    std::optional<std::string> frame;
    wait_until([&] { return (frame = take()).has_value(); });
    return frame;
}

std::string with_header(std::string_view frame) {
    return std::string(sizeof(NetHeader), '\0').append(frame);
}

NetDriver::NetDriver(uint64_t features, uint16_t queue_size, FrameFilter* filter,
                     const RateLimits& receive_limits, const RateLimits& send_limits) {
    auto backend = std::make_unique<SocketBackend>();
    wire = backend->wire();
    auto owned = NetDevice::create({.id = "net0",
                                    .backend = std::move(backend),
                                    .mac = {},
                                    .mtu = {},
                                    .filter = filter,
                                    .receive_limits = receive_limits,
                                    .send_limits = send_limits})
                     .value();
    device = owned.get();
    driver.emplace(ram, std::move(owned));
    start(features, queue_size);
}

void NetDriver::start(uint64_t features, uint16_t queue_size) {
    const bool event_index = (features & kFeatureEventIndex) != 0;
    rx_chains_.assign(queue_size, {});
    const bool negotiated = driver->negotiate(features);
    rx.emplace(ram, queue_size, event_index);
    tx.emplace(ram, queue_size, event_index);
    driver->configure(kNetReceive, rx->config()).configure(kNetTransmit, tx->config()).go();
    refused = !negotiated || (driver->status() & kStatusDriverOk) == 0 || driver->needs_reset();
    settle();
}

void NetDriver::add_buffers(unsigned count, uint32_t size) {
    for (unsigned i = 0; i < count; ++i) {
        const AddedChain added = rx->chain().writable(size, 0xEE).add();
        rx_chains_.at(added.head) = added;
        rx_chains_[added.head].buffers.push_back({size});
    }
    if (rx->publish()) driver->kick(kNetReceive);
}

std::optional<std::string> NetDriver::receive() {
    std::string frame;
    unsigned expected = 1;
    for (buffers_used = 0; buffers_used < expected; ++buffers_used) {
        const auto used = FakeDriver::wait_used(*rx);
        if (!used) return std::nullopt;
        const GuestAddress place = rx_chains_.at(used->head).buffers.at(0);
        const auto bytes = ram.bytes(place, used->written);
        frame.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        if (buffers_used != 0) continue;
        NetHeader header{};
        std::memcpy(&header, frame.data(), sizeof header);
        expected = header.num_buffers;
        std::memset(&frame[offsetof(NetHeader, num_buffers)], 0, sizeof header.num_buffers);
    }
    return frame;
}

AddedChain NetDriver::add(std::string_view frame) {
    return tx->chain().readable(with_header("")).readable(frame).add();
}

void NetDriver::send() {
    if (tx->publish()) driver->kick(kNetTransmit);
}

bool NetDriver::wait_sent(unsigned count) {
    while (count-- != 0)
        if (!FakeDriver::wait_used(*tx)) return false;
    return true;
}

void NetDriver::settle() {
    // Twice: what the loop had found ready comes after the first.
    driver->worker().settle();
    driver->worker().settle();
}

NetDevice::Counters NetDriver::counters() {
    NetDevice::Counters copy;
    driver->worker().loop().post_and_wait([&] { copy = device->counters(); });
    return copy;
}

}  // namespace mote::test
