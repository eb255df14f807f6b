// The follower's side of log replication (3.5) and heartbeats.
#include "raft/machine.h"

namespace asterism::raft {

void Raft::Machine::follow(NodeId leader) {
  ASSERT(!is_leader());
  if (role_ != Role::follower || leader_ != leader) become_follower(hard_.term, leader);
  elapsed_ = 0;
  last_contact_tick_ = now_;
  had_contact_ = true;
}

bool Raft::Machine::well_formed(const Message& m) const {
  Term term = m.log_term;
  LogIndex index = m.index;
  for (const Entry& entry : m.entries) {
    if (entry.index != index + 1 || entry.term < term || entry.term > m.term) return false;
    if (entry.kind == EntryKind::config_change) {
      ByteReader in(entry.bytes());
      if (!decode_configuration(in) || !in.at_end()) return false;
    }
    index = entry.index;
    term = entry.term;
  }
  return true;
}

void Raft::Machine::on_append(Message& m) {
  if (is_leader() || !well_formed(m)) return;
  follow(m.from);
  if (m.index < hard_.commit && m.index + m.entries.size() < hard_.commit) {
    send({.kind = MessageKind::append_reply, .to = m.from, .index = hard_.commit});
    return;
  }
  if (m.index >= hard_.commit && !log_.matches(m.index, m.log_term)) {
    LogIndex hint = log_.last_with_term_at_most(std::min(m.index, log_.last_index()), m.log_term);
    send({.kind = MessageKind::append_reply,
          .to = m.from,
          .index = m.index,
          .log_term = log_.term(hint).value_or(Term{}),
          .hint = hint,
          .reject = true});
    return;
  }
  for (Entry& entry : m.entries) {
    if (entry.index <= hard_.commit) continue;
    if (entry.index <= log_.last_index()) {
      if (log_.matches(entry.index, entry.term)) continue;
      log_.truncate(entry.index);
      if (history_.truncate(entry.index)) configuration_appended();
    }
    if (entry.term < log_.last_term()) return;
    log_.append(entry);
    note_appended(entry);
  }
  LogIndex matched = std::max(m.index + m.entries.size(), hard_.commit);
  commit_to(std::min(m.commit, matched));
  send({.kind = MessageKind::append_reply, .to = m.from, .index = matched});
}

void Raft::Machine::note_appended(const Entry& entry) {
  if (entry.kind != EntryKind::config_change) return;
  ASSERT(history_.append(entry).has_value());
  configuration_appended();
}

void Raft::Machine::on_heartbeat(const Message& m) {
  if (is_leader()) return;
  follow(m.from);
  // A node that lost its log may hold something else at an index that it once acknowledged.
  if (!hard_.recovering) commit_to(std::min(m.commit, log_.last_index()));
  bool rest = m.quiesce && !hard_.recovering && hard_.commit == m.commit && log_.last_index() == m.commit &&
              log_.durable() == m.commit && forwarded_reads_.empty();
  if (rest) {
    resting_ = true;
    return;
  }
  send({.kind = MessageKind::heartbeat_reply, .to = m.from, .context = m.context, .reject = m.quiesce});
}

}  // namespace asterism::raft
