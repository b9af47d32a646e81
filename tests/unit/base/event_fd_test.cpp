#include "base/event_fd.h"

#include "unit/catch.h"

using mote::EventFd;

TEST_CASE("EventFd: signals add up and are taken at once") {
    const EventFd event = EventFd::create().value();
    CHECK_FALSE(event.consume());
    event.signal();
    event.signal();
    CHECK(event.consume());
    CHECK_FALSE(event.consume());
}
