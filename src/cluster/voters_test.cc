#include "cluster/voters.h"

#include <gtest/gtest.h>

namespace asterism {
namespace {

std::vector<NodeId> ids(std::initializer_list<uint32_t> values) {
  std::vector<NodeId> nodes;
  for (uint32_t value : values) nodes.push_back(NodeId{value});
  return nodes;
}

struct Voters {
  ClusterState state;
  raft::Configuration now;
  bool caught_up = true, may_go = true;

  explicit Voters(uint32_t nodes) {
    state.set_placement([](const std::string&, int64_t, const Ring&) { return std::vector<NodeId>(); });
    std::vector<NodeInfo> first;
    for (uint32_t i = 1; i <= nodes; ++i) {
      first.push_back(info(i));
      (i <= max_voters ? now.voters : now.learners).push_back(NodeId{i});
    }
    apply(ClusterState::bootstrap_command(first, 2));
  }
  static NodeInfo info(uint32_t id) {
    NodeInfo node;
    node.id = NodeId{id};
    node.name = fmt::format("n{}", id);
    node.tokens = {static_cast<int64_t>(id) * 1001};
    return node;
  }
  void apply(const Bytes& command) {
    auto outcome = state.apply(1, command);
    EXPECT_TRUE(outcome) << outcome.error().to_string();
  }
  std::optional<raft::ConfigurationTarget> next() const {
    return next_configuration(now, state, {[this](NodeId) { return caught_up; }, [this](NodeId) { return may_go; }});
  }
  /// Takes the step that is due.
  void step() {
    auto target = next();
    ASSERT_TRUE(target);
    now.voters = target->voters;
    now.learners = target->learners;
  }
};

TEST(Voters, ANodeThatJoinsLearnsAndVotesOnceItIsAMemberAndHasTheLog) {
  Voters group(3);
  EXPECT_FALSE(group.next());
  group.apply(ClusterState::add_node_command(Voters::info(4)));
  group.step();
  EXPECT_EQ(group.now.learners, ids({4}));
  EXPECT_FALSE(group.next()) << "it is no member yet";
  group.apply(ClusterState::ready_command(NodeId{4}));
  group.caught_up = false;
  EXPECT_FALSE(group.next());
  group.caught_up = true;
  group.step();
  EXPECT_EQ(group.now.voters, ids({1, 2, 3, 4}));
  EXPECT_FALSE(group.next());
}

TEST(Voters, ANodeThatLeftGoesAndALearnerTakesItsVote) {
  Voters group(6);
  EXPECT_EQ(group.now.learners, ids({6}));
  EXPECT_FALSE(group.next());
  group.apply(ClusterState::remove_node_command(NodeId{2}));
  EXPECT_FALSE(group.next());
  group.may_go = false;
  group.apply(ClusterState::ready_command(NodeId{2}));
  group.step();
  EXPECT_EQ(group.now.voters, ids({1, 2, 3, 4, 5, 6})) << "it has to hear that it left";
  group.may_go = true;
  group.step();
  EXPECT_EQ(group.now.voters, ids({1, 3, 4, 5, 6}));
  EXPECT_FALSE(group.next());
}

TEST(Voters, WhatIsOnItsWayIsNotDisturbed) {
  Voters group(3);
  group.apply(ClusterState::add_node_command(Voters::info(4)));
  group.now.voters_outgoing = ids({1, 2});
  EXPECT_FALSE(group.next());
}

}  // namespace
}  // namespace asterism
