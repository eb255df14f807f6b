// The stored log of one group as its host keeps it: in memory, and in the write-ahead log it shares with all groups.
#pragma once

#include <deque>

#include "raft/config.h"
#include "raft/output.h"
#include "storage/record.h"

namespace asterism::raft {

/// Kinds of records in the write-ahead log whose owner is a group.
enum class GroupRecord : uint8_t {
  write = 1,  // one Write: hard state and entries
  base = 2,   // everything the group has: earlier records are not needed any more
};

/// Hard state, newest snapshot and the entries after it. The host bounds its size by taking snapshots.
class GroupLog final : public LogView {
 public:
  GroupLog() = default;
  /// A group that was never here before.
  explicit GroupLog(Configuration first) : configurations_(LogIndex{0}, std::move(first)) {}

  LogIndex first_index() const override { return snapshot_meta_.index + 1; }
  LogIndex last_index() const override { return snapshot_meta_.index + entries_.size(); }
  std::optional<Term> term(LogIndex index) const override;
  std::vector<Entry> entries(LogIndex first, LogIndex last, uint64_t max_bytes) const override;
  std::optional<SnapshotMeta> snapshot() const override;

  const HardState& hard_state() const { return hard_state_; }
  const SnapshotMeta& snapshot_meta() const { return snapshot_meta_; }
  const Payload& snapshot_data() const { return snapshot_data_; }
  const ConfigurationHistory& configurations() const { return configurations_; }
  /// Bytes of the entries that a snapshot would make superfluous.
  uint64_t entry_bytes() const { return entry_bytes_; }

  /// Takes over what a Write says; `data` belongs to its snapshot. Errors: corrupt.
  Status apply(const Write& write, Payload data);
  /// Puts a snapshot of the state machine in the place of the entries up to meta.index.
  void compact(SnapshotMeta meta, Payload data);

  static Bytes encode_write(const Write& write);
  /// The base record's payload.
  Bytes encode_base() const;
  /// Replays one record, in order. Those before the first base that is left say nothing. Errors: corrupt.
  Status replay(GroupRecord kind, BytesView payload);
  /// Whether a base was replayed. Without one the group's records are incomplete.
  bool whole() const { return whole_; }

 private:
  Status add(const std::vector<Entry>& entries);

  HardState hard_state_;
  SnapshotMeta snapshot_meta_;
  Payload snapshot_data_;
  ConfigurationHistory configurations_;
  std::deque<Entry> entries_;
  uint64_t entry_bytes_ = 0;
  bool whole_ = false;
};

}  // namespace asterism::raft
