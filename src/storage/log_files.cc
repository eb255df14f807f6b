#include "storage/log_files.h"

#include <ranges>

#include "storage/segmented_log.h"

namespace asterism {

LogFiles::~LogFiles() { ASSERT(recent_.empty()); }

Task<void> LogFiles::room() {
  while (recent_.size() >= max_open_) {
    if (evict()) continue;
    if (retiring_ == 0) co_return;
    co_await changed_.wait();
  }
}

/// Closes the file that was not used for longest, or asks its log to. True where one was closed.
bool LogFiles::evict() {
  for (Entry& entry : std::views::reverse(recent_)) {
    if (entry.segment) {
      erase({entry.log, entry.base});
      return true;
    }
    if (entry.writer->busy_ || entry.writer->closing_) continue;
    ++retiring_;
    entry.writer->start_closing();
    return false;
  }
  return false;
}

std::shared_ptr<OpenSegment> LogFiles::find(const SegmentedLog& log, uint64_t base) {
  auto place = places_.find({&log, base});
  if (place == places_.end()) return nullptr;
  touch(place->second);
  return place->second->segment;
}

void LogFiles::insert(Entry entry) {
  const Key key{entry.log, entry.base};
  erase(key);
  recent_.push_front(std::move(entry));
  places_[key] = recent_.begin();
}

void LogFiles::erase(Key key) {
  auto place = places_.find(key);
  if (place == places_.end()) return;
  recent_.erase(place->second);
  places_.erase(place);
  changed_.wake_all();
}

void LogFiles::keep(const SegmentedLog& log, uint64_t base, std::shared_ptr<OpenSegment> segment) {
  insert({&log, base, std::move(segment), nullptr});
}

void LogFiles::drop(const SegmentedLog& log, uint64_t base) { erase({&log, base}); }

void LogFiles::keep_writer(SegmentedLog& log) { insert({&log, writer_base, nullptr, &log}); }

void LogFiles::drop_writer(SegmentedLog& log) { erase({&log, writer_base}); }

void LogFiles::used_writer(SegmentedLog& log) {
  auto place = places_.find({&log, writer_base});
  if (place != places_.end()) touch(place->second);
}

void LogFiles::forget(SegmentedLog& log) {
  for (auto place = places_.lower_bound({&log, 0}); place != places_.end() && place->first.first == &log;) {
    recent_.erase(place->second);
    place = places_.erase(place);
  }
  changed_.wake_all();
}

void LogFiles::retired() {
  --retiring_;
  changed_.wake_all();
}

}  // namespace asterism
