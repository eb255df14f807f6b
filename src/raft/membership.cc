// Membership changes (chapter 4) and leadership transfer (3.10).
#include "raft/machine.h"

namespace asterism::raft {

Result<LogIndex> Raft::Machine::propose_config_change(ConfigurationTarget target) {
  if (!is_leader()) return fail(ErrorCode::not_leader, "node {} leads group {}", leader_, config_.group);
  if (transfer_to_) return fail(ErrorCode::unavailable, "leadership is moving to node {}", transfer_to_);
  // A leader changes nothing before it has committed in its term, or two changes could be decided by quorums that do
  // not meet (the correction to 4.1).
  if (hard_.commit < term_start_) return fail(ErrorCode::unavailable, "the new leader has not committed yet");
  if (history_.latest().index > hard_.commit)
    return fail(ErrorCode::unavailable, "the change at index {} is not committed yet", history_.latest().index);
  TRY(Configuration next, plan_change(configuration(), std::move(target)));
  wake();
  const LogIndex index = append_configuration(std::move(next));
  broadcast_append();
  return index;
}

LogIndex Raft::Machine::append_configuration(Configuration next) {
  Bytes encoded;
  ByteWriter out(encoded);
  encode(next, out);
  const LogIndex index = append_as_leader(EntryKind::config_change, make_payload(std::move(encoded)));
  history_.add(index, std::move(next));
  configuration_appended();
  return index;
}

// The latest configuration in the log changed, and is in force at once (4.1).
void Raft::Machine::configuration_appended() {
  out_.configuration_changed = true;
  if (!is_leader()) return;
  std::vector<Progress> next;
  for (NodeId node : configuration().members()) {
    if (Progress* known = find_progress(node)) {
      next.push_back(std::move(*known));
    } else {
      next.emplace_back(node, log_.last_index() + 1);
      next.back().active = true;
      next.back().life = life_of(node);
    }
  }
  progress_ = std::move(next);
  if (transfer_to_ && !configuration().is_voter(transfer_to_)) transfer_to_ = {};
}

void Raft::Machine::configuration_committed() {
  if (!is_leader() || history_.latest().index > hard_.commit) return;
  if (configuration().joint()) {
    // 4.3: once the joint configuration is committed, its leader moves on to the new one.
    append_configuration(leave_joint(configuration()));
    own_progress();
    return;
  }
  if (configuration().is_voter(config_.id)) return;
  // 4.2.2: a leader that is no voter steps down once that is decided, and shortens the gap by naming a follower.
  broadcast_append();
  const Progress* best = nullptr;
  for (const Progress& peer : progress_) {
    bool able = peer.node != config_.id && configuration().is_voter(peer.node) && !peer.recovering;
    if (able && (best == nullptr || peer.match > best->match)) best = &peer;
  }
  if (best != nullptr && best->match == log_.last_index()) send_timeout_now(best->node);
  become_follower(hard_.term, {});
}

Status Raft::Machine::transfer_leadership(NodeId to) {
  if (!is_leader()) return fail(ErrorCode::not_leader, "node {} leads group {}", leader_, config_.group);
  if (!configuration().is_voter(to)) return fail(ErrorCode::invalid_argument, "node {} is not a voter", to);
  if (to == config_.id) {
    transfer_to_ = {};
    return {};
  }
  wake();
  Progress* peer = find_progress(to);
  if (peer->recovering) return fail(ErrorCode::unavailable, "node {} is recovering", to);
  transfer_to_ = to;
  transfer_elapsed_ = 0;
  if (peer->match == log_.last_index())
    send_timeout_now(to);
  else if (!send_append(*peer, false))
    send_append(*peer, true);
  return {};
}

// The election that follows ignores stickiness, and the message may arrive at any time in this term: there is no lease
// from here on, even if the transfer is given up (6.4.1).
void Raft::Machine::send_timeout_now(NodeId to) {
  lease_forfeited_ = true;
  send({.kind = MessageKind::timeout_now, .to = to});
}

void Raft::Machine::tick_transfer() {
  if (!transfer_to_) return;
  if (++transfer_elapsed_ >= config_.election_ticks) {
    transfer_to_ = {};
    return;
  }
  const Progress* peer = find_progress(transfer_to_);
  if (transfer_elapsed_ % config_.heartbeat_ticks == 0 && peer->match == log_.last_index())
    send_timeout_now(transfer_to_);
}

void Raft::Machine::on_timeout_now(const Message& m) {
  if (m.from == leader_ && !is_leader()) campaign(true);
}

// A leader gives way to a voter of higher priority that has everything and answers.
void Raft::Machine::maybe_hand_over() {
  const Configuration& c = configuration();
  if (c.priorities.empty() || transfer_to_ || now_ < next_hand_over_tick_ || hard_.commit < term_start_) return;
  const Progress* best = nullptr;
  uint8_t best_priority = c.priority_of(config_.id);
  for (const Progress& peer : progress_) {
    bool able = c.is_voter(peer.node) && peer.node != config_.id && !peer.recovering && peer.active &&
                peer.match == log_.last_index();
    if (!able || c.priority_of(peer.node) <= best_priority) continue;
    best = &peer;
    best_priority = c.priority_of(peer.node);
  }
  if (best == nullptr) return;
  next_hand_over_tick_ = now_ + 4 * config_.election_ticks;
  (void)transfer_leadership(best->node);
}

}  // namespace asterism::raft
