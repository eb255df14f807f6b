// The vocabulary of the Raft step machine: terms, indexes, entries, configurations and what must survive a crash.
// "Thesis" in this folder is D. Ongaro, "Consensus: Bridging Theory and Practice" (2014); numbers are its sections.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/id.h"
#include "base/result.h"

namespace asterism::raft {

/// 3.3: numbers elections; at most one leader each. 0 precedes every election.
using Term = StrongId<struct TermTag, uint64_t>;
/// The place of an entry in the log. The first entry is 1; 0 is the empty log's end and has term 0.
using LogIndex = StrongId<struct LogIndexTag, uint64_t>;

constexpr LogIndex operator+(LogIndex at, uint64_t by) { return {at.value + by}; }
constexpr LogIndex operator-(LogIndex at, uint64_t by) { return {at.value < by ? 0 : at.value - by}; }
constexpr uint64_t operator-(LogIndex high, LogIndex low) { return high.value - low.value; }
constexpr Term operator+(Term at, uint64_t by) { return {at.value + by}; }

/// Shared and immutable: an entry is encoded once and referenced by the log, by every follower's message and by the
/// state machine. Null means empty.
using Payload = std::shared_ptr<const Bytes>;
inline Payload make_payload(Bytes bytes) { return std::make_shared<const Bytes>(std::move(bytes)); }

enum class EntryKind : uint8_t {
  normal,         // the state machine's
  config_change,  // payload is an encoded Configuration, in force from the moment it is appended (4.1)
  noop,           // a leader's first entry (6.4); the state machine ignores it
};

struct Entry {
  Term term;
  LogIndex index;
  EntryKind kind = EntryKind::normal;
  Payload payload;

  BytesView bytes() const { return payload ? BytesView(*payload) : BytesView(); }
  /// What the entry weighs against limits: its payload and a fixed overhead.
  uint64_t cost() const { return bytes().size() + 24; }
};

/// The life of a node: raised each time a node starts over after losing its disk. Nodes absent from a list are in
/// life 0. See recovery in config.h.
struct Incarnation {
  NodeId node;
  uint64_t life = 0;
  bool operator==(const Incarnation&) const = default;
};

/// What a node must find again after a crash besides its log. `commit` may be older than what was committed.
struct HardState {
  Term term;
  NodeId voted_for;
  LogIndex commit;
  bool recovering = false;
  std::vector<Incarnation> incarnations;  // sorted by node; almost always empty
  bool operator==(const HardState&) const = default;
};

struct Priority {
  NodeId node;
  uint8_t value = 0;
  bool operator==(const Priority&) const = default;
};

/// Who takes part. All lists are sorted and free of duplicates. While voters_outgoing is not empty the configuration is
/// joint (4.3): decisions need a majority of both voter lists.
struct Configuration {
  std::vector<NodeId> voters{};
  std::vector<NodeId> voters_outgoing{};
  std::vector<NodeId> learners{};       // receive the log, do not count (4.2.1)
  std::vector<NodeId> learners_next{};  // still voters_outgoing; learners once the joint configuration is left
  std::vector<Priority> priorities{};   // absent means 0; a higher value is preferred as leader

  bool joint() const { return !voters_outgoing.empty(); }
  bool is_voter(NodeId node) const;    // of either list
  bool is_learner(NodeId node) const;  // and not a voter
  bool contains(NodeId node) const { return is_voter(node) || is_learner(node); }
  uint8_t priority_of(NodeId node) const;
  /// Every node once, sorted.
  std::vector<NodeId> members() const;
  bool operator==(const Configuration&) const = default;
};

/// What a snapshot of the state machine stands for: the log up to and including `index`.
struct SnapshotMeta {
  LogIndex index;
  Term term;
  Configuration configuration;
  bool operator==(const SnapshotMeta&) const = default;
};

}  // namespace asterism::raft
