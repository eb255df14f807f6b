// Port: randomness.
#pragma once

#include <cstdint>

#include "base/assert.h"

namespace asterism {

/// A source of random numbers, one per core. Good for jitter, sampling and ids that nobody wants to guess; not for
/// keys.
class Random {
 public:
  virtual ~Random() = default;
  /// 64 uniform bits.
  virtual uint64_t next() = 0;

  /// Uniform in [0, bound); bound > 0.
  uint64_t below(uint64_t bound) {
    ASSERT(bound > 0);
    return static_cast<uint64_t>((static_cast<unsigned __int128>(next()) * bound) >> 64);
  }
  /// Uniform in [least, most].
  int64_t between(int64_t least, int64_t most) {
    return least + static_cast<int64_t>(below(static_cast<uint64_t>(most - least) + 1));
  }
  /// True with the given probability.
  bool chance(double probability) { return unit() < probability; }
  /// Uniform in [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
};

}  // namespace asterism
