// Every device against every ring that no honest driver writes: it loses itself until a reset, and
// nothing else. The device beside it, on the same worker, is served all the time.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>

#include "devices/virtio/balloon.h"
#include "devices/virtio/console.h"
#include "devices/virtio/entropy.h"
#include "devices/virtio/memory.h"
#include "devices/virtio/pmem.h"
#include "devices/virtio/vsock.h"
#include "support/block_driver.h"
#include "support/fake_driver.h"
#include "support/net_driver.h"
#include "unit/catch.h"

using namespace mote;
using namespace mote::test;
using namespace mote::virtio;

namespace {

constexpr uint16_t kSize = 8;
/// RAM that is plugged, for the device of that.
constexpr RegionConfig kBlocks{
    .base = {uint64_t{1} << 40U}, .size = uint64_t{8} << 20U, .block_size = uint64_t{2} << 20U};

class Nowhere final : public ConsoleOutput {
  public:
    void write(std::span<const std::byte> /*bytes*/) noexcept override {}
};

std::unique_ptr<VirtioDevice> make_balloon(const FakeRam& ram) {
    return BalloonDevice::create({.deflate_on_oom = true,
                                  .reporting = true,
                                  .hinting = true,
                                  .statistics_interval_s = 1},
                                 ram.memory())
        .value();
}

std::unique_ptr<VirtioDevice> make_console(const FakeRam& /*ram*/) {
    static Nowhere nowhere;
    auto device = ConsoleDevice::create(nowhere, {}).value();
    device->push(bytes_of("typed, so that its receive queue is looked at"));
    return device;
}

std::unique_ptr<VirtioDevice> make_entropy(const FakeRam& /*ram*/) {
    return EntropyDevice::create();
}

std::unique_ptr<VirtioDevice> make_block(const FakeRam& /*ram*/) {
    return BlockDevice::create(
               {.id = "disk0", .file = numbered_file(1 << 20), .size_bytes = 1 << 20})
        .value();
}

std::unique_ptr<VirtioDevice> make_net(const FakeRam& /*ram*/) {
    return NetDevice::create({.id = "net0",
                              .backend = std::make_unique<SocketBackend>(),
                              .mac = {},
                              .mtu = {},
                              .filter = nullptr,
                              .receive_limits = {},
                              .send_limits = {}})
        .value();
}

class NoSlots final : public MemorySlots {
  public:
    Result<> show(uint64_t /*index*/) override { return {}; }
    Result<> hide(uint64_t /*index*/) override { return {}; }
};

std::unique_ptr<VirtioDevice> make_memory(const FakeRam& ram) {
    return MemoryDevice::create(
        {.slot_size = kBlocks.size, .usable_unit = kBlocks.size, .requested_size = kBlocks.size},
        ram.memory(), std::make_unique<NoSlots>());
}

std::unique_ptr<VirtioDevice> make_pmem(const FakeRam& /*ram*/) {
    return PmemDevice::create({.id = "pmem0",
                               .file = numbered_file(8192),
                               .file_bytes = 8192,
                               .start = {uint64_t{512} << 30U},
                               .size = uint64_t{2} << 20U,
                               .read_only = false,
                               .limits = {}})
        .value();
}

std::unique_ptr<VirtioDevice> make_vsock(const FakeRam& /*ram*/) {
    return VsockDevice::create(
               {.guest_cid = 3,
                .listener = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)),
                .path = "/tmp/mote-hostile-test-nobody",
                .max_connections = 8,
                .times = {}})
        .value();
}

struct Kind {
    const char* name;
    std::unique_ptr<VirtioDevice> (*make)(const FakeRam& ram);
};
constexpr Kind kKinds[] = {{"balloon", make_balloon}, {"block", make_block},
                           {"console", make_console}, {"entropy", make_entropy},
                           {"memory", make_memory},   {"net", make_net},
                           {"pmem", make_pmem},       {"vsock", make_vsock}};

/// What a case has to come to, where the device looks at the queue at all.
enum class End : uint8_t { broken, any };

struct Ring {
    FakeRam& ram;
    FakeQueue& queue;
    GuestAddress room;  ///< 4 KiB

    void descriptor(uint16_t index, uint64_t address, uint32_t length, unsigned flags,
                    uint16_t next = 0) const {
        queue.write_descriptor(index, {.address = address,
                                       .length = length,
                                       .flags = static_cast<uint16_t>(flags),
                                       .next = next});
    }
    void offer(std::initializer_list<uint16_t> heads) const {
        uint16_t slot = 0;
        for (const uint16_t head : heads)
            queue.write_available(slot++, head);
        queue.write_available_index(slot);
    }
};

struct Case {
    const char* name;
    End end;
    void (*write)(const Ring& ring);
};

constexpr Case kCases[] = {
    {"a chain that bites its own tail", End::broken,
     [](const Ring& ring) {
         ring.descriptor(0, ring.room.value, 16, kDescriptorNext, 1);
         ring.descriptor(1, ring.room.value, 16, kDescriptorNext, 0);
         ring.offer({0});
     }},
    {"a head out of range", End::broken, [](const Ring& ring) { ring.offer({kSize}); }},
    {"a next out of range", End::broken,
     [](const Ring& ring) {
         ring.descriptor(0, ring.room.value, 16, kDescriptorNext, 0xFFFF);
         ring.offer({0});
     }},
    {"more chains than the ring has", End::broken,
     [](const Ring& ring) { ring.queue.write_available_index(kSize + 1); }},
    {"a head that is in flight already", End::any,
     [](const Ring& ring) {
         ring.descriptor(0, ring.room.value, 16, kDescriptorNext, 1);
         ring.descriptor(1, ring.room.value + 16, 1024, kDescriptorWrite);
         ring.offer({0, 0, 0, 0});
     }},
    {"a buffer outside of RAM", End::broken,
     [](const Ring& ring) {
         ring.descriptor(0, ring.ram.low_end() - 8, 16, 0);
         ring.offer({0});
     }},
    {"a buffer that wraps around", End::broken,
     [](const Ring& ring) {
         ring.descriptor(0, UINT64_MAX - 8, 4096, kDescriptorWrite);
         ring.offer({0});
     }},
    {"a length of 4 GiB less one", End::broken,
     [](const Ring& ring) {
         ring.descriptor(0, ring.room.value, UINT32_MAX, kDescriptorWrite);
         ring.offer({0});
     }},
    {"buffers of no length", End::any,
     [](const Ring& ring) {
         ring.descriptor(0, ring.room.value, 0, kDescriptorNext, 1);
         ring.descriptor(1, ring.room.value, 0, kDescriptorWrite);
         ring.descriptor(2, ring.room.value, 0, 0);
         ring.descriptor(3, ring.room.value, 0, kDescriptorWrite);
         ring.offer({0, 2, 3});
     }},
    {"a device-readable buffer behind a writable one", End::broken,
     [](const Ring& ring) {
         ring.descriptor(0, ring.room.value, 16, kDescriptorNext | kDescriptorWrite, 1);
         ring.descriptor(1, ring.room.value, 16, 0);
         ring.offer({0});
     }},
    {"a header that is written where it is read", End::any,
     [](const Ring& ring) {
         ring.descriptor(0, ring.room.value, 64, kDescriptorNext, 1);
         ring.descriptor(1, ring.room.value, 64, kDescriptorWrite);
         ring.offer({0});
     }},
    {"a header in the queue's own rings", End::any,
     [](const Ring& ring) {
         const QueueConfig config = ring.queue.config();
         ring.descriptor(0, config.device.value, 64, kDescriptorNext, 1);
         ring.descriptor(1, config.descriptors.value, 64, kDescriptorWrite);
         ring.offer({0});
     }},
    {"an indirect table in an indirect table", End::broken,
     [](const Ring& ring) {
         const Descriptor inner{
             .address = ring.room.value, .length = 16, .flags = kDescriptorIndirect, .next = 0};
         ring.ram.memory().store(ring.room, inner);
         ring.descriptor(0, ring.room.value, sizeof inner, kDescriptorIndirect);
         ring.offer({0});
     }},
    {"an indirect table of half a descriptor", End::broken,
     [](const Ring& ring) {
         ring.descriptor(0, ring.room.value, 8, kDescriptorIndirect);
         ring.offer({0});
     }},
    {"an indirect table of 4 GiB", End::broken,
     [](const Ring& ring) {
         ring.descriptor(0, ring.room.value, 0xFFFF'FFF0, kDescriptorIndirect);
         ring.offer({0});
     }},
    {"noise for a request", End::any,
     [](const Ring& ring) {
         const std::vector<std::byte> noise(1024, std::byte{0xA5});
         ring.ram.memory().write(ring.room, noise);
         ring.descriptor(0, ring.room.value, 1024, 0);
         ring.descriptor(1, ring.room.value, 1024, kDescriptorNext, 2);
         ring.descriptor(2, ring.room.value + 1024, 1024, kDescriptorWrite);
         ring.offer({0, 1});
     }},
};

/// A device with all its queues, and another one beside it on the same worker.
struct Pair {
    FakeRam ram{kBlocks};
    FakeDriver hostile;
    FakeDriver honest;
    FakeQueue honest_queue{ram, 8};
    std::vector<FakeQueue> queues;

    explicit Pair(const Kind& kind)
        : hostile(ram, kind.make(ram)),
          honest(ram, EntropyDevice::create(), hostile.shared_worker()) {
        REQUIRE(honest.start(honest_queue));
        start();
    }
    void start() {
        queues.clear();
        REQUIRE(hostile.negotiate(hostile.offered()));
        for (uint16_t i = 0; has_queue(i); ++i)
            hostile.configure(i, queues.emplace_back(ram, kSize).config());
        hostile.go();
        REQUIRE_FALSE(hostile.needs_reset());
    }
    bool has_queue(uint16_t index) {
        hostile.write(mmio::kQueueSel, index);
        return hostile.read(mmio::kQueueNumMax) != 0;
    }
    void kick_all() {
        for (uint16_t i = 0; i < queues.size(); ++i)
            hostile.kick(i);
        hostile.worker().settle();
    }
    void check_neighbour() {
        honest_queue.chain().writable(16).submit();
        honest.kick();
        CHECK(FakeDriver::wait_used(honest_queue).has_value());
        CHECK_FALSE(honest.needs_reset());
    }
    /// It comes up again, as if nothing had been.
    void check_recovery() {
        CHECK(hostile.reset());
        start();
        kick_all();
        CHECK_FALSE(hostile.needs_reset());
    }
};

}  // namespace

TEST_CASE("hostile drivers: each ring that breaks the rules costs its device, and nothing else") {
    for (const Kind& kind : kKinds) {
        Pair pair(kind);
        for (const Case& each : kCases) {
            for (uint16_t i = 0; i < pair.queues.size(); ++i) {
                INFO(kind.name << ", queue " << i << ": " << each.name);
                FakeQueue& queue = pair.queues[i];
                each.write({pair.ram, queue, pair.ram.allocate(4096)});
                for (unsigned kicks = 0; kicks < 20; ++kicks)
                    pair.kick_all();
                pair.check_neighbour();
                // A queue that the device has no use for now is not looked at.
                if (each.end == End::broken && !pair.hostile.needs_reset())
                    CHECK(queue.used_index() == 0);
                pair.check_recovery();
            }
        }
    }
}

TEST_CASE("hostile drivers: queues change after DRIVER_OK, and nothing comes of it") {
    for (const Kind& kind : kKinds) {
        INFO(kind.name);
        Pair pair(kind);
        for (uint16_t i = 0; i < pair.queues.size(); ++i) {
            pair.hostile.configure(i, {.max_size = 256,
                                       .size = 0x8000,
                                       .ready = true,
                                       .descriptors = {UINT64_MAX},
                                       .driver = {1},
                                       .device = {pair.ram.low_end() - 1}});
            pair.hostile.write(mmio::kQueueReady, 0);
        }
        pair.kick_all();
        CHECK_FALSE(pair.hostile.needs_reset());
        pair.check_neighbour();
        pair.check_recovery();
    }
}

TEST_CASE("hostile drivers: resets in the middle of work, and notify storms") {
    for (const Kind& kind : kKinds) {
        INFO(kind.name);
        Pair pair(kind);
        for (unsigned round = 0; round < 50; ++round) {
            for (FakeQueue& queue : pair.queues) {
                const Ring ring{pair.ram, queue, pair.ram.allocate(4096)};
                ring.descriptor(0, ring.room.value, 64, kDescriptorNext, 1);
                ring.descriptor(1, ring.room.value + 64, 512, kDescriptorWrite);
                ring.descriptor(2, ring.room.value, 64, 0);
                ring.descriptor(3, ring.room.value + 64, 512, kDescriptorWrite);
                ring.offer({0, 2, 3});
            }
            for (unsigned kicks = 0; kicks < 200; ++kicks)
                pair.hostile.kick(static_cast<uint16_t>(kicks % pair.queues.size()));
            REQUIRE(pair.hostile.reset());
            pair.start();
        }
        pair.check_neighbour();
    }
}

TEST_CASE("hostile drivers: registers by halves, and beyond them") {
    for (const Kind& kind : kKinds) {
        INFO(kind.name);
        Pair pair(kind);
        const std::array<std::byte, 8> ones{std::byte{0xFF}, std::byte{0xFF}, std::byte{0xFF},
                                            std::byte{0xFF}, std::byte{0xFF}, std::byte{0xFF},
                                            std::byte{0xFF}, std::byte{0xFF}};
        for (uint64_t offset = 0; offset < RegisterPage::kSize; ++offset) {
            for (const size_t width : {1U, 2U, 4U, 8U}) {
                const bool is_register = width == 4 && offset % 4 == 0 && offset < mmio::kConfig;
                if (is_register || offset + width > RegisterPage::kSize) continue;
                pair.hostile.transport().write(offset, std::span(ones).first(width));
            }
        }
        pair.hostile.worker().settle();
        pair.check_neighbour();
        pair.check_recovery();
    }
}

TEST_CASE("hostile drivers: rings at the very end of memory work") {
    for (const Kind& kind : kKinds) {
        INFO(kind.name);
        Pair pair(kind);
        REQUIRE(pair.hostile.negotiate(pair.hostile.offered()));
        uint64_t end = pair.ram.low_end();
        for (uint16_t i = 0; pair.has_queue(i); ++i) {
            const auto take = [&end](uint64_t size, uint64_t alignment) {
                end = (end - size) / alignment * alignment;
                return GuestAddress{end};
            };
            QueueConfig config = pair.queues[i].config();
            config.device = take(used_bytes(kSize), 4);
            config.driver = take(available_bytes(kSize), 2);
            config.descriptors = take(descriptor_bytes(kSize), 16);
            pair.hostile.configure(i, config);
        }
        pair.hostile.go();
        pair.kick_all();
        CHECK_FALSE(pair.hostile.needs_reset());
        pair.check_neighbour();
    }
}

TEST_CASE("hostile drivers: a device without a queue") {
    for (const Kind& kind : kKinds) {
        INFO(kind.name);
        Pair pair(kind);
        REQUIRE(pair.hostile.negotiate(pair.hostile.offered()));
        pair.hostile.go();
        pair.kick_all();
        CHECK(pair.hostile.transport().pause(std::chrono::seconds(5)));
        pair.hostile.transport().resume();
        pair.kick_all();
        pair.check_neighbour();
        pair.check_recovery();
    }
}
