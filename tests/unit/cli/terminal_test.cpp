#include "cli/terminal.h"

#include "cli/console_support.h"

using namespace mote;

TEST_CASE("a terminal is raw while claimed and then as it was", "[cli]") {
    const Pty pty;
    termios before{};
    REQUIRE(::tcgetattr(pty.slave.get(), &before) == 0);
    {
        Terminal terminal(pty.slave.get());
        CHECK(terminal.is_terminal());
        CHECK_FALSE(pty.is_raw());
        CHECK(terminal.claim());
        CHECK(pty.is_raw());
        terminal.suspend();
        CHECK_FALSE(pty.is_raw());
        CHECK_FALSE(terminal.claim());
        CHECK_FALSE(pty.is_raw());
        terminal.resume();
        CHECK(pty.is_raw());
    }
    termios after{};
    REQUIRE(::tcgetattr(pty.slave.get(), &after) == 0);
    CHECK(after.c_lflag == before.c_lflag);
    CHECK(after.c_iflag == before.c_iflag);
    CHECK(after.c_oflag == before.c_oflag);
    CHECK(after.c_cc[VMIN] == before.c_cc[VMIN]);
}

TEST_CASE("raw mode is set again after somebody else changed it", "[cli]") {
    const Pty pty;
    Terminal terminal(pty.slave.get());
    termios cooked{};
    REQUIRE(::tcgetattr(pty.slave.get(), &cooked) == 0);
    terminal.claim();
    REQUIRE(::tcsetattr(pty.slave.get(), TCSANOW, &cooked) ==
            0);  // what a shell does to a stopped job
    terminal.resume();
    CHECK(pty.is_raw());
}

TEST_CASE("what is no terminal is left alone", "[cli]") {
    const Pipe pipe;
    Terminal terminal(pipe.reader.get());
    CHECK_FALSE(terminal.is_terminal());
    CHECK(terminal.claim());
    terminal.restore();
}
