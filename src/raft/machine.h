// The step machine behind raft.h. Its parts: machine.cc (time, dispatch, output), election.cc (chapter 3.4, 9.6),
// replication.cc (leader, 3.5), follower.cc, membership.cc (chapter 4, 3.10), reads.cc (6.4), snapshot.cc (chapter 5),
// recovery.cc (config.h).
#pragma once

#include "raft/log.h"
#include "raft/progress.h"
#include "raft/quorum.h"
#include "raft/raft.h"

namespace asterism::raft {

class Raft::Machine {
 public:
  Machine(Config config, Restored restored, const LogView& log);

  // machine.cc
  void tick();
  void step(Message m);
  void persisted(uint64_t id);
  void applied(LogIndex index);
  Output take();
  bool has_output() const;
  void report_unreachable(NodeId node);
  size_t memory_bytes() const;

  // election.cc
  void campaign(bool force);

  // replication.cc
  Result<LogIndex> propose(std::span<const Payload> payloads);

  // membership.cc
  Result<LogIndex> propose_config_change(ConfigurationTarget target);
  Status transfer_leadership(NodeId to);

  // reads.cc
  Status read_index(uint64_t context);
  bool lease_valid() const;

  // snapshot.cc
  SnapshotMeta describe_snapshot() const;
  void send_snapshot_chunk(NodeId to, const SnapshotMeta& meta, uint64_t offset, Payload data, bool done);
  void snapshot_received(const SnapshotMeta& meta, bool intact);

  Config config_;
  HardState hard_;
  RaftLog log_;
  ConfigurationHistory history_;
  Role role_ = Role::follower;
  bool resting_ = false;
  NodeId leader_;
  LogIndex applied_;
  std::vector<Progress> progress_;  // sorted by node, itself included; empty unless leader

 private:
  friend class Raft;
  struct Vote {
    NodeId node;
    bool granted;
    uint64_t life;
  };
  struct Held {
    uint64_t after;  // the write that must be durable first
    Message message;
  };
  struct Round {
    uint64_t round;
    uint64_t sent_tick;
  };
  struct PendingRead {
    NodeId from;  // itself for a local read
    uint64_t context;
    LogIndex index;
    uint64_t round;  // 0: the leader has not committed in its term yet
  };
  struct ForwardedRead {
    uint64_t wire_context;
    uint64_t context;
    uint64_t tick;
  };
  struct Incoming {
    LogIndex index;
    Term term;
    uint64_t next_offset;
    bool complete;
  };
  struct RecoveryAnswer {
    NodeId node;
    Term term;
    LogIndex target;
    bool committed_in_term;
  };
  struct Proposed {
    LogIndex last;
    uint64_t bytes;
  };

  const Configuration& configuration() const { return history_.latest().configuration; }
  bool is_leader() const { return role_ == Role::leader; }

  // machine.cc
  void tick_leader();
  void tick_follower();
  void send(Message m);
  void release_held();
  uint64_t dependency(MessageKind kind) const;
  bool handle_term(const Message& m);
  void handle_stale(const Message& m);
  void dispatch(Message& m);
  void fill_committed();
  void commit_to(LogIndex index);
  void wake();
  uint64_t random();
  void become_follower(Term term, NodeId leader);
  void set_term(Term term);

  // election.cc
  bool promotable() const;
  bool sticky() const;
  void reset_election_timer();
  void become_candidate(bool pre, bool force);
  void become_leader();
  void on_vote_request(const Message& m);
  void on_vote_reply(const Message& m);
  void count_vote(NodeId node, bool granted, uint64_t life);
  void tally();
  void quorum_check();

  // replication.cc
  Progress* find_progress(NodeId node);
  LogIndex append_as_leader(EntryKind kind, Payload payload);
  void broadcast_append();
  bool send_append(Progress& to, bool even_empty);
  void broadcast_heartbeat(bool quiesce);
  void send_heartbeat(Progress& to, bool quiesce);
  bool accept_reply(Progress& from, const Message& m);
  void on_append_reply(const Message& m);
  void on_append_refused(Progress& from, const Message& m);
  void on_heartbeat_reply(const Message& m);
  void own_progress();
  void maybe_commit();
  void maybe_rest();

  // follower.cc
  void follow(NodeId leader);
  void on_append(Message& m);
  bool well_formed(const Message& m) const;
  void on_heartbeat(const Message& m);
  void note_appended(const Entry& entry);

  // membership.cc
  LogIndex append_configuration(Configuration next);
  void configuration_appended();
  void configuration_committed();
  void on_timeout_now(const Message& m);
  void tick_transfer();
  void maybe_hand_over();
  void send_timeout_now(NodeId to);

  // reads.cc
  void on_read_index(const Message& m);
  void on_read_index_reply(const Message& m);
  void leader_read(NodeId from, uint64_t context);
  void answer_read(const PendingRead& read, bool ok);
  void start_early_reads();
  void confirm_reads();
  void fail_reads();
  void expire_forwarded();
  uint64_t quorum_round() const;

  // snapshot.cc
  void start_snapshot(Progress& to);
  void tick_snapshots();
  void on_snapshot_chunk(const Message& m);
  void on_snapshot_reply(const Message& m);

  // recovery.cc
  uint64_t life_of(NodeId node) const;
  bool learn_life(NodeId node, uint64_t life);
  void tick_recovery();
  void on_recover(const Message& m);
  void on_recover_reply(const Message& m);
  void maybe_recovered();

  uint64_t random_state_;
  uint64_t now_ = 0;  // ticks
  uint32_t elapsed_ = 0, timeout_ = 0;
  uint64_t last_contact_tick_ = 0;
  bool had_contact_ = false;
  uint32_t heartbeat_elapsed_ = 0, idle_ticks_ = 0;

  std::vector<Vote> votes_;
  bool force_votes_ = false;

  LogIndex term_start_;  // the noop of this leader
  std::vector<Proposed> proposed_;
  uint64_t uncommitted_bytes_ = 0;
  NodeId transfer_to_;
  uint32_t transfer_elapsed_ = 0;
  uint64_t next_hand_over_tick_ = 0;
  bool lease_forfeited_ = false;

  uint64_t round_ = 0;
  bool round_fresh_ = false;  // sent since the last take(), so more reads may join it
  std::vector<Round> rounds_;
  std::vector<PendingRead> pending_reads_;
  std::vector<ForwardedRead> forwarded_reads_;
  uint64_t next_wire_context_;

  std::unique_ptr<Incoming> incoming_;
  std::vector<RecoveryAnswer> recovery_answers_;

  Output out_;
  std::vector<Held> held_;
  SoftState reported_;
  uint64_t next_write_ = 1, last_write_ = 0, last_state_write_ = 0, persisted_ = 0;
  bool state_dirty_ = false;
  LogIndex handed_;  // to the state machine
  uint64_t handed_bytes_ = 0;
};

}  // namespace asterism::raft
