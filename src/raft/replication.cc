// The leader's side of log replication (3.5), commitment (3.6.2) and heartbeats.
#include "raft/machine.h"

namespace asterism::raft {

Progress* Raft::Machine::find_progress(NodeId node) {
  auto found = std::ranges::lower_bound(progress_, node, {}, &Progress::node);
  return found == progress_.end() || found->node != node ? nullptr : &*found;
}

Result<LogIndex> Raft::Machine::propose(std::span<const Payload> payloads) {
  if (!is_leader()) return fail(ErrorCode::not_leader, "node {} leads group {}", leader_, config_.group);
  if (transfer_to_) return fail(ErrorCode::unavailable, "leadership is moving to node {}", transfer_to_);
  if (payloads.empty()) return fail(ErrorCode::invalid_argument, "nothing to propose");
  if (uncommitted_bytes_ >= config_.max_uncommitted_bytes)
    return fail(ErrorCode::overloaded, "{} bytes wait to be committed", uncommitted_bytes_);
  wake();
  LogIndex first = log_.last_index() + 1;
  for (const Payload& payload : payloads) append_as_leader(EntryKind::normal, payload);
  broadcast_append();
  return first;
}

LogIndex Raft::Machine::append_as_leader(EntryKind kind, Payload payload) {
  LogIndex index = log_.last_index() + 1;
  Entry entry{.term = hard_.term, .index = index, .kind = kind, .payload = std::move(payload)};
  proposed_.push_back({index, entry.cost()});
  uncommitted_bytes_ += entry.cost();
  log_.append(std::move(entry));
  idle_ticks_ = 0;
  return index;
}

void Raft::Machine::broadcast_append() {
  for (Progress& peer : progress_) {
    if (peer.node == config_.id) continue;
    while (send_append(peer, false)) {
    }
    if (peer.commit_sent < std::min(hard_.commit, peer.match)) send_append(peer, true);
  }
}

// True where more may follow at once.
bool Raft::Machine::send_append(Progress& to, bool even_empty) {
  if (to.state == ProgressState::snapshot && !even_empty) return false;
  LogIndex before = to.state == ProgressState::snapshot ? to.snapshot->index : to.next - 1;
  std::optional<Term> before_term = log_.term(before);
  if (to.state != ProgressState::snapshot && (!before_term || to.next < log_.first_index())) {
    start_snapshot(to);
    return false;
  }
  if (!before_term) before_term = to.snapshot->term;
  bool may_send = to.state == ProgressState::replicate
                      ? !to.full(config_.max_inflight_appends, config_.max_inflight_bytes)
                      : to.state == ProgressState::probe && !to.probe_sent;
  std::vector<Entry> entries;
  if (may_send && to.next <= log_.last_index())
    entries = log_.entries(to.next, log_.last_index(), config_.max_append_bytes);
  bool initial_probe = to.state == ProgressState::probe && !to.probe_sent;
  if (entries.empty() && !even_empty && !initial_probe) return false;
  bool more = false;
  if (to.state == ProgressState::probe) to.probe_sent = true;
  if (!entries.empty() && to.state == ProgressState::replicate) {
    uint64_t bytes = 0;
    for (const Entry& entry : entries) bytes += entry.cost();
    to.sent(entries.back().index, bytes);
    more = to.next <= log_.last_index();
  }
  to.commit_sent = hard_.commit;
  send({.kind = MessageKind::append,
        .to = to.node,
        .index = before,
        .log_term = *before_term,
        .commit = hard_.commit,
        .entries = std::move(entries)});
  return more;
}

void Raft::Machine::broadcast_heartbeat(bool quiesce) {
  ++round_;
  std::erase_if(rounds_, [&](const Round& r) { return now_ - r.sent_tick >= config_.election_ticks; });
  rounds_.push_back({round_, now_});
  round_fresh_ = true;
  for (Progress& peer : progress_) {
    if (peer.node != config_.id) send_heartbeat(peer, quiesce);
  }
  confirm_reads();
}

// Tells no more than the follower is known to hold, so that it need not check the log.
void Raft::Machine::send_heartbeat(Progress& to, bool quiesce) {
  send({.kind = MessageKind::heartbeat,
        .to = to.node,
        .commit = std::min(hard_.commit, to.match),
        .context = round_,
        .quiesce = quiesce});
}

// Whether a reply may be taken into account: not one of an earlier life of its sender (config.h).
bool Raft::Machine::accept_reply(Progress& from, const Message& m) {
  learn_life(from.node, m.incarnation);
  if (m.incarnation < life_of(from.node)) return false;
  from.active = true;
  from.recovering = m.recovering;
  return true;
}

void Raft::Machine::on_append_reply(const Message& m) {
  Progress* from = is_leader() ? find_progress(m.from) : nullptr;
  if (from == nullptr || m.from == config_.id || !accept_reply(*from, m)) return;
  if (m.reject) return on_append_refused(*from, m);
  if (m.index > log_.last_index()) return;
  bool news = from->acknowledged(m.index);
  if (from->state == ProgressState::probe) {
    // An answer to the probe shows where the logs meet, also where it brings no news.
    if (news || m.index == from->match) from->to_replicate();
  } else if (from->state == ProgressState::snapshot && from->match >= from->snapshot->index) {
    from->to_replicate();
  }
  maybe_commit();
  if (!is_leader()) return;
  from = find_progress(m.from);
  if (from == nullptr) return;
  while (send_append(*from, false)) {
  }
  if (from->commit_sent < std::min(hard_.commit, from->match)) send_append(*from, true);
  if (transfer_to_ == m.from && from->match == log_.last_index()) send_timeout_now(m.from);
}

// 3.5 with the optimisation of 5.3 of the paper: one round trip for each conflicting term.
void Raft::Machine::on_append_refused(Progress& from, const Message& m) {
  if (from.state == ProgressState::snapshot) return;
  if (from.state == ProgressState::replicate) {
    if (m.index <= from.match) return;
    from.to_probe();
  } else {
    if (m.index != from.next - 1) return;
    LogIndex meet = log_.last_with_term_at_most(std::min(m.hint, m.index), m.log_term);
    from.next = std::max(from.match + 1, std::min(m.index, meet + 1));
    from.probe_sent = false;
  }
  send_append(from, false);
}

void Raft::Machine::on_heartbeat_reply(const Message& m) {
  Progress* from = is_leader() ? find_progress(m.from) : nullptr;
  if (from == nullptr || m.from == config_.id || !accept_reply(*from, m)) return;
  if (m.context <= round_ && !m.recovering) from->acked_round = std::max(from->acked_round, m.context);
  confirm_reads();
  // Something sent earlier may be lost: an empty append asks where the follower is.
  bool behind = from->match < log_.last_index() || from->commit_sent < hard_.commit || m.recovering;
  from->probe_sent = false;
  if (behind && !send_append(*from, false)) send_append(*from, true);
}

void Raft::Machine::own_progress() {
  Progress* own = find_progress(config_.id);
  if (own != nullptr) {
    own->match = log_.durable();
    own->next = log_.last_index() + 1;
  }
  maybe_commit();
}

// 3.6.2: only entries of the current term are committed by counting; earlier ones follow with them.
void Raft::Machine::maybe_commit() {
  LogIndex reached{quorum_value(configuration(), [&](NodeId node) -> uint64_t {
    const Progress* peer = find_progress(node);
    return peer == nullptr || peer->recovering ? 0 : peer->match.value;
  })};
  if (reached <= hard_.commit || log_.term(reached) != hard_.term) return;
  commit_to(reached);
  start_early_reads();
  configuration_committed();
  if (is_leader()) broadcast_append();
}

void Raft::Machine::maybe_rest() {
  if (config_.quiesce_after_ticks == 0 || idle_ticks_ < config_.quiesce_after_ticks) return;
  LogIndex last = log_.last_index();
  if (hard_.commit != last || applied_ != last || transfer_to_ || !pending_reads_.empty()) return;
  for (const Progress& peer : progress_) {
    if (peer.match != last || peer.recovering) return;
    if (peer.node != config_.id && (!peer.active || peer.commit_sent < last)) return;
  }
  broadcast_heartbeat(true);
  rounds_ = {};
  resting_ = true;
}

}  // namespace asterism::raft
