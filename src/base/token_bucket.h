// How often something may happen: up to `burst` times at once, and `rate` times a second in the long run.
#pragma once

#include <algorithm>
#include <optional>

#include "base/time.h"

namespace asterism {

/// Starts full. Rate and burst are given with each use, so that they may change; instants never go back.
class TokenBucket {
 public:
  /// False where it happened too often lately; then nothing is taken.
  bool take(Instant now, double rate, double burst) {
    const double left = level(now, rate, burst);
    used_at_ = now;
    level_ = left < 1 ? left : left - 1;
    return left >= 1;
  }
  /// Nothing was taken lately: a new one would do as well.
  bool full(Instant now, double rate, double burst) const { return level(now, rate, burst) >= burst; }

 private:
  double level(Instant now, double rate, double burst) const {
    if (!level_) return burst;
    return std::min(burst, *level_ + rate * std::chrono::duration<double>(now - used_at_).count());
  }

  std::optional<double> level_;
  Instant used_at_;
};

}  // namespace asterism
