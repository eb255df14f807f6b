// The log as the step machine sees it: what the host has on disk, overlaid by what is not durable yet.
#pragma once

#include "raft/config.h"
#include "raft/output.h"

namespace asterism::raft {

class RaftLog {
 public:
  explicit RaftLog(const LogView& view);

  LogIndex first_index() const { return snapshot_ ? snapshot_->index + 1 : view_->first_index(); }
  LogIndex last_index() const { return last_; }
  Term last_term() const { return last_term_; }
  /// Everything up to here is on disk and is still part of this log.
  LogIndex durable() const { return durable_; }
  /// Nothing where the index was compacted away or lies past the end.
  std::optional<Term> term(LogIndex index) const;
  bool matches(LogIndex index, Term term) const { return this->term(index) == term; }
  /// 3.6.1: whether a log that ends so is at least as complete as this one.
  bool covered_by(LogIndex last, Term last_term) const {
    return last_term > last_term_ || (last_term == last_term_ && last >= last_);
  }
  std::vector<Entry> entries(LogIndex first, LogIndex last, uint64_t max_bytes) const;
  std::optional<SnapshotMeta> snapshot() const { return view_->snapshot(); }
  /// The last index at or before `index` whose term is at most `term`; 0 where none is known.
  LogIndex last_with_term_at_most(LogIndex index, Term term) const;

  /// The entry's index must follow the last.
  void append(Entry entry);
  void truncate(LogIndex from);
  /// Starts over after a snapshot.
  void restore(const SnapshotMeta& meta);

  /// There is something that no write holds yet.
  bool dirty() const { return handed_ < last_ || snapshot_unwritten_; }
  /// Moves it into the write.
  void fill(Write& write);
  void persisted(uint64_t id);
  size_t memory_bytes() const;

 private:
  struct InFlight {
    uint64_t id;
    LogIndex last;
  };

  const LogView* view_;
  std::vector<Entry> tail_;  // (durable_ or the pending snapshot, last_]
  std::unique_ptr<SnapshotMeta> snapshot_;
  std::vector<InFlight> in_flight_;
  LogIndex last_, durable_, handed_;
  Term last_term_;
  uint64_t snapshot_write_ = 0;
  bool snapshot_unwritten_ = false;
};

}  // namespace asterism::raft
