// COM1, a 16550: polled output and input. The transmitter is never waited for: under a monitor a
// byte written is a byte taken, and a status read per byte would double the exits measured.
#include "bare.h"

enum { kCom1 = 0x3f8, kLineStatus = kCom1 + 5, kDataReady = 0x01 };

void put_char(char c) {
    out8(kCom1, (uint8_t)c);
}

void put_text(const char* text) {
    while (*text)
        put_char(*text++);
}

void put_word(const char* word) {
    while (*word && *word != ' ' && *word != '\n')
        put_char(*word++);
}

void put_number(uint64_t value) {
    char digits[20];
    unsigned count = 0;
    do
        digits[count++] = (char)('0' + value % 10);
    while (value /= 10);
    while (count)
        put_char(digits[--count]);
}

void put_hex(uint64_t value, unsigned digits) {
    while (digits--)
        put_char("0123456789abcdef"[value >> (4 * digits) & 15]);
}

void put_pair(const char* key, uint64_t value) {
    put_char(' ');
    put_text(key);
    put_char('=');
    put_number(value);
}

int get_char(void) {
    return in8(kLineStatus) & kDataReady ? in8(kCom1) : -1;
}
