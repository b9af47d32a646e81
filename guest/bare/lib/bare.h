// What a bare guest program can use. The library keeps no hidden state but the command line; a
// program is one file with bare_main(), and ends in one of the exits below.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io.h"

// The program. Runs once, at CPL 3 with interrupts masked; returning is bare_exit().
void bare_main(void);

// --- Command line: words `key=value` separated by blanks --------------------------------------
// The text the boot protocol delivered.
const char* cmdline_text(void);
// The value of the last word `key=...`, or NULL; it ends at a blank, not at a NUL.
const char* cmdline_find(const char* key);
// The value as a number (decimal or 0x..., with K, M or G as a suffix), or `otherwise`.
uint64_t cmdline_number(const char* key, uint64_t otherwise);
// Whether the value is exactly `value`.
bool cmdline_is(const char* key, const char* value);
// Parses a number at *text, with suffix, and moves *text behind it.
uint64_t parse_number(const char** text);

// --- Serial port (COM1, polled) ---------------------------------------------------------------
void put_char(char c);
void put_text(const char* text);
// Prints the characters of a word, up to a blank or NUL.
void put_word(const char* word);
void put_number(uint64_t value);
void put_hex(uint64_t value, unsigned digits);
// Prints ` key=value`.
void put_pair(const char* key, uint64_t value);
// The next received byte, or -1 when none waits.
int get_char(void);

// --- The end ----------------------------------------------------------------------------------
// Ends the run the way the word `bare.exit=` names: acpi, acpi-reset, i8042, debug, triple. Without
// the word each is tried in turn, so that the same program ends under any monitor.
_Noreturn void bare_exit(void);
_Noreturn void power_off(void);
_Noreturn void reset_machine(void);
_Noreturn void triple_fault(void);
// Prints `fail TEXT` and ends.
_Noreturn void fail(const char* text);

// --- Time -------------------------------------------------------------------------------------
// Spins for so many cycles of the time stamp counter.
void spin_cycles(uint64_t cycles);

// --- Memory -----------------------------------------------------------------------------------
// Maps [address, address + size) to itself, as memory: at most 1 GiB, from 512 GiB on and within
// one GiB of that. Once.
void map_memory(uint64_t address, uint64_t size);
void* memset(void* to, int byte, size_t size);
void* memcpy(void* to, const void* from, size_t size);
