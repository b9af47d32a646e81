#include "cli/stream_console.h"

#include <sys/stat.h>

#include <csignal>

#include "cli/console_support.h"
#include "control/temporary_folder.h"

using namespace mote;
using namespace std::chrono_literals;

namespace {

ConsoleParts parts(size_t capacity = 4096) {
    return ConsoleParts::create(capacity).value();
}

void print(Console& console, std::string_view text) {
    console.output()->write(bytes_of(text));
}

}  // namespace

TEST_CASE("output and input pass through pipes", "[cli][threads]") {
    Pipe in;
    Pipe out;
    RecordingPort port;
    StreamConsole console(parts(), in.reader.get(), out.writer.get());
    REQUIRE(console.open());
    REQUIRE(console.start_input(port));
    print(console, "hello");
    CHECK(get(out.reader, 5) == "hello");
    put(in.writer, "typed\x01x");  // no terminal: no key is mote's own
    CHECK(eventually([&] { return port.text() == "typed\x01x"; }));
    CHECK(console.take_event() == ConsoleEvent::none);
    CHECK((::fcntl(in.reader.get(), F_GETFL) & O_NONBLOCK) == 0);
    CHECK((::fcntl(out.writer.get(), F_GETFL) & O_NONBLOCK) == 0);
}

TEST_CASE("the end of a pipe is the end of input, and of nothing else", "[cli][threads]") {
    Pipe in;
    Pipe out;
    RecordingPort port(3);
    StreamConsole console(parts(), in.reader.get(), out.writer.get());
    REQUIRE(console.open());
    put(in.writer, "abcdef");
    in.writer.reset();
    REQUIRE(console.start_input(port));
    CHECK(eventually([&] { return port.text() == "abc"; }));
    port.make_room(100);
    CHECK(eventually([&] { return port.text() == "abcdef"; }));
    CHECK(console.take_event() == ConsoleEvent::none);
    print(console, "still here");
    CHECK(get(out.reader, 10) == "still here");
}

TEST_CASE("a full pipe blocks nobody who prints", "[cli][threads]") {
    Pipe out;
    ::fcntl(out.writer.get(), F_SETPIPE_SZ, 4096);
    StreamConsole console(parts(), -1, out.writer.get());
    REQUIRE(console.open());
    for (int i = 0; i < 1000; ++i)
        print(console, std::string(100, 'x'));      // 25 times what fits
    const uint64_t untaken = console.finish(50ms);  // gives up in time
    CHECK(untaken >= 100'000 - 2 * 4096);
    CHECK(untaken <= 100'000);
    // Whoever reads at last gets what fitted, and is told of the rest.
    const std::string text = get(out.reader, 8192 + OutputBuffer::marker(10'000).size());
    CHECK(text.find("bytes of console output lost]") != std::string::npos);
}

TEST_CASE("finish hands on what is left", "[cli][threads]") {
    Pipe out;
    StreamConsole console(parts(), -1, out.writer.get());
    REQUIRE(console.open());
    print(console, std::string(4000, 'x'));
    CHECK(console.finish(5s) == 0);
    out.writer.reset();
    CHECK(get(out.reader, 5000).size() == 4000);
}

TEST_CASE("a reader that has gone is no failure", "[cli][threads]") {
    sigset_t pipe_signal;
    ::sigemptyset(&pipe_signal);
    ::sigaddset(&pipe_signal, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr);  // as take_signals() does
    Pipe out;
    out.reader.reset();
    StreamConsole console(parts(), -1, out.writer.get());
    REQUIRE(console.open());
    for (int i = 0; i < 100; ++i)
        print(console, std::string(1000, 'x'));
    console.finish(5s);
}

TEST_CASE("a terminal is raw while the console is open", "[cli][threads]") {
    Pty pty;
    RecordingPort port;
    {
        StreamConsole console(parts(), pty.slave.get(), pty.slave.get());
        REQUIRE(console.open());
        CHECK(pty.is_raw());
        REQUIRE(console.start_input(port));
        put(pty.master, "\x03\x1A\r");
        CHECK(eventually([&] { return port.text() == "\x03\x1A\r"; }));
        print(console, "a\nb");
        CHECK(get(pty.master, 3) == "a\nb");  // nothing made of \n
        console.suspend();
        CHECK_FALSE(pty.is_raw());
        console.resume();
        CHECK(pty.is_raw());
    }
    CHECK_FALSE(pty.is_raw());
}

TEST_CASE("mote's keys work while the guest takes no input", "[cli][threads]") {
    Pty pty;
    RecordingPort port(0);
    StreamConsole console(parts(), pty.slave.get(), pty.slave.get());
    REQUIRE(console.open());
    REQUIRE(console.start_input(port));
    put(pty.master, "a guest that hangs");
    put(pty.master, "\x01h");
    CHECK(get(pty.master, 20).find("mote: Ctrl-A x") != std::string::npos);
    put(pty.master, "\x01x");
    pollfd event{.fd = console.event().fd(), .events = POLLIN, .revents = 0};
    REQUIRE(::poll(&event, 1, 5000) == 1);
    CHECK(console.take_event() == ConsoleEvent::quit);
}

TEST_CASE("a terminal that is gone is a hang-up", "[cli][threads]") {
    Pty pty;
    RecordingPort port;
    StreamConsole console(parts(), pty.slave.get(), pty.slave.get());
    REQUIRE(console.open());
    REQUIRE(console.start_input(port));
    pty.master.reset();
    pollfd event{.fd = console.event().fd(), .events = POLLIN, .revents = 0};
    REQUIRE(::poll(&event, 1, 5000) == 1);
    CHECK(console.take_event() == ConsoleEvent::hangup);
    print(console, "to nobody");
    console.finish(5s);
}

TEST_CASE("a console file is appended to, and its owner's alone", "[cli][threads]") {
    const TemporaryFolder folder;
    const std::string path = folder.path("console");
    for (const char* text : {"first\n", "second\n"}) {
        StreamConsole console(parts(), path);
        REQUIRE(console.open());
        print(console, text);
        console.finish(5s);
    }
    std::ifstream file(path);
    CHECK(std::string(std::istreambuf_iterator<char>(file), {}) == "first\nsecond\n");
    struct stat status{};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777U) == 0600);
}

TEST_CASE("a console path that cannot be written is an error", "[cli]") {
    const TemporaryFolder folder;
    const auto error = [](const std::string& path) {
        StreamConsole console(parts(), path);
        const auto opened = console.open();
        return opened ? "" : opened.error().message;
    };
    CHECK(error(folder.path("")) ==
          "console: cannot write " + folder.path("") + ": Is a directory; give another path");
    CHECK(error(folder.path("no/such")) ==
          "console: cannot write " + folder.path("no/such") +
              ": No such file or directory; make its folder, or give another path");
    const std::string fifo = folder.path("fifo");
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    CHECK(error(fifo) == "console: nobody reads the FIFO " + fifo + "; start a reader");
}
