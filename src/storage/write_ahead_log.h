// The write-ahead log: one per core, shared by every shard on it. One sync makes the records of all owners durable.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "ports/disk.h"
#include "runtime/channel.h"
#include "runtime/task_group.h"
#include "storage/record.h"

namespace asterism {

/// Damage that a check found: the file, relative to the disk's folder, and where in it.
struct Damage {
  std::string file;
  uint64_t offset = 0;
  std::string what;
};

/// What append() asks for. Relaxed: with the operating system, so that it outlives the process; on the disk
/// Options::sync_relaxed_after later, or with the next synced record.
enum class Durability : uint8_t { synced, relaxed };

/// Records are written in the order of append(), in batches: while one batch is written and synced, what arrives joins
/// the next. A lone record is written in the executor's next turn. A batch of relaxed records alone is not synced. What
/// a failure of power leaves is always a beginning of what was appended. Used by one core only.
///
/// Any error of a write or sync makes the log refuse everything that would change it from then on: after a failed sync
/// nobody knows what is on the disk, so the only way on is to open the log again.
class WriteAheadLog {
 public:
  struct Options {
    std::string directory = "wal";
    /// Names the log for good where this opening creates it, so that bytes of another log are never taken for its
    /// own. Draw it from Random.
    uint64_t new_log_id = 1;
    uint64_t segment_bytes = 64u << 20;
    uint64_t max_batch_bytes = 4u << 20;
    /// Bytes that were appended and are not stored. Beyond it append() answers `overloaded`.
    uint64_t max_pending_bytes = 64u << 20;
    Duration sync_relaxed_after = std::chrono::milliseconds(10);
  };
  /// Gets every whole record, oldest first, released ones of segments that still exist included. An error ends open().
  using ReplayFunction = std::move_only_function<Status(const Record&)>;

  /// Reads the log up to a torn tail, makes what it replays durable, and starts a new segment. The disk and the
  /// executor must outlive the log. Errors: corrupt (names file and offset; nothing was changed), no_space, io, and the
  /// replay's own.
  static Task<Result<std::unique_ptr<WriteAheadLog>>> open(Disk& disk, Executor& executor, Options options,
                                                           ReplayFunction replay);
  /// Drops what is not durable yet; callbacks are dropped uncalled. Tasks that wait in room(), append_durably(), read()
  /// or verify() must be gone before. No callback may destroy the log.
  ~WriteAheadLog();

  /// Takes the record and says where it begins. Kinds below mark_kind are the owner's. The payload is copied.
  /// Errors: overloaded (nothing was taken), too_large, closed, or the error that broke the log.
  Result<Position> append(ShardId owner, uint8_t kind, std::span<const BytesView> payload,
                          Durability durability = Durability::synced);
  Result<Position> append(ShardId owner, uint8_t kind, BytesView payload, Durability durability = Durability::synced) {
    return append(owner, kind, std::span<const BytesView>(&payload, 1), durability);
  }
  /// Calls back once every record up to and including `position`, which append() returned, is stored as was asked for,
  /// or with the error that broke the log. Callbacks of later batches come later. Never from inside this call.
  void when_stored(Position position, Callback<void> done);
  /// The same once they are durable, for which relaxed ones are synced at once.
  void when_durable(Position position, Callback<void> done);
  Task<Status> durable(Position position);
  /// Waits until append() has room for such a payload. Errors: closed, or what broke the log.
  Task<Status> room(uint64_t payload_bytes = 0);
  /// Waits for room, appends and waits until the record is durable.
  Task<Result<Position>> append_durably(ShardId owner, uint8_t kind, BytesView payload);

  /// The next record will begin here or later.
  Position end() const { return next_; }
  /// Every record before this is stored as was asked for; at or behind durable_end().
  Position stored_end() const { return stored_; }
  /// Every record before this is durable.
  Position durable_end() const { return durable_; }

  struct Stored {
    ShardId owner;
    uint8_t kind = 0;
    Bytes payload;
  };
  /// One durable record, checked. Errors: not_found (not durable yet, or its segment is gone), corrupt (also where no
  /// record begins there), io.
  Task<Result<Stored>> read(Position position);

  /// The owner needs none of its records before `before` any more; Position::last() means none written so far.
  /// Releases are not stored: after open() the owners say again what they do not need. Segments are deleted from the
  /// oldest on, as soon as nobody holds a record in them.
  void release(ShardId owner, Position before);
  struct Oldest {
    Position begin, end;           // of the oldest segment
    std::vector<ShardId> holders;  // who must release (by a flush or a snapshot) before it can go; ascending
  };
  Oldest oldest_live() const;
  /// Bytes of all segments, and how many there are.
  uint64_t stored_bytes() const;
  size_t segments() const { return segments_.size(); }

  /// Re-reads everything that is durable, sealed segments and the current one, and reports what is damaged: the first
  /// place in each segment. Errors: io.
  Task<Result<std::vector<Damage>>> verify();

  /// Makes everything durable, marks the log as cleanly closed and refuses further appends. Once, by the last user.
  Task<Status> close();

  struct Counters {
    uint64_t records = 0, batches = 0, syncs = 0, bytes = 0;  // marks and headers count as bytes only
  };
  const Counters& counters() const { return counters_; }
  /// What broke the log.
  const std::optional<Error>& failure() const { return failure_; }

 private:
  struct Segment {
    Position base;
    Position end;  // of its last record, once another segment follows
    uint64_t sequence = 0;
    std::unordered_map<ShardId, Position> holders;  // the last record of each owner that has not released it
  };
  struct Batch {
    Position base;  // where its mark begins
    Position end;
    Bytes bytes;  // room for the mark, then the records
    bool synced = false;
    std::optional<SegmentHeader> new_segment;
    std::vector<std::pair<Position, Callback<void>>> waiting;
  };
  class Opening;

  WriteAheadLog(Disk& disk, Executor& executor, Options options);
  std::string path_of(Position base) const;
  Status refusal() const;
  Position end_of(size_t index) const;
  Batch& batch_for(uint64_t bytes);
  bool joins_last_batch(uint64_t bytes) const;
  Batch& open_batch(bool in_new_segment);
  void start_tasks();
  Task<void> write_batches();
  Task<void> write_first_batch();
  Task<void> sync_stored();
  Task<void> sync_relaxed();
  void now_durable(Position end);
  Task<Status> write_batch(Batch& batch);
  Task<Status> create_segment(SegmentHeader header);
  void start_mark();
  void reserve_ahead(uint64_t batch_bytes);
  Task<Status> finish_closing();
  Task<void> delete_released();
  Task<Status> delete_oldest();
  Batch& batch_of(Position position);
  void fail_pending();
  void call_later(Callback<void> done, bool reached);
  void call_late();
  Task<Result<std::shared_ptr<File>>> file_for_reading(Position base);
  Task<Status> verify_segment(Position base, Position end, uint64_t sequence, std::vector<Damage>& found);

  Disk& disk_;
  const Options options_;
  uint64_t log_id_ = 0;
  std::deque<Segment> segments_;  // oldest first; the last ones may still wait to be created
  Position created_;              // the segment that file_ is
  std::unique_ptr<File> file_;
  uint64_t reserved_ = 0;             // how far file_ has, or will have, zeros
  Position next_, stored_, durable_;  // durable_ <= stored_ <= next_
  uint64_t pending_bytes_ = 0;
  std::deque<Batch> pending_;                            // the first one is under way where writing_
  std::vector<std::pair<Callback<void>, Status>> late_;  // to be called in the next turn
  std::vector<Callback<void>> unsynced_;                 // wait for a sync of what is stored, or being stored, unsynced
  bool sync_wanted_ = false;                             // for them, or because sync_relaxed_after is over
  bool writing_ = false, closing_ = false, closed_ = false;
  std::optional<Error> failure_;
  Counters counters_;
  Position read_base_;  // the segment that read_file_ is
  std::shared_ptr<File> read_file_;
  WaitQueue work_, room_, released_, idle_, relaxed_;
  TaskGroup tasks_;
};

}  // namespace asterism
