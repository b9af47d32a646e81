#include "vmm/coalesced_writes.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <string>

#include "unit/catch.h"

using namespace mote;

namespace {

/// The kernel's end of the ring.
struct Ring {
    alignas(kvm_coalesced_mmio_ring) std::array<std::byte, 4096> page{};

    kvm_coalesced_mmio_ring& ring() {
        return *reinterpret_cast<kvm_coalesced_mmio_ring*>(page.data());
    }
    void add(bool is_port, uint64_t address, const char* text) {
        constexpr uint32_t kCapacity =
            (4096 - sizeof(kvm_coalesced_mmio_ring)) / sizeof(kvm_coalesced_mmio);
        kvm_coalesced_mmio& entry = ring().coalesced_mmio[ring().last];
        entry = {};
        entry.phys_addr = address;
        entry.pio = is_port ? 1 : 0;
        entry.len = static_cast<uint32_t>(std::strlen(text));
        std::memcpy(entry.data, text, entry.len);
        ring().last = (ring().last + 1) % kCapacity;
    }
};

}  // namespace

TEST_CASE("coalesced writes go to their receivers, in the order of the guest", "[kvm]") {
    Ring ring;
    CoalescedWrites writes{std::span(ring.page)};
    std::string seen;
    const auto note = [&seen](const char* kind) {
        return [&seen, kind](uint64_t address, std::span<const std::byte> bytes) {
            seen += fmt::format(
                "{}{:x}:{} ", kind, address,
                std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
        };
    };
    writes.to_ports(note("p"));
    writes.to_mmio(note("m"));
    CHECK(writes.possible());
    CHECK(writes.drain() == 0);
    ring.add(true, 0x3F8, "a");
    ring.add(false, 0xC0001080, "1234");
    ring.add(true, 0x3F8, "b");
    CHECK(writes.drain() == 3);
    CHECK(seen == "p3f8:a mc0001080:1234 p3f8:b ");
    CHECK(writes.drain() == 0);
    // Round the ring's end.
    for (unsigned i = 0; i < 400; ++i) {
        ring.add(false, i, "x");
        REQUIRE(writes.drain() == 1);
    }
}

TEST_CASE("coalesced writes: none where KVM has no ring", "[kvm]") {
    CoalescedWrites writes{std::nullopt};
    CHECK_FALSE(writes.possible());
    CHECK(writes.drain() == 0);
}
