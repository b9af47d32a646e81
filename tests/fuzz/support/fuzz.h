// What the fuzz targets share.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace mote {

/// Ends the run as a finding where `condition`, a promise of the code under test, does not hold.
inline void require(bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "broken promise: %s\n", what);
    std::abort();
}

}  // namespace mote
