#include "cluster/feature_level.h"

#include <gtest/gtest.h>

#include "cluster/cluster_state.h"

namespace asterism {
namespace {

TEST(FeatureLevel, ACommandOfALevelThatIsNotActiveChangesNothing) {
  ClusterState state;
  EXPECT_EQ(state.level(), first_feature_level);
  const Bytes before = state.snapshot();
  for (const Bytes& command :
       {ClusterState::set_command("balancer", "off"), ClusterState::move_tokens_command(NodeId{1}, {1}, {2})}) {
    const auto refused = state.apply(1, command);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::unsupported);
    EXPECT_EQ(refused.error().message,
              "this needs feature level 2, and the cluster is at 1 until every node supports more");
  }
  EXPECT_EQ(state.snapshot(), before);
  ASSERT_TRUE(state.apply(2, ClusterState::raise_level_command(2)));
  EXPECT_TRUE(state.apply(3, ClusterState::set_command("balancer", "off")));
}

TEST(FeatureLevel, NeverFalls) {
  ClusterState state;
  ASSERT_TRUE(state.apply(1, ClusterState::raise_level_command(2)));
  ASSERT_TRUE(state.apply(2, ClusterState::raise_level_command(1)));
  EXPECT_EQ(state.level(), 2u);
  ClusterState again;
  ASSERT_TRUE(again.restore(state.snapshot()));
  EXPECT_EQ(again.level(), 2u);
}

TEST(FeatureLevel, BeyondWhatTheNodeSupportsNothingIsApplied) {
  ClusterState cluster;
  cluster.set_supported_level(1);
  MetadataState state;
  state.add_section(ClusterState::section_name, cluster);
  state.set_guard([&] { return cluster.check_level(); });
  const auto record = [](const Bytes& command) {
    return MetadataState::encode_record(ClusterState::section_name, command);
  };
  ASSERT_TRUE(state.apply(1, record(ClusterState::raise_level_command(2))));
  EXPECT_FALSE(cluster.check_level());
  const auto refused = state.apply(2, record(ClusterState::set_command("balancer", "off")));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::unsupported);
  EXPECT_EQ(state.applied_index(), 1u) << "nobody takes it for a node that knows as much";
  EXPECT_TRUE(cluster.settings().balancer);
}

TEST(FeatureLevel, ASnapshotOfALaterLevelIsRefused) {
  ClusterState newer;
  ASSERT_TRUE(newer.apply(1, ClusterState::raise_level_command(2)));
  ClusterState older;
  older.set_supported_level(1);
  const Status refused = older.restore(newer.snapshot());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::unsupported);
  EXPECT_NE(refused.error().message.find("supports no more than 1"), std::string::npos);
  EXPECT_FALSE(older.check_level()) << "it remembers why";
}

}  // namespace
}  // namespace asterism
