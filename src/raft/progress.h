// What a leader knows about one member, and how much it may send to it.
#pragma once

#include "raft/types.h"

namespace asterism::raft {

/// probe: one append at a time until the logs are known to meet. replicate: a pipeline of appends. snapshot: the
/// follower needs entries that are gone; it gets chunks and no appends.
enum class ProgressState : uint8_t { probe, replicate, snapshot };
const char* to_string(ProgressState state);

struct Progress {
  struct Sent {
    LogIndex last;
    uint64_t bytes;
  };

  explicit Progress(NodeId node, LogIndex next) : node(node), next(next) {}

  NodeId node;
  ProgressState state = ProgressState::probe;
  bool active = false;      // heard from since the last quorum check
  bool probe_sent = false;  // wait for an answer or the next heartbeat's
  bool recovering = false;  // must not be counted
  LogIndex match;           // known to be durable there
  LogIndex next;            // to send next
  LogIndex commit_sent;
  uint64_t life = 0;
  uint64_t acked_round = 0;

  std::vector<Sent> in_flight;
  uint64_t in_flight_bytes = 0;

  std::shared_ptr<const SnapshotMeta> snapshot;
  uint64_t snapshot_offset = 0;
  uint32_t snapshot_stalled_ticks = 0;
  bool snapshot_unreadable = false;
  bool snapshot_sent = false;  // up to its last chunk: the answer to wait for is that of the installed snapshot

  void to_probe();
  void to_replicate();
  void to_snapshot(SnapshotMeta meta);
  /// Starts over with a node of which nothing is known any more.
  void forget(LogIndex next_index);
  void sent(LogIndex last, uint64_t bytes);
  /// True where it was news.
  bool acknowledged(LogIndex index);
  bool full(uint32_t max_appends, uint64_t max_bytes) const {
    return in_flight.size() >= max_appends || (in_flight_bytes >= max_bytes && !in_flight.empty());
  }

 private:
  void clear_in_flight();
};

}  // namespace asterism::raft
