#include <gtest/gtest.h>

#include <cmath>

#include "cluster/cluster_state.h"

namespace asterism {
namespace {

constexpr uint32_t tokens_per_node = 16;

NodeInfo info(uint32_t id) {
  NodeInfo node;
  node.id = NodeId{id};
  node.name = fmt::format("n{}", id);
  node.host = fmt::format("127.0.0.{}", id);
  node.place = {"dc1", "rack1"};
  node.host_id = Bytes(16, static_cast<char>(id));
  return node;
}

/// A cluster whose scope "a" has three replicas and "b" one.
struct Members {
  ClusterState state;
  uint64_t index = 0;

  explicit Members(uint32_t nodes = 3) {
    state.set_placement([](const std::string& scope, int64_t token, const Ring& ring) {
      return ring.place_simple(token, scope == "a" ? 3 : 1);
    });
    std::vector<NodeInfo> first;
    for (uint32_t i = 1; i <= nodes; ++i) first.push_back(info(i));
    EXPECT_TRUE(apply(ClusterState::bootstrap_command(first, tokens_per_node)));
    EXPECT_TRUE(apply(ClusterState::raise_level_command(newest_feature_level)));
    state.create_shards("a");
    state.create_shards("b");
  }
  Status apply(const Bytes& command) {
    auto outcome = state.apply(++index, command);
    return outcome ? Status() : Status(fail(outcome.error()));
  }
  Status add(uint32_t id) {
    NodeInfo node = info(id);
    node.tokens = joining_tokens(state.ring(), node.place, tokens_per_node, {3});
    return apply(ClusterState::add_node_command(node));
  }
  /// Every mover says once that it caught up. Returns how many shards that concerned.
  size_t catch_up() {
    size_t moved = 0;
    const auto shards = state.shards();
    for (const auto& [id, shard] : shards)
      for (NodeId mover : shard.movers()) {
        ++moved;
        EXPECT_TRUE(apply(ClusterState::caught_up_command(mover, {{id, shard.epoch}})));
      }
    return moved;
  }
  void move_all() {
    EXPECT_GT(catch_up(), 0u);
    EXPECT_GT(catch_up(), 0u);
    EXPECT_EQ(state.moving(), 0u);
  }
  /// Every token lies in one shard of each scope, and ranges meet.
  void check_whole() const {
    for (const std::string scope : {"a", "b"}) {
      const auto shards = state.shards_of(scope);
      for (size_t i = 0; i < shards.size(); ++i)
        EXPECT_EQ(shards[i]->range.after, shards[(i + shards.size() - 1) % shards.size()]->range.to);
    }
    ClusterState again;
    ASSERT_TRUE(again.restore(state.snapshot()));
    EXPECT_EQ(again.snapshot(), state.snapshot());
  }
};

double share(const ClusterState& state, NodeId node) {
  double sum = 0;
  for (const Shard* shard : state.shards_of("a"))
    if (shard->has_replica(node))
      sum += std::ldexp(
          static_cast<double>(static_cast<uint64_t>(shard->range.to) - static_cast<uint64_t>(shard->range.after)), -64);
  return sum;
}

TEST(MemberChange, ANodeThatJoinsTakesItsShareAndBecomesAMember) {
  Members cluster;
  const size_t before = cluster.state.shards_of("a").size();
  ASSERT_TRUE(cluster.add(4));
  EXPECT_EQ(cluster.state.nodes().size(), 3u) << "clients do not see it yet";
  EXPECT_EQ(cluster.state.shards_of("a").size(), before + tokens_per_node) << "its tokens split ranges";
  EXPECT_GT(cluster.state.moving(), 0u);
  cluster.check_whole();
  cluster.move_all();
  EXPECT_TRUE(cluster.state.change()) << "it has not said that it serves";
  ASSERT_TRUE(cluster.apply(ClusterState::ready_command(NodeId{4})));
  EXPECT_FALSE(cluster.state.change());
  EXPECT_EQ(cluster.state.nodes().size(), 4u);
  EXPECT_EQ(cluster.state.ring().tokens().size(), 4 * tokens_per_node);
  for (const Shard* shard : cluster.state.shards_of("a"))
    EXPECT_EQ(shard->replicas, cluster.state.ring().place_simple(shard->range.to, 3));
  for (uint32_t id = 1; id <= 4; ++id) EXPECT_NEAR(share(cluster.state, NodeId{id}), 0.75, 0.075) << id;
  cluster.check_whole();
}

TEST(MemberChange, EveryStepRaisesTheEpoch) {
  Members cluster;
  const Epoch first = cluster.state.find("a", 0)->epoch;
  ASSERT_TRUE(cluster.add(4));
  for (const auto& [id, shard] : cluster.state.shards()) {
    if (!shard.moving()) continue;
    const Epoch copying = shard.epoch;
    EXPECT_GT(copying, first);
    const std::vector<NodeId> movers = shard.movers();
    const auto tell = [&](Epoch epoch) {
      for (NodeId mover : movers) ASSERT_TRUE(cluster.apply(ClusterState::caught_up_command(mover, {{id, epoch}})));
    };
    tell(first);
    EXPECT_EQ(shard.epoch, copying) << "what was said of another epoch does not count";
    tell(copying);
    EXPECT_TRUE(shard.settling);
    EXPECT_GT(shard.epoch, copying);
    EXPECT_TRUE(shard.answers(movers.front()));
    const Epoch settling = shard.epoch;
    const std::vector<NodeId> target = shard.target;
    tell(copying);
    EXPECT_EQ(shard.epoch, settling);
    tell(settling);
    EXPECT_FALSE(shard.moving());
    EXPECT_GT(shard.epoch, settling);
    EXPECT_EQ(shard.replicas, target);
    return;
  }
}

TEST(MemberChange, OnlyOneAtATime) {
  Members cluster(4);
  ASSERT_TRUE(cluster.add(5));
  const Status second = cluster.add(6);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::already_exists);
  EXPECT_EQ(second.error().message, "one change of members at a time: n5 is joining");
  EXPECT_FALSE(cluster.apply(ClusterState::remove_node_command(NodeId{1})));
}

TEST(MemberChange, ANodeThatLeavesGoesWhenItHoldsNothingBack) {
  Members cluster(4);
  ASSERT_TRUE(cluster.apply(ClusterState::remove_node_command(NodeId{1})));
  EXPECT_TRUE(cluster.state.nodes().contains(NodeId{1}));
  cluster.move_all();
  for (const auto& [id, shard] : cluster.state.shards()) EXPECT_FALSE(shard.has_replica(NodeId{1}));
  ASSERT_TRUE(cluster.apply(ClusterState::ready_command(NodeId{1})));
  EXPECT_FALSE(cluster.state.nodes().contains(NodeId{1}));
  EXPECT_TRUE(cluster.state.removed(NodeId{1}));
  EXPECT_EQ(cluster.state.shards_of("a").size(), 3 * tokens_per_node) << "ranges that it kept apart are one again";
  cluster.check_whole();
  EXPECT_FALSE(cluster.add(1)) << "ids are never used again";
}

TEST(MemberChange, ADeadNodeGoesWithoutBeingAsked) {
  Members cluster(4);
  ASSERT_TRUE(cluster.apply(ClusterState::remove_node_command(NodeId{1}, true)));
  EXPECT_EQ(cluster.state.change()->without(), NodeId{1});
  for (const auto& [id, shard] : cluster.state.shards())
    for (NodeId mover : shard.movers()) EXPECT_NE(mover, NodeId{1});
  ClusterState copy;
  ASSERT_TRUE(copy.restore(cluster.state.snapshot()));
  EXPECT_TRUE(copy.change()->dead);
  cluster.move_all();
  EXPECT_FALSE(cluster.state.change());
  EXPECT_TRUE(cluster.state.removed(NodeId{1}));
  cluster.check_whole();
}

TEST(MemberChange, ADeadNodeStaysWhereItsRemovalIsCancelled) {
  Members cluster(4);
  ASSERT_TRUE(cluster.apply(ClusterState::remove_node_command(NodeId{1}, true)));
  ASSERT_TRUE(cluster.apply(ClusterState::cancel_command(NodeId{1})));
  EXPECT_FALSE(cluster.state.change());
  EXPECT_TRUE(cluster.state.nodes().contains(NodeId{1}));
  cluster.check_whole();
}

TEST(MemberChange, TooFewNodesMustNotBeLeft) {
  Members cluster;
  const Status refused = cluster.apply(ClusterState::remove_node_command(NodeId{3}));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("keyspace a has 3 replicas"), std::string::npos) << refused.error().message;
}

TEST(MemberChange, AReplacementTakesTokensAndShards) {
  Members cluster;
  std::vector<int64_t> tokens = cluster.state.node(NodeId{2})->tokens;
  ASSERT_TRUE(cluster.apply(ClusterState::add_node_command(info(4), NodeId{2})));
  cluster.move_all();
  ASSERT_TRUE(cluster.apply(ClusterState::ready_command(NodeId{4})));
  EXPECT_FALSE(cluster.state.nodes().contains(NodeId{2}));
  EXPECT_EQ(cluster.state.node(NodeId{4})->tokens, tokens);
  EXPECT_EQ(cluster.state.shards_of("a").size(), 3 * tokens_per_node);
  for (const Shard* shard : cluster.state.shards_of("a")) EXPECT_TRUE(shard->has_replica(NodeId{4}));
}

TEST(MemberChange, ACancelledOneMovesEverythingBack) {
  for (const bool half : {false, true}) {
    Members cluster;
    const auto placed = [&] {
      std::map<int64_t, std::vector<NodeId>> replicas;
      for (const Shard* shard : cluster.state.shards_of("a")) replicas[shard->range.to] = shard->replicas;
      return replicas;
    };
    const auto before = placed();
    ASSERT_TRUE(cluster.add(4));
    if (half) {
      size_t count = 0;
      for (int phase = 0; phase < 2; ++phase) {
        const auto shards = cluster.state.shards();
        for (const auto& [id, shard] : shards)
          if (++count % 2 == 0)
            for (NodeId mover : shard.movers())
              ASSERT_TRUE(cluster.apply(ClusterState::caught_up_command(mover, {{id, shard.epoch}})));
      }
    }
    ASSERT_TRUE(cluster.apply(ClusterState::cancel_command(NodeId{4})));
    if (half) {
      EXPECT_GT(cluster.state.moving(), 0u);
      cluster.move_all();
    }
    EXPECT_FALSE(cluster.state.change());
    EXPECT_EQ(placed(), before);
    EXPECT_TRUE(cluster.state.removed(NodeId{4}));
    cluster.check_whole();
  }
}

TEST(MemberChange, AScopeMadeMeanwhileMovesToo) {
  Members cluster;
  ASSERT_TRUE(cluster.add(4));
  cluster.state.create_shards("c");
  cluster.move_all();
  ASSERT_TRUE(cluster.apply(ClusterState::ready_command(NodeId{4})));
  for (const Shard* shard : cluster.state.shards_of("c"))
    EXPECT_EQ(shard->replicas, cluster.state.ring().place_simple(shard->range.to, 1));
  EXPECT_EQ(cluster.state.shards_of("c").size(), 4 * tokens_per_node);
}

std::vector<int64_t> shifted(const std::vector<int64_t>& tokens, size_t count) {
  std::vector<int64_t> moved = tokens;
  for (size_t i = 0; i < count; ++i) moved[i] += 1'000'000'000'000'000;
  return moved;
}

TEST(MemberChange, AMemberGetsOtherTokens) {
  Members cluster(5);
  const std::vector<int64_t> before = cluster.state.node(NodeId{2})->tokens, after = shifted(before, 4);
  const size_t shards = cluster.state.shards_of("a").size();
  ASSERT_TRUE(cluster.apply(ClusterState::move_tokens_command(NodeId{2}, before, after)));
  ASSERT_TRUE(cluster.state.change());
  EXPECT_EQ(cluster.state.change()->subject(), NodeId{2});
  EXPECT_EQ(cluster.state.node(NodeId{2})->tokens, before) << "clients see them when all is done";
  EXPECT_EQ(cluster.state.shards_of("a").size(), shards + 4);
  const size_t moving = cluster.state.moving();
  EXPECT_GT(moving, 0u);
  EXPECT_LT(moving, shards) << "a few of them";
  cluster.check_whole();
  const Status second = cluster.add(6);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message, "one change of members at a time: n2 is being rebalanced");
  cluster.move_all();
  EXPECT_FALSE(cluster.state.change()) << "nobody is asked whether it is ready";
  EXPECT_EQ(cluster.state.node(NodeId{2})->tokens, after);
  EXPECT_EQ(cluster.state.shards_of("a").size(), shards) << "ranges that its old tokens kept apart are one again";
  for (const Shard* shard : cluster.state.shards_of("a"))
    EXPECT_EQ(shard->replicas, cluster.state.ring().place_simple(shard->range.to, 3));
  EXPECT_FALSE(cluster.state.removed(NodeId{2}));
  cluster.check_whole();
}

TEST(MemberChange, OtherTokensHaveAWayBack) {
  Members cluster(5);
  const std::vector<int64_t> before = cluster.state.node(NodeId{2})->tokens;
  const Bytes whole = cluster.state.snapshot();
  ASSERT_TRUE(cluster.apply(ClusterState::move_tokens_command(NodeId{2}, before, shifted(before, 4))));
  cluster.catch_up();
  ASSERT_TRUE(cluster.apply(ClusterState::cancel_command(NodeId{2})));
  if (cluster.state.moving() > 0) cluster.move_all();
  EXPECT_FALSE(cluster.state.change());
  EXPECT_EQ(cluster.state.node(NodeId{2})->tokens, before);
  for (const Shard* shard : cluster.state.shards_of("a"))
    EXPECT_EQ(shard->replicas, cluster.state.ring().place_simple(shard->range.to, 3));
  cluster.check_whole();
}

TEST(MemberChange, TokensThatCannotBeAreRefused) {
  Members cluster(4);
  const std::vector<int64_t> own = cluster.state.node(NodeId{2})->tokens;
  const std::vector<int64_t> others = cluster.state.node(NodeId{3})->tokens;
  const auto refuse = [&](NodeId node, const std::vector<int64_t>& now, const std::vector<int64_t>& tokens) {
    EXPECT_FALSE(cluster.apply(ClusterState::move_tokens_command(node, now, tokens)));
    EXPECT_FALSE(cluster.state.change());
  };
  refuse(NodeId{9}, own, shifted(own, 1));
  refuse(NodeId{2}, shifted(own, 1), shifted(own, 2));  // it has others meanwhile
  refuse(NodeId{2}, own, {});
  refuse(NodeId{2}, own, own);
  refuse(NodeId{2}, own, others);
  refuse(NodeId{2}, own, {INT64_MIN});
  refuse(NodeId{2}, own, {own[0], own[0] + 1, own[0] + 1});
}

TEST(MemberChange, TokensStaySpreadEvenlyWhileNodesJoin) {
  Ring ring;
  const NodePlace place{"dc1", "rack1"};
  auto tokens = even_tokens(3, 16);
  for (uint32_t i = 0; i < 3; ++i) ring.add(NodeId{i + 1}, place, tokens[i]);
  for (uint32_t id = 4; id <= 6; ++id) {
    ring.add(NodeId{id}, place, joining_tokens(ring, place, 16, {3}));
    std::map<NodeId, double> stored;
    for (const TokenRange& range : ring.ranges())
      for (NodeId node : ring.place_simple(range.to, 3))
        stored[node] +=
            std::ldexp(static_cast<double>(static_cast<uint64_t>(range.to) - static_cast<uint64_t>(range.after)), -64);
    for (const auto& [node, sum] : stored) EXPECT_NEAR(sum, 3.0 / id, 0.1 * 3.0 / id) << node.value << " of " << id;
  }
}

}  // namespace
}  // namespace asterism
