#include "base/rate_limiter.h"

#include <algorithm>

namespace mote {

namespace {

__extension__ using Wide = unsigned __int128;

constexpr uint64_t kMaxRefillMs = UINT64_MAX / 1'000'000;

/// a * b / c, at most what 64 bits hold.
uint64_t scale(uint64_t a, uint64_t b, uint64_t c) {
    return static_cast<uint64_t>(std::min<Wide>(Wide{a} * b / c, UINT64_MAX));
}

std::optional<TokenBucket> bucket(const TokenBucketConfig& config, uint64_t now_ns) {
    if (config.size == 0 || config.refill_ms == 0) return std::nullopt;
    return TokenBucket(config, now_ns);
}

}  // namespace

TokenBucket::TokenBucket(const TokenBucketConfig& config, uint64_t now_ns)
    : size_(config.size),
      refill_ns_(std::min(config.refill_ms, kMaxRefillMs) * 1'000'000),
      burst_(config.one_time_burst),
      budget_(config.size),
      refilled_ns_(now_ns) {}

void TokenBucket::refill(uint64_t now_ns) {
    const uint64_t elapsed = now_ns - refilled_ns_;
    const uint64_t tokens = scale(elapsed, size_, refill_ns_);
    if (tokens >= size_ - budget_) {
        budget_ = size_;
        refilled_ns_ = now_ns;
        return;
    }
    budget_ += tokens;
    // The time of a token that is not whole yet stays to be counted.
    refilled_ns_ += scale(tokens, refill_ns_, size_);
}

TokenBucket::Outcome TokenBucket::take(uint64_t tokens, uint64_t now_ns) {
    const uint64_t from_burst = std::min(tokens, burst_);
    const uint64_t rest = tokens - from_burst;
    if (rest > budget_) refill(now_ns);
    if (rest > budget_ && rest <= size_) return {.taken = false};
    burst_ -= from_burst;
    if (rest <= budget_) {
        budget_ -= rest;
        return {.taken = true};
    }
    const uint64_t excess = rest - budget_;
    budget_ = 0;
    refilled_ns_ = now_ns;
    return {.taken = true, .blocked_ns = scale(excess, refill_ns_, size_)};
}

void TokenBucket::give_back(uint64_t tokens) {
    budget_ += std::min(tokens, size_ - budget_);
}

RateLimiter::RateLimiter(const RateLimits& limits, uint64_t now_ns)
    : ops_(bucket(limits.ops, now_ns)), bytes_(bucket(limits.bytes, now_ns)) {}

bool RateLimiter::allow(uint64_t bytes, uint64_t now_ns) {
    if (now_ns < blocked_until_ns_) return false;
    if (ops_ && !ops_->take(1, now_ns).taken) return false;
    if (!bytes_) return true;
    const TokenBucket::Outcome outcome = bytes_->take(bytes, now_ns);
    if (!outcome.taken) {
        if (ops_) ops_->give_back(1);
        return false;
    }
    blocked_until_ns_ = now_ns + std::min(outcome.blocked_ns, UINT64_MAX - now_ns);
    return true;
}

void RateLimiter::update(const RateLimitsUpdate& update, uint64_t now_ns) {
    if (update.ops) ops_ = bucket(*update.ops, now_ns);
    if (!update.bytes) return;
    bytes_ = bucket(*update.bytes, now_ns);
    blocked_until_ns_ = 0;
}

}  // namespace mote
