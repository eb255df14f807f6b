// Linearizable reads without a log entry: by a heartbeat round (6.4) or by lease (6.4.1).
#include "raft/machine.h"

namespace asterism::raft {

Status Raft::Machine::read_index(uint64_t context) {
  if (pending_reads_.size() + forwarded_reads_.size() >= config_.max_pending_reads)
    return fail(ErrorCode::overloaded, "{} reads wait", config_.max_pending_reads);
  if (!leader_) return fail(ErrorCode::not_leader, "group {} has no known leader", config_.group);
  wake();
  if (is_leader()) {
    leader_read(config_.id, context);
    return {};
  }
  uint64_t wire_context = next_wire_context_++;
  forwarded_reads_.push_back({wire_context, context, now_});
  send({.kind = MessageKind::read_index, .to = leader_, .context = wire_context});
  return {};
}

void Raft::Machine::on_read_index(const Message& m) {
  bool known = find_progress(m.from) != nullptr;
  if (!is_leader() || !known || pending_reads_.size() >= config_.max_pending_reads) {
    send({.kind = MessageKind::read_index_reply, .to = m.from, .context = m.context, .reject = true});
    return;
  }
  leader_read(m.from, m.context);
}

void Raft::Machine::leader_read(NodeId from, uint64_t context) {
  idle_ticks_ = 0;
  PendingRead read{.from = from, .context = context, .index = hard_.commit, .round = 0};
  if (hard_.commit >= term_start_) {
    if (lease_valid()) return answer_read(read, true);
    // A heartbeat sent after the read was asked for must be acknowledged; reads of one batch share it.
    read.round = round_fresh_ ? round_ : round_ + 1;
  }
  pending_reads_.push_back(read);
  if (read.round > round_)
    broadcast_heartbeat(false);
  else if (read.round != 0)
    confirm_reads();
}

void Raft::Machine::answer_read(const PendingRead& read, bool ok) {
  if (read.from == config_.id) {
    out_.reads.push_back({read.context, ok, ok ? read.index : LogIndex{}});
    return;
  }
  send({.kind = MessageKind::read_index_reply,
        .to = read.from,
        .index = read.index,
        .context = read.context,
        .reject = !ok});
}

// The first commit of the term: reads that waited for it start their round.
void Raft::Machine::start_early_reads() {
  if (hard_.commit < term_start_) return;
  bool any = false;
  for (PendingRead& read : pending_reads_) {
    if (read.round != 0) continue;
    read.round = round_ + 1;
    read.index = hard_.commit;
    any = true;
  }
  if (any) broadcast_heartbeat(false);
}

uint64_t Raft::Machine::quorum_round() const {
  return quorum_value(configuration(), [&](NodeId node) -> uint64_t {
    if (node == config_.id) return round_;
    auto found = std::ranges::lower_bound(progress_, node, {}, &Progress::node);
    return found == progress_.end() || found->node != node || found->recovering ? 0 : found->acked_round;
  });
}

void Raft::Machine::confirm_reads() {
  if (pending_reads_.empty()) return;
  uint64_t confirmed = quorum_round();
  std::vector<PendingRead> kept;
  for (const PendingRead& read : pending_reads_) {
    if (read.round != 0 && read.round <= confirmed)
      answer_read(read, true);
    else
      kept.push_back(read);
  }
  pending_reads_ = std::move(kept);
}

bool Raft::Machine::lease_valid() const {
  if (!config_.lease_reads || !is_leader() || resting_ || lease_forfeited_ || hard_.commit < term_start_) return false;
  auto sent = std::ranges::find(rounds_, quorum_round(), &Round::round);
  // Counted from the sending of the round, which precedes every acknowledgement.
  return sent != rounds_.end() && now_ - sent->sent_tick + config_.lease_margin_ticks < config_.election_ticks;
}

void Raft::Machine::on_read_index_reply(const Message& m) {
  auto found = std::ranges::find(forwarded_reads_, m.context, &ForwardedRead::wire_context);
  if (found == forwarded_reads_.end() || m.from != leader_) return;
  out_.reads.push_back({found->context, !m.reject, m.reject ? LogIndex{} : m.index});
  forwarded_reads_.erase(found);
}

void Raft::Machine::fail_reads() {
  for (const PendingRead& read : std::exchange(pending_reads_, {})) answer_read(read, false);
  for (const ForwardedRead& read : std::exchange(forwarded_reads_, {}))
    out_.reads.push_back({.context = read.context, .ok = false, .index = {}});
}

void Raft::Machine::expire_forwarded() {
  std::erase_if(forwarded_reads_, [&](const ForwardedRead& read) {
    if (now_ - read.tick < 2 * config_.election_ticks) return false;
    out_.reads.push_back({.context = read.context, .ok = false, .index = {}});
    return true;
  });
}

}  // namespace asterism::raft
