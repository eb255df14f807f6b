// What nodes of a group say to each other, and its binary form.
#pragma once

#include "raft/types.h"

namespace asterism::raft {

enum class MessageKind : uint8_t {
  pre_vote = 1,  // 9.6
  pre_vote_reply,
  vote,  // 3.4
  vote_reply,
  append,  // 3.5
  append_reply,
  heartbeat,  // small, so that a host can pack those of many groups into one frame per pair of nodes
  heartbeat_reply,
  snapshot_chunk,  // chapter 5
  snapshot_reply,
  read_index,  // a follower asks its leader (6.4)
  read_index_reply,
  timeout_now,  // 3.10
  recover,      // a node that lost its disk announces its new life; see config.h
  recover_reply,
};
const char* to_string(MessageKind kind);

/// One message. A field that its kind does not list is zero and does not travel.
struct Message {
  MessageKind kind = MessageKind::heartbeat;
  ShardId group{};
  NodeId from{}, to{};
  Term term{};

  LogIndex index{};   // append: the entry before the first; vote: the sender's last; append_reply: matched or refused;
                      // read_index_reply: safe index; recover_reply: index to reach; snapshot_reply: the snapshot's
  Term log_term{};    // append: term of `index`; vote: term of the sender's last; refusal: term at `hint`;
                      // snapshot_reply: the snapshot's
  LogIndex commit{};  // append, heartbeat
  LogIndex hint{};    // refusal of an append: the last index that may match
  uint64_t context = 0;      // heartbeat and its reply: round; read_index: the asker's context
  uint64_t incarnation = 0;  // replies, recover: the sender's life
  uint64_t offset = 0;       // snapshot: where data starts; its reply: the next byte wanted

  bool reject = false;
  bool force = false;       // vote: asked for by the leader, so a fresh leader does not stand in its way (3.10)
  bool quiesce = false;     // heartbeat: stop ticking until something happens
  bool recovering = false;  // replies: do not count me
  bool done = false;        // snapshot_chunk: the last; recover_reply: from a leader that committed in its term

  std::vector<Entry> entries{};                    // append
  std::vector<Incarnation> incarnations{};         // vote_reply
  std::shared_ptr<const SnapshotMeta> snapshot{};  // snapshot_chunk
  Payload data{};                                  // snapshot_chunk
};

/// Limits that a decoder enforces; a message past them is too_large.
struct MessageLimits {
  uint64_t max_entries = 65536;
  uint64_t max_bulk_bytes = 64 << 20;
};

/// Writes the message without its bulk (entry payloads or snapshot data), which follows on the wire in order: write
/// head and bulk pieces with one gathering write and no payload is copied. `from` and `to` do not travel: both ends of
/// a connection know them.
void encode_head(const Message& message, ByteWriter& out);
/// The pieces that follow the head. They live as long as the message.
std::vector<BytesView> bulk(const Message& message);
/// Head and bulk in one buffer.
void encode(const Message& message, ByteWriter& out);
/// Reads one message and leaves the reader behind it. Payloads are copied out of the reader's buffer, each once.
Result<Message> decode(ByteReader& in, NodeId from, NodeId to, const MessageLimits& limits = {});

/// Also used for config_change payloads and for what a host keeps on disk.
void encode(const Configuration& configuration, ByteWriter& out);
Result<Configuration> decode_configuration(ByteReader& in);
void encode(const HardState& state, ByteWriter& out);
Result<HardState> decode_hard_state(ByteReader& in);
void encode(const SnapshotMeta& meta, ByteWriter& out);
Result<SnapshotMeta> decode_snapshot_meta(ByteReader& in);
void encode(const Entry& entry, ByteWriter& out);
Result<Entry> decode_entry(ByteReader& in);

}  // namespace asterism::raft
