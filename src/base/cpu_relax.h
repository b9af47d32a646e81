// cpu_relax(): what a loop does between two looks at memory.
#pragma once

namespace mote {

/// Tells the CPU that this is a spin loop: it lets the core's other thread run. Some dozens of
/// cycles. src/base/ARCH/cpu_relax.cpp.
void cpu_relax() noexcept;

}  // namespace mote
