// Serves requests on behalf of clients: finds the replicas, asks as many as the consistency level wants, and makes what
// they answer one. Any node coordinates.
#pragma once

#include <memory>
#include <span>

#include "datastore/batch_log.h"
#include "datastore/hints.h"
#include "datastore/replica_service.h"
#include "datastore/routing.h"
#include "datastore/table_service.h"
#include "runtime/channel.h"

namespace asterism::datastore {

struct CoordinatorOptions {
  NodeId self;
  std::string datacenter = "dc1";
  uint32_t max_requests = 8192;  // under way; more fail as overloaded
  Defects defects;
};

/// Used by one core.
class Coordinator final : public TableService {
 public:
  Coordinator(CoordinatorOptions options, Executor& executor, Rpc& rpc, MetadataService& metadata,
              const ClusterState& cluster, const Schema& schema, Liveness& liveness, ReplicaService& replicas,
              Replica& replica, Hints& hints, Random& random, Log log);
  ~Coordinator() override;

  /// Begins to finish logged batches of an earlier life, and those that other nodes leave behind.
  Status start();

  Task<Served<void>> write(TablePtr table, Mutation mutation, Consistency consistency, Instant deadline) override;
  Task<Served<void>> write_all(std::vector<TableMutation> mutations, bool logged, Consistency consistency,
                               Instant deadline) override;
  Task<Served<ReadPage>> read(TablePtr table, ReadCommand command, Consistency consistency, Instant deadline) override;

  /// Versions of rows as another cluster or an earlier life of this one had them: encoded mutations of one table, which
  /// have been checked (MutationView::decode), at least one, and whose tokens lie in one shard. Otherwise as write().
  /// Fails as a timeout where the shards change meanwhile: find them anew then, and write all of it again.
  Task<Served<void>> write_versions(TablePtr table, std::vector<Bytes> mutations, Consistency consistency,
                                    Instant deadline);

  /// A node that is about to leave takes no more logged batches, neither its own nor to keep.
  void refuse_batches(bool refuse) { batches_.refuse(refuse); }
  /// Whether logged batches, of other nodes too, wait here to be finished. Errors: those of the store.
  Result<bool> holds_batches() const { return batches_.holds_any(); }

  struct Counters {
    uint64_t writes = 0, reads = 0, failures = 0, digest_mismatches = 0, read_repairs = 0, speculations = 0;
  };
  const Counters& counters() const { return counters_; }

 private:
  struct WriteState;
  struct ReadState;
  struct Route;

  Result<Route> route(const std::string& keyspace, int64_t token, Consistency consistency, bool write) const;
  void spoil(Requirement& requirement) const;
  RequestView view_of(const std::vector<const Shard*>& shards) const;

  struct Writes;
  Task<Served<void>> write_once(const TablePtr& table, const Writes& writes, Consistency consistency, Instant deadline,
                                bool& retry);
  Task<Served<void>> write_until(TablePtr table, Writes writes, Consistency consistency, Instant deadline);
  Task<void> write_to(std::shared_ptr<WriteState> state, NodeId node, bool counts);
  Task<Served<void>> write_encoded(TablePtr table, Bytes mutation, Consistency consistency, Instant deadline);
  Task<bool> write_from_batch(Bytes mutation);

  Task<Served<ReadPage>> read_once(ReadCommand& command, const Route& route, Consistency consistency, Instant deadline,
                                   bool& retry);
  void ask(const std::shared_ptr<ReadState>& state, NodeId node, bool digest_only);
  Task<void> read_from(std::shared_ptr<ReadState> state, NodeId node, bool digest_only);
  Task<Served<ReadPage>> reconcile(std::shared_ptr<ReadState> state, const Route& route, Instant deadline, bool& retry);
  Task<void> gather(ReadState& state, std::span<const NodeId> spare);
  Result<Route> route_read(const TablePtr& table, ReadCommand& command, Consistency consistency) const;

  CoordinatorOptions options_;
  Executor& executor_;
  Rpc& rpc_;
  MetadataService& metadata_;
  const ClusterState& cluster_;
  const Schema& schema_;
  Liveness& liveness_;
  ReplicaService& replicas_;
  Hints& hints_;
  BatchLog batches_;
  Counters counters_;
  Semaphore requests_;
  Duration usual_read_ = 2ms;  // smoothed time in which replicas answer reads
  TaskGroup tasks_;
};

}  // namespace asterism::datastore
