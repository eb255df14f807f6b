// Keeps work of any size under a rate.
#pragma once

#include <algorithm>

#include "base/time.h"

namespace asterism {

/// Work that is done side by side shares one pace. What was not used is not saved up. The rate may change with each
/// use.
class Pace {
 public:
  /// When to go on after work of that size, at so much of it a second; `per_second` is not 0.
  Instant take(Instant now, uint64_t size, uint64_t per_second) {
    const double seconds = static_cast<double>(size) / static_cast<double>(per_second);
    free_at_ = std::max(free_at_, now) + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
    return free_at_;
  }

 private:
  Instant free_at_;
};

}  // namespace asterism
