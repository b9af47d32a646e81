#include "base/unique_fd.h"

#include <fcntl.h>

#include "unit/catch.h"

using mote::UniqueFd;

namespace {

int open_null() {
    return ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}
bool is_open(int fd) {
    return ::fcntl(fd, F_GETFD) != -1;
}

}  // namespace

TEST_CASE("UniqueFd: closes once, at its end") {
    int fd = -1;
    {
        const UniqueFd owner(open_null());
        fd = owner.get();
        REQUIRE(owner.valid());
        CHECK(is_open(fd));
    }
    CHECK_FALSE(is_open(fd));
}

TEST_CASE("UniqueFd: moves, and closes what it is moved onto") {
    UniqueFd first(open_null());
    UniqueFd second(open_null());
    const int kept = first.get();
    const int dropped = second.get();
    second = std::move(first);
    CHECK_FALSE(first.valid());  // NOLINT(bugprone-use-after-move): what a move leaves
    CHECK(second.get() == kept);
    CHECK(is_open(kept));
    CHECK_FALSE(is_open(dropped));
}

TEST_CASE("UniqueFd: released, it is somebody else's") {
    int fd = -1;
    {
        UniqueFd owner(open_null());
        fd = owner.release();
        CHECK_FALSE(owner.valid());
    }
    CHECK(is_open(fd));
    ::close(fd);
}
