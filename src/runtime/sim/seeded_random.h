// The random numbers of simulated runs: xoshiro256** seeded through splitmix64.
#pragma once

#include <bit>
#include <cstdint>

#include "base/time.h"
#include "ports/random.h"

namespace asterism::sim {

/// The same seed yields the same numbers on every machine and build.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) {
    for (uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15;
      uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      word = z ^ (z >> 31);
    }
  }

  uint64_t next() override {
    const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

 private:
  uint64_t state_[4];
};

/// Uniform in [least, most].
inline Duration random_between(Random& random, Duration least, Duration most) {
  return Duration(random.between(least.count(), most.count()));
}

/// About exponential with the given mean, at most 44 means. Integers only: the C library's logarithm may differ in its
/// last bit from one processor to the next, which would make runs differ.
inline Duration random_exponential(Random& random, Duration mean) {
  const uint64_t bits = random.next() | 1;
  const int zeros = std::countl_zero(bits);
  const uint64_t mantissa = (bits << zeros) << 1 >> 1;  // the leading one removed: uniform in [0, 2^63)
  // -log2(u) lies between `zeros` and `zeros` + 1; the piece between is taken as a line.
  const uint64_t log2_q16 = (static_cast<uint64_t>(zeros) << 16) + 65536 - (mantissa >> 47);
  constexpr uint64_t ln2_q16 = 45426;
  return Duration(static_cast<int64_t>(static_cast<unsigned __int128>(mean.count()) * log2_q16 * ln2_q16 >> 32));
}

}  // namespace asterism::sim
