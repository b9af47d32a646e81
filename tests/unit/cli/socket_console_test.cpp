#include "cli/socket_console.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "cli/console_support.h"
#include "control/temporary_folder.h"

using namespace mote;
using namespace std::chrono_literals;

namespace {

struct Fixture {
    TemporaryFolder folder;
    std::string path = folder.path("socket");
    RecordingPort port;
    SocketConsole console{ConsoleParts::create(4096).value(), path};

    [[nodiscard]] UniqueFd connect() const {
        UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) ==
                0);
        return client;
    }
    void print(std::string_view text) const { console.output()->write(bytes_of(text)); }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a client sees output and types", "[cli][threads]") {
    REQUIRE(console.open());
    REQUIRE(console.start_input(port));
    const UniqueFd client = connect();
    print("hello");
    CHECK(get(client, 5) == "hello");
    put(client, "typed\x01x");
    CHECK(eventually([&] { return port.text() == "typed\x01x"; }));
}

TEST_CASE_METHOD(Fixture, "a client sees what came before it", "[cli][threads]") {
    REQUIRE(console.open());
    print(std::string(4096, 'x'));
    print("login: ");
    const UniqueFd client = connect();
    const std::string lost = OutputBuffer::marker(7);
    CHECK(get(client, lost.size() + 4096) == lost + std::string(4096 - 7, 'x') + "login: ");
}

TEST_CASE_METHOD(Fixture, "one client at a time", "[cli][threads]") {
    REQUIRE(console.open());
    REQUIRE(console.start_input(port));
    UniqueFd first = connect();
    print("one");
    CHECK(get(first, 3) == "one");
    const UniqueFd second = connect();
    CHECK(get(second, 100) == "mote: this console has a client already\r\n");
    first.reset();
    // The place is free as soon as the first one's end has been seen.
    CHECK(eventually([&] {
        const UniqueFd third = connect();
        put(third, "3");
        return port.text().find('3') != std::string::npos;
    }));
}

TEST_CASE_METHOD(Fixture, "input that came before its sender left is typed", "[cli][threads]") {
    REQUIRE(console.open());
    UniqueFd client = connect();
    put(client, std::string(3000, 'k'));
    client.reset();
    REQUIRE(console.start_input(port));
    CHECK(eventually([&] { return port.text().size() == 3000; }));
}

TEST_CASE_METHOD(Fixture, "a client that only reads stays", "[cli][threads]") {
    REQUIRE(console.open());
    REQUIRE(console.start_input(port));
    const UniqueFd client = connect();
    REQUIRE(::shutdown(client.get(), SHUT_WR) == 0);
    std::this_thread::sleep_for(50ms);
    print("more");
    CHECK(get(client, 4) == "more");
}

TEST_CASE_METHOD(Fixture, "finish sends what is left and removes the socket", "[cli][threads]") {
    REQUIRE(console.open());
    struct stat status{};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777U) == 0600);
    const UniqueFd client = connect();
    print("a");
    CHECK(get(client, 1) == "a");
    print("the end");
    console.finish(5s);
    CHECK(get(client, 7) == "the end");
    CHECK(::lstat(path.c_str(), &status) != 0);
}

TEST_CASE_METHOD(Fixture, "a client that does not read does not hold up the end",
                 "[cli][threads]") {
    REQUIRE(console.open());
    const UniqueFd client = connect();
    print("a");
    CHECK(get(client, 1) == "a");
    for (int i = 0; i < 2000; ++i) {
        print(std::string(1000, 'x'));
        std::this_thread::sleep_for(100us);  // it is the client that takes no more
    }
    const auto before = std::chrono::steady_clock::now();
    CHECK(console.finish(100ms) > 1000);
    CHECK(std::chrono::steady_clock::now() - before < 3s);
}

TEST_CASE_METHOD(Fixture, "output that nobody came for is nobody's loss", "[cli][threads]") {
    REQUIRE(console.open());
    print("unheard");
    CHECK(console.finish(5s) == 0);
}

TEST_CASE_METHOD(Fixture, "a path that exists is left alone", "[cli]") {
    folder.file("socket", "precious");
    CHECK(console.open().error().message ==
          "console: " + path + " exists already; remove it, or give another path");
    console.finish(0ms);
    std::ifstream file(path);
    CHECK(std::string(std::istreambuf_iterator<char>(file), {}) == "precious");
}

TEST_CASE_METHOD(Fixture, "another's socket at the same path is not removed", "[cli][threads]") {
    REQUIRE(console.open());
    REQUIRE(::unlink(path.c_str()) == 0);
    folder.file("socket", "another's");
    console.finish(5s);
    struct stat status{};
    CHECK(::lstat(path.c_str(), &status) == 0);
}
