// How evenly nodes store what the cluster holds and do its work, and which tokens to change so that they do. Pure: what
// is stored and done comes in with the call.
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
  /// The work that one replica does, likewise, in reads of a small row a second; empty where it is not known. These
  /// parts must not depend on the ring: steps cut no part, and go on while the same work is seen in them.
  std::vector<std::pair<int64_t, double>> load{};
};

/// What each node stores, or does, beside the mean of its datacenter, which is 1.
using Shares = std::map<NodeId, double>;
Shares stored_shares(const Ring& ring, const std::vector<BalanceScope>& scopes);
/// How far the node that is farthest off is off the mean: 0.1 is 10 %.
double unevenness(const Shares& shares);

/// The same for load, of each replica of a range alike.
struct LoadShares {
  Shares shares;
  double mean = 0;  // reads of a small row a second, by node

  /// Less than that is not worth moving anything: some percent of a core.
  static constexpr double least_mean = 5000;
  bool matters() const { return mean >= least_mean; }
  /// How much more than the mean the busiest node does.
  double excess() const;
};
LoadShares load_shares(const Ring& ring, const std::vector<BalanceScope>& scopes);

/// The balancer begins above the first, and steps are made for until the second is reached.
inline constexpr double uneven_above = 0.1, even_below = 0.05;
/// The same for what the busiest node does more than the mean.
inline constexpr double busy_above = 0.3, busy_below = 0.15;
/// What nodes store stays as even as this where load is evened, or as it is.
inline constexpr double kept_even = 0.08;
/// Of one node, in one step.
inline constexpr size_t tokens_per_step = 4;

/// One node gets other tokens.
struct BalanceStep {
  NodeId node;
  std::vector<int64_t> tokens;  // all that it shall have, ascending

  bool operator==(const BalanceStep&) const = default;
};

/// What a step may be for.
enum class BalanceAim : uint8_t { bytes, load, both };

/// A step of at most tokens_per_step tokens that makes the nodes clearly more even, by the sum of the squares of what
/// each is off the mean. Nothing where they are even or no step helps enough.
///
/// Bytes go first: while a node is more than uneven_above off, steps are for bytes, and one for load makes them no more
/// uneven in any way. Later steps lessen the sum for bytes and load together and never lead beyond uneven_above again.
/// So no sequence of steps leads back: it converges while what is stored and what is done in each part stay.
std::optional<BalanceStep> next_balance_step(const Ring& ring, const std::vector<BalanceScope>& scopes,
                                             BalanceAim aim = BalanceAim::both);

/// Steps until there is none, as if each were carried out.
struct BalanceOutlook {
  static constexpr size_t most_steps = 64;
  Shares before, after;
  LoadShares load_before, load_after;
  std::vector<BalanceStep> steps;
};
BalanceOutlook look_ahead(Ring ring, const std::vector<BalanceScope>& scopes,
                          size_t most_steps = BalanceOutlook::most_steps, BalanceAim aim = BalanceAim::both);

}  // namespace asterism
