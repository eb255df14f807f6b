// Snapshots for followers that are too far behind (chapter 5), one chunk at a time.
#include "raft/machine.h"

namespace asterism::raft {

SnapshotMeta Raft::Machine::describe_snapshot() const {
  std::optional<Term> term = log_.term(applied_);
  ASSERT(term.has_value());
  return {.index = applied_, .term = *term, .configuration = history_.at(applied_)};
}

void Raft::Machine::start_snapshot(Progress& to) {
  std::optional<SnapshotMeta> meta = log_.snapshot();
  if (!meta || meta->index + 1 < log_.first_index() || !to.active) return;
  to.to_snapshot(std::move(*meta));
  out_.chunk_requests.push_back({to.node, *to.snapshot, 0});
}

void Raft::Machine::send_snapshot_chunk(NodeId to, const SnapshotMeta& meta, uint64_t offset, Payload data, bool done) {
  Progress* peer = is_leader() ? find_progress(to) : nullptr;
  if (peer == nullptr || peer->state != ProgressState::snapshot || peer->snapshot_offset != offset ||
      peer->snapshot->index != meta.index || peer->snapshot->term != meta.term)
    return;
  if (!data && !done) {
    peer->snapshot_unreadable = true;
    return;
  }
  peer->snapshot_sent = done;
  send({.kind = MessageKind::snapshot_chunk,
        .to = to,
        .offset = offset,
        .done = done,
        .snapshot = peer->snapshot,
        .data = data ? std::move(data) : make_payload({})});
}

// Repeats what got no answer for an election timeout, from a newer snapshot where the old one cannot be read.
void Raft::Machine::tick_snapshots() {
  for (Progress& peer : progress_) {
    if (peer.state != ProgressState::snapshot || ++peer.snapshot_stalled_ticks < config_.election_ticks) continue;
    peer.snapshot_stalled_ticks = 0;
    if (peer.snapshot_unreadable || peer.snapshot->index + 1 < log_.first_index()) {
      peer.to_probe();
      send_append(peer, false);
      continue;
    }
    out_.chunk_requests.push_back({peer.node, *peer.snapshot, peer.snapshot_offset});
  }
}

void Raft::Machine::on_snapshot_chunk(const Message& m) {
  if (is_leader() || !m.snapshot || m.snapshot->index.value == 0 || m.snapshot->term > m.term) return;
  follow(m.from);
  const SnapshotMeta& meta = *m.snapshot;
  if (meta.index <= hard_.commit || log_.matches(meta.index, meta.term)) {
    commit_to(std::max(hard_.commit, meta.index));
    incoming_.reset();
    send({.kind = MessageKind::append_reply, .to = m.from, .index = hard_.commit});
    return;
  }
  if (!incoming_ || incoming_->index != meta.index || incoming_->term != meta.term)
    incoming_ = std::make_unique<Incoming>(meta.index, meta.term, 0, false);
  if (m.offset == incoming_->next_offset && !incoming_->complete) {
    incoming_->next_offset += m.data ? m.data->size() : 0;
    incoming_->complete = m.done;
    out_.received_chunks.push_back({.meta = meta, .offset = m.offset, .data = m.data, .done = m.done});
  }
  send({.kind = MessageKind::snapshot_reply,
        .to = m.from,
        .index = meta.index,
        .log_term = meta.term,
        .offset = incoming_->next_offset});
}

void Raft::Machine::snapshot_received(const SnapshotMeta& meta, bool intact) {
  if (!incoming_ || !incoming_->complete || incoming_->index != meta.index || incoming_->term != meta.term) return;
  incoming_.reset();
  if (!intact) {
    send({.kind = MessageKind::snapshot_reply,
          .to = leader_,
          .index = meta.index,
          .log_term = meta.term,
          .offset = 0,
          .reject = true});
    return;
  }
  if (meta.index <= hard_.commit) return;
  log_.restore(meta);
  history_.reset(meta.index, meta.configuration);
  configuration_appended();
  hard_.commit = applied_ = handed_ = meta.index;
  handed_bytes_ = 0;
  send({.kind = MessageKind::append_reply, .to = leader_, .index = meta.index});
}

void Raft::Machine::on_snapshot_reply(const Message& m) {
  Progress* from = is_leader() ? find_progress(m.from) : nullptr;
  if (from == nullptr || m.from == config_.id || !accept_reply(*from, m)) return;
  if (from->state != ProgressState::snapshot || from->snapshot->index != m.index || from->snapshot->term != m.log_term)
    return;
  if (m.offset == from->snapshot_offset && !m.reject) return;
  bool onward = m.offset > from->snapshot_offset && !m.reject;
  from->snapshot_offset = m.offset;
  from->snapshot_stalled_ticks = 0;
  if (onward && from->snapshot_sent) return;
  out_.chunk_requests.push_back({from->node, *from->snapshot, m.offset});
}

}  // namespace asterism::raft
