// What a Raft wants done. Order is not the host's concern: whatever a field holds may be done at once, because what has
// to wait for the disk stays inside Raft until Raft::persisted() lets it out.
#pragma once

#include <optional>

#include "raft/message.h"

namespace asterism::raft {

enum class Role : uint8_t { follower, pre_candidate, candidate, leader };
const char* to_string(Role role);

/// One durable write. Writes are made durable in the order of their ids, all parts of one together; a crash may lose
/// any number of the latest ones whole. They may be written while later calls to Raft are made.
struct Write {
  uint64_t id = 0;
  /// Always the complete current state.
  HardState hard_state;
  /// Replaces log and state machine: keep no entry, start after snapshot.index. The bytes are those the host received.
  std::optional<SnapshotMeta> snapshot;
  /// Contiguous. Entries at or past the first one's index are dropped from the log before these are added.
  std::vector<Entry> entries;
};

/// A piece of a snapshot that arrived, in order from offset 0; offset 0 starts over and drops what came before.
/// After `done` the host checks the whole and calls Raft::snapshot_received().
struct ReceivedChunk {
  SnapshotMeta meta;
  uint64_t offset = 0;
  Payload data;
  bool done = false;
};

/// A follower needs bytes of LogView::snapshot() from `offset` on: read some and call Raft::send_snapshot_chunk().
struct ChunkRequest {
  NodeId to;
  SnapshotMeta meta;
  uint64_t offset = 0;
};

/// The answer to Raft::read_index(). Once `index` is applied, a local read sees every write that was acknowledged
/// before the read was asked for. Not ok: ask again, perhaps elsewhere.
struct ReadState {
  uint64_t context = 0;
  bool ok = false;
  LogIndex index;
};

struct SoftState {
  Role role = Role::follower;
  NodeId leader;  // 0: unknown
  Term term;
  bool operator==(const SoftState&) const = default;
};

struct Output {
  std::vector<Message> messages;
  std::optional<Write> write;
  /// To apply in order, then report with Raft::applied(). Only entries that are durable here.
  std::vector<Entry> committed;
  std::vector<ReadState> reads;
  /// Present where it changed.
  std::optional<SoftState> soft_state;
  /// The configuration in force changed: who to connect to.
  bool configuration_changed = false;
  std::vector<ReceivedChunk> received_chunks;
  std::vector<ChunkRequest> chunk_requests;

  bool empty() const {
    return messages.empty() && !write && committed.empty() && reads.empty() && !soft_state && !configuration_changed &&
           received_chunks.empty() && chunk_requests.empty();
  }
};

}  // namespace asterism::raft
