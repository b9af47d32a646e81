// RateLimiter: token buckets for operations and bytes. Pure logic: the caller brings the time.
#pragma once

#include <cstdint>
#include <optional>

namespace mote {

struct TokenBucketConfig {
    uint64_t size = 0;            ///< tokens it holds when full; 0 turns the bucket off
    uint64_t refill_ms = 0;       ///< from empty to full; 0 turns the bucket off
    uint64_t one_time_burst = 0;  ///< tokens spent before all others, and never refilled
};

/// Starts full. Refilled linearly, and only when a request does not fit. One thread.
class TokenBucket {
  public:
    /// What became of a request. One larger than a full bucket passes, empties the bucket, and
    /// leaves a debt: `blocked_ns` in which nothing else may pass.
    struct Outcome {
        bool taken;
        uint64_t blocked_ns = 0;
    };

    /// `config` is not off. Times are nanoseconds of one clock that never goes back.
    TokenBucket(const TokenBucketConfig& config, uint64_t now_ns);

    Outcome take(uint64_t tokens, uint64_t now_ns);
    /// Undoes a take() that left no debt.
    void give_back(uint64_t tokens);

  private:
    void refill(uint64_t now_ns);

    uint64_t size_;
    uint64_t refill_ns_;
    uint64_t burst_;
    uint64_t budget_;
    uint64_t refilled_ns_;  ///< the time up to which the budget was refilled
};

struct RateLimits {
    TokenBucketConfig ops;
    TokenBucketConfig bytes;
};

/// A change of limits, for each bucket: nothing leaves it as it is, one that is off removes it, any
/// other replaces it by a fresh full one.
struct RateLimitsUpdate {
    std::optional<TokenBucketConfig> ops;
    std::optional<TokenBucketConfig> bytes;
};

/// Both buckets before a request; either may be off. One thread.
class RateLimiter {
  public:
    RateLimiter(const RateLimits& limits, uint64_t now_ns);

    /// True where one operation of `bytes` may pass now; its tokens are then spent.
    bool allow(uint64_t bytes, uint64_t now_ns);
    /// A debt of the bytes' bucket goes with it.
    void update(const RateLimitsUpdate& update, uint64_t now_ns);
    /// True where no request is ever held up.
    [[nodiscard]] bool unlimited() const { return !ops_ && !bytes_; }

  private:
    std::optional<TokenBucket> ops_;
    std::optional<TokenBucket> bytes_;
    uint64_t blocked_until_ns_ = 0;
};

}  // namespace mote
