// Two kinds of time that must not be mixed: Instant orders and measures within one node and never jumps; WallTime is
// what people and cell timestamps use, and may be skewed between nodes.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>

namespace asterism {

using Duration = std::chrono::nanoseconds;
using namespace std::chrono_literals;

/// A point on the monotonic clock of one node, in nanoseconds since an arbitrary start.
struct Instant {
  int64_t ns = 0;

  auto operator<=>(const Instant&) const = default;
  friend Instant operator+(Instant at, Duration by) { return {at.ns + by.count()}; }
  friend Instant operator-(Instant at, Duration by) { return {at.ns - by.count()}; }
  friend Duration operator-(Instant later, Instant earlier) { return Duration(later.ns - earlier.ns); }

  static constexpr Instant never() { return {INT64_MAX}; }
};

/// Microseconds since the Unix epoch.
struct WallTime {
  int64_t us = 0;
  auto operator<=>(const WallTime&) const = default;
};

}  // namespace asterism
