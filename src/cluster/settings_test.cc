#include "cluster/settings.h"

#include <gtest/gtest.h>

#include "cluster/cluster_state.h"

namespace asterism {
namespace {

TEST(ClusterSettings, NonsenseIsRefusedAndChangesNothing) {
  ClusterSettings settings;
  const ClusterSettings before = settings;
  for (const char* value : {"", "0", "-1", "12x", " 12", "1.5", "99999999999", "1000001", "fast"}) {
    const Status set = settings.set("move_mib_per_second", value);
    ASSERT_FALSE(set) << value;
    EXPECT_EQ(set.error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(set.error().message,
              fmt::format("move_mib_per_second must be a number from 1 to 1000000, not '{}'", value));
  }
  const Status neither = settings.set("balancer", "maybe");
  ASSERT_FALSE(neither);
  EXPECT_EQ(neither.error().message, "balancer must be on or off, not 'maybe'");
  const Status unknown = settings.set("colour", "red");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::not_found);
  EXPECT_NE(unknown.error().message.find("move_mib_per_second"), std::string::npos);
  EXPECT_EQ(settings, before);
}

TEST(ClusterSettings, AreKeptByTheLogAndItsSnapshots) {
  ClusterState state;
  ASSERT_TRUE(state.apply(1, ClusterState::raise_level_command(balance_feature_level)));
  ASSERT_TRUE(state.apply(1, ClusterState::set_command("move_mib_per_second", "7")));
  EXPECT_EQ(state.settings().move_mib_per_second, 7u);
  ASSERT_TRUE(state.apply(2, ClusterState::set_command("balancer", "off")));
  EXPECT_FALSE(state.settings().balancer);
  const auto refused = state.apply(3, ClusterState::set_command("move_mib_per_second", "none"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
  ClusterState again;
  ASSERT_TRUE(again.restore(state.snapshot()));
  EXPECT_EQ(again.settings(), state.settings());
  EXPECT_EQ(again.snapshot(), state.snapshot());
}

}  // namespace
}  // namespace asterism
