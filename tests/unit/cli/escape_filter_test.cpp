#include "cli/escape_filter.h"

#include <string>

#include "catch.h"
#include "cli/bytes.h"

using namespace mote;

namespace {

struct Typist {
    EscapeFilter filter;
    std::string actions;

    std::string type(std::string_view keys) {
        std::vector<std::byte> to_guest;
        filter.feed(bytes_of(keys), to_guest, [this](EscapeAction action) {
            actions += action == EscapeAction::quit ? 'q' : 'h';
        });
        return text_of(to_guest);
    }
};

}  // namespace

TEST_CASE("keys go to the guest", "[cli]") {
    Typist typist;
    CHECK(typist.type("ls\r\x03\x1A\x1C\x7F") == "ls\r\x03\x1A\x1C\x7F");
    CHECK(typist.actions.empty());
}

TEST_CASE("Ctrl-A begins a command", "[cli]") {
    Typist typist;
    CHECK(typist.type("a\x01xb") == "ab");
    CHECK(typist.actions == "q");
    CHECK(typist.type("\x01h\x01?").empty());
    CHECK(typist.actions == "qhh");
    CHECK(typist.type("\x01"
                      "a") == "\x01");
    CHECK(typist.type("\x01\x01") == "\x01");
    CHECK(typist.type("\x01"
                      "b") ==
          "\x01"
          "b");
    CHECK(typist.actions == "qhh");
}

TEST_CASE("a command may come in two pieces", "[cli]") {
    Typist typist;
    CHECK(typist.type("a\x01") == "a");
    CHECK(typist.actions.empty());
    CHECK(typist.type("x").empty());
    CHECK(typist.actions == "q");
}
