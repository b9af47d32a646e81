#include "support/fake_ram.h"

#include <stdexcept>

namespace mote::test {

namespace {

constexpr uint64_t kLow = uint64_t{8} << 20U;

GuestMemory create_memory(uint64_t low, uint64_t high, bool shared, UniqueFd& file) {
    std::vector<RegionConfig> regions{{.base = {0}, .size = low}};
    if (high != 0) regions.push_back({.base = {uint64_t{4} << 30U}, .size = high});
    if (shared) file = share_in_memfd(regions).value();
    return GuestMemory::create(regions).value();
}

GuestMemory create_memory(const RegionConfig& blocks) {
    const std::vector<RegionConfig> regions{{.base = {0}, .size = kLow}, blocks};
    return GuestMemory::create(regions).value();
}

}  // namespace

FakeRam::FakeRam(uint64_t low, uint64_t high, bool shared)
    : memory_(create_memory(low, high, shared, file_)), low_(low) {}

FakeRam::FakeRam(const RegionConfig& blocks) : memory_(create_memory(blocks)), low_(kLow) {}

GuestAddress FakeRam::allocate(uint64_t size, uint64_t alignment) {
    const uint64_t start = (next_ + alignment - 1) / alignment * alignment;
    if (start + size > low_) throw std::runtime_error("the test's RAM is used up");
    next_ = start + size;
    return {start};
}

GuestAddress FakeRam::place(std::span<const std::byte> bytes) {
    const GuestAddress address = allocate(bytes.size());
    memory_.write(address, bytes);
    return address;
}

std::vector<std::byte> FakeRam::bytes(GuestAddress address, uint64_t size) const {
    std::vector<std::byte> copy(size);
    if (!memory_.read(address, copy)) throw std::runtime_error("the test reads outside of RAM");
    return copy;
}

uint8_t FakeRam::byte(GuestAddress address) const {
    return memory_.load<uint8_t>(address).value();
}

}  // namespace mote::test
