// The background comparison that makes replicas equal: hash trees over token ranges, then the rows that differ.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "base/pace.h"
#include "cluster/liveness.h"
#include "datastore/replica_service.h"

namespace asterism::datastore {

struct AntiEntropyOptions {
  /// A pause between two shards, so that a full round never takes a noticeable part of the node.
  Duration pause = 500ms;
  /// A shard that was found equal and has not been written since is not compared again before this.
  Duration again_after = std::chrono::minutes(10);
  Defects defects;
};

/// Two replicas of a shard that differ, as verify() reports them.
struct Difference {
  ShardId shard;
  std::string keyspace, table;
  NodeId a, b;
  uint64_t ranges = 0;  // token ranges in which they differ
  std::string what;     // where a replica could not be asked
};

/// The storage keys of a token range, as one or (where it goes round) two runs [from, to).
std::vector<std::pair<Bytes, Bytes>> key_runs(uint32_t table, TokenRange range);

/// Used by one core. Registers its RPC handlers.
class AntiEntropy {
 public:
  AntiEntropy(AntiEntropyOptions options, NodeId self, Executor& executor, Rpc& rpc, MetadataService& metadata,
              const ClusterState& cluster, const Schema& schema, Liveness& liveness, ReplicaService& service,
              Replica& replica, Log log);
  ~AntiEntropy();

  /// Begins to go round the shards whose first live replica this node is.
  void start();
  /// Compares all replicas of every shard, without changing anything.
  Task<Result<std::vector<Difference>>> verify(Instant deadline);
  /// Compares every shard that this node replicates with all its other replicas, which must be up, and fetches what is
  /// missing here. Errors: unavailable (one is down: try again).
  Task<Status> rebuild(Instant deadline);

  /// For a mover of a shard: compares this node with a quorum of the replicas in each datacenter, and with those that
  /// the shard moves away from; `dead` is one of these that need not be asked. Then everything that was acknowledged
  /// before the shard's present epoch is here. Rows travel at the cluster's setting move_mib_per_second at most, and
  /// clients go first. Errors: wrong_epoch (the shard changed meanwhile), unavailable.
  Task<Status> catch_up(Shard shard, NodeId dead, Instant deadline);

  struct Counters {
    uint64_t compared = 0, differing = 0, rows_pulled = 0, rows_pushed = 0;
    uint64_t moved_bytes = 0;  // of rows that travelled for catch_up()
  };
  const Counters& counters() const { return counters_; }

  struct Progress {
    uint64_t shards = 0;          // that this node looks after now
    uint64_t compared = 0;        // of these, within the last `again_after`
    std::optional<Instant> last;  // when the latest comparison of a shard ended well
  };
  Progress progress() const;

 private:
  struct Seen {
    Instant at;
    uint64_t writes = 0;  // that this replica had taken; UINT64_MAX: the comparison failed
  };
  Task<void> rounds();
  bool looks_after(const Shard& shard) const;
  Task<Status> repair_shard(ShardId id, bool all_peers, Instant deadline);
  Task<Status> repair_with(const Shard& shard, TablePtr table, NodeId peer, Instant deadline, bool gently = false);
  Task<void> rest(Instant began, uint64_t moved_bytes);
  Task<Status> deliver(const RequestView& view, NodeId to, Bytes mutation, Instant deadline);
  Task<Status> bring_together(const RequestView& view, NodeId peer, std::vector<std::vector<Bytes>> repairs,
                              Instant deadline, bool gently);
  Task<Status> compare_all(const Shard& shard, NodeId peer, Instant deadline);
  Task<Status> close_epochs(const RequestView& view);
  Task<Status> exchange(const RequestView& view, TablePtr table, NodeId peer, TokenRange range, Instant deadline,
                        bool gently = false);
  Task<Result<std::vector<uint64_t>>> hashes(NodeId node, const RequestView& view, uint32_t table, TokenRange range,
                                             Instant deadline);
  Task<Result<std::vector<uint64_t>>> own_hashes(uint32_t table, TokenRange range);
  Task<Result<Bytes>> serve_hashes(RpcRequest request);
  Task<Result<Bytes>> serve_rows(RpcRequest request);
  Task<Result<Bytes>> rows(NodeId node, const RequestView& view, const ReadCommand& command, Instant deadline);
  bool spoil(Bytes& mutation) const;
  RequestView view_of(const Shard& shard) const;

  AntiEntropyOptions options_;
  NodeId self_;
  Executor& executor_;
  Rpc& rpc_;
  MetadataService& metadata_;
  const ClusterState& cluster_;
  const Schema& schema_;
  Liveness& liveness_;
  ReplicaService& service_;
  Replica& replica_;
  Log log_;
  Counters counters_;
  Pace pace_;  // of moves
  std::map<ShardId, Seen> seen_;
  TaskGroup tasks_;
};

}  // namespace asterism::datastore
