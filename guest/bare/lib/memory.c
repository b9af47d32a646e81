// The two functions a compiler calls by itself; string instructions, as these run at CPL 3.
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
