// Steps of the balancer where nodes have more to do than others.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>

#include "cluster/balance.h"

namespace asterism {
namespace {

constexpr size_t tokens_per_node = 16;
constexpr size_t cells = 2048;
constexpr double much = 100'000;  // reads a second, by node

double squares(const Shares& shares) {
  double sum = 0;
  for (const auto& [node, share] : shares) sum += (share - 1) * (share - 1);
  return sum;
}

/// Keys that clients ask for, and how often. What the balancer sees of them is where on the ring they lie, by cells.
struct Load {
  std::vector<std::pair<int64_t, double>> keys;

  /// Zipf over keys; the hottest one has `hot` of the sum where that is more.
  Load(std::mt19937_64& random, size_t count, double exponent, double hot = 0) {
    double sum = 0;
    for (size_t i = 0; i < count; ++i) {
      keys.emplace_back(static_cast<int64_t>(random()), std::pow(static_cast<double>(i + 1), -exponent));
      sum += keys.back().second;
    }
    if (hot > 0) keys.front().second = (sum - keys.front().second) * hot / (1 - hot);
  }
  /// With an error of each cell, as one look after the other has it.
  std::vector<std::pair<int64_t, double>> seen(double by_second, std::mt19937_64* random = nullptr) const {
    std::vector<std::pair<int64_t, double>> parts;
    for (size_t i = 1; i <= cells; ++i)
      parts.emplace_back(static_cast<int64_t>((uint64_t{i} << 53) - 1) ^ INT64_MIN, 0.0);
    double sum = 0;
    for (const auto& [token, amount] : keys) sum += amount;
    std::uniform_real_distribution<double> error(0.97, 1.03);
    for (const auto& [token, amount] : keys)
      parts[(static_cast<uint64_t>(token) ^ (uint64_t{1} << 63)) >> 53].second += amount / sum * by_second;
    if (random != nullptr)
      for (auto& [to, amount] : parts) amount *= error(*random);
    return parts;
  }
  /// What nodes really do.
  Shares shares(const Ring& ring, const PlacementRule& rule) const {
    Shares shares;
    double sum = 0;
    for (const auto& [id, place] : ring.places()) shares[id] = 0;
    for (const auto& [token, amount] : keys)
      for (NodeId node : rule.place(token, ring)) {
        shares[node] += amount;
        sum += amount;
      }
    for (auto& [id, share] : shares) share *= static_cast<double>(shares.size()) / sum;
    return shares;
  }
};

struct LoadedCluster {
  Ring ring;
  PlacementRule rule;
  size_t nodes = 0, factor = 0;

  /// What one replica of everything does, so that each node does much.
  double one_replica() const { return much * static_cast<double>(nodes) / static_cast<double>(factor); }
  BalanceScope scope(std::vector<std::pair<int64_t, double>> load) const { return {rule, {{0, 1.0}}, std::move(load)}; }
};

LoadedCluster random_cluster(uint64_t seed) {
  std::mt19937_64 random(seed);
  LoadedCluster cluster;
  cluster.factor = 1 + random() % 3;
  cluster.nodes = cluster.factor + 2 + random() % 6;
  cluster.rule.simple = cluster.factor;
  for (uint32_t i = 0; i < cluster.nodes; ++i) {
    std::vector<int64_t> tokens(tokens_per_node);
    for (int64_t& token : tokens) token = static_cast<int64_t>(random() | 1);
    cluster.ring.add(NodeId{i + 1}, {"dc1", "rack1"}, tokens);
  }
  return cluster;
}

void carry_out(Ring& ring, const BalanceStep& step) {
  const NodePlace place = ring.places().at(step.node);
  ring.remove(step.node);
  ring.add(step.node, place, step.tokens);
}

std::set<std::pair<int64_t, NodeId>> tokens_of(const Ring& ring) {
  std::set<std::pair<int64_t, NodeId>> tokens;
  for (const auto& [token, node] : ring.tokens()) tokens.emplace(token, node);
  return tokens;
}

/// Steps by themselves until there is none, first for bytes and then for load. Returns how many were for load.
size_t balance(Ring& ring, const std::vector<BalanceScope>& scopes) {
  std::set<std::set<std::pair<int64_t, NodeId>>> rings{tokens_of(ring)};
  bool was_even = false;
  for (size_t steps = 0, for_load = 0;; ++steps) {
    if (steps > 60) ADD_FAILURE() << "steps do not end";
    const bool even = unevenness(stored_shares(ring, scopes)) <= uneven_above;
    if (!even && was_even) ADD_FAILURE() << "bytes that were even are no more";
    was_even = even;
    const Shares stored = stored_shares(ring, scopes), load = load_shares(ring, scopes).shares;
    auto step = even ? std::nullopt : next_balance_step(ring, scopes, BalanceAim::bytes);
    const bool for_bytes = step.has_value();
    if (!step && load_shares(ring, scopes).excess() > busy_above)
      step = next_balance_step(ring, scopes, BalanceAim::load);
    if (!step || steps > 60) return for_load;
    carry_out(ring, *step);
    if (!rings.insert(tokens_of(ring)).second) ADD_FAILURE() << "a ring that was there before";
    if (for_bytes) {
      EXPECT_LT(squares(stored_shares(ring, scopes)), squares(stored) * 0.951);
      continue;
    }
    ++for_load;
    EXPECT_LT(squares(load_shares(ring, scopes).shares), squares(load) * 0.801);
    if (even)
      EXPECT_LE(unevenness(stored_shares(ring, scopes)), std::max(kept_even, unevenness(stored)) + 1e-9);
    else
      EXPECT_LE(squares(stored_shares(ring, scopes)), squares(stored) + 1e-9);
  }
}

TEST(BalanceLoad, SkewedLoadIsEvenedAndBytesStayEven) {
  size_t skewed = 0, calm = 0, steps = 0;
  for (uint64_t seed = 1; seed <= 80; ++seed) {
    std::mt19937_64 random(seed * 1000);
    const LoadedCluster cluster = random_cluster(seed);
    const Load load(random, 5'000, 0.6 + 0.05 * static_cast<double>(seed % 8));
    const std::vector<BalanceScope> scopes{cluster.scope(load.seen(cluster.one_replica()))};
    EXPECT_NEAR(load_shares(cluster.ring, scopes).mean, much, 1);
    Ring ring = cluster.ring;
    balance(ring, {cluster.scope({})});
    const size_t for_load = balance(ring, scopes);
    EXPECT_LE(unevenness(stored_shares(ring, scopes)), 0.15) << seed;
    if (for_load == 0) continue;
    ++skewed;
    steps += for_load;
    // The model knows cells, clients ask for keys.
    calm += LoadShares{load.shares(ring, cluster.rule), much}.excess() <= busy_above + 0.02;
  }
  EXPECT_GE(skewed, 10u);
  EXPECT_GE(calm, skewed - 2) << "of " << skewed;
  EXPECT_LE(steps, 2 * skewed) << "a step or two are enough";
}

/// One key has most of the load, which no tokens can split.
TEST(BalanceLoad, AHotPartitionIsNotMovedAboutAgainAndAgain) {
  size_t most = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    std::mt19937_64 random(seed * 77);
    const LoadedCluster cluster = random_cluster(seed);
    const Load load(random, 5'000, 0.3, 0.3 + 0.1 * static_cast<double>(seed % 7));
    Ring ring = cluster.ring;
    balance(ring, {cluster.scope({})});
    const std::vector<BalanceScope> scopes{cluster.scope(load.seen(cluster.one_replica()))};
    const size_t for_load = balance(ring, scopes);
    most = std::max(most, for_load);
    const auto hottest = cluster.rule.place(load.keys.front().first, ring);
    EXPECT_GT(load.shares(ring, cluster.rule).at(hottest.front()), 1) << seed;
    for (int look = 0; look < 10; ++look) {
      const std::vector<BalanceScope> again{cluster.scope(load.seen(cluster.one_replica(), &random))};
      const bool begins = load_shares(ring, again).excess() > busy_above + 0.02;
      EXPECT_FALSE(begins && next_balance_step(ring, again, BalanceAim::load)) << "nothing moves again, " << seed;
    }
  }
  EXPECT_LE(most, 3u) << "steps in all";
}

/// As the balancer looks: each time with another error.
TEST(BalanceLoad, WhatIsMeasuredWithErrorsMovesNothingBackAndForth) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed * 31);
    const LoadedCluster cluster = random_cluster(seed);
    const Load load(random, 5'000, 0.6 + 0.05 * static_cast<double>(seed % 8));
    Ring ring = cluster.ring;
    std::set<std::set<std::pair<int64_t, NodeId>>> rings{tokens_of(ring)};
    size_t last = 0;
    for (size_t look = 1; look <= 60; ++look) {
      const std::vector<BalanceScope> scopes{cluster.scope(load.seen(cluster.one_replica(), &random))};
      std::optional<BalanceStep> step;
      if (unevenness(stored_shares(ring, scopes)) > uneven_above)
        step = next_balance_step(ring, scopes, BalanceAim::bytes);
      else if (load_shares(ring, scopes).excess() > busy_above)
        step = next_balance_step(ring, scopes, BalanceAim::load);
      if (!step) continue;
      last = look;
      carry_out(ring, *step);
      EXPECT_TRUE(rings.insert(tokens_of(ring)).second) << seed;
    }
    EXPECT_LE(last, 40u) << "it came to rest, " << seed;
    EXPECT_LE(unevenness(stored_shares(ring, {cluster.scope({})})), 0.15) << seed;
  }
}

/// asterism rebalance, which goes further and may be said as often as anybody likes.
TEST(BalanceLoad, ByHandItEndsAsWell) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    std::mt19937_64 random(seed * 13);
    const LoadedCluster cluster = random_cluster(seed);
    const Load load(random, 5'000, 0.6 + 0.05 * static_cast<double>(seed % 12), seed % 3 == 0 ? 0.5 : 0);
    const std::vector<BalanceScope> scopes{cluster.scope(load.seen(cluster.one_replica()))};
    Ring ring = cluster.ring;
    std::set<std::set<std::pair<int64_t, NodeId>>> rings{tokens_of(ring)};
    bool was_even = false;
    while (auto step = next_balance_step(ring, scopes)) {
      carry_out(ring, *step);
      ASSERT_TRUE(rings.insert(tokens_of(ring)).second) << "a ring that was there before, " << seed;
      ASSERT_LT(rings.size(), 60u) << seed;
      const bool even = unevenness(stored_shares(ring, scopes)) <= uneven_above;
      ASSERT_TRUE(even || !was_even) << "bytes that were even are no more, " << seed;
      was_even = even;
    }
    EXPECT_TRUE(look_ahead(ring, scopes).steps.empty());
    EXPECT_FALSE(next_balance_step(ring, scopes, BalanceAim::load)) << seed;
  }
}

/// Of steps that are as good for bytes, those are made that are good for load too.
TEST(BalanceLoad, StepsForBytesLookAtLoadAsWell) {
  double known = 0, unknown = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    std::mt19937_64 random(seed * 7);
    const LoadedCluster cluster = random_cluster(seed);
    const Load load(random, 5'000, 0.6 + 0.05 * static_cast<double>(seed % 8));
    for (const bool tells : {true, false}) {
      Ring ring = cluster.ring;
      const auto parts = tells ? load.seen(cluster.one_replica()) : std::vector<std::pair<int64_t, double>>();
      for (const BalanceStep& step : look_ahead(ring, {cluster.scope(parts)}, 40, BalanceAim::bytes).steps)
        carry_out(ring, step);
      EXPECT_LE(unevenness(stored_shares(ring, {cluster.scope({})})), 0.15) << seed;
      (tells ? known : unknown) += LoadShares{load.shares(ring, cluster.rule), much}.excess();
    }
  }
  EXPECT_LT(known, unknown * 0.9);
}

TEST(BalanceLoad, IdleAndUnknownLoadMovesNothing) {
  std::mt19937_64 random(1);
  const LoadedCluster cluster = random_cluster(1);
  const Load load(random, 10, 1, 0.9);
  Ring ring = cluster.ring;
  balance(ring, {cluster.scope({})});
  const double little = LoadShares::least_mean * 0.99 / much * cluster.one_replica();
  for (const auto& parts : {load.seen(little), std::vector<std::pair<int64_t, double>>()}) {
    const std::vector<BalanceScope> scopes{cluster.scope(parts)};
    EXPECT_FALSE(load_shares(ring, scopes).matters());
    EXPECT_FALSE(next_balance_step(ring, scopes, BalanceAim::load));
    EXPECT_EQ(next_balance_step(ring, scopes), next_balance_step(ring, {cluster.scope({})})) << "bytes alone";
  }
  EXPECT_EQ(load_shares(ring, {cluster.scope({})}).excess(), 0);
}

TEST(BalanceLoad, NodesThatAllStoreEverythingAreAlike) {
  LoadedCluster cluster;
  std::mt19937_64 random(9);
  for (uint32_t i = 0; i < 3; ++i)
    cluster.ring.add(NodeId{i + 1}, {"dc1", "rack1"}, {static_cast<int64_t>(random()), static_cast<int64_t>(random())});
  cluster.rule.simple = 3;
  const std::vector<BalanceScope> scopes{cluster.scope(Load(random, 10, 1, 0.9).seen(much))};
  EXPECT_NEAR(load_shares(cluster.ring, scopes).excess(), 0, 1e-9);
  EXPECT_NEAR(load_shares(cluster.ring, scopes).mean, much, 1);
  EXPECT_FALSE(next_balance_step(cluster.ring, scopes));
}

/// Racks of different sizes are uneven for good; load is evened among what is left then, at no cost of bytes.
TEST(BalanceLoad, WhereBytesCannotBeEvenLoadMakesThemNoWorse) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    std::mt19937_64 random(seed);
    LoadedCluster cluster;
    cluster.nodes = 7;
    cluster.rule.by_datacenter = {{"dc1", 2}};
    for (uint32_t i = 0; i < 7; ++i) {
      std::vector<int64_t> tokens(tokens_per_node);
      for (int64_t& token : tokens) token = static_cast<int64_t>(random() | 1);
      cluster.ring.add(NodeId{i + 1}, {"dc1", i < 2 ? "rack1" : "rack2"}, tokens);
    }
    const std::vector<BalanceScope> scopes{cluster.scope(Load(random, 1'000, 0.9).seen(much * 7 / 2))};
    Ring ring = cluster.ring;
    balance(ring, scopes);  // which looks at every step
    EXPECT_GT(unevenness(stored_shares(ring, scopes)), uneven_above);
  }
}

}  // namespace
}  // namespace asterism
