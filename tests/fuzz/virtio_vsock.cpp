// Fuzzes a vsock device from both sides: a driver that sends any packet and writes its rings at
// will, and clients and listeners of the host that say, stall, end what the input says.
//
// Input: steps of 8 bytes: what, a (8 bits), b (16 bits), c (32 bits). See step().

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <string_view>

#include "base/log.h"
#include "devices/virtio/mmio_transport.h"
#include "devices/virtio/vsock.h"
#include "support/fuzz.h"

using namespace mote;
using namespace mote::virtio;

namespace {

constexpr uint64_t kRam = uint64_t{512} << 10U;
constexpr uint16_t kSize = 16;
constexpr uint64_t kRings = 0x1000;  // 0x1000 for each queue: descriptors, available, used
constexpr uint64_t kBuffers = 0x8000;
constexpr size_t kMaxPeers = 8;
constexpr uint32_t kPort = 52;  // somebody listens

std::string folder;

struct Step {
    uint8_t what;
    uint8_t a;
    uint16_t b;
    uint32_t c;
};

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
}

UniqueFd make_socket() {
    return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

UniqueFd listen_at(const std::string& path, int backlog) {
    ::unlink(path.c_str());
    UniqueFd fd = make_socket();
    const sockaddr_un address = address_of(path);
    require(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                ::listen(fd.get(), backlog) == 0,
            "a listener");
    return fd;
}

class Machine {
  public:
    explicit Machine(const GuestMemory& memory)
        : memory_(memory),
          listener_(listen_at(folder + "/v_52", 1)),
          transport_(MmioTransport::create(create_device(), memory, *loop_, page_,
                                           EventFd::create().value())
                         .value()) {
        loop_->stop();  // from now on run() serves what is there and returns
        start();
    }

    void step(const Step& step) {
        switch (step.what % 10) {
            case 0:
                return send_packet(step);
            case 1:
                return add(1, kBuffers + step.b, step.c % 70'000, 0);
            case 2:
                return add(0, kBuffers + step.b, step.c % 70'000, kDescriptorWrite);
            case 3:
                return new_client(step);
            case 4:
                return talk(step);
            case 5:
                return hear(step);
            case 6:
                return leave(step);
            case 7:
                return serve();
            case 8:
                memory_.write({kRings + step.b % 0x4000},
                              std::as_bytes(std::span(&step.c, 1)).first(step.a % 4 + 1));
                return;
            case 9:
                return reset_and_start();
        }
    }

    void finish() {
        serve();
        reset();
    }

  private:
    std::unique_ptr<VirtioDevice> create_device() {
        return VsockDevice::create({.guest_cid = 3,
                                    .listener = listen_at(folder + "/v", 8),
                                    .path = folder + "/v",
                                    .max_connections = 6,
                                    .times = {}})
            .value();
    }

    void write(uint64_t offset, uint32_t value) {
        for (const MmioTransport::Doorbell& bell : transport_->doorbells()) {
            if (bell.offset != offset || bell.value != value) continue;
            const uint64_t one = 1;
            require(::write(bell.fd, &one, sizeof one) == sizeof one, "a doorbell");
            return;
        }
        transport_->write(offset, std::as_bytes(std::span(&value, 1)));
    }

    static uint64_t ring(uint16_t queue) { return kRings + uint64_t{queue} * 0x1000; }

    void start() {
        std::memset(memory_.window({kRings}, 0x3000)->data(), 0, 0x3000);
        added_.fill(0);
        for (const uint32_t status : {1U, 3U})
            write(mmio::kStatus, status);
        write(mmio::kDriverFeaturesSel, 1);
        write(mmio::kDriverFeatures, 1);  // VERSION_1
        write(mmio::kStatus, 11);
        for (uint16_t queue = 0; queue < 3; ++queue) {
            write(mmio::kQueueSel, queue);
            write(mmio::kQueueNum, kSize);
            write(mmio::kQueueDescLow, static_cast<uint32_t>(ring(queue)));
            write(mmio::kQueueDriverLow, static_cast<uint32_t>(ring(queue) + 0x400));
            write(mmio::kQueueDeviceLow, static_cast<uint32_t>(ring(queue) + 0x800));
            write(mmio::kQueueReady, 1);
        }
        write(mmio::kStatus, 15);
        serve();
    }

    /// One chain of one descriptor, at the next slot.
    void add(uint16_t queue, uint64_t address, uint32_t length, uint16_t flags) {
        const uint16_t index = added_[queue]++;
        const uint16_t slot = index % kSize;
        const Descriptor descriptor{
            .address = address, .length = length, .flags = flags, .next = uint16_t{0}};
        memory_.store({ring(queue) + slot * sizeof descriptor}, descriptor);
        memory_.store({ring(queue) + 0x404 + slot * uint64_t{2}}, le16(slot));
        memory_.store({ring(queue) + 0x402}, le16(added_[queue]));
        write(mmio::kQueueNotify, queue);
    }

    void send_packet(const Step& step) {
        VsockHeader header{};
        header.source_cid = 3U;
        header.destination_cid = 2U;
        const bool of_host = (step.a & 1) != 0;
        header.destination_port = of_host ? (1U << 30U) + (step.a >> 1U) % 8 : kPort;
        header.source_port = of_host ? 7U : step.a >> 4U;
        header.length = (step.c >> 8U) % 8192;
        header.type = uint16_t{1};
        header.op = static_cast<uint16_t>(step.c % 9);
        header.flags = (step.c >> 3U) % 4;
        header.buffer_size = uint32_t{step.b} << 2U;
        header.forwarded = (step.a & 8) != 0 ? heard_ : step.b;
        const uint64_t place = kBuffers + uint64_t{added_[1] % 4U} * 0x4000;
        memory_.store({place}, header);
        add(1, place, static_cast<uint32_t>(sizeof header + header.length), 0);
        if ((step.c & 0x8000'0000) != 0) serve();
    }

    void new_client(const Step& step) {
        static constexpr std::array<std::string_view, 6> kGreetings{
            "CONNECT 7\n", "CONNECT 7\ndata", "CON", "NECT 7\n", "nonsense\n", ""};
        UniqueFd fd = make_socket();
        const sockaddr_un address = address_of(folder + "/v");
        if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
            return;
        const std::string_view greeting = kGreetings[step.a % kGreetings.size()];
        require(::send(fd.get(), greeting.data(), greeting.size(), MSG_NOSIGNAL) >= 0, "a client");
        keep(std::move(fd));
    }

    void keep(UniqueFd fd) {
        peers_.push_back(std::move(fd));
        if (peers_.size() > kMaxPeers) peers_.pop_front();
    }

    [[nodiscard]] int peer(const Step& step) const {
        return peers_.empty() ? -1 : peers_[step.a % peers_.size()].get();
    }

    void talk(const Step& step) {
        static const std::string text(1U << 16U, 'x');
        const std::string_view greeting("CONNECT 7\n");
        const std::string_view said =
            (step.c & 1) != 0 ? greeting : std::string_view(text).substr(0, step.b);
        ::send(peer(step), said.data(), said.size(), MSG_NOSIGNAL);
    }

    void hear(const Step& step) {
        static std::array<char, 1U << 16U> bytes;
        if (UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK)); fd.valid())
            keep(std::move(fd));
        ::recv(peer(step), bytes.data(), step.b, 0);
    }

    void leave(const Step& step) {
        if (peers_.empty()) return;
        if (step.c % 4 != 3)
            ::shutdown(peer(step), static_cast<int>(step.c % 4));  // SHUT_RD, SHUT_WR, SHUT_RDWR
        else
            peers_.erase(peers_.begin() + static_cast<ptrdiff_t>(step.a % peers_.size()));
    }

    void serve() {
        for (unsigned i = 0; i < 3; ++i) {
            loop_->post([] {});
            loop_->run();
        }
        heard_ += 1;
    }

    void reset() {
        write(mmio::kStatus, 0);
        for (unsigned turns = 0; transport_->reset_pending(); ++turns) {
            require(turns < 1000, "a reset comes to its end");
            serve();
        }
    }

    void reset_and_start() {
        reset();
        start();
    }

    alignas(4096) std::array<std::byte, RegisterPage::kSize> page_{};
    const GuestMemory& memory_;
    UniqueFd listener_;
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    std::unique_ptr<MmioTransport> transport_;
    std::deque<UniqueFd> peers_;
    std::array<uint16_t, 3> added_{};
    uint32_t heard_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
    set_log_level(LogLevel::error);
    std::string path = "/tmp/mote-fuzz-vsock-XXXXXX";
    require(::mkdtemp(path.data()) != nullptr, "a folder");
    folder = path;
    require(std::atexit([] {
                for (const char* name : {"/v", "/v_52", ""})
                    ::remove((folder + name).c_str());
            }) == 0,
            "a clean end");
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const std::vector<RegionConfig> regions{{.base = {0}, .size = kRam}};
    static const GuestMemory memory = GuestMemory::create(regions).value();
    if (size < sizeof(Step) || size > 256 * sizeof(Step)) return -1;
    Machine machine(memory);
    for (size_t at = 0; at + sizeof(Step) <= size; at += sizeof(Step)) {
        Step step;
        std::memcpy(&step, data + at, sizeof step);
        machine.step(step);
    }
    machine.finish();
    return 0;
}
