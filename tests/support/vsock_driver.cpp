#include "support/vsock_driver.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace mote::test {

using namespace virtio;

namespace {

constexpr int kLimitMs = 10'000;

std::string make_folder() {
    std::string path = "/tmp/mote-vsock-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("no folder for the test");
    return path;
}

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
}

UniqueFd listen_at(const std::string& path, int backlog, int flags) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
    const sockaddr_un address = address_of(path);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(fd.get(), backlog) != 0)
        throw std::runtime_error("cannot listen on " + path);
    return fd;
}

bool wait_readable(int fd, int limit_ms = kLimitMs) {
    pollfd descriptor{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&descriptor, 1, limit_ms) > 0;
}

std::unique_ptr<VirtioDevice> create_device(const std::string& folder,
                                            const VsockDriver::Options& options) {
    return VsockDevice::create({.guest_cid = 3,
                                .listener = listen_at(folder + "/vsock", 1024, SOCK_NONBLOCK),
                                .path = folder + "/vsock",
                                .max_connections = options.max_connections,
                                .times = options.times})
        .value();
}

}  // namespace

// --- Host ----------------------------------------------------------------------------------------

HostSocket::HostSocket(UniqueFd fd) : fd_(std::move(fd)) {
    if (!fd_.valid()) throw std::runtime_error("no socket");
}

void HostSocket::send(std::string_view text) const {
    while (!text.empty()) {
        const ssize_t sent = ::send(fd(), text.data(), text.size(), MSG_NOSIGNAL);
        if (sent <= 0) throw std::runtime_error("the device does not take what the host sends");
        text.remove_prefix(static_cast<size_t>(sent));
    }
}

std::string HostSocket::read(size_t size) const {
    std::string text(size, '\0');
    size_t used = 0;
    while (used < size && wait_readable(fd())) {
        const ssize_t got = ::recv(fd(), text.data() + used, size - used, MSG_DONTWAIT);
        if (got <= 0) break;
        used += static_cast<size_t>(got);
    }
    text.resize(used);
    return text;
}

std::string HostSocket::line() const {
    std::string text;
    while (!text.ends_with('\n')) {
        const std::string next = read(1);
        if (next.empty()) break;
        text += next;
    }
    return text;
}

bool HostSocket::ended() const {
    char byte = 0;
    if (!wait_readable(fd())) return false;
    const ssize_t got = ::recv(fd(), &byte, 1, MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN);
}

HostSocket HostSocket::accept() const {
    return HostSocket(UniqueFd(wait_readable(fd()) ? ::accept(fd(), nullptr, nullptr) : -1));
}

HostSocket VsockDriver::client(std::string_view greeting) const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = address_of(folder + "/vsock");
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        throw std::runtime_error("nobody listens");
    HostSocket made(std::move(fd));
    if (!greeting.empty()) made.send(greeting);
    return made;
}

HostSocket VsockDriver::listen(uint32_t port, int backlog) const {
    return HostSocket(listen_at(folder + "/vsock_" + std::to_string(port), backlog, 0));
}

// --- Guest ---------------------------------------------------------------------------------------

VsockDriver::VsockDriver(const Options& wanted)
    : folder(make_folder()), options(wanted), driver(ram, create_device(folder, wanted)) {
    if (options.start) start();
}

VsockDriver::~VsockDriver() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
}

void VsockDriver::start() {
    if (!driver.negotiate(kFeatureEventIndex | kFeatureIndirect))
        throw std::runtime_error("the device does not negotiate");
    rx.emplace(ram, uint16_t{256});
    tx.emplace(ram, uint16_t{256});
    event.emplace(ram, uint16_t{256});
    offered_.assign(256, {});
    driver.configure(0, rx->config()).configure(1, tx->config()).configure(2, event->config());
    driver.go();
    offer(options.buffers, options.buffer_bytes);
}

void VsockDriver::add_buffer(const Offered& buffer) {
    const AddedChain added = rx->chain().raw(buffer.address, buffer.bytes, kDescriptorWrite).add();
    offered_[added.head] = buffer;
}

void VsockDriver::offer(unsigned count, uint32_t bytes) {
    for (unsigned i = 0; i < count; ++i)
        add_buffer({.address = ram.allocate(bytes), .bytes = bytes});
    if (rx->publish()) driver.kick(0);
}

void VsockDriver::send(const VsockPacket& packet) {
    const bool room = wait_until([this] {
        while (tx->take_used()) {
        }
        return tx->free_descriptors() >= 2;
    });
    if (!room) throw std::runtime_error("the device takes no packets");
    VsockHeader header{};
    header.source_cid = static_cast<uint32_t>(packet.guest_cid);
    header.source_cid_upper = static_cast<uint32_t>(packet.guest_cid >> 32U);
    header.destination_cid = static_cast<uint32_t>(packet.host_cid);
    header.destination_cid_upper = static_cast<uint32_t>(packet.host_cid >> 32U);
    header.source_port = packet.ports.guest;
    header.destination_port = packet.ports.host;
    header.length = static_cast<uint32_t>(packet.data.size());
    header.type = packet.type;
    header.op = static_cast<uint16_t>(packet.op);
    header.flags = packet.flags;
    header.buffer_size = packet.buffer_size;
    header.forwarded = packet.forwarded;
    auto chain = tx->chain();
    chain.readable(std::as_bytes(std::span(&header, 1)));
    if (!packet.data.empty()) chain.readable(packet.data);
    chain.add();
    if (tx->publish()) driver.kick(1);
}

std::optional<VsockPacket> VsockDriver::receive(bool offer_again) {
    const auto used = FakeDriver::wait_used(*rx);
    if (!used) return std::nullopt;
    const Offered buffer = offered_[used->head];
    const auto header = ram.memory().load<VsockHeader>(buffer.address).value();
    const auto bytes = ram.bytes({buffer.address.value + sizeof header}, header.length);
    if (used->written != sizeof header + bytes.size())
        throw std::runtime_error("a packet's length is not what was written");
    if (offer_again) {
        add_buffer(buffer);
        if (rx->publish()) driver.kick(0);
    }
    return VsockPacket{
        .op = static_cast<VsockOp>(static_cast<uint16_t>(header.op)),
        .ports = {.host = header.source_port, .guest = header.destination_port},
        .data = std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
        .flags = header.flags,
        .buffer_size = header.buffer_size,
        .forwarded = header.forwarded,
        .type = header.type,
        .guest_cid = header.destination_cid | uint64_t{header.destination_cid_upper} << 32U,
        .host_cid = header.source_cid | uint64_t{header.source_cid_upper} << 32U};
}

bool VsockDriver::silent() {
    const uint16_t before = rx->used_index();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    driver.worker().settle();
    return rx->used_index() == before;
}

VsockDriver::Pair VsockDriver::connect_host_with_buffers() {
    HostSocket host = client("CONNECT 7\n");
    offer(1, 64);
    const auto request = receive(false);
    send({.op = VsockOp::response, .ports = request.value().ports});
    if (!host.line().starts_with("OK ")) throw std::runtime_error("no OK");
    return {.host = std::move(host), .ports = request->ports};
}

VsockDriver::Pair VsockDriver::connect_host(uint32_t guest_port, uint32_t guest_buffer) {
    HostSocket host = client("CONNECT " + std::to_string(guest_port) + "\n");
    const auto request = receive();
    if (!request || request->op != VsockOp::request) throw std::runtime_error("no REQUEST");
    send({.op = VsockOp::response, .ports = request->ports, .buffer_size = guest_buffer});
    if (host.line() != "OK " + std::to_string(request->ports.host) + "\n")
        throw std::runtime_error("no OK");
    return {.host = std::move(host), .ports = request->ports};
}

VsockDriver::Pair VsockDriver::connect_guest(uint32_t host_port, uint32_t guest_port,
                                             uint32_t guest_buffer) {
    const HostSocket listener = listen(host_port);
    const VsockPorts ports{.host = host_port, .guest = guest_port};
    send({.op = VsockOp::request, .ports = ports, .buffer_size = guest_buffer});
    const auto response = receive();
    if (!response || response->op != VsockOp::response) throw std::runtime_error("no RESPONSE");
    std::filesystem::remove(folder + "/vsock_" + std::to_string(host_port));
    return {.host = listener.accept(), .ports = ports};
}

}  // namespace mote::test
