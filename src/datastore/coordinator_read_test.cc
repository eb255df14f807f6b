// Reads of slow replicas, of replicas that differ, and of ranges.
#include "datastore/simulated_replicas.h"

namespace asterism::datastore {
namespace {

TEST(Coordinator, ReadsGoRoundASlowReplica) {
  SimulatedReplicas cluster;
  ASSERT_TRUE(cluster.write(0, "a", "v", Consistency::all));
  cluster.machine(1).freeze(400ms);
  const Instant began = cluster.simulation.now();
  EXPECT_EQ(cluster.read(0, "a", Consistency::quorum).value_or("none"), "v");
  EXPECT_LT(cluster.simulation.now() - began, 300ms);
}

TEST(Coordinator, ReadRepairRepairsBeforeItAnswers) {
  DivergedReplicas cluster;
  EXPECT_EQ(cluster.read(2, "old", Consistency::one).value_or("none"), "1") << "the stale replica asks itself";
  EXPECT_EQ(cluster.read(2, "old", Consistency::quorum).value_or("none"), "2");
  EXPECT_EQ(cluster.read(2, "old", Consistency::one).value_or("none"), "2");
  EXPECT_EQ(cluster.read(2, "gone", Consistency::all).value_or("none"), "");
  EXPECT_EQ(cluster.read(2, "gone", Consistency::one).value_or("none"), "");
  EXPECT_GT(cluster.node(2).coordinator.counters().read_repairs, 0u);
}

TEST(Coordinator, StaleReadRepairIsSeen) {
  DivergedReplicas cluster(Defect::stale_read_repair);
  EXPECT_EQ(cluster.read(2, "old", Consistency::quorum).value_or("none"), "1");
}

TEST(Coordinator, QuorumOffByOneIsSeen) {
  DivergedReplicas cluster(Defect::quorum_off_by_one);
  EXPECT_EQ(cluster.read(2, "old", Consistency::quorum).value_or("none"), "1");
}

TEST(Coordinator, RangeReadsSeeEveryRowOnce) {
  SimulatedReplicas cluster;
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(cluster.write(i % 3, fmt::format("k{}", i), "v", Consistency::quorum));
  auto& node = cluster.node(1);
  TablePtr table = node.schema.table("ks", "t");
  for (uint32_t limit : {1000u, 7u}) {
    ReadCommand command;
    command.table = table->number;
    command.single = false;
    command.row_limit = limit;
    std::map<Bytes, int> seen;
    for (int pages = 0; pages < 300; ++pages) {
      auto page = cluster.run(
          1, node.coordinator.read(table, command, Consistency::quorum, cluster.machine(1).executor().now() + 2s));
      ASSERT_TRUE(page);
      for (auto& partition : page->partitions) ++seen[Bytes(partition.key)];
      if (page->complete) break;
      command = resume(command, page->next);
    }
    EXPECT_EQ(seen.size(), 200u);
    for (auto& [key, times] : seen) EXPECT_EQ(times, 1) << key;
  }
}

}  // namespace
}  // namespace asterism::datastore
