#include "control/nearest.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace mote {

namespace {

constexpr size_t kLongestWord = 40;

/// Optimal string alignment distance of two words of at most kLongestWord characters.
size_t distance(std::string_view a, std::string_view b) {
    using Row = std::array<size_t, kLongestWord + 1>;
    Row before_last{};
    Row last{};
    Row current{};
    for (size_t j = 0; j <= b.size(); ++j)
        last[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        current[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t changed = last[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U);
            current[j] = std::min({last[j] + 1, current[j - 1] + 1, changed});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                current[j] = std::min(current[j], before_last[j - 2] + 1);
        }
        before_last = last;
        last = current;
    }
    return last[b.size()];
}

}  // namespace

std::string_view nearest(std::string_view word, std::span<const std::string_view> known) {
    if (word.size() > kLongestWord) return {};
    std::string_view best;
    size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
    for (const std::string_view candidate : known) {
        if (candidate.size() > kLongestWord) continue;
        // A short word is close to nearly everything: at most half of it may be wrong.
        const size_t here = distance(word, candidate);
        if (here < best_distance && 2 * here <= std::max(word.size(), candidate.size())) {
            best = candidate;
            best_distance = here;
        }
    }
    return best;
}

}  // namespace mote
