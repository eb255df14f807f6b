// The metadata log as its users see it: propose, wait, read.
#pragma once

#include "cluster/cluster_state.h"
#include "cluster/metadata_log.h"
#include "cluster/rpc.h"
#include "raft/host.h"
#include "runtime/channel.h"

namespace asterism {

/// The Raft group that the metadata log is.
inline constexpr ShardId metadata_shard{0};

/// Runs the metadata group of this node: proposals go to the leader, wherever it is. Used by one core.
class MetadataService final : public raft::StateMachine {
 public:
  /// Registers its RPC handlers. The arguments must outlive it.
  MetadataService(NodeId self, Executor& executor, Rpc& rpc, raft::Host& host, Log log);

  MetadataState& state() { return state_; }

  /// Joins the group; sections must have been added. `first`: its configuration where the node is new.
  Status start(raft::Configuration first);

  /// Has a command agreed on, and returns its outcome once it is applied on this node too, and on every other node
  /// that answers within settle_limit: a client that goes on at another node finds what it made. Errors: those of the
  /// command; unavailable (no leader: nothing was done); timeout and closed (it may or may not take effect).
  static constexpr Duration settle_limit = 1s;
  Task<Result<Bytes>> propose(std::string section, Bytes command, Instant deadline);
  /// The same for a record of MetadataState::encode_record or encode_records.
  Task<Result<Bytes>> propose_record(Bytes record, Instant deadline);
  /// Completes when this node has applied every command that was agreed on before the call. Errors: unavailable,
  /// timeout.
  Task<Status> barrier(Instant deadline);

  /// Completes when this node has applied the log up to `index`. Errors: timeout.
  Task<Status> applied(uint64_t index, Instant deadline);
  uint64_t applied_index() const { return state_.applied_index(); }

  NodeId leader() const { return host_.leader(metadata_shard); }

  // raft::StateMachine
  Result<Bytes> apply(raft::LogIndex index, BytesView payload) override;
  Bytes snapshot() const override { return state_.snapshot(); }
  Status restore(BytesView snapshot) override;

 private:
  Task<Result<Bytes>> serve_propose(RpcRequest request);
  Task<Result<Bytes>> propose_once(Bytes record, Instant deadline, bool& retry);
  Task<Result<Bytes>> serve_wait(RpcRequest request);
  Task<void> settle(uint64_t index);
  Task<Status> wait_applied(uint64_t index);
  Task<Status> barrier_loop();

  NodeId self_;
  Executor& executor_;
  Rpc& rpc_;
  raft::Host& host_;
  Log log_;
  MetadataState state_;
  WaitQueue waiting_;  // for an index to be applied
};

}  // namespace asterism
