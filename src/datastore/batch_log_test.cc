// Logged batches, whose coordinator dies or not.
#include "datastore/simulated_replicas.h"

namespace asterism::datastore {
namespace {

constexpr int batch_rows = 20;

std::vector<TableMutation> batch_for(SimulatedServices& node) {
  TablePtr table = node.schema.table("ks", "t");
  std::vector<TableMutation> batch;
  for (int i = 0; i < batch_rows; ++i) {
    const std::string key = fmt::format("b{}", i);
    Mutation mutation(table->number, SimulatedReplicas::token(key), key);
    Row row;
    Cell cell;
    cell.column = 2;
    cell.timestamp_us = 1;
    cell.value = "v";
    row.cells.push_back(cell);
    mutation.add_row("", row);
    batch.push_back({table, std::move(mutation)});
  }
  return batch;
}

Task<Served<void>> write_logged(SimulatedServices& node, std::vector<TableMutation> batch) {
  const Instant deadline = node.machine.executor().now() + 5s;
  co_return co_await node.coordinator.write_all(std::move(batch), true, Consistency::quorum, deadline);
}

int rows_there(SimulatedReplicas& cluster, size_t at) {
  int there = 0;
  for (int i = 0; i < batch_rows; ++i)
    there += cluster.read(at, fmt::format("b{}", i), Consistency::quorum).value_or("none") == "v";
  return there;
}

size_t batches_kept(SimulatedReplicas& cluster, size_t at) {
  size_t count = 0;
  auto it = cluster.node(at).replica.iterate(
      {token_key(batches_table, INT64_MIN).substr(0, 4), token_key(batches_table + 1, INT64_MIN).substr(0, 4), false});
  for (it.seek_first(); it.valid(); it.next()) ++count;
  return count;
}

void begin_batch(SimulatedReplicas& cluster) {
  cluster.machine(0).spawn([](SimulatedServices& node, std::vector<TableMutation> batch) -> Task<void> {
    (void)co_await write_logged(node, std::move(batch));
  }(cluster.node(0), batch_for(cluster.node(0))));
}

TEST(Coordinator, LoggedBatchesFinishAfterTheCoordinatorDied) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SimulatedReplicas cluster(seed);
    begin_batch(cluster);
    cluster.simulation.run_for(Duration(cluster.simulation.random().below(3'000'000)));
    cluster.machine(0).crash(sim::Crash::power);
    cluster.machine(0).start();
    cluster.settle();
    cluster.simulation.run_for(5s);
    const int there = rows_there(cluster, 1);
    EXPECT_TRUE(there == 0 || there == batch_rows) << "seed " << seed << ": " << there;
  }
}

TEST(Coordinator, LoggedBatchesFinishWithoutTheCoordinatorToo) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    SimulatedReplicas cluster(seed);
    begin_batch(cluster);
    auto kept = [&] { return batches_kept(cluster, 1) + batches_kept(cluster, 2); };
    ASSERT_TRUE(cluster.simulation.run_until([&] { return kept() == 1; }, 1s));
    // No mutation has left it yet, because it does not know that the batch is kept.
    cluster.machine(0).crash(sim::Crash::power);
    cluster.simulation.run_for(BatchLog::take_over_after / 2);
    EXPECT_EQ(rows_there(cluster, 1), 0);
    cluster.simulation.run_for(BatchLog::take_over_after);
    EXPECT_EQ(rows_there(cluster, 1), batch_rows) << "seed " << seed;
    EXPECT_EQ(kept(), 0u) << "seed " << seed;
  }
}

TEST(Coordinator, LoggedBatchesAreForgottenOnceTheyAreWritten) {
  SimulatedReplicas cluster;
  ASSERT_TRUE(cluster.run(0, write_logged(cluster.node(0), batch_for(cluster.node(0)))));
  cluster.simulation.run_for(100ms);
  for (size_t at = 0; at < SimulatedReplicas::machines; ++at) EXPECT_EQ(batches_kept(cluster, at), 0u);
  // Nobody else is up: one copy has to do.
  cluster.down(1);
  cluster.down(2);
  EXPECT_FALSE(cluster.run(0, write_logged(cluster.node(0), batch_for(cluster.node(0)))));
  cluster.machine(1).start();
  cluster.machine(2).start();
  cluster.settle();
  cluster.simulation.run_for(5s);
  EXPECT_EQ(batches_kept(cluster, 0), 0u);
  EXPECT_EQ(rows_there(cluster, 1), batch_rows);
}

}  // namespace
}  // namespace asterism::datastore
