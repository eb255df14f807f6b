// Port: time.
#pragma once

#include "base/time.h"

namespace asterism {

/// Reads the clocks of one node. Both calls are cheap, cannot fail and may be made from any core. Waiting is the
/// Executor's business (runtime/executor.h).
class Clock {
 public:
  virtual ~Clock() = default;
  /// Monotonic; does not count the time for which the machine was suspended.
  virtual Instant now() const = 0;
  /// May be skewed against other nodes and may step in either direction.
  virtual WallTime wall_now() const = 0;
};

}  // namespace asterism
