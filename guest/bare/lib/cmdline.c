// The command line: found once at start, searched on demand.
#include "bare.h"

static const char* text = "";

void bare_start(const char* cmdline);

// Called by start.S with the address the boot protocol gave (0: there is no command line).
void bare_start(const char* cmdline) {
    if (cmdline) text = cmdline;
    bare_main();
    bare_exit();
}

static bool ends_word(char c) {
    return c == '\0' || c == ' ' || c == '\n' || c == '\t';
}

const char* cmdline_text(void) {
    return text;
}

const char* cmdline_find(const char* key) {
    const char* found = NULL;
    for (const char* word = text; *word;) {
        const char *w = word, *k = key;
        while (*k && *w == *k)
            w++, k++;
        if (!*k && *w == '=') found = w + 1;
        while (!ends_word(*word))
            word++;
        while (*word && ends_word(*word))
            word++;
    }
    return found;
}

static int digit_of(char c, unsigned base) {
    unsigned value = 99;
    if (c >= '0' && c <= '9') value = (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f') value = (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F') value = (unsigned)(c - 'A') + 10;
    return value < base ? (int)value : -1;
}

uint64_t parse_number(const char** cursor) {
    const char* c = *cursor;
    unsigned base = 10;
    if (c[0] == '0' && c[1] == 'x') base = 16, c += 2;
    uint64_t value = 0;
    for (int digit; (digit = digit_of(*c, base)) >= 0; c++)
        value = value * base + (uint64_t)digit;
    if (*c == 'K')
        value <<= 10, c++;
    else if (*c == 'M')
        value <<= 20, c++;
    else if (*c == 'G')
        value <<= 30, c++;
    *cursor = c;
    return value;
}

uint64_t cmdline_number(const char* key, uint64_t otherwise) {
    const char* value = cmdline_find(key);
    return value ? parse_number(&value) : otherwise;
}

bool cmdline_is(const char* key, const char* value) {
    const char* found = cmdline_find(key);
    if (!found) return false;
    while (*value && *found == *value)
        found++, value++;
    return !*value && ends_word(*found);
}
