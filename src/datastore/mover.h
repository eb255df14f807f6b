// A node's part in a change of members: it catches up with the shards that move to it, tells the metadata log, and
// deletes what moved away.
#pragma once

#include "datastore/anti_entropy.h"
#include "datastore/coordinator.h"

namespace asterism::datastore {

/// Whatever it was at when the node stopped, the metadata log says what is left to do. Used by one core.
class Mover {
 public:
  Mover(NodeId self, Executor& executor, MetadataService& metadata, const ClusterState& cluster, const Schema& schema,
        AntiEntropy& anti_entropy, Hints& hints, Coordinator& coordinator, Replica& replica, Log log);

  /// Once this node serves.
  void start();

  struct Counters {
    uint64_t caught_up = 0, failed = 0, dropped_ranges = 0;
  };
  const Counters& counters() const { return counters_; }

 private:
  Task<void> run();
  Task<bool> catch_up();
  Task<void> catch_up_some();
  Task<bool> propose(Bytes command);
  Task<void> say_ready();
  Task<bool> drop_former();
  bool leaving() const;
  std::vector<ShardId> chosen(bool (Mover::*choice)(const Shard&) const) const;
  bool has_to_catch_up(const Shard& shard) const;
  bool has_left(const Shard& shard) const;

  NodeId self_;
  Executor& executor_;
  MetadataService& metadata_;
  const ClusterState& cluster_;
  const Schema& schema_;
  AntiEntropy& anti_entropy_;
  Hints& hints_;
  Coordinator& coordinator_;
  Replica& replica_;
  Log log_;
  Counters counters_;
  std::vector<ShardId> waiting_;                      // to be caught up with in this round
  std::vector<std::pair<ShardId, Epoch>> caught_up_;  // and not told yet
  bool told_ = false;
  WaitQueue news_;
  TaskGroup tasks_;
};

}  // namespace asterism::datastore
