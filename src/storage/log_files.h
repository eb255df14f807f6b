// The open files of all segmented logs of a core, bounded.
#pragma once

#include <list>
#include <map>
#include <memory>

#include "ports/clock.h"
#include "ports/disk.h"
#include "runtime/channel.h"
#include "storage/log_segment.h"

namespace asterism {

class SegmentedLog;

/// An open segment file with its index.
struct OpenSegment {
  std::unique_ptr<File> file;
  SegmentIndex index;
  uint64_t seed = 0;
  int64_t created_ms = 0;
  // Where the latest read ended, which is where the next one begins more often than not.
  uint64_t hint_offset = UINT64_MAX;
  uint32_t hint_position = 0;
};

/// Shared by the logs of one core, which it must outlive. Keeps files open between uses and closes those that were not
/// used for longest: logs that nobody uses hold none. What is in use at the moment may go beyond the bound.
class LogFiles {
 public:
  /// The disk and the clock must outlive it.
  LogFiles(Disk& disk, const Clock& clock, size_t max_open = 256) : disk_(disk), clock_(clock), max_open_(max_open) {}
  LogFiles(const LogFiles&) = delete;
  ~LogFiles();

  Disk& disk() { return disk_; }
  const Clock& clock() const { return clock_; }
  size_t open_files() const { return recent_.size(); }

  // For the logs. Segments are named by their log and base.

  /// Waits until one more may be opened.
  Task<void> room();
  std::shared_ptr<OpenSegment> find(const SegmentedLog& log, uint64_t base);
  void keep(const SegmentedLog& log, uint64_t base, std::shared_ptr<OpenSegment> segment);
  void drop(const SegmentedLog& log, uint64_t base);
  /// The log has a file open for writing; only the log itself can close it, and does when asked to.
  void keep_writer(SegmentedLog& log);
  void drop_writer(SegmentedLog& log);
  void used_writer(SegmentedLog& log);
  void forget(SegmentedLog& log);
  /// A log that was asked to close its file has done so, or was busy.
  void retired();

 private:
  struct Entry {
    const SegmentedLog* log;
    uint64_t base;
    std::shared_ptr<OpenSegment> segment;  // none where it is a writer
    SegmentedLog* writer;
  };
  using Place = std::list<Entry>::iterator;
  using Key = std::pair<const SegmentedLog*, uint64_t>;
  static constexpr uint64_t writer_base = UINT64_MAX;

  void insert(Entry entry);
  void erase(Key key);
  void touch(Place place) { recent_.splice(recent_.begin(), recent_, place); }
  bool evict();

  Disk& disk_;
  const Clock& clock_;
  const size_t max_open_;
  std::list<Entry> recent_;      // the latest used first
  std::map<Key, Place> places_;  // its order matters to nothing
  size_t retiring_ = 0;
  WaitQueue changed_;
};

}  // namespace asterism
