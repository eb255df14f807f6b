// Replicas that differ become equal without reads.
#include "datastore/simulated_replicas.h"

namespace asterism::datastore {
namespace {

TEST(AntiEntropy, MakesReplicasEqualToTheByte) {
  for (bool planted : {false, true}) {
    DivergedReplicas cluster(planted ? std::optional(Defect::repair_ignores_tombstones) : std::nullopt);
    auto before = cluster.run(0, cluster.node(0).anti_entropy.verify(cluster.machine(0).executor().now() + 60s));
    ASSERT_TRUE(before);
    EXPECT_FALSE(before->empty());
    Status rebuilt = cluster.run(2, cluster.node(2).anti_entropy.rebuild(cluster.machine(2).executor().now() + 100s));
    ASSERT_TRUE(rebuilt) << rebuilt.error().to_string();
    EXPECT_EQ(cluster.equal(), !planted);
    EXPECT_EQ(cluster.read(2, "gone", Consistency::one).value_or("none"), planted ? "1" : "");
    auto after = cluster.run(1, cluster.node(1).anti_entropy.verify(cluster.machine(1).executor().now() + 60s));
    ASSERT_TRUE(after);
    EXPECT_EQ(after->empty(), !planted);
  }
}

TEST(AntiEntropy, GoesRoundByItself) {
  DivergedReplicas cluster;
  for (size_t i = 0; i < SimulatedReplicas::machines; ++i) cluster.node(i).anti_entropy.start();
  cluster.simulation.run_for(60s);
  EXPECT_TRUE(cluster.equal());
}

}  // namespace
}  // namespace asterism::datastore
