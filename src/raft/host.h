// Runs the Raft groups of one core: their clock, their disk, their messages.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>

#include "base/defects.h"
#include "base/log.h"
#include "ports/random.h"
#include "raft/group_log.h"
#include "raft/raft.h"
#include "runtime/one_shot.h"
#include "runtime/task_group.h"
#include "storage/write_ahead_log.h"

namespace asterism::raft {

/// What a group replicates. Called on the host's core; must be deterministic.
class StateMachine {
 public:
  virtual ~StateMachine() = default;
  /// The outcome goes to whoever proposed the entry on this node.
  virtual Result<Bytes> apply(LogIndex index, BytesView payload) = 0;
  virtual Bytes snapshot() const = 0;
  /// Errors: corrupt.
  virtual Status restore(BytesView snapshot) = 0;
};

struct HostOptions {
  NodeId self;
  Duration tick = 50ms;
  uint32_t election_ticks = 10;
  uint32_t heartbeat_ticks = 2;
  uint32_t quiesce_after_ticks = 40;
  /// A snapshot is taken when the entries after the last one weigh more than this and more than the snapshot.
  uint64_t snapshot_after_bytes = 4 << 20;
  uint64_t snapshot_chunk_bytes = 256 << 10;
  /// Groups that start here have lost their disk: see Config::recovering.
  bool recovering = false;
  Defects defects;
};

/// Messages of all groups towards one node that became ready in one turn travel as one batch. One sync of the
/// write-ahead log serves every group that wrote. Quiet groups are not ticked. Used by one core.
class Host {
 public:
  /// Hands a batch to the transport; it may be lost.
  using Send = std::function<void(NodeId to, Bytes batch)>;

  Host(HostOptions options, Executor& executor, const Clock& clock, Random& random, Send send, Log log);
  ~Host();

  // Start-up, in this order: replay() for every record of the write-ahead log whose owner is a group, then start()
  // with the log, then add_group().

  /// Errors: corrupt.
  Status replay(const Record& record);
  void start(WriteAheadLog& wal);
  /// Starts a group: from what was replayed, or else with `first` as its first configuration. The machine must outlive
  /// the host. Errors: corrupt (its snapshot cannot be restored).
  Status add_group(ShardId group, Configuration first, StateMachine& machine);

  /// A batch from another node's host. Malformed ones are dropped.
  void receive(NodeId from, BytesView batch);
  /// The node does not answer or its connection broke; and that it answers again.
  void report_unreachable(NodeId node);
  void report_reachable(NodeId node) { unreachable_.erase(node); }

  struct Committed {
    LogIndex index;
    Result<Bytes> outcome;
  };
  /// Stands for election now, if the group's rules allow it.
  void campaign(ShardId group);
  /// Completes when the entry is applied here. Errors: not_leader (message: nothing was done), unavailable (nothing
  /// was done), overloaded, closed (leadership was lost: it may or may not be applied later).
  Task<Result<Committed>> propose(ShardId group, Bytes payload);
  /// Completes when this node has applied everything that was committed when it was called. Errors: not_leader,
  /// unavailable, overloaded.
  Task<Status> read_barrier(ShardId group);

  /// Hands over to other voters what this node leads, as far as any of them answers and has everything. Returns how
  /// many groups it still leads that others could.
  size_t hand_over();

  /// Starts to change who takes part. Errors: those of Raft::propose_config_change.
  Status change_configuration(ShardId group, ConfigurationTarget target);

  /// 0: unknown.
  NodeId leader(ShardId group) const;
  bool is_leader(ShardId group) const { return leader(group) == options_.self; }
  const Raft& raft(ShardId group) const;
  /// Whether any group still makes good a lost disk.
  bool recovering() const;
  /// Called after leadership changed or entries were applied.
  void on_change(std::function<void(ShardId)> listener) { on_change_ = std::move(listener); }

  struct Counters {
    uint64_t groups = 0, quiet = 0, batches_sent = 0, messages_sent = 0, writes = 0, snapshots = 0;
  };
  Counters counters() const;
  /// What broke the write-ahead log; the host does nothing any more.
  bool stopped() const { return stopped_; }

 private:
  struct Group;

  Group* find(ShardId group) const;
  void touch(Group& group);
  void step_all();
  void carry_out(Group& group);
  void write(Group& group, Write write);
  void write_base(Group& group);
  struct Append;
  void append(Append append);
  bool try_append(Append& append);
  void retry_appends();
  void apply(Group& group, std::vector<Entry> entries);
  void finish_reads(Group& group);
  void receive_chunk(Group& group, ReceivedChunk chunk);
  void maybe_snapshot(Group& group);
  size_t rewrite_oldest();
  void tidy();
  void flush_messages();
  void tick();
  void make_up_ticks();
  void arm_tick();
  void fail_waiters(Group& group, ErrorCode code, const char* why);
  void stop(const Error& error);

  HostOptions options_;
  Executor& executor_;
  const Clock& clock_;
  Random& random_;
  Send send_;
  Log log_;
  WriteAheadLog* wal_ = nullptr;
  std::map<ShardId, std::unique_ptr<GroupLog>> replayed_;
  std::unordered_map<ShardId, std::unique_ptr<Group>> groups_;
  std::set<NodeId> unreachable_;
  std::set<ShardId> awake_;           // are ticked
  std::vector<ShardId> touched_;      // have output to carry out
  std::map<NodeId, Bytes> outgoing_;  // batches of this turn
  std::function<void(ShardId)> on_change_;
  std::deque<Append> backlog_;  // what the write-ahead log had no room for, in order
  Timer tick_timer_, tidy_timer_, retry_timer_;
  Instant next_tick_;
  struct Turn;
  std::unique_ptr<Turn> turn_;
  Counters counters_;
  uint64_t next_context_ = 1;
  bool stopped_ = false;
};

}  // namespace asterism::raft
