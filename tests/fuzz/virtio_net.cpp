// Fuzzes a network device from both sides: rings that the input writes, frames and failures of the
// host's end that it chooses. No crash, no hang, nothing outside of guest memory.
//
// Input: one byte (bit 0: merged buffers, bit 1: event indices, bit 2: indirect, bit 3: a filter,
// bit 4: limits), then steps of 8 bytes, the first of which says what: see step().

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <climits>
#include <cstdint>
#include <cstring>
#include <deque>

#include "devices/virtio/mmio_transport.h"
#include "devices/virtio/net.h"
#include "support/fuzz.h"

using namespace mote;
using namespace mote::virtio;

namespace {

constexpr uint64_t kRam = uint64_t{128} << 10U;
constexpr uint16_t kSize = 16;
/// Of each queue: descriptors, available ring, used ring, a page each.
constexpr uint64_t kRings[2] = {0x1000, 0x4000};
constexpr uint64_t kPage = 0x1000;

/// What the host's end does next; shared with the machine that steps.
struct Host {
    EventFd event = EventFd::create().value();
    std::deque<size_t> frames;  ///< their sizes
    ssize_t send_error = 0;
    ssize_t receive_error = 0;
    uint64_t offloads = 0;
    bool gone = false;  ///< has said so
};

class Backend final : public NetBackend {
  public:
    explicit Backend(Host& host) : host_(host) {}
    [[nodiscard]] int fd() const override { return host_.event.fd(); }
    [[nodiscard]] uint64_t offloads() const override { return kNetCsum | kNetGuestCsum; }
    Result<> set_offloads(uint64_t features) override {
        host_.offloads = features;
        return {};
    }
    ssize_t receive(std::span<const iovec> parts) override {
        require(!parts.empty() && parts.size() <= IOV_MAX, "parts that readv(2) takes");
        if (host_.receive_error != 0) return fail(host_.receive_error);
        if (host_.frames.empty()) return -EAGAIN;
        size_t left = host_.frames.front();
        size_t done = 0;
        host_.frames.pop_front();
        for (const iovec& part : parts) {
            const size_t here = std::min(left, part.iov_len);
            std::memset(part.iov_base, 0x42, here);
            left -= here;
            done += here;
        }
        return static_cast<ssize_t>(done);
    }
    ssize_t send(std::span<const iovec> parts) override {
        require(!parts.empty() && parts.size() <= IOV_MAX, "parts that writev(2) takes");
        uint64_t sum = 0;
        size_t total = 0;
        for (const iovec& part : parts) {
            total += part.iov_len;
            for (size_t i = 0; i < part.iov_len; ++i)
                sum += static_cast<const uint8_t*>(part.iov_base)[i];
        }
        asm volatile("" : : "r"(sum));  // each byte is looked at
        require(total >= sizeof(NetHeader) && total <= NetDevice::kMaxFrame, "a frame's size");
        return host_.send_error != 0 ? fail(host_.send_error) : static_cast<ssize_t>(total);
    }

  private:
    ssize_t fail(ssize_t error) {
        require(!host_.gone, "what is gone is left alone");
        host_.gone = error == kGone;
        return error;
    }

    Host& host_;
};

/// Wants every other frame, and sends it back.
class Filter final : public FrameFilter {
  public:
    bool wants(std::span<const std::byte> head) override {
        require(head.size() <= kHead, "a head");
        return (++count_ & 1U) != 0;
    }
    void take(std::span<const std::byte> frame) override { answer_ = frame.size(); }
    size_t next(std::span<std::byte> room) override {
        require(room.size() >= 65536 && answer_ <= room.size(), "room for any frame");
        std::memset(room.data(), 0x24, answer_);
        return std::exchange(answer_, 0);
    }

  private:
    unsigned count_ = 0;
    size_t answer_ = 0;
};

class Machine {
  public:
    Machine(const GuestMemory& memory, uint8_t choice) : memory_(memory) {
        // A limit that is soon reached; what comes then waits for a timer of 100 ms, or a reset.
        const RateLimits limits{.ops = {.size = (choice & 16U) != 0 ? 3U : 0U, .refill_ms = 1000},
                                .bytes = {}};
        auto device = NetDevice::create({.id = "net0",
                                         .backend = std::make_unique<Backend>(host_),
                                         .mac = {},
                                         .mtu = {},
                                         .filter = (choice & 8U) != 0 ? &filter_ : nullptr,
                                         .receive_limits = limits,
                                         .send_limits = limits})
                          .value();
        transport_ = MmioTransport::create(std::move(device), memory, *loop_, page_,
                                           EventFd::create().value())
                         .value();
        features_ = kFeatureVersion1 | kNetGuestCsum | ((choice & 1U) != 0 ? kNetMergeable : 0) |
                    ((choice & 2U) != 0 ? kFeatureEventIndex : 0) |
                    ((choice & 4U) != 0 ? kFeatureIndirect : 0);
        loop_->stop();  // from now on run() serves what is there and returns
        start();
    }

    void step(const uint8_t* bytes) {
        const auto word = [bytes](size_t at) {
            return static_cast<uint16_t>(bytes[at] | bytes[at + 1] << 8U);
        };
        const unsigned queue = bytes[1] & 1U;
        switch (bytes[0] % 8) {
            case 0:  // a descriptor
                memory_.store({kRings[queue] + (bytes[1] >> 1U) % kSize * sizeof(Descriptor)},
                              Descriptor{.address = uint64_t{word(2)} << 1U,
                                         .length = uint32_t{word(4)},
                                         .flags = uint16_t(bytes[6] & 7U),
                                         .next = uint16_t{bytes[7]}});
                break;
            case 1:  // available entry, index and kick
                memory_.store({kRings[queue] + kPage + kRingEntries + bytes[2] % kSize * 2U},
                              le16(bytes[3]));
                memory_.store({kRings[queue] + kPage + kRingIndex}, le16(word(4)));
                write(mmio::kQueueNotify, queue);
                break;
            case 2:  // frames of the host
                for (unsigned i = 0; i <= bytes[1] % 4U && host_.frames.size() < 64; ++i)
                    host_.frames.push_back(sizeof(NetHeader) + word(2));
                host_.event.signal();
                break;
            case 3:  // any memory
                memory_.write({uint64_t{word(1)} << 1U}, std::as_bytes(std::span(bytes + 3, 4)));
                break;
            case 4:
                fail_host(bytes[1], bytes[2]);
                break;
            case 5:
                serve();
                break;
            case 6:
                write(word(1) % 4096U, word(3) | uint32_t{word(5)} << 16U);
                break;
            case 7:
                stop();
                start();
                break;
        }
    }

    void stop() {
        write(mmio::kStatus, 0);
        for (unsigned turns = 0; transport_->reset_pending(); ++turns) {
            require(turns < 1000, "a reset comes to its end");
            serve();
        }
        require(host_.offloads == 0 || host_.gone, "no offload without a driver");
    }

  private:
    void start() {
        write(mmio::kStatus, 1);
        write(mmio::kStatus, 3);
        for (const uint32_t half : {0U, 1U}) {
            write(mmio::kDriverFeaturesSel, half);
            write(mmio::kDriverFeatures, static_cast<uint32_t>(features_ >> (32 * half)));
        }
        write(mmio::kStatus, 11);
        for (const uint32_t queue : {0U, 1U}) {
            write(mmio::kQueueSel, queue);
            write(mmio::kQueueNum, kSize);
            write(mmio::kQueueDescLow, static_cast<uint32_t>(kRings[queue]));
            write(mmio::kQueueDriverLow, static_cast<uint32_t>(kRings[queue] + kPage));
            write(mmio::kQueueDeviceLow, static_cast<uint32_t>(kRings[queue] + 2 * kPage));
            write(mmio::kQueueReady, 1);
        }
        write(mmio::kStatus, 15);
        serve();
    }
    void fail_host(uint8_t send, uint8_t receive) {
        static constexpr ssize_t kErrors[] = {0, 0, -EAGAIN, -EIO, -EINVAL, -ENOMEM, 0, -EBADFD};
        host_.send_error = kErrors[send % 8];
        host_.receive_error = kErrors[receive % 8];
        host_.event.signal();
    }
    void write(uint64_t offset, uint32_t value) {
        transport_->write(offset, std::as_bytes(std::span(&value, 1)));
    }
    void serve() {
        loop_->post([] {});
        loop_->run();
    }

    alignas(4096) std::array<std::byte, RegisterPage::kSize> page_{};
    const GuestMemory& memory_;
    Host host_;
    Filter filter_;
    uint64_t features_ = 0;
    std::unique_ptr<EventLoop> loop_ = EventLoop::create().value();
    std::unique_ptr<MmioTransport> transport_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const std::vector<RegionConfig> regions{{.base = {0}, .size = kRam}};
    static const GuestMemory memory = GuestMemory::create(regions).value();
    if (size == 0 || size > 4096) return -1;
    std::memset(memory.regions()[0].mapping.data(), 0, kRam);
    Machine machine(memory, data[0]);
    for (size_t at = 1; at + 8 <= size; at += 8)
        machine.step(data + at);
    machine.stop();
    return 0;
}
