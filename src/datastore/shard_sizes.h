// How much is stored in each shard, and done for clients where on the ring, as the replicas see it.
#pragma once

#include <map>

#include "cluster/balance.h"
#include "datastore/anti_entropy.h"
#include "datastore/ring_load.h"

namespace asterism::datastore {

/// Used by one core. Registers its RPC handler. The arguments must outlive it.
class ShardSizes {
 public:
  ShardSizes(NodeId self, Executor& executor, Rpc& rpc, const ClusterState& cluster, const Schema& schema,
             const Liveness& liveness, const Replica& replica, RingLoad& load);

  /// What one replica of every keyspace stores in each of its shards, in bytes: the mean of the replicas that answer,
  /// files only. A keyspace counts for at least `least_bytes` spread evenly, so that small ones are balanced by their
  /// ranges alone.
  ///
  /// And the work of one replica in each of RingLoad's cells: what all nodes did there for keyspaces of one rule, by
  /// how many replicas they have. Unknown where a node that is up does not tell, because it is of an older version or
  /// late.
  static constexpr double least_bytes = 16 << 20;
  Task<std::vector<BalanceScope>> measure(Instant deadline);

 private:
  using Sizes = std::map<ShardId, uint64_t>;
  struct Told {
    Sizes sizes;
    std::optional<RingLoad::Rates> load;
  };
  Task<Told> own() const;
  static Bytes encode(const Told& told);
  static Result<Told> decode(BytesView bytes);
  Task<void> ask(NodeId node, Instant deadline, std::vector<Told>& answers);
  void add_load(const std::vector<Told>& answers, std::vector<BalanceScope>& scopes) const;

  NodeId self_;
  Executor& executor_;
  Rpc& rpc_;
  const ClusterState& cluster_;
  const Schema& schema_;
  const Liveness& liveness_;
  const Replica& replica_;
  RingLoad& load_;
};

}  // namespace asterism::datastore
