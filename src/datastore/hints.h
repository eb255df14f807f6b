// Hinted handoff: mutations that a replica missed wait, durably, on the node that coordinated them.
#pragma once

#include <map>

#include "cluster/liveness.h"
#include "datastore/replica_service.h"

namespace asterism::datastore {

struct HintsOptions {
  /// Hints older than this are dropped: the comparison of replicas takes over.
  Duration window = std::chrono::hours(3);
  /// Towards all nodes together. Beyond it hints are dropped and counted.
  uint64_t max_bytes = 1ull << 30;
  Defects defects;
};

/// Used by one core. Keys: hints table (u32), target (u32), sequence (u64), big-endian; the value: wall time in
/// microseconds (u64, little-endian), then the mutation.
class Hints {
 public:
  Hints(HintsOptions options, NodeId self, Executor& executor, Rpc& rpc, const ClusterState& cluster,
        const Schema& schema, MetadataService& metadata, Liveness& liveness, Replica& replica, Log log);

  /// Finds the hints of an earlier life and begins to deliver.
  Status start();
  /// Completes when the hint is durable here.
  Task<Status> store(NodeId target, Bytes mutation);
  /// The same for several at once.
  Task<Status> store_all(NodeId target, std::vector<Bytes> mutations);
  /// A node that is about to leave takes no more hints: store() fails.
  void refuse(bool refuse) { refusing_ = refuse; }

  struct Counters {
    uint64_t stored = 0, delivered = 0, dropped = 0;
  };
  const Counters& counters() const { return counters_; }
  /// Hints that wait, for every target.
  uint64_t waiting() const;
  /// Those of each target that has any: how far it lags behind what this node coordinated.
  std::map<NodeId, uint64_t> waiting_for() const;

 private:
  struct Target {
    uint64_t waiting = 0;
    bool delivering = false;
  };
  Task<void> deliver_loop();
  Task<void> deliver(NodeId target);
  Task<bool> deliver_some(NodeId target, Bytes& from);
  Task<Status> send(NodeId target, BytesView mutation);
  bool reachable(NodeId target) const;
  Bytes key(NodeId target, uint64_t sequence) const;

  HintsOptions options_;
  NodeId self_;
  Executor& executor_;
  Rpc& rpc_;
  const ClusterState& cluster_;
  const Schema& schema_;
  MetadataService& metadata_;
  Liveness& liveness_;
  Replica& replica_;
  Log log_;
  bool refusing_ = false;
  uint64_t next_sequence_ = 1;
  uint64_t bytes_ = 0;
  std::map<NodeId, Target> targets_;
  Counters counters_;
  WaitQueue news_;
  TaskGroup tasks_;
};

}  // namespace asterism::datastore
