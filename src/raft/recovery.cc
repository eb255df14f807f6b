// The way back of a node that lost its disk. The argument is in config.h.
#include "raft/machine.h"

namespace asterism::raft {

uint64_t Raft::Machine::life_of(NodeId node) const {
  auto found = std::ranges::find(hard_.incarnations, node, &Incarnation::node);
  return found == hard_.incarnations.end() ? 0 : found->life;
}

// Remembers a newer life of a node, durably before anything that depends on it is said, and forgets what the older one
// promised. True where it was news.
bool Raft::Machine::learn_life(NodeId node, uint64_t life) {
  if (life <= life_of(node)) return false;
  auto at = std::ranges::lower_bound(hard_.incarnations, node, {}, &Incarnation::node);
  if (at != hard_.incarnations.end() && at->node == node) {
    at->life = life;
  } else {
    if (hard_.incarnations.size() >= max_members) return false;
    hard_.incarnations.insert(at, {node, life});
  }
  state_dirty_ = true;
  std::erase_if(votes_, [&](const Vote& vote) { return vote.node == node && vote.life < life; });
  if (Progress* peer = find_progress(node); peer != nullptr && node != config_.id) {
    peer->life = life;
    peer->forget(log_.last_index() + 1);
  }
  return true;
}

void Raft::Machine::tick_recovery() {
  if (now_ % config_.heartbeat_ticks != 0) return;
  for (NodeId node : configuration().members()) {
    if (node == config_.id || !configuration().is_voter(node)) continue;
    send({.kind = MessageKind::recover, .to = node, .incarnation = life_of(config_.id)});
  }
}

void Raft::Machine::on_recover(const Message& m) {
  bool news = learn_life(m.from, m.incarnation);
  if (m.incarnation == 0 || m.incarnation < life_of(m.from)) return;
  Progress* peer = is_leader() ? find_progress(m.from) : nullptr;
  if (peer != nullptr) {
    if (!peer->recovering && !news) peer->forget(log_.last_index() + 1);
    peer->recovering = true;
    peer->active = true;
    send_append(*peer, false);
  }
  bool settled = is_leader() && hard_.commit >= term_start_;
  send({.kind = MessageKind::recover_reply,
        .to = m.from,
        .index = settled ? hard_.commit : LogIndex{},
        .incarnation = m.incarnation,
        .done = settled});
}

void Raft::Machine::on_recover_reply(const Message& m) {
  if (!hard_.recovering || m.incarnation != life_of(config_.id)) return;
  if (m.term > hard_.term) become_follower(m.term, {});
  auto found = std::ranges::find(recovery_answers_, m.from, &RecoveryAnswer::node);
  if (found == recovery_answers_.end()) {
    if (recovery_answers_.size() >= max_members) return;
    found = recovery_answers_.insert(recovery_answers_.end(), RecoveryAnswer{m.from, {}, {}, false});
  }
  // Of several answers of one node the latest term counts, and within a term the one that names an index.
  if (m.term > found->term || (m.term == found->term && m.done && !found->committed_in_term))
    *found = {m.from, m.term, m.index, m.done};
  maybe_recovered();
}

void Raft::Machine::maybe_recovered() {
  if (!hard_.recovering || recovery_answers_.empty()) return;
  auto answered = [&](NodeId node) {
    return std::ranges::find(recovery_answers_, node, &RecoveryAnswer::node) != recovery_answers_.end();
  };
  if (!has_majority_of_others(configuration(), config_.id, answered)) return;
  Term newest;
  for (const RecoveryAnswer& answer : recovery_answers_) newest = std::max(newest, answer.term);
  for (const RecoveryAnswer& answer : recovery_answers_) {
    if (!answer.committed_in_term || answer.term < newest) continue;
    if (std::min(hard_.commit, log_.durable()) < answer.target) continue;
    hard_.recovering = false;
    state_dirty_ = true;
    recovery_answers_ = {};
    reset_election_timer();
    return;
  }
}

}  // namespace asterism::raft
