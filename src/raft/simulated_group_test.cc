#include "raft/simulated_group.h"

#include <fmt/ranges.h>

#include "base/assert.h"
#include "base/hash.h"

namespace asterism::raft {

namespace {

std::string nodes_text(const std::vector<NodeId>& nodes) { return fmt::format("{}", fmt::join(nodes, ",")); }

uint64_t digest_of(const Entry& entry) { return hash_combine(xxh3(entry.bytes()), static_cast<uint64_t>(entry.kind)); }

}  // namespace

std::string describe(const Configuration& c) {
  std::string text = fmt::format("voters={}", nodes_text(c.voters));
  if (c.joint()) text += fmt::format(" outgoing={}", nodes_text(c.voters_outgoing));
  if (!c.learners.empty()) text += fmt::format(" learners={}", nodes_text(c.learners));
  if (!c.learners_next.empty()) text += fmt::format(" learners_next={}", nodes_text(c.learners_next));
  return text;
}

std::string describe(const Message& m) {
  std::string text = fmt::format("{}->{} {} term={}", m.from, m.to, to_string(m.kind), m.term);
  switch (m.kind) {
    case MessageKind::pre_vote:
    case MessageKind::vote:
      text += fmt::format(" last={}/{}", m.index, m.log_term);
      break;
    case MessageKind::append: {
      text += fmt::format(" after={}/{} commit={}", m.index, m.log_term, m.commit);
      for (const Entry& e : m.entries) {
        text += fmt::format(" {}/{}", e.index, e.term);
        if (e.kind == EntryKind::noop) text += ":noop";
        if (e.kind == EntryKind::config_change) text += ":config";
        if (e.kind == EntryKind::normal) text += fmt::format(":\"{}\"", e.bytes());
      }
      break;
    }
    case MessageKind::append_reply:
      text += fmt::format(" index={}", m.index);
      if (m.reject) text += fmt::format(" hint={}/{}", m.hint, m.log_term);
      break;
    case MessageKind::heartbeat:
      text += fmt::format(" commit={} round={}", m.commit, m.context);
      break;
    case MessageKind::heartbeat_reply:
      text += fmt::format(" round={}", m.context);
      break;
    case MessageKind::snapshot_chunk:
      text += fmt::format(" snapshot={}/{} offset={} bytes={}", m.snapshot->index, m.snapshot->term, m.offset,
                          m.data->size());
      break;
    case MessageKind::snapshot_reply:
      text += fmt::format(" snapshot={}/{} next={}", m.index, m.log_term, m.offset);
      break;
    case MessageKind::read_index_reply:
    case MessageKind::recover_reply:
      text += fmt::format(" index={}", m.index);
      break;
    default:
      break;
  }
  if (m.incarnation > 0) text += fmt::format(" life={}", m.incarnation);
  for (auto [set, name] : {std::pair(m.reject, " reject"), std::pair(m.force, " force"), std::pair(m.quiesce, " rest"),
                           std::pair(m.recovering, " recovering"), std::pair(m.done, " done")}) {
    if (set) text += name;
  }
  return text;
}

std::optional<Term> SimulatedNode::term(LogIndex index) const {
  if (index == base_index) return base_term;
  if (index < base_index || index > last_index()) return std::nullopt;
  return entry(index).term;
}

std::vector<Entry> SimulatedNode::entries(LogIndex first, LogIndex last, uint64_t max_bytes) const {
  std::vector<Entry> found;
  uint64_t bytes = 0;
  for (; first <= last && first <= last_index() && first > base_index; first = first + 1) {
    bytes += entry(first).cost();
    if (bytes > max_bytes && !found.empty()) break;
    found.push_back(entry(first));
  }
  return found;
}

SimulatedGroup::SimulatedGroup(Options options) : options_(std::move(options)) {
  transmit = [this](Message m) { network_.push_back(std::move(m)); };
  for (uint32_t id = 1; id <= options_.nodes; ++id) {
    auto n = std::make_unique<SimulatedNode>();
    n->id = {id};
    n->config = options_.config;
    n->config.id = {id};
    n->config.group = {7};
    n->config.seed = options_.seed * 1000 + id;
    bool member = options_.configuration.contains({id});
    n->history.reset({}, member ? options_.configuration : Configuration{});
    nodes_.push_back(std::move(n));
    restart(id);
  }
}

void SimulatedGroup::violation(std::string text) {
  trace("VIOLATION " + text);
  violations_.push_back(std::move(text));
}

void SimulatedGroup::pump(uint32_t id) {
  SimulatedNode& n = node(id);
  while (n.raft) {
    if (n.raft->has_output()) {
      carry_out(n, n.raft->take());
      continue;
    }
    if (n.hold_disk || !persist(id)) break;
  }
}

void SimulatedGroup::carry_out(SimulatedNode& n, Output out) {
  if (out.soft_state) {
    trace(fmt::format("{} is {} in term {}, leader {}", n.id, to_string(out.soft_state->role), out.soft_state->term,
                      out.soft_state->leader));
    if (out.soft_state->role == Role::leader) check_leader(n, out.soft_state->term);
  }
  if (out.configuration_changed) trace(fmt::format("{} configuration {}", n.id, describe(n.raft->configuration())));
  for (Message& message : out.messages) plant(n, std::move(message));
  if (out.write) n.writing.push_back(std::move(*out.write));
  for (const Entry& entry : out.committed) apply(n, entry);
  if (!out.committed.empty()) n.raft->applied(n.applied);
  for (const ReadState& read : out.reads) {
    auto expected = expected_reads_.find({n.id.value, read.context});
    if (expected == expected_reads_.end()) {
      violation(fmt::format("{} answers read {} twice", n.id, read.context));
      continue;
    }
    trace(read.ok ? fmt::format("{} read {} at {}", n.id, read.context, read.index)
                  : fmt::format("{} read {} failed", n.id, read.context));
    if (read.ok && read.index < expected->second)
      violation(fmt::format("stale read at {}: {} < {}", n.id, read.index, expected->second));
    reads_answered_ += read.ok ? 1 : 0;
    expected_reads_.erase(expected);
  }
  for (const ChunkRequest& request : out.chunk_requests) chunk(n, request);
  for (const ReceivedChunk& piece : out.received_chunks) received(n, piece);
}

void SimulatedGroup::plant(SimulatedNode& n, Message m) {
  if (options_.bug == PlantedBug::forged_append_ack && m.kind == MessageKind::append && !m.entries.empty() &&
      m.to.value == 1 + n.id.value % size()) {
    transmit({.kind = MessageKind::append_reply,
              .group = m.group,
              .from = m.to,
              .to = m.from,
              .term = m.term,
              .index = m.index + m.entries.size()});
    return;
  }
  if (options_.bug == PlantedBug::forged_heartbeat && m.kind == MessageKind::heartbeat) {
    network_.push_back({.kind = MessageKind::heartbeat_reply,
                        .group = m.group,
                        .from = m.to,
                        .to = m.from,
                        .term = m.term,
                        .context = m.context});
  }
  if (options_.bug == PlantedBug::forged_vote && m.kind == MessageKind::vote_reply) m.reject = false;
  if (options_.bug == PlantedBug::count_old_terms && m.kind == MessageKind::append) {
    for (LogIndex index = m.index + m.entries.size(); index > m.commit; index = index - 1) {
      size_t holders = 0;
      for (auto& other : nodes_) holders += other->term(index).has_value() && other->term(index) == n.term(index);
      if (holders <= nodes_.size() / 2) continue;
      m.commit = index;
      break;
    }
  }
  transmit(std::move(m));
}

void SimulatedGroup::store(SimulatedNode& n, const Write& write) {
  n.hard_state = write.hard_state;
  if (write.snapshot) {
    n.log.clear();
    n.base_index = write.snapshot->index;
    n.base_term = write.snapshot->term;
    n.stored_snapshot = write.snapshot;
    n.stored_snapshot_bytes = n.incoming_checked[write.snapshot->index.value];
    n.history.reset(write.snapshot->index, write.snapshot->configuration);
  }
  for (const Entry& entry : write.entries) {
    ASSERT(entry.index > n.base_index && entry.index <= n.last_index() + 1);
    n.log.resize(entry.index - n.base_index - 1);
    n.history.truncate(entry.index);
    check_stored(n, entry);
    n.log.push_back(entry);
    ASSERT(n.history.append(entry).has_value());
  }
}

bool SimulatedGroup::persist(uint32_t id) {
  SimulatedNode& n = node(id);
  if (!n.raft || n.writing.empty()) return false;
  Write write = std::move(n.writing.front());
  n.writing.pop_front();
  store(n, write);
  n.raft->persisted(write.id);
  return true;
}

// Log matching: an index and a term name one entry and, by induction over its predecessor, one prefix.
void SimulatedGroup::check_stored(const SimulatedNode& n, const Entry& entry) {
  Stored now{n.term(entry.index - 1).value_or(Term{}), digest_of(entry)};
  auto [at, fresh] = stored_.try_emplace({entry.index.value, entry.term.value}, now);
  if (!fresh && (at->second.before != now.before || at->second.digest != now.digest))
    violation(fmt::format("log matching broken at {}/{} on node {}", entry.index, entry.term, n.id));
}

void SimulatedGroup::check_leader(SimulatedNode& n, Term term) {
  auto [at, fresh] = leader_of_term_.try_emplace(term.value, n.id.value);
  if (!fresh && at->second != n.id.value)
    violation(fmt::format("two leaders in term {}: {} and {}", term, at->second, n.id));
  for (const auto& [index, what] : applied_) {
    if (index <= n.base_index.value) continue;
    if (n.term({index}) != Term{what.first})
      violation(fmt::format("leader {} of term {} lacks committed entry {}/{}", n.id, term, index, what.first));
  }
}

void SimulatedGroup::apply(SimulatedNode& n, const Entry& entry) {
  if (entry.index != n.applied + 1) violation(fmt::format("node {} skips to {}", n.id, entry.index));
  n.digest = hash_combine(n.digest, digest_of(entry));
  n.applied = entry.index;
  if (entry.kind == EntryKind::normal) trace(fmt::format("{} applies {} \"{}\"", n.id, entry.index, entry.bytes()));
  auto [at, fresh] = applied_.try_emplace(entry.index.value, entry.term.value, n.digest);
  if (!fresh && at->second != std::pair(entry.term.value, n.digest))
    violation(fmt::format("state machine safety broken at {} on node {}", entry.index, n.id));
  highest_applied_ = std::max(highest_applied_, entry.index);
}

void SimulatedGroup::crash(uint32_t id) {
  SimulatedNode& n = node(id);
  n.raft.reset();
  n.writing.clear();
  std::erase_if(expected_reads_, [&](const auto& read) { return read.first.first == id; });
}

void SimulatedGroup::restart(uint32_t id) {
  SimulatedNode& n = node(id);
  crash(id);
  if (options_.bug == PlantedBug::forget_vote) n.hard_state.voted_for = {};
  if (options_.bug == PlantedBug::lying_disk && !n.log.empty() && n.last_index() > n.hard_state.commit) {
    // The last entry was acknowledged and is gone.
    n.log.pop_back();
    n.history.truncate(n.last_index() + 1);
  }
  n.digest = 0;
  n.applied = n.base_index;
  n.incoming.clear();
  if (n.stored_snapshot) {
    // The snapshot may be newer than the point up to which the log was dropped.
    ByteReader in(n.stored_snapshot_bytes);
    n.digest = in.u64_le();
    n.applied = n.stored_snapshot->index;
  }
  n.config.seed += 1'000'000;
  n.raft = std::make_unique<Raft>(n.config, Restored{n.hard_state, n.history, n.applied}, n);
}

void SimulatedGroup::wipe(uint32_t id, uint64_t incarnation, bool recovering) {
  SimulatedNode& n = node(id);
  crash(id);
  n.log.clear();
  n.base_index = {};
  n.base_term = {};
  n.hard_state = {};
  n.stored_snapshot.reset();
  n.history.reset({}, options_.configuration);
  n.config.recovering = recovering;
  n.config.incarnation = recovering ? incarnation : 0;
  restart(id);
}

void SimulatedGroup::deliver(Message message) {
  if (message.to.value < 1 || message.to.value > size()) return;
  SimulatedNode& n = node(message.to.value);
  if (!n.raft) return;
  // Through the codec, as a real network would.
  Bytes wire;
  ByteWriter out(wire);
  encode(message, out);
  ByteReader in(wire);
  Result<Message> decoded = decode(in, message.from, message.to);
  ASSERT(decoded.has_value() && in.at_end() && describe(*decoded) == describe(message));
  if (options_.bug == PlantedBug::accept_stale_term) decoded->term = std::max(decoded->term, n.raft->term());
  n.raft->step(std::move(*decoded));
  pump(message.to.value);
}

bool SimulatedGroup::read(uint32_t id) {
  SimulatedNode& n = node(id);
  if (!n.raft) return false;
  uint64_t context = next_read_++;
  expected_reads_[{id, context}] = highest_applied_;
  bool accepted = n.raft->read_index(context).has_value();
  if (!accepted) expected_reads_.erase({id, context});
  pump(id);
  return accepted;
}

void SimulatedGroup::compact(uint32_t id) {
  SimulatedNode& n = node(id);
  if (!n.raft || n.applied <= n.base_index || !n.writing.empty()) return;
  SnapshotMeta meta = n.raft->describe_snapshot();
  n.stored_snapshot = meta;
  n.stored_snapshot_bytes.clear();
  ByteWriter out(n.stored_snapshot_bytes);
  out.u64_le(n.digest);
  out.raw("some state of the machine");
  n.log.erase(n.log.begin(), n.log.begin() + static_cast<ptrdiff_t>(meta.index - n.base_index));
  n.base_index = meta.index;
  n.base_term = meta.term;
  n.history.release(meta.index);
}

void SimulatedGroup::chunk(SimulatedNode& n, const ChunkRequest& request) {
  if (!n.stored_snapshot || n.stored_snapshot->index != request.meta.index) {
    n.raft->send_snapshot_chunk(request.to, request.meta, request.offset, nullptr, false);
    return;
  }
  uint64_t offset = std::min<uint64_t>(request.offset, n.stored_snapshot_bytes.size());
  Bytes piece = n.stored_snapshot_bytes.substr(offset, options_.chunk_bytes);
  bool done = offset + piece.size() == n.stored_snapshot_bytes.size();
  n.raft->send_snapshot_chunk(request.to, request.meta, request.offset, make_payload(std::move(piece)), done);
}

void SimulatedGroup::received(SimulatedNode& n, const ReceivedChunk& piece) {
  if (piece.offset == 0) n.incoming.clear();
  if (piece.offset != n.incoming.size()) return violation(fmt::format("node {} got a chunk out of order", n.id));
  n.incoming += *piece.data;
  if (!piece.done) return;
  bool intact = !std::exchange(n.damage_snapshots, false);
  if (intact) {
    n.incoming_checked[piece.meta.index.value] = n.incoming;
    ByteReader in(n.incoming);
    uint64_t digest = in.u64_le();
    LogIndex before = n.raft->commit_index();
    n.raft->snapshot_received(piece.meta, true);
    if (piece.meta.index <= before) return;
    n.digest = digest;
    n.applied = piece.meta.index;
    trace(fmt::format("{} installs snapshot {}", n.id, piece.meta.index));
    return;
  }
  trace(fmt::format("{} finds snapshot {} damaged", n.id, piece.meta.index));
  n.raft->snapshot_received(piece.meta, false);
}

Result<LogIndex> SimulatedGroup::propose(uint32_t id, Bytes payload) {
  SimulatedNode& n = node(id);
  if (!n.raft) return fail(ErrorCode::closed, "crashed");
  Payload shared = make_payload(std::move(payload));
  Result<LogIndex> index = n.raft->propose({&shared, 1});
  pump(id);
  return index;
}

uint32_t SimulatedGroup::leader() {
  uint32_t found = 0;
  for (auto& n : nodes_) {
    if (n->raft && n->raft->role() == Role::leader && (found == 0 || node(found).raft->term() < n->raft->term()))
      found = n->id.value;
  }
  return found;
}

}  // namespace asterism::raft
