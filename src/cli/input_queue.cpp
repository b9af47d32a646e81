#include "cli/input_queue.h"

#include <algorithm>

namespace mote {

void InputQueue::add(std::span<const std::byte> bytes) {
    const size_t taken = std::min(bytes.size(), kCapacity - waiting_.size());
    waiting_.insert(waiting_.end(), bytes.begin(),
                    bytes.begin() + static_cast<std::ptrdiff_t>(taken));
}

void InputQueue::offer(ConsoleInput& port) {
    if (waiting_.empty()) return;
    const size_t taken = std::min(port.push(waiting_), waiting_.size());
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(taken));
}

}  // namespace mote
