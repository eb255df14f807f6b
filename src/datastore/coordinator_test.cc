// What a level of consistency asks for, and what is said where it is not reached.
#include "datastore/simulated_replicas.h"

namespace asterism::datastore {
namespace {

using Kind = RequestFailure::Kind;

TEST(Coordinator, EveryLevelWorksWithAllUp) {
  SimulatedReplicas cluster;
  for (Consistency level :
       {Consistency::one, Consistency::two, Consistency::three, Consistency::quorum, Consistency::all,
        Consistency::local_quorum, Consistency::each_quorum, Consistency::local_one}) {
    for (size_t at = 0; at < SimulatedReplicas::machines; ++at) {
      const std::string key = fmt::format("{}-{}", to_string(level), at);
      ASSERT_TRUE(cluster.write(at, key, "v", level)) << key;
      EXPECT_EQ(cluster.read(at, key, Consistency::quorum).value_or("none"), "v") << key;
      auto got = cluster.read(at, key, level);
      ASSERT_TRUE(got) << key;
    }
  }
  ASSERT_TRUE(cluster.write(0, "any", "v", Consistency::any));
  EXPECT_EQ(cluster.read(0, "any", Consistency::any).error().kind, Kind::invalid);
  EXPECT_EQ(cluster.write(0, "serial", "v", Consistency::serial).error().kind, Kind::invalid);
  cluster.simulation.run_for(1s);
  EXPECT_TRUE(cluster.equal());
}

TEST(Coordinator, NodesThatAreDownMakeLevelsUnavailableAtOnce) {
  SimulatedReplicas cluster;
  cluster.down(2);
  ASSERT_TRUE(cluster.write(0, "a", "v", Consistency::quorum));
  ASSERT_TRUE(cluster.write(0, "a", "v", Consistency::two));
  auto all = cluster.write(0, "a", "v", Consistency::all);
  ASSERT_FALSE(all);
  EXPECT_EQ(all.error().kind, Kind::unavailable);
  EXPECT_EQ(all.error().required, 3u);
  EXPECT_EQ(all.error().received, 2u);
  EXPECT_EQ(cluster.read(1, "a", Consistency::three).error().kind, Kind::unavailable);
  EXPECT_EQ(cluster.read(1, "a", Consistency::quorum).value_or("none"), "v");
  cluster.down(1);
  EXPECT_EQ(cluster.write(0, "b", "v", Consistency::quorum).error().kind, Kind::unavailable);
  EXPECT_EQ(cluster.read(0, "b", Consistency::quorum).error().kind, Kind::unavailable);
  ASSERT_TRUE(cluster.write(0, "b", "v", Consistency::one));
  EXPECT_EQ(cluster.read(0, "b", Consistency::local_one).value_or("none"), "v");
}

TEST(Coordinator, SilentReplicasTimeOutBeforeTheyAreSuspected) {
  SimulatedReplicas cluster;
  cluster.machine(1).freeze(60s);
  cluster.machine(2).freeze(60s);
  auto written = cluster.write(0, "a", "v", Consistency::quorum, 300ms);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind, Kind::timeout);
  EXPECT_EQ(written.error().received, 1u);
  EXPECT_EQ(written.error().required, 2u);
  auto read = cluster.read(0, "a", Consistency::quorum, 100ms);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind, Kind::timeout);
  EXPECT_TRUE(read.error().data_present);
  cluster.simulation.run_for(5s);
  EXPECT_EQ(cluster.write(0, "a", "v", Consistency::quorum).error().kind, Kind::unavailable);
}

TEST(Coordinator, WhoWritesAtOneReadsAtOneWhatHeWrote) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SimulatedReplicas cluster(seed);
    for (size_t at = 0; at < SimulatedReplicas::machines; ++at) {
      const std::string key = fmt::format("own{}", at);
      ASSERT_TRUE(cluster.write(at, key, "v", Consistency::one));
      EXPECT_EQ(cluster.read(at, key, Consistency::local_one).value_or("none"), "v") << seed << " " << at;
    }
  }
}

}  // namespace
}  // namespace asterism::datastore
