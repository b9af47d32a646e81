// Single machine accesses. Each is one plain instruction, so that an instruction emulator knows it
// and an access is exactly as wide as its name says.
#pragma once
#include <stdint.h>

static inline void out8(uint16_t port, uint8_t value) {
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
static inline void out32(uint16_t port, uint32_t value) {
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
static inline uint8_t in8(uint16_t port) {
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}
static inline uint32_t in32(uint16_t port) {
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline uint8_t mmio_read8(uint64_t address) {
    uint8_t value;
    __asm__ volatile("movb (%1), %0" : "=a"(value) : "r"(address) : "memory");
    return value;
}
static inline uint16_t mmio_read16(uint64_t address) {
    uint16_t value;
    __asm__ volatile("movw (%1), %0" : "=a"(value) : "r"(address) : "memory");
    return value;
}
static inline uint32_t mmio_read32(uint64_t address) {
    uint32_t value;
    __asm__ volatile("movl (%1), %0" : "=a"(value) : "r"(address) : "memory");
    return value;
}
static inline uint64_t mmio_read64(uint64_t address) {
    uint64_t value;
    __asm__ volatile("movq (%1), %0" : "=a"(value) : "r"(address) : "memory");
    return value;
}
static inline void mmio_write8(uint64_t address, uint8_t value) {
    __asm__ volatile("movb %0, (%1)" : : "a"(value), "r"(address) : "memory");
}
static inline void mmio_write32(uint64_t address, uint32_t value) {
    __asm__ volatile("movl %0, (%1)" : : "a"(value), "r"(address) : "memory");
}

static inline uint64_t read_tsc(void) {
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}
static inline void cpu_relax(void) {
    __asm__ volatile("pause" : : : "memory");
}
// x86 keeps stores in order and loads in order: only the compiler must be held back ...
static inline void store_barrier(void) {
    __asm__ volatile("" : : : "memory");
}
static inline void load_barrier(void) {
    __asm__ volatile("" : : : "memory");
}
// ... and a load after a store needs a fence.
static inline void full_barrier(void) {
    __asm__ volatile("lock orl $0, (%%rsp)" : : : "memory", "cc");
}
