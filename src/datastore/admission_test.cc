// Requests that a replica refuses: of another epoch, or after it lost its fence.
#include "datastore/simulated_replicas.h"

namespace asterism::datastore {
namespace {

TEST(ReplicaService, RequestsOfAnotherEpochAreRefused) {
  for (bool planted : {false, true}) {
    SimulatedReplicas cluster(1, planted ? std::optional(Defect::accept_wrong_epoch) : std::nullopt);
    auto& node = cluster.node(1);
    const Shard* shard = node.cluster.find("ks", 5);
    TablePtr table = node.schema.table("ks", "t");
    Mutation mutation(table->number, 5, "k");
    Row row;
    row.deletion = {1, 1};
    mutation.add_row("", row);
    const RequestView stale{0, {{shard->id, Epoch{shard->epoch.value + 1}}}};
    Status written =
        cluster.run(1, node.service.write(stale, mutation.encoded(), cluster.machine(1).executor().now() + 1s));
    EXPECT_EQ(written.has_value(), planted);
    if (!written) EXPECT_EQ(written.error().code, ErrorCode::wrong_epoch);
    const RequestView future{node.metadata.applied_index() + 100, {{shard->id, shard->epoch}}};
    Status waited =
        cluster.run(1, node.service.write(future, mutation.encoded(), cluster.machine(1).executor().now() + 1s));
    if (!planted) EXPECT_EQ(waited.error().code, ErrorCode::timeout);
  }
}

TEST(ReplicaService, ARenewedFenceHoldsAfterARestart) {
  SimulatedReplicas cluster;
  SimulatedServices& node = cluster.node(1);
  node.service.fence_lost();
  const Shard& shard = *node.cluster.find("ks", 5);
  const RequestView view{0, {{shard.id, shard.epoch}}};
  const auto admit = [&](Duration limit) {
    SimulatedServices& asked = cluster.node(1);
    return cluster.run(1, asked.service.admit(view, cluster.machine(1).executor().now() + limit));
  };
  EXPECT_EQ(admit(5s).error().code, ErrorCode::timeout);
  EXPECT_EQ(cluster.run(1, node.service.fence()).error().code, ErrorCode::unavailable);
  ASSERT_TRUE(cluster.run(1, node.service.renew_fence()));
  EXPECT_TRUE(admit(5s));
  cluster.down(1);
  cluster.up(1);
  // The metadata is here again, so it serves; with a fence above that it would wait.
  EXPECT_TRUE(admit(5s));
  ASSERT_TRUE(cluster.node(1).replica.get(fence_key()).value());
}

}  // namespace
}  // namespace asterism::datastore
