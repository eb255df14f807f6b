// What operators set for the whole cluster while it runs. Kept in the metadata log (cluster_state.h).
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace asterism {

struct ClusterSettings {
  static constexpr uint32_t most_move_mib_per_second = 1'000'000;

  /// Of rows that each node fetches and sends to catch up with the shards that move to it, at most.
  uint32_t move_mib_per_second = 64;
  /// Nodes that are uneven for a while get other tokens by themselves.
  bool balancer = true;

  /// Errors: not_found (no such setting), invalid_argument naming what it may be. Then nothing changes.
  Status set(std::string_view name, std::string_view value);
  /// All of them as set() takes them.
  std::map<std::string, std::string> list() const;

  bool operator==(const ClusterSettings&) const = default;
};

}  // namespace asterism
