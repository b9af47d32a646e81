#include "base/errno_text.h"

#include "base/result.h"
#include "catch.h"

using namespace mote;

TEST_CASE("errno_text: a number without a name is still a text") {
    CHECK(errno_text(ENOENT) == "No such file or directory");
    CHECK(errno_text(4711) == "error 4711");
    CHECK(errno_text(-1) == "error -1");
}

TEST_CASE("fail_code: what can be done about limits is said with them") {
    CHECK(Result<>(fail_code(EMFILE, "cannot make it")).error().message ==
          "cannot make it: Too many open files; raise this process's limit of open files (ulimit "
          "-n)");
    CHECK(Result<>(fail_code(ENOENT, "cannot open x")).error().message ==
          "cannot open x: No such file or directory");
}
