// A replica as other nodes reach it: checks that a request belongs here, then hands it to the Replica.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "cluster/metadata_service.h"
#include "datastore/replica_read.h"
#include "datastore/ring_load.h"

namespace asterism::datastore {

namespace rpc_method {
inline constexpr RpcMethod write = 100;  // of a client
inline constexpr RpcMethod read = 101;
inline constexpr RpcMethod range_hashes = 102;
inline constexpr RpcMethod range_rows = 103;
inline constexpr RpcMethod hint = 104;
inline constexpr RpcMethod keep_batch = 105;
inline constexpr RpcMethod forget_batch = 106;
inline constexpr RpcMethod shard_sizes = 107;
inline constexpr RpcMethod write_all = 108;  // from a backup, a hint or another replica: no load
}  // namespace rpc_method

/// What a request believes of the cluster. A replica waits until it knows as much, and refuses where the shards have
/// changed since.
struct RequestView {
  uint64_t metadata_index = 0;
  std::vector<std::pair<ShardId, Epoch>> shards;

  void encode(ByteWriter& out) const;
  static Result<RequestView> decode(ByteReader& in);
};

/// Where a replica stores its fence.
Bytes fence_key();

/// Registers its RPC handlers. Used by one core.
class ReplicaService {
 public:
  ReplicaService(NodeId self, Rpc& rpc, MetadataService& metadata, const ClusterState& cluster, const Schema& schema,
                 Replica& replica, Defects defects);

  /// Without the network, for requests that this node coordinates itself, with a mutation that this node made or
  /// checked. Errors beside those of the replica: wrong_epoch, not_found (the table is gone), timeout.
  Task<Status> write(const RequestView& view, Bytes mutation, Instant deadline);
  /// The same for several of one shard that come from a backup or another replica: what clients do not ask for counts
  /// for no load.
  Task<Status> write_all(const RequestView& view, std::vector<Bytes> mutations, Instant deadline);
  /// The encoded result, or its digest in 8 bytes.
  Task<Result<Bytes>> read(const RequestView& view, const ReadCommand& command, bool digest_only, Instant deadline);
  // The same in two parts, for a request of this node. The first needs no coroutine; where it says false there is more
  // to read.

  ReplicaRead reading(const ReadCommand& command) { return ReplicaRead(replica_, command); }
  /// Begins to read; this node's view of the cluster must be the request's.
  Result<bool> begin_read(ReplicaRead& reading);
  /// Reads what is left, in turns with other long reads. In each of them the request must still belong here.
  Task<Status> finish_read(ReplicaRead& reading, const RequestView& view, Instant deadline);
  /// Finds the fence of an earlier life. Before any request is served.
  Status start();
  /// Makes durable that this node knows as much of the metadata as it knows now: whatever it forgets in a crash, it
  /// takes no request before it knows that much again. Errors: those of the replica, unavailable (fence_lost()).
  Task<Status> fence();
  /// With its rows this node lost its fence as well: requests wait until renew_fence(). Before any request is served.
  void fence_lost() { fence_ = unknown_fence; }
  /// This node knows again at least as much of the metadata as it ever promised: makes that its fence.
  Task<Status> renew_fence();
  /// While rebuilding, reads are refused: rows are missing here that were acknowledged.
  void set_rebuilding(bool rebuilding) { rebuilding_ = rebuilding; }
  bool rebuilding() const { return rebuilding_; }
  /// Of the requests that this replica served, wherever they were coordinated.
  RingLoad& load() { return load_; }
  /// Refuses where the request does not belong here. Errors: wrong_epoch, timeout.
  Task<Status> admit(const RequestView& view, Instant deadline);

  static Bytes encode_write(const RequestView& view, BytesView mutation);
  static Bytes encode_write_all(const RequestView& view, const std::vector<Bytes>& mutations);
  static Bytes encode_write_all(const RequestView& view, BytesView mutation);
  /// Brings another replica what no client asks for now: a hint or a repair, which must outlive the call. Before the
  /// feature level of write_all it is a write like any other.
  static Task<Status> bring(Rpc& rpc, const ClusterState& cluster, NodeId to, const RequestView& view,
                            BytesView mutation, Instant deadline, RpcPriority priority);
  static Bytes encode_read(const RequestView& view, const ReadCommand& command, bool digest_only);

 private:
  bool knows(const RequestView& view) const {
    return metadata_.applied_index() >= needed(view) || defects_.has(Defect::accept_wrong_epoch);
  }
  uint64_t needed(const RequestView& view) const { return std::max(view.metadata_index, fence_); }
  Task<Status> know(const RequestView& view, Instant deadline);
  Task<Status> store_fence(uint64_t index);
  Status check(const RequestView& view, bool (Shard::*serves)(NodeId) const) const;
  Status check_readable(const ReadCommand& command) const;
  void count(const ReplicaRead& reading);
  Task<Result<Bytes>> serve_write(RpcRequest request);
  Task<Result<Bytes>> serve_write_all(RpcRequest request);
  Task<Result<Bytes>> serve_read(RpcRequest request);

  NodeId self_;
  MetadataService& metadata_;
  const ClusterState& cluster_;
  const Schema& schema_;
  Replica& replica_;
  RingLoad load_;
  Defects defects_;
  bool rebuilding_ = false;
  static constexpr uint64_t unknown_fence = UINT64_MAX;
  uint64_t fence_ = 0;  // index of the metadata log
  WaitQueue fence_renewed_;
};

}  // namespace asterism::datastore
