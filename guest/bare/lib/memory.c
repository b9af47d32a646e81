// The two functions a compiler calls by itself, by string instructions, as these run at CPL 3; and
// page tables.
#include "bare.h"

void* memset(void* to, int byte, size_t size) {
    void* d = to;
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(size) : "a"(byte) : "memory");
    return to;
}

void* memcpy(void* to, const void* from, size_t size) {
    void* d = to;
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(size) : : "memory");
    return to;
}

extern uint64_t pml4[512];

void map_memory(uint64_t address, uint64_t size) {
    static uint64_t pointers[512] __attribute__((aligned(4096)));
    static uint64_t directory[512] __attribute__((aligned(4096)));
    enum { kTable = 0x27, kLarge = 0xe7, kLargeShift = 21, kGiBShift = 30, kTopShift = 39 };
    uint64_t last = address + size - 1;
    if (size == 0 || address >> kTopShift == 0 || last >> kGiBShift != address >> kGiBShift)
        fail("memory that cannot be mapped");
    for (uint64_t at = address >> kLargeShift; at <= last >> kLargeShift; at++)
        directory[at % 512] = at << kLargeShift | kLarge;
    pointers[(address >> kGiBShift) % 512] = (uintptr_t)directory | kTable;
    *(volatile uint64_t*)&pml4[(address >> kTopShift) % 512] = (uintptr_t)pointers | kTable;
}
