#include "cluster/balance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace asterism {
namespace {

constexpr size_t tokens_per_node = 16;

const std::vector<std::pair<int64_t, double>> evenly{{0, 1.0}};

struct RandomCluster {
  Ring ring;
  std::vector<BalanceScope> scopes;
  size_t nodes = 0, racks = 0, factor = 0;
};

std::vector<int64_t> random_tokens(std::mt19937_64& random) {
  std::vector<int64_t> tokens(tokens_per_node);
  for (int64_t& token : tokens) token = static_cast<int64_t>(random() | 1);
  return tokens;
}

/// Nodes with tokens at random, which leave them as uneven as any cluster gets.
RandomCluster random_cluster(uint64_t seed) {
  std::mt19937_64 random(seed);
  RandomCluster cluster;
  cluster.nodes = 3 + random() % 10;
  cluster.racks = 1 + random() % 3;
  cluster.factor = 1 + random() % 3;
  for (uint32_t i = 0; i < cluster.nodes; ++i)
    cluster.ring.add(NodeId{i + 1}, {"dc1", "rack" + std::to_string(i % cluster.racks)}, random_tokens(random));
  PlacementRule rule;
  if (random() % 2 == 0)
    rule.simple = cluster.factor;
  else
    rule.by_datacenter = {{"dc1", cluster.factor}};
  cluster.scopes.push_back({rule, evenly});
  return cluster;
}

double squares(const Shares& shares) {
  double sum = 0;
  for (const auto& [node, share] : shares) sum += (share - 1) * (share - 1);
  return sum;
}

/// Where replicas must lie on racks of different sizes, the nodes of the smallest store most, whatever their tokens.
bool can_be_even(const RandomCluster& cluster) {
  return cluster.scopes[0].rule.simple || cluster.racks == 1 || cluster.factor == 1 ||
         cluster.nodes % cluster.racks == 0;
}

TEST(Balance, TheModelPlacesAsTheRingDoes) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const RandomCluster cluster = random_cluster(seed);
    std::map<NodeId, double> stored;
    double sum = 0;
    for (const TokenRange& range : cluster.ring.ranges())
      for (NodeId node : cluster.scopes[0].rule.place(range.to, cluster.ring)) {
        const double width = static_cast<double>(static_cast<uint64_t>(range.to) - static_cast<uint64_t>(range.after));
        stored[node] += width;
        sum += width;
      }
    for (const auto& [node, share] : stored_shares(cluster.ring, cluster.scopes))
      EXPECT_NEAR(share, stored[node] / sum * static_cast<double>(cluster.nodes), 1e-9) << seed;
  }
}

TEST(Balance, RandomClustersConvergeAndStay) {
  size_t even = 0, could = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    const RandomCluster cluster = random_cluster(seed);
    Ring ring = cluster.ring;
    double before = squares(stored_shares(ring, cluster.scopes));
    size_t steps = 0;
    while (auto step = next_balance_step(ring, cluster.scopes)) {
      ASSERT_LT(++steps, 40u) << seed;
      std::vector<int64_t> old;
      for (const auto& [token, node] : ring.tokens())
        if (node == step->node) old.push_back(token);
      ASSERT_EQ(step->tokens.size(), old.size()) << seed;
      std::vector<int64_t> kept;
      std::ranges::set_intersection(old, step->tokens, std::back_inserter(kept));
      ASSERT_GE(kept.size() + tokens_per_step, old.size()) << "a step is bounded, " << seed;
      const size_t tokens = ring.tokens().size();
      const NodePlace place = ring.places().at(step->node);
      ring.remove(step->node);
      ring.add(step->node, place, step->tokens);
      ASSERT_EQ(ring.tokens().size(), tokens) << "no token of another node is taken, " << seed;
      const double after = squares(stored_shares(ring, cluster.scopes));
      ASSERT_LT(after, before * 0.951) << "every step is worth it, so that none leads back, " << seed;
      before = after;
    }
    const double left = unevenness(stored_shares(ring, cluster.scopes));
    EXPECT_FALSE(next_balance_step(ring, cluster.scopes)) << seed;
    if (!can_be_even(cluster)) continue;
    ++could;
    even += left <= uneven_above;
    EXPECT_LE(left, 0.2) << seed << ": " << cluster.nodes << " nodes on " << cluster.racks << " racks, factor "
                         << cluster.factor << ", " << steps << " steps";
  }
  EXPECT_GE(static_cast<double>(even), 0.98 * static_cast<double>(could)) << even << " of " << could;
}

TEST(Balance, EvenClustersAreLeftAlone) {
  for (size_t nodes = 1; nodes <= 9; ++nodes) {
    Ring ring;
    const auto tokens = even_tokens(nodes, tokens_per_node);
    for (uint32_t i = 0; i < nodes; ++i) ring.add(NodeId{i + 1}, {"dc1", "rack1"}, tokens[i]);
    PlacementRule rule;
    rule.simple = 3;
    EXPECT_FALSE(next_balance_step(ring, {{rule, evenly}})) << nodes;
    EXPECT_FALSE(next_balance_step(ring, {})) << "nothing is stored";
  }
}

TEST(Balance, BytesCountWhereverTheyLie) {
  Ring ring;
  const auto tokens = even_tokens(6, tokens_per_node);
  for (uint32_t i = 0; i < 6; ++i) ring.add(NodeId{i + 1}, {"dc1", "rack1"}, tokens[i]);
  PlacementRule rule;
  rule.simple = 1;
  // What the first node owns holds three times as much as what the others own.
  BalanceScope scope{rule, {}};
  for (const auto& [token, node] : ring.tokens()) scope.parts.emplace_back(token, node == NodeId{1} ? 3.0 : 1.0);
  EXPECT_NEAR(stored_shares(ring, {scope}).at(NodeId{1}), 3.0 * 6 / 8, 1e-9);
  const BalanceOutlook outlook = look_ahead(ring, {scope});
  EXPECT_GT(outlook.steps.size(), 1u);
  EXPECT_GT(unevenness(outlook.before), 1);
  EXPECT_LE(unevenness(outlook.after), uneven_above);
  // Two scopes with one rule are what they are together.
  BalanceScope other{rule, evenly};
  other.parts.front().second = 16 * 6 * 100;
  EXPECT_NEAR(stored_shares(ring, {scope, other}).at(NodeId{1}), (48 + 1600) / ((128 + 9600) / 6.0), 1e-9);
}

TEST(Balance, DatacentersAreBalancedEachByItself) {
  Ring ring;
  std::mt19937_64 random(5);
  for (uint32_t i = 0; i < 7; ++i) ring.add(NodeId{i + 1}, {i < 3 ? "east" : "west", "rack1"}, random_tokens(random));
  PlacementRule rule;
  rule.by_datacenter = {{"east", 1}, {"west", 2}};
  const BalanceOutlook outlook = look_ahead(ring, {{rule, evenly}});
  EXPECT_GT(unevenness(outlook.before), uneven_above);
  EXPECT_LE(unevenness(outlook.after), uneven_above);
}

}  // namespace
}  // namespace asterism
