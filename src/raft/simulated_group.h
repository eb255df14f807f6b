// Test equipment: a group of nodes with disks and a network of their own, checked at every step against the properties
// of Figure 3.2 of the thesis. Faults and planted bugs are done here, to messages and disks, never inside the machine.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "raft/raft.h"

namespace asterism::raft {

enum class PlantedBug {
  none,
  forget_vote,        // a restart finds the term but not the vote
  lying_disk,         // persisted() is called before the write is durable
  forged_append_ack,  // an append is acknowledged though nobody stored it: a quorum that is one short
  forged_vote,        // a refusal is turned into a vote
  count_old_terms,    // followers are told to commit whatever a majority stores (Figure 3.7)
  silent_amnesia,     // a wiped node comes back as if nothing had happened
  accept_stale_term,  // messages of an old term count as new ones
  forged_heartbeat,   // heartbeats are acknowledged by followers that never got them
};

class SimulatedGroup;

/// One node: durable log, hard state and snapshot, which outlive `raft`, and a state machine, which does not.
class SimulatedNode : public LogView {
 public:
  LogIndex first_index() const override { return base_index + 1; }
  LogIndex last_index() const override { return base_index + log.size(); }
  std::optional<Term> term(LogIndex index) const override;
  std::vector<Entry> entries(LogIndex first, LogIndex last, uint64_t max_bytes) const override;
  std::optional<SnapshotMeta> snapshot() const override { return stored_snapshot; }
  const Entry& entry(LogIndex index) const { return log[index - base_index - 1]; }

  NodeId id;
  Config config;
  std::unique_ptr<Raft> raft;  // null while crashed
  LogIndex base_index;
  Term base_term;
  std::vector<Entry> log;
  HardState hard_state;
  ConfigurationHistory history;
  std::optional<SnapshotMeta> stored_snapshot;
  Bytes stored_snapshot_bytes;
  std::deque<Write> writing;
  bool hold_disk = false;
  bool damage_snapshots = false;

  uint64_t digest = 0;  // of everything applied
  LogIndex applied;
  Bytes incoming;
  std::map<uint64_t, Bytes> incoming_checked;  // by snapshot index, until stored
};

class SimulatedGroup {
 public:
  struct Options {
    uint32_t nodes = 3;
    Configuration configuration;
    Config config;
    uint64_t chunk_bytes = 8;
    PlantedBug bug = PlantedBug::none;
    uint64_t seed = 1;
  };

  explicit SimulatedGroup(Options options);

  SimulatedNode& node(uint32_t id) { return *nodes_.at(id - 1); }
  uint32_t size() const { return static_cast<uint32_t>(nodes_.size()); }
  std::deque<Message>& network() { return network_; }
  const std::vector<std::string>& violations() const { return violations_; }
  Options& options() { return options_; }

  /// Carries out what a node wants. Called after every input.
  void pump(uint32_t id);
  /// Makes the oldest write durable and reports it. False where there is none.
  bool persist(uint32_t id);
  /// Loses the node's memory and the writes that are not durable.
  void crash(uint32_t id);
  void restart(uint32_t id);
  /// Also loses the disk.
  void wipe(uint32_t id, uint64_t incarnation, bool recovering);
  void deliver(Message message);
  bool read(uint32_t id);
  void compact(uint32_t id);
  Result<LogIndex> propose(uint32_t id, Bytes payload);
  /// The node that leads in the highest term; 0 for none.
  uint32_t leader();
  LogIndex highest_applied() const { return highest_applied_; }
  uint64_t reads_answered() const { return reads_answered_; }

  /// Sees what happens, as lines of text.
  std::function<void(std::string)> trace = [](const std::string&) {};
  /// Decides what becomes of a message that is sent; by default it joins network().
  std::function<void(Message)> transmit;

 private:
  void carry_out(SimulatedNode& n, Output out);
  void store(SimulatedNode& n, const Write& write);
  void apply(SimulatedNode& n, const Entry& entry);
  void check_leader(SimulatedNode& n, Term term);
  void check_stored(const SimulatedNode& n, const Entry& entry);
  void chunk(SimulatedNode& n, const ChunkRequest& request);
  void received(SimulatedNode& n, const ReceivedChunk& piece);
  void plant(SimulatedNode& n, Message message);
  void violation(std::string text);

  struct Stored {
    Term before;
    uint64_t digest;
  };
  Options options_;
  std::vector<std::unique_ptr<SimulatedNode>> nodes_;
  std::deque<Message> network_;
  std::vector<std::string> violations_;
  std::map<uint64_t, uint32_t> leader_of_term_;
  std::map<uint64_t, std::pair<uint64_t, uint64_t>> applied_;         // index -> term, digest of the prefix
  std::map<std::pair<uint64_t, uint64_t>, Stored> stored_;            // (index, term)
  std::map<std::pair<uint32_t, uint64_t>, LogIndex> expected_reads_;  // (node, context) -> least index
  LogIndex highest_applied_;
  uint64_t next_read_ = 1, reads_answered_ = 0;
};

std::string describe(const Message& message);
std::string describe(const Configuration& configuration);

}  // namespace asterism::raft
