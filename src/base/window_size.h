// WindowSize: how large a terminal is.
#pragma once

#include <cstdint>

namespace mote {

struct WindowSize {
    uint16_t rows = 0;
    uint16_t columns = 0;
};

}  // namespace mote
