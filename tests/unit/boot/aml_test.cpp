#include "boot/aml.h"

#include "unit/catch.h"

using namespace mote;

namespace {

Bytes raw(std::initializer_list<unsigned> values) {
    Bytes out;
    for (const unsigned value : values)
        append(out, static_cast<uint8_t>(value));
    return out;
}

}  // namespace

TEST_CASE("AML: integers take the shortest form") {
    CHECK(aml::integer(0) == raw({0x00}));
    CHECK(aml::integer(1) == raw({0x01}));
    CHECK(aml::integer(0xFF) == raw({0x0A, 0xFF}));
    CHECK(aml::integer(0x100) == raw({0x0B, 0x00, 0x01}));
    CHECK(aml::integer(0x1'0000) == raw({0x0C, 0, 0, 1, 0}));
    CHECK(aml::integer(0x1'0000'0000) == raw({0x0E, 0, 0, 0, 0, 1, 0, 0, 0}));
}

TEST_CASE("AML: names are padded, paths prefixed") {
    CHECK(aml::path("GED") == raw({'G', 'E', 'D', '_'}));
    CHECK(aml::path("\\_S5") == raw({'\\', '_', 'S', '5', '_'}));
    CHECK(aml::path("\\_SB.PWRB") == raw({'\\', 0x2E, '_', 'S', 'B', '_', 'P', 'W', 'R', 'B'}));
    CHECK(aml::path("A.B.C").size() == 2 + 12);
}

TEST_CASE("AML: package lengths count themselves, in one to three bytes") {
    // Scope op, length, a name of 5 bytes with the root, the body.
    const auto scope_head = [](size_t body) {
        const Bytes out = aml::scope("\\ABCD", Bytes(body));
        return Bytes(out.begin() + 1, out.begin() + 4);
    };
    CHECK(scope_head(57) == raw({63, '\\', 'A'}));                    // 1 + 5 + 57
    CHECK(scope_head(58) == raw({0x40 | (65 & 15), 65 >> 4, '\\'}));  // 2 + 5 + 58
    CHECK(scope_head(4088) == raw({0x40 | (4095 & 15), 4095 >> 4, '\\'}));
    CHECK(scope_head(4089) == raw({0x80 | (4097 & 15), (4097 >> 4) & 0xFF, 4097 >> 12}));
}

TEST_CASE("AML: resource templates") {
    CHECK(aml::resources({aml::interrupt(23)}) ==
          raw({0x11, 14, 0x0A, 11, 0x89, 6, 0, 3, 1, 23, 0, 0, 0, 0x79, 0}));
    CHECK(aml::memory32_fixed(0xC0001000, 0x1000) ==
          raw({0x86, 9, 0, 1, 0x00, 0x10, 0x00, 0xC0, 0x00, 0x10, 0, 0}));
    CHECK(aml::io_ports(0x3F8, 8) == raw({0x47, 1, 0xF8, 3, 0xF8, 3, 1, 8}));
}
