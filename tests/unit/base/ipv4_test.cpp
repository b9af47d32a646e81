#include "base/ipv4.h"

#include "unit/catch.h"

using namespace mote;

TEST_CASE("IPv4 addresses are read and written") {
    for (const char* text : {"0.0.0.0", "10.213.0.1", "255.255.255.255"})
        CHECK(to_string(parse_ipv4(text).value()) == text);
    CHECK(parse_ipv4("10.0.0.1")->value == 0x0A000001);
    for (const char* text : {"", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.-4", "1.2.3.4 ",
                             " 1.2.3.4", "1..2.3", "1.2.3.", "a.b.c.d", "::1", "1.2.3.4%eth0"}) {
        INFO(text);
        CHECK_FALSE(parse_ipv4(text));
    }
}

TEST_CASE("IPv4 networks contain addresses and overlap") {
    const Ipv4Network ten{{0x0A000000}, 8};
    const Ipv4Network small{{0x0A010204}, 30};
    CHECK(ten.contains({0x0AFFFFFF}));
    CHECK_FALSE(ten.contains({0x0B000000}));
    CHECK(small.contains({0x0A010207}));
    CHECK_FALSE(small.contains({0x0A010208}));
    CHECK(ten.overlaps(small));
    CHECK(small.overlaps(ten));
    CHECK_FALSE(small.overlaps({{0x0A010208}, 30}));
    CHECK(small.overlaps({{0}, 0}));
    CHECK(small.mask() == 0xFFFFFFFC);
}
