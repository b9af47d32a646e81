#include "cli/escape_filter.h"

namespace mote {

namespace {
constexpr std::byte kPrefix{0x01};  // Ctrl-A
}

void EscapeFilter::feed(std::span<const std::byte> typed, std::vector<std::byte>& to_guest,
                        const std::function<void(EscapeAction)>& act) {
    for (const std::byte key : typed) {
        if (!prefix_seen_) {
            prefix_seen_ = key == kPrefix;
            if (!prefix_seen_) to_guest.push_back(key);
            continue;
        }
        prefix_seen_ = false;
        switch (static_cast<char>(key)) {
            case 'x':
            case 'X':
                act(EscapeAction::quit);
                break;
            case 'h':
            case 'H':
            case '?':
                act(EscapeAction::help);
                break;
            case 'a':
            case 'A':
            case static_cast<char>(kPrefix):
                to_guest.push_back(kPrefix);
                break;
            default:
                to_guest.push_back(kPrefix);
                to_guest.push_back(key);
        }
    }
}

}  // namespace mote
