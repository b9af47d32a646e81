#include "base/result.h"

#include <memory>

#include "unit/catch.h"

using mote::Error;
using mote::fail;
using mote::fail_code;
using mote::fail_errno;
using mote::Result;

namespace {

Result<int> half(int number) {
    if (number % 2 != 0) return fail("cannot halve {}", number);
    return number / 2;
}

Result<> must_be_even(int number) {
    TRY(half(number));
    return {};
}

Result<std::unique_ptr<int>> quarter(int number) {
    const int once = TRY(half(number));
    return std::make_unique<int>(TRY(half(once)));
}

Result<int> sum_of_halves(int first, int second) {
    return TRY(half(first)) + TRY(half(second));
}

}  // namespace

TEST_CASE("Result: TRY gives the value, also one that can only be moved") {
    const auto result = quarter(12);
    REQUIRE(result);
    CHECK(**result == 3);
    CHECK(sum_of_halves(4, 6).value() == 5);
}

TEST_CASE("Result: TRY returns the first error, as it was") {
    CHECK(quarter(6).error().message == "cannot halve 3");
    CHECK(sum_of_halves(3, 5).error().message == "cannot halve 3");
    CHECK(sum_of_halves(4, 5).error().message == "cannot halve 5");
    CHECK(must_be_even(4));
    CHECK(must_be_even(7).error().message == "cannot halve 7");
}

TEST_CASE("Result: an errno is told in words and kept as a number") {
    const Result<> failed = fail_code(ENOENT, "drive '{}': cannot open {}", "rootfs", "/x");
    CHECK(failed.error().message == "drive 'rootfs': cannot open /x: No such file or directory");
    CHECK(failed.error().code == ENOENT);
    CHECK(Result<>(fail("no system call")).error().code == 0);

    errno = EBUSY;
    const Result<> from_errno = fail_errno("{}", "x");
    CHECK(from_errno.error().message == "x: Device or resource busy");
    CHECK(from_errno.error().code == EBUSY);
}

TEST_CASE("Result: an errno that nobody knows does no harm") {
    const Result<> failed = fail_code(99999, "x");
    CHECK(failed.error().message == "x: error 99999");
}
