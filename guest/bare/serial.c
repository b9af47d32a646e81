// The serial port both ways. bare.mode=
//   echo   (default) sends back every byte received until `q` arrives
//   flood  sends bare.bytes bytes: the lines `0000000`, `0000001`, ... of 8 bytes each
//   count  says `ready`, reads nothing for bare.wait cycles while the host sends, then reads until
//          `q` and prints how many bytes came, and their sum
//   quiet  sends one line and spins for good, so that no exit follows the bytes
#include "lib/bare.h"

static void echo(void) {
    put_text("echo\n");
    for (int c; (c = get_char()) != 'q';)
        if (c >= 0) put_char((char)c);
}

static void flood(void) {
    uint64_t lines = cmdline_number("bare.bytes", 64 * 1024) / 8;
    for (uint64_t line = 0; line < lines; line++) {
        char digits[8] = "0000000\n";
        uint64_t value = line;
        for (int i = 6; i >= 0; i--, value /= 10)
            digits[i] = (char)('0' + value % 10);
        for (unsigned i = 0; i < sizeof digits; i++)
            put_char(digits[i]);
    }
}

static void count(void) {
    put_text("ready\n");
    spin_cycles(cmdline_number("bare.wait", 1000 * 1000 * 1000));
    uint64_t bytes = 0, sum = 0;
    for (int c; (c = get_char()) != 'q';)
        if (c >= 0) bytes++, sum += (uint64_t)c;
    put_text("result");
    put_pair("bytes", bytes);
    put_pair("sum", sum);
    put_char('\n');
}

// Bytes that no exit follows: a monitor that coalesces output must still bring them out.
static void quiet(void) {
    put_text("quiet\n");
    for (;;)
        cpu_relax();
}

void bare_main(void) {
    if (cmdline_is("bare.mode", "flood"))
        flood();
    else if (cmdline_is("bare.mode", "count"))
        count();
    else if (cmdline_is("bare.mode", "quiet"))
        quiet();
    else
        echo();
}
