#include "cli/look_until.h"

#include "runtime/real/core.h"

namespace asterism {

constexpr Duration look_every = 100ms;

std::optional<Status> look_until(Duration limit, const std::function<std::optional<Status>()>& look) {
  RealCore core;
  const Instant end = core.clock().now() + limit;
  while (true) {
    if (auto outcome = look()) return outcome;
    if (core.clock().now() >= end) return std::nullopt;
    core.run_until([] { return false; }, look_every);
  }
}

}  // namespace asterism
