// How evenly nodes store what the cluster holds, and which tokens to change so that they do. Pure: what is stored comes
// in with the call.
#pragma once

#include <optional>
#include <utility>

#include "cluster/ring.h"

namespace asterism {

/// How the replicas of a scope are placed.
struct PlacementRule {
  std::optional<size_t> simple;                 // so many nodes, wherever they are
  std::map<std::string, size_t> by_datacenter;  // otherwise

  auto operator<=>(const PlacementRule&) const = default;
  std::vector<NodeId> place(int64_t token, const Ring& ring) const;
};

struct BalanceScope {
  PlacementRule rule;
  /// What one replica stores in each part of the ring: its end, ascending, and an amount in any unit. A part begins
  /// where the one before ends; the first one goes round.
  std::vector<std::pair<int64_t, double>> parts;
};

/// What each node stores beside the mean of its datacenter, which is 1.
using Shares = std::map<NodeId, double>;
Shares stored_shares(const Ring& ring, const std::vector<BalanceScope>& scopes);
/// How far the node that is farthest off is off the mean: 0.1 is 10 %.
double unevenness(const Shares& shares);

/// The balancer begins above the first, and steps are made for until the second is reached.
inline constexpr double uneven_above = 0.1, even_below = 0.05;
/// Of one node, in one step.
inline constexpr size_t tokens_per_step = 4;

/// One node gets other tokens.
struct BalanceStep {
  NodeId node;
  std::vector<int64_t> tokens;  // all that it shall have, ascending

  bool operator==(const BalanceStep&) const = default;
};

/// A step of at most tokens_per_step tokens that makes the nodes clearly more even, by the sum of the squares of what
/// each is off the mean. Nothing where they are even or no step helps enough. A step of which every one lessens the
/// same sum can be followed by no step back: it converges while what is stored stays.
std::optional<BalanceStep> next_balance_step(const Ring& ring, const std::vector<BalanceScope>& scopes);

/// Steps until there is none, as if each were carried out.
struct BalanceOutlook {
  static constexpr size_t most_steps = 64;
  Shares before, after;
  std::vector<BalanceStep> steps;
};
BalanceOutlook look_ahead(Ring ring, const std::vector<BalanceScope>& scopes,
                          size_t most_steps = BalanceOutlook::most_steps);

}  // namespace asterism
