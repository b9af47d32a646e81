#include "base/cpu_relax.h"

#include <immintrin.h>

namespace mote {

void cpu_relax() noexcept {
    _mm_pause();
}

}  // namespace mote
