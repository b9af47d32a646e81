#include "devices/virtio/register_page.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstring>

namespace mote {

RegisterPage::RegisterPage(std::span<std::byte, kSize> page) : page_(page) {
    assert(reinterpret_cast<uintptr_t>(page.data()) % sizeof(uint64_t) == 0);
    std::ranges::fill(page, std::byte{0});
}

void RegisterPage::set(uint64_t offset, uint32_t value) {
    auto* const field = reinterpret_cast<uint32_t*>(&page_[offset]);
    std::atomic_ref(*field).store(value, std::memory_order_release);
}

void RegisterPage::set_config(std::span<const std::byte> config) {
    assert(config.size() <= kMaxConfig);
    for (size_t offset = 0; offset < config.size(); offset += sizeof(uint64_t)) {
        const auto unit =
            config.subspan(offset, std::min(sizeof(uint64_t), config.size() - offset));
        uint64_t value = 0;
        std::memcpy(&value, unit.data(), unit.size());
        auto* const field = reinterpret_cast<uint64_t*>(&page_[mmio::kConfig + offset]);
        const std::atomic_ref place(*field);
        if (place.load(std::memory_order_relaxed) != value)
            place.store(value, std::memory_order_release);
    }
}

void RegisterPage::read(uint64_t offset, std::span<std::byte> data) const {
    const size_t here = offset < kSize ? std::min<size_t>(data.size(), kSize - offset) : 0;
    if (here != 0) std::memcpy(data.data(), &page_[offset], here);
    std::ranges::fill(data.subspan(here), std::byte{0});
}

}  // namespace mote
