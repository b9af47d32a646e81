#include "cli/end_policy.h"

#include "catch.h"

using namespace mote;
using Act = EndPolicy::Act;

namespace {
const EndPolicy::Clock::time_point kStart{std::chrono::seconds(100)};
const std::chrono::seconds kGrace(10);
}  // namespace

TEST_CASE("the first SIGTERM presses the power button, the second ends", "[cli]") {
    EndPolicy policy(kGrace);
    CHECK_FALSE(policy.deadline());
    CHECK(policy.on_terminate(kStart) == Act::press_power_button);
    CHECK(policy.deadline() == kStart + kGrace);
    CHECK(policy.on_terminate(kStart + std::chrono::seconds(1)) == Act::end);
}

TEST_CASE("the grace time counts from the first request", "[cli]") {
    EndPolicy policy(kGrace);
    CHECK(policy.on_hangup(kStart) == Act::press_power_button);
    CHECK(policy.on_hangup(kStart + std::chrono::seconds(5)) == Act::nothing);
    CHECK(policy.deadline() == kStart + kGrace);
}

TEST_CASE("a closed terminal does not end what it asked to power off", "[cli]") {
    EndPolicy policy(kGrace);
    CHECK(policy.on_hangup(kStart) == Act::press_power_button);  // SIGHUP
    CHECK(policy.on_hangup(kStart) == Act::nothing);             // and EIO from the terminal
    CHECK(policy.on_terminate(kStart) == Act::end);
}

TEST_CASE("each end has its status", "[cli]") {
    CHECK(static_cast<int>(status_of(EndKind::power_off)) == 0);
    CHECK(static_cast<int>(status_of(EndKind::host_failure)) == 241);
    CHECK(static_cast<int>(status_of(EndKind::reboot)) == 242);
    CHECK(static_cast<int>(status_of(EndKind::panic)) == 243);
    CHECK(static_cast<int>(status_of(EndKind::crash)) == 244);
    CHECK(static_cast<int>(ExitStatus::bad_input) == 240);
    CHECK(static_cast<int>(ExitStatus::ended) == 245);
}
