// The write-ahead log: one per core, shared by every shard on it. One sync makes the records of all owners durable.
#pragma once

#include <deque>
#include <memory>
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

/// Records are written in the order of append(), in batches: while one batch is written and synced, what arrives joins
/// the next. A lone record is written in the executor's next turn. Used by one core only.
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
    /// Bytes that were appended and are not durable. Beyond it append() answers `overloaded`.
    uint64_t max_pending_bytes = 64u << 20;
  };
  /// Gets every whole record, oldest first, released ones of segments that still exist included. An error ends open().
  using ReplayFunction = std::move_only_function<Status(const Record&)>;

  /// Reads the log, cuts a torn tail off, and starts a new segment, durably. The disk and the executor must outlive
  /// the log. Errors: corrupt (names file and offset; nothing was changed), no_space, io, and the replay's own.
  static Task<Result<std::unique_ptr<WriteAheadLog>>> open(Disk& disk, Executor& executor, Options options,
                                                           ReplayFunction replay);
  /// Drops what is not durable yet; callbacks are dropped uncalled, and waiting tasks get `closed`.
  ~WriteAheadLog();

  /// Takes the record and says where it begins. Kinds below mark_kind are the owner's. The payload is copied.
  /// Errors: overloaded (nothing was taken), too_large, closed, or the error that broke the log.
  Result<Position> append(ShardId owner, uint8_t kind, std::span<const BytesView> payload);
  Result<Position> append(ShardId owner, uint8_t kind, BytesView payload) {
    return append(owner, kind, std::span<const BytesView>(&payload, 1));
  }
  /// Calls back, in the order of positions, once every record up to and including `position` is durable, or cannot
  /// become so. Never from inside this call.
  void when_durable(Position position, Callback<void> done);
  Task<Status> durable(Position position);
  /// Waits until append() would not be refused for want of room. Errors: closed, or what broke the log.
  Task<Status> room();
  /// Waits for room, appends and waits until the record is durable.
  Task<Result<Position>> append_durably(ShardId owner, uint8_t kind, BytesView payload);

  /// The next record will begin here or later.
  Position end() const { return next_; }
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
    uint64_t records = 0, batches = 0, syncs = 0, bytes = 0;
  };
  const Counters& counters() const { return counters_; }
  /// What broke the log.
  const std::optional<Error>& failure() const { return failure_; }

 private:
  struct Segment {
    Position base;
    Position end;  // grows while the segment is the last
    uint64_t sequence = 0;
    std::unordered_map<ShardId, Position> holders;  // the last record of each owner that has not released it
  };
  struct Batch {
    Position base;  // where its mark begins
    Bytes bytes;    // room for the mark, then the records
    std::optional<SegmentHeader> new_segment;
    std::vector<std::pair<Position, Callback<void>>> waiting;
    Position end() const { return {base.value + bytes.size()}; }
  };
  class Opening;

  WriteAheadLog(Disk& disk, Executor& executor, Options options);
  Batch& batch_with_room(uint64_t bytes);
  Batch& open_batch(bool new_segment);
  Segment* find_segment(Position position);
  std::string path_of(Position base) const;
  Task<void> write_batches();
  Task<Status> write_batch(Batch& batch);
  Task<Status> start_segment(SegmentHeader header);
  Task<Status> write_idle_mark();
  Task<void> delete_released();
  Task<Status> delete_oldest();
  Task<Result<std::shared_ptr<File>>> file_for_reading(Position base);
  void finish(Batch& batch, const Status& status);
  void break_log(const Error& error);

  Disk& disk_;
  Options options_;
  uint64_t log_id_ = 0;
  std::deque<Segment> segments_;  // oldest first; the last one may still be waiting to be created
  Position written_base_;         // the segment that file_ is
  std::unique_ptr<File> file_;
  Position next_, durable_;
  uint64_t pending_bytes_ = 0;
  std::deque<Batch> pending_;  // the first one may be under way
  bool writing_ = false, marked_ = false, closing_ = false, closed_ = false;
  std::optional<Error> failure_;
  Counters counters_;
  Position read_base_;  // the segment that read_file_ is
  std::shared_ptr<File> read_file_;
  WaitQueue work_, room_, release_, idle_;
  TaskGroup tasks_;
};

}  // namespace asterism
