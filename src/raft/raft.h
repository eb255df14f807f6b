// One member of one Raft group, as a pure step machine: messages, ticks and finished writes go in, take() says what to
// do. No clock, no I/O, no threads, no coroutines; two runs with the same inputs and seed are identical.
#pragma once

#include <memory>
#include <span>

#include "raft/config.h"
#include "raft/output.h"

namespace asterism::raft {

/// The host's loop for a group: call inputs in any order and number, then take() and carry out what it holds, then, as
/// writes become durable, persisted(). Inputs tolerate lost, repeated and reordered messages. Not reentrant.
class Raft {
 public:
  /// `log` must outlive this. It holds exactly what the hard state and configurations in `restored` were saved with.
  Raft(Config config, Restored restored, const LogView& log);
  ~Raft();
  Raft(Raft&&) noexcept;

  /// One unit of time passes. Does nothing while quiet().
  void tick();
  /// A message for this node and group arrived. One from nobody of the group is answered but cannot do harm.
  void step(Message message);
  /// Appends to the log; the i-th payload gets the returned index + i in term(). It is committed when `committed`
  /// holds an entry with that index and that term; an entry there of another term means that it is lost.
  /// not_leader (ask leader()), overloaded, unavailable (leadership is being handed over): nothing was done.
  Result<LogIndex> propose(std::span<const Payload> payloads);
  /// Starts a change towards the target; a joint step is left without further calls. A learner should have caught up
  /// before it becomes a voter (4.2.1, see progress()). unavailable: another change is still on its way, or this leader
  /// has not committed in its term yet. invalid_argument, not_leader.
  Result<LogIndex> propose_config_change(ConfigurationTarget target);
  /// Asks for a linearizable read point; the answer comes as a ReadState with this context. Followers ask their leader.
  /// not_leader: nobody known to ask. overloaded. Answers come in any order; every accepted context gets one.
  Status read_index(uint64_t context);
  /// Hands leadership to a voter (3.10) as soon as it has the whole log; gives up after election_ticks.
  /// not_leader, invalid_argument (not a voter).
  Status transfer_leadership(NodeId to);
  /// Campaigns now, if it may.
  void campaign();

  /// Write `id` and all before it are durable and the LogView shows them.
  void persisted(uint64_t id);
  /// The state machine has applied up to here: at most what `committed` handed over.
  void applied(LogIndex index);
  /// Describes the state machine as of applied_index(), for the host to store with a snapshot of it.
  /// Once LogView::snapshot() shows it, the host may drop the log up to its index.
  SnapshotMeta describe_snapshot() const;
  /// Bytes for a ChunkRequest. An offset at or past the end is answered with empty data and done.
  /// Null data with done false: they cannot be read, try later, with a newer snapshot where there is one.
  void send_snapshot_chunk(NodeId to, const SnapshotMeta& meta, uint64_t offset, Payload data, bool done);
  /// The host checked a whole received snapshot. Not intact: it is asked for again from the start.
  void snapshot_received(const SnapshotMeta& meta, bool intact);
  /// The node-level connection to a peer broke or does not answer. Must be called for the leader of a quiet group.
  void report_unreachable(NodeId node);

  /// Takes everything to do since the last call. Cheap when there is nothing: see has_output().
  Output take();
  bool has_output() const;

  /// At rest: the host may stop ticking until the next step(), propose…(), read_index() or report_unreachable(). The
  /// leader rests when all is committed, applied and acknowledged by every member; its last heartbeat tells followers
  /// to rest too. A resting leader has given up its lease. A resting follower keeps its leader until
  /// report_unreachable(leader), and then campaigns after an election timeout; so the host that stops ticking owes that
  /// call for every node that it believes dead, also for one that died before the group went to rest.
  bool quiet() const;

  NodeId id() const;
  ShardId group() const;
  Role role() const;
  Term term() const;
  NodeId leader() const;
  bool recovering() const;
  LogIndex commit_index() const;
  LogIndex applied_index() const;
  LogIndex last_index() const;
  const Configuration& configuration() const;
  /// The index of the configuration entry in force; the change is decided once it is committed.
  LogIndex configuration_index() const;
  const HardState& hard_state() const;
  /// True while reads are answered without a round.
  bool lease_valid() const;

  /// How far a member is, as its leader knows.
  struct PeerStatus {
    NodeId node;
    LogIndex match, next;
    const char* state = "";
    bool active = false;
    bool recovering = false;
  };
  /// Empty unless leader.
  std::vector<PeerStatus> progress() const;
  /// Bytes held, with everything it owns. For capacity checks.
  size_t memory_bytes() const;

 private:
  class Machine;
  std::unique_ptr<Machine> machine_;
};

}  // namespace asterism::raft
