#include "base/rate_limiter.h"

#include "unit/catch.h"

using namespace mote;

namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kStart = 7'000 * kMs;

}  // namespace

TEST_CASE("token bucket: starts full, and refills linearly") {
    TokenBucket bucket({.size = 100, .refill_ms = 1000}, kStart);
    CHECK(bucket.take(60, kStart).taken);
    CHECK(bucket.take(40, kStart).taken);
    CHECK_FALSE(bucket.take(1, kStart).taken);
    CHECK_FALSE(bucket.take(1, kStart + 9 * kMs).taken);
    CHECK(bucket.take(1, kStart + 10 * kMs).taken);
    CHECK_FALSE(bucket.take(1, kStart + 10 * kMs).taken);
    CHECK(bucket.take(50, kStart + 510 * kMs).taken);
    // Never more than full.
    CHECK(bucket.take(100, kStart + 60'000 * kMs).taken);
    CHECK_FALSE(bucket.take(1, kStart + 60'000 * kMs).taken);
}

TEST_CASE("token bucket: many small steps of time add up to as much as a large one") {
    TokenBucket bucket({.size = 3, .refill_ms = 1000}, kStart);
    REQUIRE(bucket.take(3, kStart).taken);
    unsigned taken = 0;
    for (uint64_t ms = 1; ms <= 10'000; ++ms)
        if (bucket.take(1, kStart + ms * kMs).taken) ++taken;
    CHECK(taken == 30);
}

TEST_CASE("token bucket: a burst is spent first and never refilled") {
    TokenBucket bucket({.size = 10, .refill_ms = 1000, .one_time_burst = 25}, kStart);
    CHECK(bucket.take(20, kStart).taken);
    CHECK(bucket.take(15, kStart).taken);  // 5 of the burst, and all the bucket held
    CHECK_FALSE(bucket.take(1, kStart).taken);
    CHECK(bucket.take(10, kStart + 5'000 * kMs).taken);
    CHECK_FALSE(bucket.take(10, kStart + 5'999 * kMs).taken);
    CHECK(bucket.take(10, kStart + 6'000 * kMs).taken);
}

TEST_CASE("token bucket: a refused request spends nothing of the burst") {
    TokenBucket bucket({.size = 10, .refill_ms = 1000, .one_time_burst = 5}, kStart);
    REQUIRE(bucket.take(5, kStart).taken);
    REQUIRE(bucket.take(10, kStart).taken);
    TokenBucket other({.size = 10, .refill_ms = 1000, .one_time_burst = 5}, kStart);
    REQUIRE(other.take(14, kStart).taken);
    CHECK_FALSE(other.take(2, kStart).taken);
    CHECK(other.take(1, kStart).taken);
}

TEST_CASE("token bucket: what is larger than the bucket passes once, and leaves a debt") {
    TokenBucket bucket({.size = 100, .refill_ms = 1000}, kStart);
    const auto first = bucket.take(350, kStart);
    CHECK(first.taken);
    CHECK(first.blocked_ns == 2'500 * kMs);
    CHECK_FALSE(bucket.take(1, kStart).taken);
}

TEST_CASE("token bucket: numbers at the end of 64 bits") {
    TokenBucket bucket({.size = UINT64_MAX, .refill_ms = UINT64_MAX, .one_time_burst = UINT64_MAX},
                       kStart);
    CHECK(bucket.take(UINT64_MAX, kStart).taken);
    CHECK(bucket.take(UINT64_MAX, kStart).taken);
    CHECK_FALSE(bucket.take(UINT64_MAX, kStart + 1).taken);
    TokenBucket small({.size = 1, .refill_ms = UINT64_MAX}, kStart);
    CHECK(small.take(UINT64_MAX, kStart).taken);
    CHECK_FALSE(small.take(1, UINT64_MAX).taken);
}

TEST_CASE("rate limiter: both buckets count, and an operation comes back where the bytes fail") {
    RateLimiter limiter(
        {.ops = {.size = 2, .refill_ms = 1000}, .bytes = {.size = 100, .refill_ms = 1000}}, kStart);
    CHECK_FALSE(limiter.unlimited());
    CHECK(limiter.allow(90, kStart));
    CHECK_FALSE(limiter.allow(20, kStart));
    CHECK(limiter.allow(10, kStart));  // the operation that was given back
    CHECK_FALSE(limiter.allow(0, kStart));
    CHECK(limiter.allow(0, kStart + 500 * kMs));
}

TEST_CASE("rate limiter: a debt blocks all, also what is free") {
    RateLimiter limiter({.bytes = {.size = 100, .refill_ms = 1000}}, kStart);
    CHECK(limiter.allow(300, kStart));
    CHECK_FALSE(limiter.allow(0, kStart + 1'999 * kMs));
    CHECK(limiter.allow(0, kStart + 2'000 * kMs));
}

TEST_CASE("rate limiter: off is off") {
    const auto size = GENERATE(uint64_t{0}, uint64_t{5});
    RateLimiter limiter({.ops = {.size = size, .refill_ms = size == 0 ? 5U : 0U}}, kStart);
    CHECK(limiter.unlimited());
    for (unsigned i = 0; i < 100; ++i)
        CHECK(limiter.allow(UINT64_MAX, kStart));
}
