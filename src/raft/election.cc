// Leader election (3.4), its restriction (3.6.1), pre-vote (9.6) and stickiness (4.2.3).
#include "raft/machine.h"

namespace asterism::raft {

// 4.2.2: a server that the latest configuration leaves out still campaigns until that is known to be decided; it may be
// the only one with a log long enough to win, though its own vote does not count.
bool Raft::Machine::promotable() const {
  if (hard_.recovering) return false;
  const ConfigurationHistory::At& latest = history_.latest();
  return latest.configuration.is_voter(config_.id) ||
         (latest.index > hard_.commit && history_.at(latest.index - 1).is_voter(config_.id));
}

// Whether a leader was heard so recently that its lease may lean on this node. A leader is its own.
bool Raft::Machine::sticky() const {
  if (!config_.check_quorum) return false;
  return is_leader() || (had_contact_ && now_ - last_contact_tick_ < config_.election_ticks);
}

void Raft::Machine::reset_election_timer() {
  elapsed_ = 0;
  timeout_ = config_.election_ticks + static_cast<uint32_t>(random() % config_.election_ticks);
  // A node waits one election timeout more for each of up to two better levels of priority.
  const Configuration& c = configuration();
  uint8_t own = c.priority_of(config_.id), level = own;
  for (int better = 0; better < 2; ++better) {
    uint8_t next = 255;
    bool found = false;
    for (const Priority& p : c.priorities) {
      if (p.value > level && p.value <= next && c.is_voter(p.node)) {
        next = p.value;
        found = true;
      }
    }
    if (!found) break;
    level = next;
    timeout_ += config_.election_ticks;
  }
}

void Raft::Machine::campaign(bool force) {
  if (is_leader() || !promotable()) return;
  wake();
  become_candidate(config_.pre_vote && !force, force);
}

void Raft::Machine::become_candidate(bool pre, bool force) {
  fail_reads();
  leader_ = {};
  votes_.clear();
  incoming_.reset();
  force_votes_ = force;
  role_ = pre ? Role::pre_candidate : Role::candidate;
  if (!pre) {
    set_term(hard_.term + 1);
    hard_.voted_for = config_.id;
  }
  reset_election_timer();
  Term term = pre ? hard_.term + 1 : hard_.term;
  MessageKind kind = pre ? MessageKind::pre_vote : MessageKind::vote;
  for (NodeId node : configuration().members()) {
    if (node == config_.id || !configuration().is_voter(node)) continue;
    send({.kind = kind,
          .to = node,
          .term = term,
          .index = log_.last_index(),
          .log_term = log_.last_term(),
          .force = force});
  }
  // Its own vote counts like any other: once it is durable.
  send({.kind = pre ? MessageKind::pre_vote_reply : MessageKind::vote_reply, .to = config_.id, .term = term});
}

void Raft::Machine::on_vote_request(const Message& m) {
  bool pre = m.kind == MessageKind::pre_vote;
  bool free = pre ? m.term > hard_.term : !hard_.voted_for || hard_.voted_for == m.from;
  bool grant = free && !hard_.recovering && !is_leader() && log_.covered_by(m.index, m.log_term);
  Message reply{.kind = pre ? MessageKind::pre_vote_reply : MessageKind::vote_reply, .to = m.from, .reject = !grant};
  if (grant && pre) reply.term = m.term;
  if (grant && !pre) {
    if (!hard_.voted_for) {
      hard_.voted_for = m.from;
      state_dirty_ = true;
    }
    elapsed_ = 0;
    reply.incarnations = hard_.incarnations;
  }
  send(std::move(reply));
}

void Raft::Machine::on_vote_reply(const Message& m) {
  bool pre = m.kind == MessageKind::pre_vote_reply;
  if (role_ != (pre ? Role::pre_candidate : Role::candidate) || m.recovering) return;
  if (pre && !m.reject && m.term != hard_.term + 1) return;
  for (const Incarnation& known : m.incarnations) learn_life(known.node, known.life);
  if (!pre && m.incarnation > 0) learn_life(m.from, m.incarnation);
  if (!pre && m.incarnation < life_of(m.from)) return;
  count_vote(m.from, !m.reject, pre ? life_of(m.from) : m.incarnation);
  tally();
}

void Raft::Machine::count_vote(NodeId node, bool granted, uint64_t life) {
  auto found = std::ranges::find(votes_, node, &Vote::node);
  if (found == votes_.end()) votes_.push_back({node, granted, life});
}

void Raft::Machine::tally() {
  auto vote_of = [&](NodeId node) {
    auto found = std::ranges::find(votes_, node, &Vote::node);
    return found == votes_.end() ? nullptr : &*found;
  };
  bool won = has_quorum(configuration(), [&](NodeId node) {
    const Vote* vote = vote_of(node);
    return vote != nullptr && vote->granted;
  });
  if (won) {
    if (role_ == Role::pre_candidate)
      become_candidate(false, false);
    else
      become_leader();
    return;
  }
  bool lost = quorum_lost(configuration(), [&](NodeId node) {
    const Vote* vote = vote_of(node);
    return vote == nullptr || vote->granted;
  });
  if (lost) become_follower(hard_.term, {});
}

void Raft::Machine::become_leader() {
  ASSERT(role_ == Role::candidate && promotable());
  role_ = Role::leader;
  leader_ = config_.id;
  votes_ = {};
  elapsed_ = heartbeat_elapsed_ = idle_ticks_ = 0;
  lease_forfeited_ = false;
  next_hand_over_tick_ = now_ + config_.election_ticks;
  rounds_.clear();
  progress_.clear();
  configuration_appended();
  for (Progress& peer : progress_) peer.active = true;
  // 6.4: nothing can be said about the commit index before an entry of the own term is committed.
  term_start_ = append_as_leader(EntryKind::noop, nullptr);
  own_progress();
  broadcast_append();
}

void Raft::Machine::quorum_check() {
  if (!config_.check_quorum) return;
  bool alive = has_quorum(configuration(), [&](NodeId node) {
    if (node == config_.id) return true;
    const Progress* peer = find_progress(node);
    return peer != nullptr && peer->active && !peer->recovering;
  });
  for (Progress& peer : progress_) peer.active = false;
  if (!alive) become_follower(hard_.term, {});
}

}  // namespace asterism::raft
