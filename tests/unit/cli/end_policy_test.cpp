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
    CHECK_FALSE(policy.next());
    CHECK(policy.on_time(kStart) == Act::nothing);
    CHECK(policy.on_terminate(kStart) == Act::press_power_button);
    CHECK(policy.on_terminate(kStart + std::chrono::seconds(1)) == Act::end);
}

TEST_CASE("the grace time counts from the first request", "[cli]") {
    EndPolicy policy(kGrace);
    CHECK(policy.on_hangup(kStart) == Act::press_power_button);
    CHECK(policy.on_hangup(kStart + std::chrono::seconds(5)) == Act::nothing);
    CHECK(policy.on_time(kStart + kGrace - std::chrono::milliseconds(1)) != Act::grace_is_over);
    CHECK(policy.on_time(kStart + kGrace) == Act::grace_is_over);
}

TEST_CASE("the button is pressed again while the grace time runs", "[cli]") {
    EndPolicy policy(kGrace);
    policy.on_terminate(kStart);
    CHECK(policy.next() == kStart + std::chrono::seconds(1));
    CHECK(policy.on_time(kStart + std::chrono::milliseconds(999)) == Act::nothing);
    CHECK(policy.on_time(kStart + std::chrono::milliseconds(1001)) == Act::press_power_button);
    CHECK(policy.next() == kStart + std::chrono::milliseconds(2001));
    CHECK(policy.on_time(kStart + std::chrono::milliseconds(9500)) == Act::press_power_button);
    CHECK(policy.next() == kStart + kGrace);
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
