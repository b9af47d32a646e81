// Fuzzes the walk over hostile descriptor chains: whatever lies in guest memory, a chain that comes
// out refers to RAM only, adds up, and is in flight once.
//
// Input: one byte of features (bit 0: indirect, bit 1: event indices), then guest memory from
// kRings on: 16 descriptors, the available ring, and what follows.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "devices/virtio/queue.h"
#include "support/fuzz.h"

using namespace mote;

namespace {

constexpr uint16_t kSize = 16;
constexpr uint64_t kRegion = uint64_t{64} << 10U;
constexpr uint64_t kRings = 0x1000;
constexpr GuestAddress kUsedRing{0x8000};

/// Two regions that touch, so that buffers can cross.
GuestMemory create_memory() {
    const std::vector<RegionConfig> regions{{.base = {0}, .size = kRegion},
                                            {.base = {kRegion}, .size = kRegion}};
    return GuestMemory::create(regions).value();
}

uint64_t check_parts(const GuestMemory& memory, std::span<const iovec> parts) {
    uint64_t total = 0;
    for (const iovec& part : parts) {
        bool inside = false;
        for (const auto& region : memory.regions()) {
            const auto* const start = static_cast<std::byte*>(part.iov_base);
            const std::byte* const base = region.mapping.data();
            inside |= start >= base && start + part.iov_len <= base + region.mapping.size();
        }
        require(inside && part.iov_len != 0, "a part lies in one region of RAM");
        total += part.iov_len;
    }
    return total;
}

void check_chain(const GuestMemory& memory, const Queue& queue, const Chain& chain) {
    require(chain.head() < kSize, "the head is in the table");
    require(queue.in_flight() <= kSize, "no more in flight than the queue holds");
    require(check_parts(memory, chain.readable_parts()) == chain.readable(), "readable adds up");
    require(check_parts(memory, chain.writable_parts()) == chain.writable(), "writable adds up");
    require(chain.readable() + chain.writable() <= uint64_t{1} << 32U, "4 GiB at most");
    require(chain.readable() + chain.writable() != 0, "a chain is never empty");
}

/// What a device does with a chain.
void use_chain(Chain& chain) {
    std::byte header[16];
    if (chain.read(header)) require(chain.write({}), "nothing can always be written");
    if (std::byte* const status = chain.take_last_writable()) *status = std::byte{1};
    if (chain.writable() >= sizeof header) require(chain.write(header), "there is room");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const GuestMemory memory = create_memory();
    if (size == 0 || size > kRegion - kRings) return -1;
    for (const auto& region : memory.regions())
        std::memset(region.mapping.data(), 0, region.mapping.size());
    memory.write({kRings}, std::as_bytes(std::span(data + 1, size - 1)));

    const uint64_t features = ((data[0] & 1) != 0 ? virtio::kFeatureIndirect : 0) |
                              ((data[0] & 2) != 0 ? virtio::kFeatureEventIndex : 0);
    const QueueConfig config{.max_size = kSize,
                             .size = kSize,
                             .ready = true,
                             .descriptors = {kRings},
                             .driver = {kRings + virtio::descriptor_bytes(kSize)},
                             .device = kUsedRing};
    unsigned broke = 0;
    const auto queue =
        Queue::create(config, memory, features, [&broke](std::string_view) { ++broke; }).value();
    // A device may write over the rings themselves, so the loop needs an end of its own. Each other
    // chain stays in flight until the end.
    std::vector<Chain> held;
    for (unsigned i = 0; i < 4 * kSize; ++i) {
        auto chain = queue->pop();
        if (!chain) break;
        check_chain(memory, *queue, *chain);
        require(std::ranges::none_of(
                    held, [&](const Chain& other) { return other.head() == chain->head(); }),
                "no head is in flight twice");
        use_chain(*chain);
        if (i % 2 == 0)
            queue->complete(*std::move(chain), 1);
        else
            held.push_back(*std::move(chain));
        static_cast<void>(queue->publish());
        static_cast<void>(queue->enable_notifications());
    }
    require(broke == (queue->broken() ? 1 : 0), "a queue breaks once");
    queue->close();
    held.clear();
    require(queue->in_flight() == 0, "all came back");
    return 0;
}
