// Writes that reach replicas late, and versions of rows written as they are.
#include "datastore/simulated_replicas.h"

namespace asterism::datastore {
namespace {

using Kind = RequestFailure::Kind;

TEST(Coordinator, HintsArriveWhenTheReplicaIsBackEvenAfterARestartOfTheirHolder) {
  for (bool dropped : {false, true}) {
    SimulatedReplicas cluster(1, dropped ? std::optional(Defect::drop_hint) : std::nullopt);
    cluster.down(2);
    for (int i = 0; i < 300; ++i) ASSERT_TRUE(cluster.write(0, fmt::format("k{}", i), "v", Consistency::quorum));
    ASSERT_TRUE(cluster.write(0, "k7", "", Consistency::quorum));
    cluster.simulation.run_for(1s);
    if (!dropped) EXPECT_EQ(cluster.node(0).hints.waiting(), 301u);
    cluster.machine(0).crash(sim::Crash::power);
    cluster.machine(0).start();
    cluster.up(2);
    cluster.simulation.run_for(20s);
    EXPECT_EQ(cluster.equal(), !dropped) << "the planted bug is seen";
    EXPECT_EQ(cluster.node(0).hints.waiting(), 0u);
  }
}

TEST(Coordinator, AnyIsContentWithAHint) {
  SimulatedReplicas cluster;
  cluster.down(1);
  cluster.down(2);
  ASSERT_TRUE(cluster.write(0, "a", "v", Consistency::any));
  cluster.machine(1).start();
  cluster.up(2);
  cluster.simulation.run_for(10s);
  EXPECT_TRUE(cluster.equal());
}

TEST(Coordinator, AWriteWaitsForASyncWhereTheKeyspaceSaysSo) {
  SimulatedReplicas cluster;
  const auto write = [&](const std::string& prefix) {
    for (int i = 0; i < 50; ++i) EXPECT_TRUE(cluster.write(0, fmt::format("{}{}", prefix, i), "v", Consistency::all));
  };
  const auto syncs = [&] {
    uint64_t sum = 0;
    for (size_t i = 0; i < SimulatedReplicas::machines; ++i) sum += cluster.machine(i).disk().store().counters().syncs;
    return sum;
  };
  cluster.settle();
  const uint64_t before = syncs();
  write("synced");
  const uint64_t synced = syncs() - before;
  EXPECT_GE(synced, 150u);
  Keyspace relaxed = *cluster.node(0).schema.keyspace("ks");
  relaxed.durable_writes = false;
  cluster.propose(Schema::section_name, Schema::alter_keyspace(relaxed));
  cluster.settle();
  const uint64_t between = syncs();
  write("relaxed");
  EXPECT_LT(syncs() - between, synced / 4);
  cluster.simulation.run_for(1s);
  for (size_t i = 0; i < SimulatedReplicas::machines; ++i) {
    cluster.machine(i).crash(sim::Crash::power);
    cluster.machine(i).start();
  }
  cluster.simulation.run_for(10s);
  EXPECT_EQ(cluster.read(0, "relaxed49", Consistency::quorum), "v");
}

/// Keys whose tokens lie in one shard.
std::vector<std::string> neighbours(SimulatedReplicas& cluster, size_t count) {
  std::vector<std::string> keys;
  const Shard* shard = cluster.node(0).cluster.find("ks", SimulatedReplicas::token("n0"));
  for (int i = 0; keys.size() < count; ++i)
    if (const std::string key = fmt::format("n{}", i); shard->range.contains(SimulatedReplicas::token(key)))
      keys.push_back(key);
  return keys;
}

Bytes version_of(const std::string& key, const std::string& value, int64_t written_us) {
  Mutation mutation(16, SimulatedReplicas::token(key), key);
  Row row;
  Cell cell;
  cell.column = 2;
  cell.timestamp_us = written_us;
  cell.value = value;
  row.cells.push_back(cell);
  mutation.add_row("", row);
  return std::move(mutation).take();
}

Served<void> write_versions(SimulatedReplicas& cluster, size_t at, std::vector<Bytes> versions, Consistency level) {
  SimulatedServices& node = cluster.node(at);
  return cluster.run(at, node.coordinator.write_versions(node.schema.table("ks", "t"), std::move(versions), level,
                                                         cluster.machine(at).executor().now() + 2s));
}

TEST(Coordinator, VersionsOfRowsKeepTheirTimestampsAndReachReplicasThatWereDown) {
  SimulatedReplicas cluster;
  const auto keys = neighbours(cluster, 50);
  cluster.clock = 1000;
  ASSERT_TRUE(cluster.write(0, keys[0], "newer", Consistency::all));
  cluster.down(2);
  std::vector<Bytes> versions;
  for (const std::string& key : keys) versions.push_back(version_of(key, "restored", 500));
  for (int again = 0; again < 2; ++again) ASSERT_TRUE(write_versions(cluster, 0, versions, Consistency::quorum));
  EXPECT_EQ(cluster.read(1, keys[0], Consistency::quorum).value(), "newer");
  EXPECT_EQ(cluster.read(1, keys[49], Consistency::quorum).value(), "restored");
  auto refused = write_versions(cluster, 0, versions, Consistency::all);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Kind::unavailable);
  cluster.machine(2).start();
  cluster.settle();
  EXPECT_TRUE(cluster.simulation.run_until([&] { return cluster.node(0).hints.waiting() == 0; }, 60s));
  EXPECT_TRUE(cluster.equal());
  EXPECT_TRUE(cluster.stores(2, keys[49]));
}

TEST(Coordinator, VersionsOfSeveralShardsAreRefusedAtOnce) {
  SimulatedReplicas cluster;
  const auto keys = neighbours(cluster, 2);
  std::vector<Bytes> versions{version_of(keys[0], "v", 1)};
  const Shard* shard = cluster.node(0).cluster.find("ks", SimulatedReplicas::token(keys[0]));
  for (int i = 0; versions.size() < 2; ++i)
    if (const std::string key = fmt::format("x{}", i); !shard->range.contains(SimulatedReplicas::token(key)))
      versions.push_back(version_of(key, "v", 1));
  auto refused = write_versions(cluster, 0, versions, Consistency::one);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Kind::timeout);
  EXPECT_FALSE(cluster.stores(0, keys[0]));
}

}  // namespace
}  // namespace asterism::datastore
