// How much is stored in each shard, as its replicas see it.
#pragma once

#include <map>

#include "cluster/balance.h"
#include "datastore/anti_entropy.h"

namespace asterism::datastore {

/// Used by one core. Registers its RPC handler. The arguments must outlive it.
class ShardSizes {
 public:
  ShardSizes(NodeId self, Executor& executor, Rpc& rpc, const ClusterState& cluster, const Schema& schema,
             const Liveness& liveness, const Replica& replica);

  /// What one replica of every keyspace stores in each of its shards, in bytes: the mean of the replicas that answer,
  /// files only. A keyspace counts for at least `least_bytes` spread evenly, so that small ones are balanced by their
  /// ranges alone.
  static constexpr double least_bytes = 16 << 20;
  Task<std::vector<BalanceScope>> measure(Instant deadline);

 private:
  using Sizes = std::map<ShardId, uint64_t>;
  Task<Sizes> own() const;
  Task<void> ask(NodeId node, Instant deadline, std::vector<Sizes>& answers);

  NodeId self_;
  Executor& executor_;
  Rpc& rpc_;
  const ClusterState& cluster_;
  const Schema& schema_;
  const Liveness& liveness_;
  const Replica& replica_;
};

}  // namespace asterism::datastore
