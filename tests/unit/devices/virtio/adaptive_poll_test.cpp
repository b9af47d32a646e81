#include "devices/virtio/adaptive_poll.h"

#include "unit/catch.h"

using mote::AdaptivePoll;

namespace {

/// A clock that moves by `step_ns` with each look at it.
struct FakeClock {
    static inline uint64_t now_ns = 0;
    static inline uint64_t step_ns = 0;
    static uint64_t read() { return now_ns += step_ns; }
};

struct Fixture {
    Fixture() {
        FakeClock::now_ns = 1'000'000'000;
        FakeClock::step_ns = 500;
    }
    /// One look and the sleep after it.
    void sleep_for(uint64_t ns) {
        CHECK_FALSE(poll.look([] { return false; }, [] { return false; }));
        FakeClock::now_ns += ns;
        poll.woken();
    }
    bool find_after(uint64_t ns) {
        const uint64_t at = FakeClock::now_ns + ns;
        return poll.look([at] { return FakeClock::now_ns >= at; }, [] { return false; });
    }
    AdaptivePoll poll{&FakeClock::read};
};

}  // namespace

TEST_CASE("AdaptivePoll looks once sleeps are short, and longer while that pays") {
    Fixture f;
    CHECK_FALSE(f.find_after(100));  // nothing learnt yet: no look at all
    f.poll.woken();
    CHECK(f.poll.window_ns() == AdaptivePoll::kFirstWindowNs);
    CHECK(f.find_after(5'000));
    f.sleep_for(5'000);
    CHECK(f.poll.window_ns() == 2 * AdaptivePoll::kFirstWindowNs);
    CHECK(f.find_after(15'000));
    f.sleep_for(5'000);
    f.sleep_for(5'000);
    CHECK(f.poll.window_ns() == AdaptivePoll::kMaxWindowNs);
}

TEST_CASE("AdaptivePoll gives up after a long sleep") {
    Fixture f;
    f.sleep_for(1'000);
    REQUIRE(f.poll.window_ns() != 0);
    f.sleep_for(10 * AdaptivePoll::kMaxWindowNs);
    CHECK(f.poll.window_ns() == 0);
}

TEST_CASE("AdaptivePoll gives up when looks are in vain though sleeps are short") {
    Fixture f;
    f.sleep_for(1'000);
    for (unsigned i = 0; i < 3; ++i)
        f.sleep_for(1'000);
    REQUIRE(f.poll.window_ns() != 0);
    f.sleep_for(1'000);
    CHECK(f.poll.window_ns() == 0);
    f.sleep_for(1'000);
    CHECK(f.poll.window_ns() == 0);  // for a while
    f.sleep_for(20'000'000);
    f.sleep_for(1'000);
    CHECK(f.poll.window_ns() != 0);
}

TEST_CASE("AdaptivePoll stops at once for others, and when its CPU is wanted twice") {
    Fixture f;
    f.sleep_for(1'000);
    unsigned asked = 0;
    CHECK_FALSE(f.poll.look([] { return false; }, [&] { return ++asked == 1; }));
    CHECK(asked == 1);
    f.poll.woken();
    REQUIRE(f.poll.window_ns() != 0);
    FakeClock::step_ns = 25'000;
    f.sleep_for(0);
    CHECK(f.poll.window_ns() != 0);
    f.sleep_for(0);
    CHECK(f.poll.window_ns() == 0);
}
