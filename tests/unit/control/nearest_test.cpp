#include "control/nearest.h"

#include <array>

#include "catch.h"

using namespace mote;

TEST_CASE("nearest finds what was meant", "[control]") {
    static constexpr std::array<std::string_view, 4> kKnown{"kernel", "initrd", "cpus", "disk"};
    CHECK(nearest("kernle", kKnown) == "kernel");
    CHECK(nearest("kernell", kKnown) == "kernel");
    CHECK(nearest("intrd", kKnown) == "initrd");
    CHECK(nearest("cpu", kKnown) == "cpus");
    CHECK(nearest("disks", kKnown) == "disk");
    CHECK(nearest("network", kKnown).empty());
    CHECK(nearest("x", kKnown).empty());
    CHECK(nearest("", kKnown).empty());
    CHECK(nearest(std::string(100'000, 'k'), kKnown).empty());
}
