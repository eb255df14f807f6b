// Shards that move to a node that joins.
#include "datastore/simulated_replicas.h"

namespace asterism::datastore {
namespace {

using Kind = RequestFailure::Kind;

TEST(Mover, AShardThatMovesIsWrittenTwiceAndReadWhereItWas) {
  SimulatedReplicas cluster(31, std::nullopt, 2);
  cluster.add_third();
  const std::string key = cluster.key_that_moves();
  ASSERT_TRUE(cluster.write(0, key, "v", Consistency::quorum));
  EXPECT_TRUE(cluster.stores(0, key) && cluster.stores(1, key) && cluster.stores(2, key));
  EXPECT_EQ(cluster.read(2, key, Consistency::all).value(), "v") << "of the replicas that were";
  cluster.down(2);
  auto refused = cluster.write(0, key, "w", Consistency::quorum);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Kind::unavailable) << "two of the future replicas must answer";
  EXPECT_EQ(cluster.read(0, key, Consistency::all).value(), "v");
  ASSERT_TRUE(cluster.write(0, key, "x", Consistency::one));
  EXPECT_GE(cluster.node(0).hints.waiting(), 1u);
}

TEST(Mover, ForgettingTheSecondWriteIsSeen) {
  SimulatedReplicas cluster(31, Defect::forget_double_write, 2);
  cluster.add_third();
  const std::string key = cluster.key_that_moves();
  ASSERT_TRUE(cluster.write(0, key, "v", Consistency::quorum));
  EXPECT_FALSE(cluster.stores(2, key));
}

TEST(Mover, ARequestFromBeforeTheMoveIsRefused) {
  for (const bool planted : {false, true}) {
    SimulatedReplicas cluster(35, planted ? std::optional(Defect::keep_epoch) : std::nullopt, 2);
    const ClusterState& state = cluster.node(0).cluster;
    std::map<std::string, Shard> before;
    for (int i = 0; i < 200; ++i) {
      const std::string key = fmt::format("moves{}", i);
      before[key] = *state.find("ks", SimulatedReplicas::token(key));
    }
    cluster.add_third();
    // A range that the new tokens did not split.
    for (const auto& [key, old] : before) {
      const Shard* shard = state.find("ks", SimulatedReplicas::token(key));
      if (shard->id != old.id || shard->range != old.range || !shard->moving()) continue;
      const RequestView view{1, {{old.id, old.epoch}}};
      Mutation mutation(16, SimulatedReplicas::token(key), key);
      Row row;
      row.has_marker = true;
      row.marker.timestamp_us = 1;
      mutation.add_row("", row);
      SimulatedServices& replica = cluster.node(0);
      const Status written = cluster.run(
          0, replica.service.write(view, std::move(mutation).take(), cluster.machine(0).executor().now() + 1s));
      EXPECT_EQ(written.has_value(), planted) << key;
    }
  }
}

TEST(Mover, WhatASettlingShardIsAskedBothSetsAnswer) {
  SimulatedReplicas cluster(32, std::nullopt, 2);
  cluster.add_third();
  const std::string key = cluster.key_that_moves();
  ASSERT_TRUE(cluster.write(0, key, "v", Consistency::quorum));
  const Shard* shard = cluster.node(0).cluster.find("ks", SimulatedReplicas::token(key));
  cluster.propose(ClusterState::section_name, ClusterState::caught_up_command(NodeId{3}, {{shard->id, shard->epoch}}));
  ASSERT_TRUE(shard->settling);
  EXPECT_EQ(cluster.read(0, key, Consistency::quorum).value(), "v");
  cluster.down(2);
  auto unread = cluster.read(0, key, Consistency::quorum);
  ASSERT_FALSE(unread);
  EXPECT_EQ(unread.error().kind, Kind::unavailable);
}

TEST(Mover, AHintForAReplicaThatGoesReachesTheOneThatComes) {
  SimulatedReplicas cluster(36, std::nullopt, 2);
  cluster.add_third();
  const std::string key = cluster.key_that_moves();
  const Shard* shard = cluster.node(0).cluster.find("ks", SimulatedReplicas::token(key));
  for (const bool settling : {false, true}) {
    ASSERT_EQ(shard->settling, settling);
    Mutation mutation(16, SimulatedReplicas::token(key), key);
    Row row;
    row.has_marker = true;
    row.marker.timestamp_us = settling ? 2 : 1;
    mutation.add_row("", row);
    // As of a write at ANY that was acknowledged while the first node was down.
    ASSERT_TRUE(cluster.run(1, cluster.node(1).hints.store(NodeId{1}, std::move(mutation).take())));
    ASSERT_TRUE(cluster.simulation.run_until([&] { return cluster.node(1).hints.waiting() == 0; }, 30s));
    EXPECT_TRUE(cluster.stores(0, key));
    EXPECT_EQ(cluster.rows_of(0, key), cluster.rows_of(2, key));
    if (!settling)
      cluster.propose(ClusterState::section_name,
                      ClusterState::caught_up_command(NodeId{3}, {{shard->id, shard->epoch}}));
  }
}

TEST(Mover, ANodeThatJoinsEndsUpWithItsRowsAndTheOthersWithoutThem) {
  SimulatedReplicas cluster(33, std::nullopt, 2);
  std::vector<std::string> keys;
  for (int i = 0; i < 120; ++i) {
    keys.push_back(fmt::format("k{}", i));
    ASSERT_TRUE(cluster.write(i % 2, keys.back(), keys.back(), Consistency::quorum));
  }
  cluster.add_third();
  cluster.start_movers();
  ASSERT_TRUE(cluster.simulation.run_until([&] { return !cluster.node(0).cluster.change(); }, 60s));
  cluster.simulation.run_for(5s);
  EXPECT_EQ(cluster.node(0).cluster.nodes().size(), 3u);
  for (const std::string& key : keys) {
    const Shard* shard = cluster.node(0).cluster.find("ks", SimulatedReplicas::token(key));
    for (uint32_t i = 0; i < SimulatedReplicas::machines; ++i)
      EXPECT_EQ(cluster.stores(i, key), shard->has_replica(NodeId{i + 1})) << key << " on n" << i + 1;
    EXPECT_EQ(cluster.read(0, key, Consistency::all).value(), key);
  }
  for (uint32_t i = 0; i < SimulatedReplicas::machines; ++i)
    EXPECT_NEAR(static_cast<double>(cluster.stored(i).size()), 80, 20);
}

TEST(Mover, ShardsMoveAsFastAsTheClusterAllows) {
  std::map<uint32_t, Duration> took;
  uint64_t moved_bytes = 0;
  for (const uint32_t mib : {1u, 1000u}) {
    SimulatedReplicas cluster(37, std::nullopt, 2);
    cluster.propose(ClusterState::section_name, ClusterState::raise_level_command(newest_feature_level));
    cluster.propose(ClusterState::section_name, ClusterState::set_command("move_mib_per_second", std::to_string(mib)));
    for (int i = 0; i < 100; ++i)
      ASSERT_TRUE(cluster.write(i % 2, fmt::format("k{}", i), std::string(100'000, 'v'), Consistency::quorum));
    const Instant began = cluster.simulation.now();
    cluster.add_third();
    cluster.start_movers();
    ASSERT_TRUE(cluster.simulation.run_until([&] { return !cluster.node(0).cluster.change(); }, 100s));
    took[mib] = cluster.simulation.now() - began;
    moved_bytes = cluster.node(2).anti_entropy.counters().moved_bytes;
  }
  EXPECT_GT(moved_bytes, 5u << 20);
  EXPECT_GT(took[1], std::chrono::seconds(moved_bytes >> 20));
  EXPECT_LT(took[1], std::chrono::seconds(3 * (moved_bytes >> 20)));
  EXPECT_LT(took[1000], took[1] / 2);
}

TEST(Mover, ANodeThatLostItsFenceCatchesUpOnceItKnowsItAgain) {
  SimulatedReplicas cluster(34, std::nullopt, 2);
  std::vector<std::string> keys;
  for (int i = 0; i < 40; ++i) {
    keys.push_back(fmt::format("k{}", i));
    ASSERT_TRUE(cluster.write(i % 2, keys.back(), keys.back(), Consistency::quorum));
  }
  cluster.node(2).service.fence_lost();
  cluster.add_third();
  cluster.start_movers();
  EXPECT_FALSE(cluster.write(0, cluster.key_that_moves(), "v", Consistency::quorum, 2s)) << "the third does not answer";
  cluster.simulation.run_for(20s);
  ASSERT_TRUE(cluster.node(0).cluster.change());
  ASSERT_TRUE(cluster.run(2, cluster.node(2).service.renew_fence()));
  ASSERT_TRUE(cluster.simulation.run_until([&] { return !cluster.node(0).cluster.change(); }, 60s));
  for (const std::string& key : keys) EXPECT_EQ(cluster.read(0, key, Consistency::all).value(), key);
}

}  // namespace
}  // namespace asterism::datastore
