#include "devices/pvpanic.h"

#include <algorithm>

namespace mote {

void Pvpanic::read(uint64_t /*offset*/, std::span<std::byte> data) {
    std::fill(data.begin(), data.end(), std::byte{0});
    data[0] = std::byte{kPanicked | kCrashLoaded};
}

void Pvpanic::write(uint64_t /*offset*/, std::span<const std::byte> data) {
    if ((std::to_integer<unsigned>(data[0]) & kPanicked) != 0) events_.guest_panicked();
}

}  // namespace mote
