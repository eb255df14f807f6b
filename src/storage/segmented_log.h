// A segmented log: batches of records with consecutive offsets, in files that are cut off at either end.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/defects.h"
#include "runtime/task_group.h"
#include "storage/log_files.h"
#include "storage/write_ahead_log.h"

namespace asterism {

/// One log, such as a partition of a topic. Offsets count records; a batch of n records takes n of them, and its bytes
/// mean nothing here. Used by one core only. A log that is not used holds no file open and a few hundred bytes.
///
/// What append() took is in the page cache. Two ways to make it last:
/// - sync() by the owner before it acknowledges; calls that wait together share one sync.
/// - The owner has the batch in the write-ahead log already, and acknowledges that. Then this log is a copy in the
///   place where it is read: after sync() the owner releases what lies before durable() there. When it replays, it cuts
///   this log with truncate_from() at the first batch that it finds below end(), and appends from there on.
///
/// Changes take effect one at a time, in the order in which their tasks get hold of the log. A change that is given up
/// (its task destroyed) and a failed sync break the log: it refuses further changes, and must be opened again. A write
/// that fails, by a full disk say, is undone and does not.
class SegmentedLog {
 public:
  struct Options {
    std::string directory;
    /// Names the log for good where this opening creates it. Draw it from Random.
    uint64_t new_log_id = 1;
    /// A segment is full when it is so large, or so old by the wall clock; 0 for any age. At most max_segment_bytes.
    uint32_t segment_bytes = 64u << 20;
    int64_t segment_age_ms = 0;
    uint32_t index_interval_bytes = 16u << 10;
    Defects defects{};
  };
  struct NewBatch {
    uint32_t records = 1;      // at least one
    int64_t timestamp_ms = 0;  // the latest in it
    Bytes payload;
  };

  /// Finds the end: reads the last segment from where its index ends, up to a torn tail. Where the log was not closed
  /// it goes on in a new segment, to which what is not known to be durable is copied. A log that has no files is empty
  /// and begins at 0; its files are created by the first append. `files` and the executor must outlive the log. Errors:
  /// corrupt (names file and offset; nothing was changed), unsupported, invalid_argument, no_space, io.
  static Task<Result<std::unique_ptr<SegmentedLog>>> open(LogFiles& files, Executor& executor, Options options);
  /// Tasks that wait in any call must be gone. Without close() before, the next opening reads more.
  ~SegmentedLog();

  /// The first record that is there, where the next one goes, and up to where a loss of power takes nothing.
  uint64_t start() const { return start_; }
  uint64_t end() const { return end_; }
  uint64_t durable() const { return durable_; }

  /// The offset of the first record. All batches go to one segment; a crash may leave any number of the first of them.
  /// Errors: invalid_argument, too_large (64 MiB in all), no_space and io (nothing was taken), what broke the log.
  Task<Result<uint64_t>> append(std::vector<NewBatch> batches);
  Task<Result<uint64_t>> append(NewBatch batch);
  /// Makes everything that was appended before the call durable. Returns durable().
  Task<Result<uint64_t>> sync();

  struct Bounds {
    uint64_t max_bytes = 1u << 20;  // the first batch comes even where it is larger
    uint64_t before = UINT64_MAX;   // no batch that holds records from here on: a high-water mark
  };
  struct StoredBatch {
    uint64_t offset = 0;
    uint32_t records = 0;
    int64_t timestamp_ms = 0;
    BytesView payload;
  };
  struct Batches {
    Bytes buffer;  // what the payloads are views of
    std::vector<StoredBatch> batches;
    uint64_t next = 0;  // read on from here
    Batches() = default;
    Batches(Batches&&) = delete;

   private:
    friend class SegmentedLog;
    uint32_t end_position = 0;
  };
  /// Whole batches from the one that holds `offset` on, checked, of one segment: there may be more where it ends before
  /// the bounds do. None where `offset` is the end or nothing is within the bounds.
  /// Errors: not_found (before start() or behind end()), corrupt (names file and offset), io.
  Task<Result<std::unique_ptr<Batches>>> read(uint64_t offset, Bounds bounds);

  struct Extent {
    std::shared_ptr<OpenSegment> segment;  // keeps the file open
    uint64_t file_offset = 0;              // of the payload
    StoredBatch batch;                     // without payload
    uint32_t bytes = 0;
    uint64_t payload_checksum = 0;
  };
  /// The same batches as places in files, for a caller that sends them from there: headers are checked, payloads not.
  /// The bytes stay what they are while the extents exist, unless truncate_from() or reset() takes them.
  Task<Result<std::vector<Extent>>> locate(uint64_t offset, Bounds bounds);

  /// The first batch whose timestamp is at or after this, without payload; none where there is none.
  Task<Result<std::optional<StoredBatch>>> find_time(int64_t timestamp_ms);

  /// Gives up the records from `offset` on, and those before it in the same batch, and begins a new segment. Durable
  /// when it returns the new end.
  /// Errors: invalid_argument (before start()), and those of append().
  Task<Result<uint64_t>> truncate_from(uint64_t offset);
  /// Gives up the records before `offset`; segments that hold nothing else are deleted. Durable when it returns.
  /// Nothing happens where start() is behind it. Errors: invalid_argument (behind end()), and those of append().
  Task<Status> truncate_before(uint64_t offset);
  /// Gives up all records; the next one gets this offset. Durable when it returns; a crash may leave the log shorter or
  /// empty at 0.
  Task<Status> reset(uint64_t offset);
  struct Retention {
    uint64_t max_bytes = UINT64_MAX;  // delete while what is left is at least so much
    int64_t oldest_ms = INT64_MIN;    // delete segments whose latest timestamp is before this
    uint64_t keep_from = UINT64_MAX;  // whatever else: nothing from this offset on
  };
  /// Deletes whole segments from the oldest on. The last one goes by age only. Returns how many.
  Task<Result<size_t>> retain(Retention retention);
  /// Deletes the files; the log refuses everything after. Its folder stays, empty.
  Task<Status> erase();

  /// Makes everything durable, writes down what spares the next opening its reading, and closes the files. The log can
  /// be used on. Called by LogFiles, too, when the log was not used for long.
  Task<Status> close();

  /// Reads everything and reports the first damage in each segment. Errors: io.
  Task<Result<std::vector<Damage>>> verify();

  uint64_t stored_bytes() const;
  size_t segments() const { return segments_.size(); }
  /// What broke the log.
  const std::optional<Error>& failure() const { return failure_; }

 private:
  struct Segment {
    uint64_t base = 0;
    uint64_t bytes = 0;  // where it ends, once known; what the file holds before
    int64_t latest_ms = INT64_MIN;
    bool known = false;  // `bytes` and `latest_ms` are; always so in the last segment
  };
  class Change;
  class Opening;
  friend class LogFiles;

  SegmentedLog(LogFiles& files, Executor& executor, Options options);
  std::string path_of(uint64_t base) const;
  std::string index_path_of(uint64_t base) const;
  std::string start_path() const;
  std::unexpected<Error> damaged(uint64_t base, uint64_t offset, std::string_view what) const;
  uint64_t end_of(size_t segment) const { return segment + 1 < segments_.size() ? segments_[segment + 1].base : end_; }
  size_t segment_of(uint64_t offset) const;
  size_t index_of_base(uint64_t base) const;

  // Changes; the caller holds the log.
  Task<Result<Change>> begin();
  Task<Result<uint64_t>> append_held(std::vector<NewBatch>& batches, uint64_t bytes);
  Task<Status> open_writer();
  LogSegmentHeader next_header(uint64_t base) const;
  Task<Status> create_segment(LogSegmentHeader header);
  Task<Result<std::unique_ptr<File>>> create_named(const std::string& path, Bytes bytes);
  Task<Status> roll();
  Task<Status> write_batches(std::vector<Bytes> pieces, uint64_t bytes);
  Task<Status> sync_held();
  Task<void> write_mark();
  Task<Status> write_index(const SegmentIndex& index, bool durably);
  Task<Status> close_held();
  Task<Result<uint64_t>> truncate_from_held(uint64_t offset);
  Task<Status> seal(SegmentIndex index);
  Task<Status> truncate_before_held(uint64_t offset);
  Task<Status> store_start(uint64_t start);
  Task<Status> forget_start();
  Task<Status> delete_segment(size_t segment);
  Task<Status> delete_before_start();
  Task<Status> delete_all();
  Task<Status> reset_held(uint64_t offset);
  Task<Result<size_t>> retain_held(Retention retention);
  Task<Result<bool>> expired(size_t segment, const Retention& retention);
  Task<Status> durably_removed(const std::string& path);
  Status broken(Status status);
  void begin_cutting();
  void drop_writer();
  void start_closing();
  Task<void> close_in_background();

  // Reading.
  Task<Result<std::shared_ptr<OpenSegment>>> open_segment(uint64_t base);
  Task<Result<LogSegmentHeader>> read_header(File& file, uint64_t base) const;
  Task<Result<SegmentIndex>> stored_index(const LogSegmentHeader& header);
  Task<Result<SegmentIndex>> find_index(File& file, const LogSegmentHeader& header, uint64_t end);
  Task<Result<SegmentIndex>> index_before(OpenSegment& open, uint64_t offset);
  template <class T>
  Task<Result<T>> while_unchanged(std::move_only_function<Task<Result<T>>()> attempt);
  Task<Result<uint32_t>> find_batch(OpenSegment& open, uint64_t offset);
  Task<Result<std::shared_ptr<OpenSegment>>> segment_for_reading(uint64_t offset, const Bounds& bounds);
  Task<Result<std::vector<Extent>>> try_locate(uint64_t offset, Bounds bounds);
  Task<Result<std::unique_ptr<Batches>>> try_read(uint64_t offset, Bounds bounds);
  Result<uint64_t> take_batches(Batches& into, const OpenSegment& open, uint32_t from, Bounds bounds) const;
  Task<Result<std::optional<StoredBatch>>> try_find_time(int64_t timestamp_ms);
  Task<Result<std::vector<Damage>>> verify_segment(uint64_t base);

  LogFiles& files_;
  const Options options_;
  uint64_t log_id_ = 0;
  uint32_t generation_ = 0;        // of the next segment
  std::vector<Segment> segments_;  // oldest first; none where the log was never written
  uint64_t start_ = 0, end_ = 0, durable_ = 0;
  uint32_t durable_position_ = 0;        // in the last segment
  std::shared_ptr<OpenSegment> writer_;  // the last segment, where it is open
  bool start_stored_ = false;            // in a file of its own
  bool busy_ = false, closing_ = false;
  bool cutting_ = false;  // the tail is: readers wait
  uint64_t version_ = 0;  // grows with every change but appends: what was read meanwhile is read again
  std::optional<Error> failure_;
  WaitQueue free_;
  TaskGroup tasks_;
};

}  // namespace asterism
