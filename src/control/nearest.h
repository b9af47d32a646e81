// nearest(): what somebody who mistyped a word may have meant.
#pragma once

#include <span>
#include <string_view>

namespace mote {

/// The known word that takes the fewest typing errors (a character wrong, missing, too many, or
/// two swapped) to become `word`; empty where none is close.
std::string_view nearest(std::string_view word, std::span<const std::string_view> known);

}  // namespace mote
