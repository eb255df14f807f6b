#include "datastore/shard_sizes.h"

#include <gtest/gtest.h>

#include "datastore/simulated_replicas.h"

namespace asterism::datastore {
namespace {

/// Three nodes that tell what they store and do.
struct TellingReplicas : SimulatedReplicas {
  std::vector<std::unique_ptr<ShardSizes>> sizes;

  std::optional<Bytes> old_answer;  // of the second node, where it is of an older version

  explicit TellingReplicas(bool second_is_old = false) {
    propose(ClusterState::section_name, ClusterState::raise_level_command(balance_feature_level));
    for (size_t i = 0; i < machines; ++i) {
      SimulatedServices& s = node(i);
      if (i == 1 && second_is_old) {
        s.rpc.handle(rpc_method::shard_sizes, [this](RpcRequest) -> Task<Result<Bytes>> { co_return *old_answer; });
        continue;
      }
      sizes.push_back(std::make_unique<ShardSizes>(s.id, machine(i).executor(), s.rpc, s.cluster, s.schema, s.liveness,
                                                   s.replica, s.service.load()));
    }
    look();
  }
  void look() {
    for (size_t i = 0; i < machines; ++i) node(i).service.load().advance(machine(i).executor().now());
  }
  double now_s() { return std::chrono::duration<double>(machine(0).executor().now() - Instant{}).count(); }
  std::vector<BalanceScope> measure() {
    simulation.run_for(60s);
    return run(0, sizes[0]->measure(machine(0).executor().now() + 5s));
  }
};

double sum_of(const std::vector<std::pair<int64_t, double>>& parts) {
  double sum = 0;
  for (const auto& [to, amount] : parts) sum += amount;
  return sum;
}

TEST(ShardSizes, LoadIsTheMeanOfTheReplicasWhereTheWorkIs) {
  TellingReplicas cluster;
  const double began = cluster.now_s();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(cluster.write(0, "key", "value", Consistency::all));
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(cluster.read(0, "key", Consistency::one));     // this node alone
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(cluster.read(1, "key", Consistency::quorum));  // and two nodes
  const auto scopes = cluster.measure();
  const double passed = cluster.now_s() - began;
  ASSERT_EQ(scopes.size(), 1u);
  ASSERT_EQ(scopes[0].load.size(), RingLoad::cells);
  EXPECT_EQ(scopes[0].load.back().first, INT64_MAX);
  EXPECT_NEAR(sum_of(scopes[0].load) * passed, 20 * 3 + (30 + 2 * 30) / 3.0, 8) << "each request once by replica";
  EXPECT_NEAR(scopes[0].load[RingLoad::cell_of(SimulatedReplicas::token("key"))].second, sum_of(scopes[0].load), 1e-9);
  EXPECT_GE(sum_of(scopes[0].parts), ShardSizes::least_bytes * 0.99);
  const LoadShares shares = load_shares(cluster.node(0).cluster.ring(), scopes);
  EXPECT_NEAR(shares.mean, sum_of(scopes[0].load), 1e-6);
  EXPECT_FALSE(shares.matters());
}

TEST(ShardSizes, WhatNoClientAsksForIsNoLoad) {
  TellingReplicas cluster;
  cluster.simulation.network().partition({2}, {0, 1});
  cluster.simulation.run_for(5s);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(cluster.write(0, "key", "value", Consistency::quorum));
  cluster.look();
  ASSERT_FALSE(cluster.stores(2, "key"));
  cluster.simulation.network().heal();
  ASSERT_TRUE(cluster.simulation.run_until([&] { return cluster.stores(2, "key"); }, 120s)) << "by a hint";
  cluster.simulation.run_for(2s);
  RingLoad& load = cluster.node(2).service.load();
  load.advance(cluster.machine(2).executor().now());
  EXPECT_GT(cluster.node(0).hints.counters().delivered, 0u);
  EXPECT_EQ(load.total(), 0);
  ASSERT_TRUE(cluster.write(0, "key", "value", Consistency::all));
  cluster.simulation.run_for(2s);
  load.advance(cluster.machine(2).executor().now());
  EXPECT_GT(load.total(), 0) << "but a write is";
}

TEST(ShardSizes, OlderNodesTellSizesAndNoLoad) {
  TellingReplicas cluster(true);
  ASSERT_TRUE(cluster.write(0, "key", "value", Consistency::all));
  using namespace std::string_view_literals;
  for (const std::string_view answer : {"\x00"sv, "\x01"sv, "\x01\x01"sv, "\x00\x7f\x01"sv, "\x00\x01\x00\x00\x05"sv}) {
    cluster.old_answer = Bytes(answer);  // the others are malformed
    const auto scopes = cluster.measure();
    EXPECT_TRUE(scopes[0].load.empty()) << "unknown";
    EXPECT_GT(sum_of(scopes[0].parts), 0);
  }
}

}  // namespace
}  // namespace asterism::datastore
