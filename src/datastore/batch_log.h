// Logged batches are written down on the node that coordinates them and on one more before the first of their mutations
// is sent, and stay there until all of them have arrived: so a batch is finished even where its coordinator is lost.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <unordered_map>

#include "cluster/cluster_state.h"
#include "cluster/liveness.h"
#include "datastore/replica.h"
#include "ports/random.h"

namespace asterism::datastore {

/// Used by one core. Keys: batches table (u32), id (u64), big-endian; the value: varint count, sized mutations.
class BatchLog {
 public:
  /// How long a batch of another node waits here for word that it was finished.
  static constexpr Duration take_over_after = 10s;
  /// Kept for other nodes. Beyond it they are refused as overloaded, and their batches have one copy.
  static constexpr uint64_t max_foreign_bytes = 256 << 20;

  /// Takes a mutation to its replicas, or to hints for them. False: it has to be tried again later.
  using Write = std::function<Task<bool>(Bytes mutation)>;
  struct Entry {
    uint64_t id = 0;
    std::optional<NodeId> other;  // holds it too
  };

  /// Registers its RPC handlers. The arguments must outlive it.
  BatchLog(NodeId self, Executor& executor, Random& random, Rpc& rpc, const ClusterState& cluster, Liveness& liveness,
           Replica& replica, Write write, Log log);
  ~BatchLog();

  /// Begins to finish what an earlier life held, and what other nodes leave behind.
  Status start();
  static Bytes encode(std::span<const BytesView> mutations);
  /// From then on nothing is kept: not for others, and whoever coordinates asks refusing() first.
  void refuse(bool refuse) { refusing_ = refuse; }
  bool refusing() const { return refusing_; }
  /// Errors: those of the store.
  Result<bool> holds_any() const;
  /// Durable here, and on another node where one is up that takes it within half a second. After an error the batch
  /// may be finished all the same. Errors: timeout, and those of Replica::write_own.
  Task<Result<Entry>> keep(Bytes batch, Instant deadline);
  /// All mutations have arrived. Goes on in the background; a batch whose removal is lost is finished once more, which
  /// changes nothing.
  void forget(Entry entry);
  /// Writes the mutations that may not have arrived, in the background, until all have.
  void finish(Entry entry);

 private:
  Task<Status> store(uint64_t id, Bytes batch);
  Task<Status> remove(uint64_t id);
  Task<void> keep_elsewhere(uint64_t id, const Bytes& batch, Instant deadline, std::optional<NodeId>& other);
  std::optional<NodeId> choose_other();
  Task<void> finish_now(Entry entry);
  Task<void> forget_now(Entry entry);
  Task<void> take_over();
  Task<Result<Bytes>> serve_keep(RpcRequest request);
  Task<Result<Bytes>> serve_forget(RpcRequest request);

  NodeId self_;
  Executor& executor_;
  Random& random_;
  Rpc& rpc_;
  const ClusterState& cluster_;
  Liveness& liveness_;
  Replica& replica_;
  Write write_;
  Log log_;
  std::unordered_map<uint64_t, uint64_t> foreign_;        // id → bytes
  std::deque<std::pair<Instant, uint64_t>> foreign_due_;  // ids in the order of their coming; some are gone already
  uint64_t foreign_bytes_ = 0;
  bool refusing_ = false;
  Semaphore finishing_;
  WaitQueue news_;
  TaskGroup tasks_;
};

}  // namespace asterism::datastore
