// What a Raft is made with: its settings, what the host found on disk, and the host's view of the stored log.
//
// Recovery from amnesia. A node whose disk was lost must not vote twice in a term nor let an acknowledgement that it
// forgot be counted. It starts with Config::recovering and a life number above every earlier one, and until it has
// recovered it neither votes nor campaigns and its replies carry `recovering`, so that nobody counts them. It recovers
// when (a) a majority of the OTHER voters have answered `recover` with their terms, and (b) its durable log reaches the
// commit index that a leader named in such an answer, the leader's term being at least every term learnt and the
// leader having committed an entry of that term.
//  - Forgotten acknowledgement of an entry e that was committed in term T by a quorum Q: every leader elected before
//    this node recovers was elected without it, so its voters share a node other than this one with Q and it holds e
//    (3.6.3). Q without this node and the majority in (a) intersect, so the leader in (b) has a term >= T; having
//    committed in its own term, its commit index covers e, so this node holds e again before it votes.
//    Where that leader is the one of T itself, answering `recover` made it drop what it believed this node had stored.
//  - Forgotten vote for candidate c in term T: c's voters without this node and the majority in (a) share a node s.
//    If s took part in T before it answered, the answer's term is >= T, and this node moves past T's election. If s
//    answered first, it durably remembers this node's new life before it answers and says so in its later vote for c;
//    c then drops the vote of the older life. The same holds with s = c.
//  - A late reply of an older life is recognised by its life number and ignored.
// The life number and the recovering mark are part of HardState, so a restart in the middle changes nothing.
#pragma once

#include <optional>

#include "raft/configuration.h"

namespace asterism::raft {

/// Times are in ticks; the host decides how long a tick is (100 ms is usual) and must tick all nodes at about one rate.
struct Config {
  NodeId id;
  ShardId group;
  /// Seeds election timeouts and the numbers of forwarded reads. Draw a new one at every start: nodes of a group with
  /// equal seeds campaign in step for ever, and a node that starts again with its old seed may take a late answer to a
  /// read of its previous run for a fresh one.
  uint64_t seed = 1;

  /// A follower campaigns after [election_ticks, 2 * election_ticks) without a leader. More than heartbeat_ticks.
  uint32_t election_ticks = 10;
  uint32_t heartbeat_ticks = 2;

  /// Bounds on appends sent to one follower and not acknowledged. One message may pass the byte bound.
  uint32_t max_inflight_appends = 64;
  uint64_t max_inflight_bytes = 4 << 20;
  /// One append carries at most this, but at least one entry.
  uint64_t max_append_bytes = 256 << 10;
  /// One take() hands over committed entries up to this, but at least one.
  uint64_t max_apply_bytes = 1 << 20;
  /// A leader refuses proposals (overloaded) while this much waits to be committed.
  uint64_t max_uncommitted_bytes = 16 << 20;
  /// Reads that may wait at once; above it they fail with overloaded.
  uint32_t max_pending_reads = 4096;

  /// 9.6: ask before raising the term, so a node that was cut off does not disturb (4.2.3).
  bool pre_vote = true;
  /// 6.2 and 4.2.3: a leader that hears no quorum for election_ticks steps down; followers ignore votes while their
  /// leader is fresh. lease_reads needs it.
  bool check_quorum = true;
  /// 6.4.1: answer reads without a round while a quorum acknowledged a heartbeat sent less than
  /// election_ticks - lease_margin_ticks ago. Right only while tick rates differ by less than
  /// lease_margin_ticks / election_ticks.
  bool lease_reads = true;
  uint32_t lease_margin_ticks = 3;
  /// A leader with nothing to do for this long puts the group to rest; 0 never. Needs a host that reports dead nodes.
  uint32_t quiesce_after_ticks = 0;

  /// The disk was lost: see above. `incarnation` must be above every earlier one of this node (the wall clock will do).
  bool recovering = false;
  uint64_t incarnation = 0;
};

/// What the host found on disk. A new group: only `configurations`, with the first configuration at index 0.
/// A node that joins an existing group: an empty configuration at index 0.
struct Restored {
  HardState hard_state;
  ConfigurationHistory configurations;
  /// Everything up to here is in the state machine.
  LogIndex applied;
};

/// The durable part of the log, as the host stores it. Raft keeps what is not durable yet, and asks here for the rest.
/// Calls are made only inside calls to Raft, on the same thread. A view shows at least everything that persisted() was
/// called for.
class LogView {
 public:
  virtual ~LogView() = default;
  /// The first entry that can be read: one past the snapshot, 1 without one.
  virtual LogIndex first_index() const = 0;
  /// The last entry; first_index() - 1 when there is none.
  virtual LogIndex last_index() const = 0;
  /// Defined from first_index() - 1 (the snapshot's term; index 0 has term 0) to last_index().
  virtual std::optional<Term> term(LogIndex index) const = 0;
  /// Entries in [first, last] up to max_bytes of cost, at least one where the first is present. An empty answer means
  /// that they cannot be read now: Raft asks again later.
  virtual std::vector<Entry> entries(LogIndex first, LogIndex last, uint64_t max_bytes) const = 0;
  /// The newest snapshot a follower can be sent; nothing while there is none.
  virtual std::optional<SnapshotMeta> snapshot() const = 0;
};

}  // namespace asterism::raft
