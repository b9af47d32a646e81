// CpuStart: the registers of the boot CPU, as plain values.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "boot/kernel_image.h"
#include "memory/guest_memory.h"

namespace mote {

/// A segment register with its hidden part.
struct SegmentValue {
    uint64_t base = 0;
    uint32_t limit = 0;  ///< in bytes, whatever the granularity bit says
    uint16_t selector = 0;
    /// Bits 40 to 55 of the descriptor (Intel SDM volume 3, 3.4.5): type 3:0, S 4, DPL 6:5, P 7,
    /// AVL 12, L 13, D/B 14, G 15; bits 11:8 are zero.
    uint16_t attributes = 0;
};

struct CpuStart {
    uint64_t rip = 0, rsp = 0, rbx = 0, rsi = 0, rflags = 0;
    uint64_t cr0 = 0, cr3 = 0, cr4 = 0, efer = 0;
    SegmentValue code, data, tss;  ///< `data` for DS, ES, FS, GS and SS
    uint64_t gdt_base = 0;
    uint16_t gdt_limit = 0;
    uint64_t idt_base = 0;
    uint16_t idt_limit = 0;  ///< interrupts are off: the kernel brings its own IDT
};

/// The start state for a kernel's entry: 32-bit flat for PVH, 64-bit long mode with paging
/// otherwise. Writes the GDT, and page tables where they are needed, into `memory`.
/// Errors: the guest has not even the memory for these.
Result<CpuStart> make_cpu_start(const GuestMemory& memory, const LoadedKernel& kernel);

}  // namespace mote
