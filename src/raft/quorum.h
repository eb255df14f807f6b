// Majorities of simple and joint configurations (4.3).
#pragma once

#include <algorithm>
#include <array>

#include "base/assert.h"
#include "raft/configuration.h"

namespace asterism::raft {

constexpr size_t majority_of(size_t voters) { return voters / 2 + 1; }

/// The highest value that a majority of the voters has reached. A configuration without voters has reached nothing.
template <class ValueOf>
uint64_t majority_value(const std::vector<NodeId>& voters, ValueOf&& value_of) {
  if (voters.empty()) return 0;
  ASSERT(voters.size() <= max_members);
  std::array<uint64_t, max_members> values;
  for (size_t i = 0; i < voters.size(); ++i) values[i] = value_of(voters[i]);
  auto at = values.begin() + static_cast<ptrdiff_t>(majority_of(voters.size()) - 1);
  std::nth_element(values.begin(), at, values.begin() + static_cast<ptrdiff_t>(voters.size()), std::greater<>());
  return *at;
}

/// The same for both halves of a joint configuration: the lower of the two.
template <class ValueOf>
uint64_t quorum_value(const Configuration& configuration, ValueOf&& value_of) {
  uint64_t value = majority_value(configuration.voters, value_of);
  if (configuration.joint()) value = std::min(value, majority_value(configuration.voters_outgoing, value_of));
  return value;
}

template <class Holds>
bool has_quorum(const Configuration& configuration, Holds&& holds) {
  return quorum_value(configuration, [&](NodeId node) -> uint64_t { return holds(node) ? 1 : 0; }) == 1;
}

/// True where even the nodes for which `may` holds cannot make a quorum any more.
template <class May>
bool quorum_lost(const Configuration& configuration, May&& may) {
  return !has_quorum(configuration, may);
}

/// A majority of the voters other than `self`, in both halves; never where there is no other (recovery, config.h).
template <class Holds>
bool has_majority_of_others(const Configuration& configuration, NodeId self, Holds&& holds) {
  auto half = [&](const std::vector<NodeId>& voters) {
    size_t others = 0, held = 0;
    for (NodeId node : voters) {
      if (node == self) continue;
      ++others;
      held += holds(node) ? 1 : 0;
    }
    return held >= majority_of(others);
  };
  return half(configuration.voters) && (!configuration.joint() || half(configuration.voters_outgoing));
}

}  // namespace asterism::raft
