#include "raft/message.h"

#include "raft/configuration.h"

namespace asterism::raft {

namespace {

constexpr uint8_t flag_reject = 1, flag_force = 2, flag_quiesce = 4, flag_recovering = 8, flag_done = 16;
constexpr uint8_t all_flags = 31;

// Which fields travel with which kind.
enum Field : uint16_t {
  f_index = 1,
  f_log_term = 2,
  f_commit = 4,
  f_hint = 8,
  f_context = 16,
  f_life = 32,
  f_offset = 64,
  f_entries = 128,
  f_lives = 256,
  f_snapshot = 512,
  f_data = 1024,
};

uint16_t fields_of(MessageKind kind) {
  switch (kind) {
    case MessageKind::pre_vote:
    case MessageKind::vote:
      return f_index | f_log_term;
    case MessageKind::pre_vote_reply:
      return 0;
    case MessageKind::vote_reply:
      return f_life | f_lives;
    case MessageKind::append:
      return f_index | f_log_term | f_commit | f_entries;
    case MessageKind::append_reply:
      return f_index | f_log_term | f_hint | f_life;
    case MessageKind::heartbeat:
      return f_commit | f_context;
    case MessageKind::heartbeat_reply:
      return f_context | f_life;
    case MessageKind::snapshot_chunk:
      return f_offset | f_snapshot | f_data;
    case MessageKind::snapshot_reply:
      return f_index | f_log_term | f_offset | f_life;
    case MessageKind::read_index:
      return f_context;
    case MessageKind::read_index_reply:
      return f_index | f_context;
    case MessageKind::timeout_now:
      return 0;
    case MessageKind::recover:
      return f_life;
    case MessageKind::recover_reply:
      return f_index | f_life;
  }
  return 0;
}

void put_nodes(const std::vector<NodeId>& nodes, ByteWriter& out) {
  out.varint(nodes.size());
  for (NodeId node : nodes) out.varint(node.value);
}

NodeId get_node(ByteReader& in) {
  uint64_t value = in.varint();
  if (value > UINT32_MAX) in.fail();
  return {static_cast<uint32_t>(value)};
}

size_t get_count(ByteReader& in, size_t limit) {
  uint64_t count = in.varint();
  if (count > limit || count > in.remaining()) {
    in.fail();
    return 0;
  }
  return count;
}

std::vector<NodeId> get_nodes(ByteReader& in) {
  std::vector<NodeId> nodes(get_count(in, max_members));
  for (NodeId& node : nodes) node = get_node(in);
  return nodes;
}

void put_lives(const std::vector<Incarnation>& lives, ByteWriter& out) {
  out.varint(lives.size());
  for (const Incarnation& life : lives) {
    out.varint(life.node.value);
    out.varint(life.life);
  }
}

std::vector<Incarnation> get_lives(ByteReader& in) {
  std::vector<Incarnation> lives(get_count(in, max_members));
  for (Incarnation& life : lives) {
    life.node = get_node(in);
    life.life = in.varint();
  }
  return lives;
}

uint8_t flags_of(const Message& m) {
  return static_cast<uint8_t>((m.reject ? flag_reject : 0) | (m.force ? flag_force : 0) |
                              (m.quiesce ? flag_quiesce : 0) | (m.recovering ? flag_recovering : 0) |
                              (m.done ? flag_done : 0));
}

std::unexpected<Error> malformed(const char* what) { return fail(ErrorCode::corrupt, "malformed raft {}", what); }

// Entry heads: runs share index order, so only the first index (the message's index + 1) is known and none travels.
Status get_entries(ByteReader& in, Message& m, std::vector<uint64_t>& sizes, const MessageLimits& limits) {
  uint64_t count = in.varint();
  if (count > limits.max_entries) return fail(ErrorCode::too_large, "{} entries in one append", count);
  if (count * 3 > in.remaining() || m.index.value > UINT64_MAX - count) return malformed("append");
  m.entries.resize(count);
  sizes.resize(count);
  uint64_t total = 0;
  for (size_t i = 0; i < count; ++i) {
    uint8_t kind = in.u8();
    if (kind > static_cast<uint8_t>(EntryKind::noop)) return malformed("entry kind");
    m.entries[i] = {.term = {in.varint()}, .index = m.index + (i + 1), .kind = EntryKind{kind}, .payload = nullptr};
    sizes[i] = in.varint();
    // Each one is compared first, so that the sum cannot wrap around.
    if (sizes[i] <= limits.max_bulk_bytes) total += sizes[i];
    if (sizes[i] > limits.max_bulk_bytes || total > limits.max_bulk_bytes)
      return fail(ErrorCode::too_large, "an append of more than {} bytes", limits.max_bulk_bytes);
  }
  return {};
}

Payload get_payload(ByteReader& in, uint64_t size) {
  BytesView bytes = in.raw(size);
  return bytes.empty() ? nullptr : make_payload(Bytes(bytes));
}

}  // namespace

const char* to_string(MessageKind kind) {
  static constexpr const char* names[] = {"?",
                                          "pre_vote",
                                          "pre_vote_reply",
                                          "vote",
                                          "vote_reply",
                                          "append",
                                          "append_reply",
                                          "heartbeat",
                                          "heartbeat_reply",
                                          "snapshot_chunk",
                                          "snapshot_reply",
                                          "read_index",
                                          "read_index_reply",
                                          "timeout_now",
                                          "recover",
                                          "recover_reply"};
  auto at = static_cast<size_t>(kind);
  return at < std::size(names) ? names[at] : "?";
}

void encode_head(const Message& m, ByteWriter& out) {
  uint16_t fields = fields_of(m.kind);
  out.u8(static_cast<uint8_t>(m.kind));
  out.u8(flags_of(m));
  out.varint(m.group.value);
  out.varint(m.term.value);
  if (fields & f_index) out.varint(m.index.value);
  if (fields & f_log_term) out.varint(m.log_term.value);
  if (fields & f_commit) out.varint(m.commit.value);
  if (fields & f_hint) out.varint(m.hint.value);
  if (fields & f_context) out.varint(m.context);
  if (fields & f_life) out.varint(m.incarnation);
  if (fields & f_offset) out.varint(m.offset);
  if (fields & f_lives) put_lives(m.incarnations, out);
  if (fields & f_snapshot) encode(m.snapshot ? *m.snapshot : SnapshotMeta{}, out);
  if (fields & f_data) out.varint(m.data ? m.data->size() : 0);
  if (fields & f_entries) {
    out.varint(m.entries.size());
    for (const Entry& entry : m.entries) {
      out.u8(static_cast<uint8_t>(entry.kind));
      out.varint(entry.term.value);
      out.varint(entry.bytes().size());
    }
  }
}

std::vector<BytesView> bulk(const Message& m) {
  std::vector<BytesView> pieces;
  for (const Entry& entry : m.entries) {
    if (!entry.bytes().empty()) pieces.push_back(entry.bytes());
  }
  if (m.kind == MessageKind::snapshot_chunk && m.data && !m.data->empty()) pieces.push_back(*m.data);
  return pieces;
}

void encode(const Message& message, ByteWriter& out) {
  encode_head(message, out);
  for (BytesView piece : bulk(message)) out.raw(piece);
}

Result<Message> decode(ByteReader& in, NodeId from, NodeId to, const MessageLimits& limits) {
  Message m{.from = from, .to = to};
  m.kind = MessageKind{in.u8()};
  if (m.kind < MessageKind::pre_vote || m.kind > MessageKind::recover_reply) return malformed("message kind");
  uint8_t flags = in.u8();
  if (flags & ~all_flags) return malformed("flags");
  m.reject = flags & flag_reject;
  m.force = flags & flag_force;
  m.quiesce = flags & flag_quiesce;
  m.recovering = flags & flag_recovering;
  m.done = flags & flag_done;
  uint16_t fields = fields_of(m.kind);
  m.group = {in.varint()};
  m.term = {in.varint()};
  if (fields & f_index) m.index = {in.varint()};
  if (fields & f_log_term) m.log_term = {in.varint()};
  if (fields & f_commit) m.commit = {in.varint()};
  if (fields & f_hint) m.hint = {in.varint()};
  if (fields & f_context) m.context = in.varint();
  if (fields & f_life) m.incarnation = in.varint();
  if (fields & f_offset) m.offset = in.varint();
  if (fields & f_lives) m.incarnations = get_lives(in);
  if (fields & f_snapshot) {
    TRY(SnapshotMeta meta, decode_snapshot_meta(in));
    m.snapshot = std::make_shared<const SnapshotMeta>(std::move(meta));
  }
  if (fields & f_data) {
    uint64_t size = in.varint();
    if (size > limits.max_bulk_bytes) return fail(ErrorCode::too_large, "a snapshot chunk of {} bytes", size);
    if (!in.failed()) m.data = make_payload(Bytes(in.raw(size)));
  }
  if (fields & f_entries) {
    std::vector<uint64_t> sizes;
    TRY_STATUS(get_entries(in, m, sizes, limits));
    for (size_t i = 0; i < sizes.size() && !in.failed(); ++i) m.entries[i].payload = get_payload(in, sizes[i]);
  }
  if (in.failed()) return malformed("message");
  return m;
}

void encode(const Configuration& c, ByteWriter& out) {
  put_nodes(c.voters, out);
  put_nodes(c.voters_outgoing, out);
  put_nodes(c.learners, out);
  put_nodes(c.learners_next, out);
  out.varint(c.priorities.size());
  for (const Priority& priority : c.priorities) {
    out.varint(priority.node.value);
    out.u8(priority.value);
  }
}

Result<Configuration> decode_configuration(ByteReader& in) {
  Configuration c;
  c.voters = get_nodes(in);
  c.voters_outgoing = get_nodes(in);
  c.learners = get_nodes(in);
  c.learners_next = get_nodes(in);
  c.priorities.resize(get_count(in, max_members));
  for (Priority& priority : c.priorities) {
    priority.node = get_node(in);
    priority.value = in.u8();
  }
  if (in.failed()) return malformed("configuration");
  if (Status ok = validate(c); !ok) return fail(ErrorCode::corrupt, "configuration: {}", ok.error().message);
  return c;
}

void encode(const HardState& state, ByteWriter& out) {
  out.varint(state.term.value);
  out.varint(state.voted_for.value);
  out.varint(state.commit.value);
  out.u8(state.recovering ? 1 : 0);
  put_lives(state.incarnations, out);
}

Result<HardState> decode_hard_state(ByteReader& in) {
  HardState state;
  state.term = {in.varint()};
  state.voted_for = get_node(in);
  state.commit = {in.varint()};
  uint8_t recovering = in.u8();
  state.recovering = recovering == 1;
  state.incarnations = get_lives(in);
  if (in.failed() || recovering > 1) return malformed("hard state");
  return state;
}

void encode(const SnapshotMeta& meta, ByteWriter& out) {
  out.varint(meta.index.value);
  out.varint(meta.term.value);
  encode(meta.configuration, out);
}

Result<SnapshotMeta> decode_snapshot_meta(ByteReader& in) {
  SnapshotMeta meta;
  meta.index = {in.varint()};
  meta.term = {in.varint()};
  TRY(meta.configuration, decode_configuration(in));
  return meta;
}

void encode(const Entry& entry, ByteWriter& out) {
  out.u8(static_cast<uint8_t>(entry.kind));
  out.varint(entry.term.value);
  out.varint(entry.index.value);
  out.sized(entry.bytes());
}

Result<Entry> decode_entry(ByteReader& in) {
  Entry entry;
  uint8_t kind = in.u8();
  entry.kind = EntryKind{kind};
  entry.term = {in.varint()};
  entry.index = {in.varint()};
  entry.payload = get_payload(in, in.varint());
  if (in.failed() || kind > static_cast<uint8_t>(EntryKind::noop)) return malformed("entry");
  return entry;
}

}  // namespace asterism::raft
