#include "raft/machine.h"

namespace asterism::raft {

Raft::Machine::Machine(Config config, Restored restored, const LogView& log)
    : config_(config),
      hard_(std::move(restored.hard_state)),
      log_(log),
      history_(std::move(restored.configurations)),
      random_state_(config.seed * 0x9e3779b97f4a7c15 + config.id.value) {
  ASSERT(config_.id && config_.election_ticks > config_.heartbeat_ticks && config_.heartbeat_ticks > 0);
  ASSERT(config_.lease_margin_ticks > 0 && (!config_.lease_reads || config_.check_quorum));
  ASSERT(config_.max_inflight_appends > 0);
  if (history_.empty()) history_.reset({}, {});
  LogIndex snapshot = log_.first_index() - 1;
  applied_ = handed_ = std::max(restored.applied, snapshot);
  hard_.commit = std::max(hard_.commit, applied_);
  ASSERT(hard_.commit <= log_.last_index() && hard_.term >= log_.last_term());
  history_.release(applied_);
  if (config_.recovering && life_of(config_.id) < config_.incarnation) {
    ASSERT(config_.incarnation > 0);
    hard_.recovering = true;
    learn_life(config_.id, config_.incarnation);
  }
  // A restarted node may have acknowledged a heartbeat just before: it keeps that promise for one election timeout.
  had_contact_ = hard_.term.value > 0;
  next_wire_context_ = random();
  reported_.term = hard_.term;
  reset_election_timer();
}

// SplitMix64.
uint64_t Raft::Machine::random() {
  uint64_t z = random_state_ += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

void Raft::Machine::tick() {
  if (resting_) return;
  ++now_;
  if (hard_.recovering) tick_recovery();
  expire_forwarded();
  if (is_leader())
    tick_leader();
  else
    tick_follower();
}

void Raft::Machine::tick_leader() {
  if (++elapsed_ >= config_.election_ticks) {
    elapsed_ = 0;
    quorum_check();
    if (!is_leader()) return;
  }
  tick_transfer();
  tick_snapshots();
  ++idle_ticks_;
  if (++heartbeat_elapsed_ < config_.heartbeat_ticks) return;
  heartbeat_elapsed_ = 0;
  maybe_hand_over();
  maybe_rest();
  if (!resting_) broadcast_heartbeat(false);
}

void Raft::Machine::tick_follower() {
  ++elapsed_;
  if (elapsed_ < timeout_ || !promotable()) return;
  campaign(false);
}

// What must be durable before a message of this kind may leave. A leader's own traffic needs nothing: its term became
// durable before it won, and 10.2.1 lets it replicate in parallel with its own disk.
uint64_t Raft::Machine::dependency(MessageKind kind) const {
  switch (kind) {
    case MessageKind::append_reply:
    case MessageKind::snapshot_reply:
      return state_dirty_ || log_.dirty() ? next_write_ : last_write_;
    case MessageKind::vote:
    case MessageKind::vote_reply:
    case MessageKind::heartbeat_reply:
    case MessageKind::recover:
    case MessageKind::recover_reply:
      return state_dirty_ ? next_write_ : last_state_write_;
    default:
      return 0;
  }
}

void Raft::Machine::send(Message m) {
  m.group = config_.group;
  m.from = config_.id;
  if (!m.term) m.term = hard_.term;
  if (m.kind == MessageKind::append_reply || m.kind == MessageKind::heartbeat_reply ||
      m.kind == MessageKind::vote_reply || m.kind == MessageKind::snapshot_reply) {
    m.incarnation = life_of(config_.id);
    m.recovering = hard_.recovering;
  }
  uint64_t after = dependency(m.kind);
  if (after > persisted_)
    held_.push_back({after, std::move(m)});
  else if (m.to == config_.id)
    step(std::move(m));
  else
    out_.messages.push_back(std::move(m));
}

void Raft::Machine::release_held() {
  std::vector<Message> own;
  size_t kept = 0;
  for (Held& held : held_) {
    if (held.after > persisted_) {
      if (&held_[kept] != &held) held_[kept] = std::move(held);
      ++kept;
    } else if (held.message.to == config_.id) {
      own.push_back(std::move(held.message));
    } else {
      out_.messages.push_back(std::move(held.message));
    }
  }
  held_.erase(held_.begin() + static_cast<ptrdiff_t>(kept), held_.end());
  if (held_.empty()) held_.shrink_to_fit();
  for (Message& message : own) step(std::move(message));
}

void Raft::Machine::set_term(Term term) {
  ASSERT(term >= hard_.term);
  if (term == hard_.term) return;
  hard_.term = term;
  hard_.voted_for = {};
  state_dirty_ = true;
}

void Raft::Machine::become_follower(Term term, NodeId leader) {
  bool changed = term != hard_.term || leader != leader_;
  bool was_leader = is_leader();
  set_term(term);
  if (was_leader) {
    progress_ = {};
    rounds_ = {};
    proposed_ = {};
    uncommitted_bytes_ = 0;
    transfer_to_ = {};
  }
  if (changed || role_ != Role::follower) fail_reads();
  role_ = Role::follower;
  leader_ = leader;
  votes_ = {};
  resting_ = false;
  if (changed) incoming_.reset();
  // 3.4: only a leader or a granted vote restarts the timer. A candidate that cannot win would else hold up one that
  // waits longer.
  if (was_leader || (changed && leader)) reset_election_timer();
}

void Raft::Machine::wake() {
  if (!resting_) return;
  resting_ = false;
  elapsed_ = idle_ticks_ = 0;
  heartbeat_elapsed_ = config_.heartbeat_ticks;  // the next tick reaches the followers
  last_contact_tick_ = now_;
  for (Progress& peer : progress_) peer.active = true;
}

void Raft::Machine::step(Message m) {
  if (m.group != config_.group || m.to != config_.id || !m.from) return;
  // The last answers to a leader that has just gone to rest need not wake it.
  bool echo = m.kind == MessageKind::heartbeat_reply && is_leader() && !m.reject && m.term == hard_.term;
  if (resting_ && echo) return;
  if (!(m.kind == MessageKind::heartbeat && m.quiesce)) wake();
  if (m.kind == MessageKind::recover) return on_recover(m);
  if (m.kind == MessageKind::recover_reply) return on_recover_reply(m);
  if (m.term > hard_.term && !handle_term(m)) return;
  if (m.term < hard_.term) return handle_stale(m);
  dispatch(m);
}

// A message of a later term. False where it must be ignored.
bool Raft::Machine::handle_term(const Message& m) {
  switch (m.kind) {
    case MessageKind::vote:
      if (sticky() && !m.force) return false;  // 4.2.3
      become_follower(m.term, {});
      return true;
    case MessageKind::pre_vote:
      return !sticky();
    case MessageKind::pre_vote_reply:
      // A grant carries the term that was asked about, a refusal the refuser's own.
      if (m.reject) become_follower(m.term, {});
      return !m.reject;
    case MessageKind::append:
    case MessageKind::heartbeat:
    case MessageKind::snapshot_chunk:
      become_follower(m.term, m.from);
      return true;
    default:
      become_follower(m.term, {});
      return true;
  }
}

// A message of an earlier term. The sender learns the current one, or a node whose term ran ahead while it was cut off
// could never be led again.
void Raft::Machine::handle_stale(const Message& m) {
  switch (m.kind) {
    case MessageKind::pre_vote:
      send({.kind = MessageKind::pre_vote_reply, .to = m.from, .reject = true});
      return;
    case MessageKind::vote:
      send({.kind = MessageKind::vote_reply, .to = m.from, .reject = true});
      return;
    case MessageKind::append:
    case MessageKind::heartbeat:
    case MessageKind::snapshot_chunk:
      send({.kind = MessageKind::heartbeat_reply, .to = m.from});
      return;
    default:
      return;
  }
}

void Raft::Machine::dispatch(Message& m) {
  switch (m.kind) {
    case MessageKind::pre_vote:
    case MessageKind::vote:
      on_vote_request(m);
      return;
    case MessageKind::pre_vote_reply:
    case MessageKind::vote_reply:
      on_vote_reply(m);
      return;
    case MessageKind::append:
      on_append(m);
      return;
    case MessageKind::append_reply:
      on_append_reply(m);
      return;
    case MessageKind::heartbeat:
      on_heartbeat(m);
      return;
    case MessageKind::heartbeat_reply:
      on_heartbeat_reply(m);
      return;
    case MessageKind::snapshot_chunk:
      on_snapshot_chunk(m);
      return;
    case MessageKind::snapshot_reply:
      on_snapshot_reply(m);
      return;
    case MessageKind::read_index:
      on_read_index(m);
      return;
    case MessageKind::read_index_reply:
      on_read_index_reply(m);
      return;
    case MessageKind::timeout_now:
      on_timeout_now(m);
      return;
    case MessageKind::recover:
    case MessageKind::recover_reply:
      return;
  }
}

void Raft::Machine::commit_to(LogIndex index) {
  ASSERT(index <= log_.last_index());
  if (index <= hard_.commit) return;
  hard_.commit = index;
  size_t done = 0;
  for (; done < proposed_.size() && proposed_[done].last <= index; ++done) uncommitted_bytes_ -= proposed_[done].bytes;
  proposed_.erase(proposed_.begin(), proposed_.begin() + static_cast<ptrdiff_t>(done));
  maybe_recovered();
}

void Raft::Machine::persisted(uint64_t id) {
  ASSERT(id <= last_write_);
  if (id <= persisted_) return;
  persisted_ = id;
  log_.persisted(id);
  release_held();
  if (is_leader()) own_progress();
  maybe_recovered();
}

void Raft::Machine::applied(LogIndex index) {
  ASSERT(index <= handed_);
  if (index <= applied_) return;
  applied_ = index;
  if (applied_ == handed_) handed_bytes_ = 0;
  history_.release(applied_);
}

// Committed entries reach the state machine only once they are on this disk, so that after a crash the log covers what
// was applied.
void Raft::Machine::fill_committed() {
  LogIndex last = std::min(hard_.commit, log_.durable());
  if (last <= handed_ || handed_bytes_ >= config_.max_apply_bytes) return;
  out_.committed = log_.entries(handed_ + 1, last, config_.max_apply_bytes);
  if (out_.committed.empty()) return;
  handed_ = out_.committed.back().index;
  for (const Entry& entry : out_.committed) handed_bytes_ += entry.cost();
}

Output Raft::Machine::take() {
  if (state_dirty_ || log_.dirty()) {
    Write write{.id = next_write_++, .hard_state = hard_, .snapshot = {}, .entries = {}};
    log_.fill(write);
    last_write_ = write.id;
    if (state_dirty_) last_state_write_ = write.id;
    state_dirty_ = false;
    out_.write = std::move(write);
  }
  fill_committed();
  SoftState now{role_, leader_, hard_.term};
  if (now != reported_) out_.soft_state = reported_ = now;
  round_fresh_ = false;
  return std::exchange(out_, {});
}

bool Raft::Machine::has_output() const {
  return !out_.empty() || state_dirty_ || log_.dirty() || SoftState{role_, leader_, hard_.term} != reported_ ||
         (std::min(hard_.commit, log_.durable()) > handed_ && handed_bytes_ < config_.max_apply_bytes);
}

void Raft::Machine::report_unreachable(NodeId node) {
  if (Progress* peer = find_progress(node); peer != nullptr && peer->state == ProgressState::replicate)
    peer->to_probe();
  if (!resting_) return;
  if (is_leader()) return wake();
  if (leader_ != node) return;
  // A resting leader has no lease, so forgetting it at once breaks no promise.
  wake();
  had_contact_ = false;
  become_follower(hard_.term, {});
}

size_t Raft::Machine::memory_bytes() const {
  auto of = [](const auto& items) { return items.capacity() * sizeof(items[0]); };
  size_t bytes = sizeof *this + log_.memory_bytes() + of(progress_) + of(votes_) + of(held_) + of(rounds_) +
                 of(pending_reads_) + of(forwarded_reads_) + of(proposed_) + of(out_.messages) + of(recovery_answers_);
  const Configuration& c = configuration();
  bytes += sizeof(ConfigurationHistory::At) + of(c.voters) + of(c.voters_outgoing) + of(c.learners) +
           of(c.learners_next) + of(c.priorities);
  for (const Progress& peer : progress_) bytes += of(peer.in_flight);
  return bytes;
}

}  // namespace asterism::raft
