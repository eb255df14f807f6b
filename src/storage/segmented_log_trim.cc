// Cutting a log at either end.
#include <algorithm>

#include "runtime/io.h"
#include "storage/log_change.h"
#include "storage/log_segment_reader.h"

namespace asterism {

/// Also where it was not there. Another try follows where it fails, so nothing is broken.
Task<Status> SegmentedLog::durably_removed(const std::string& path) {
  auto removed = co_await remove(files_.disk(), path);
  if (!removed && removed.error().code != ErrorCode::not_found) co_return removed;
  co_return broken(co_await sync_directory(files_.disk(), options_.directory));
}

/// One at a time from either end, each made durable before the next, so that no crash leaves a gap.
Task<Status> SegmentedLog::delete_segment(size_t segment) {
  const uint64_t base = segments_[segment].base;
  ++version_;
  files_.drop(*this, base);
  if (segment + 1 == segments_.size()) drop_writer();
  // The index after its segment, because it may be what says where that ends.
  auto removed = co_await remove(files_.disk(), path_of(base));
  if (!removed && removed.error().code != ErrorCode::not_found) co_return removed;
  CO_TRY_STATUS(co_await durably_removed(index_path_of(base)));
  segments_.erase(segments_.begin() + static_cast<ptrdiff_t>(segment));
  ++version_;
  files_.drop(*this, base);
  co_return Status();
}

Task<Status> SegmentedLog::delete_before_start() {
  while (segments_.size() > 1 && segments_[1].base <= start_) CO_TRY_STATUS(co_await delete_segment(0));
  co_return Status();
}

/// Reads that are under way are done again, when this change has ended.
void SegmentedLog::begin_cutting() {
  cutting_ = true;
  ++version_;
}

Task<Status> SegmentedLog::delete_all() {
  begin_cutting();
  end_ = durable_ = start_;
  while (!segments_.empty()) CO_TRY_STATUS(broken(co_await delete_segment(segments_.size() - 1)));
  co_return Status();
}

Task<Status> SegmentedLog::store_start(uint64_t start) {
  CO_TRY(auto file, co_await create_named(start_path(), encode_log_start(log_id_, start)));
  start_stored_ = true;
  co_return Status();
}

Task<Status> SegmentedLog::forget_start() {
  if (start_stored_) CO_TRY_STATUS(co_await durably_removed(start_path()));
  start_stored_ = false;
  co_return Status();
}

Task<Result<uint64_t>> SegmentedLog::truncate_from(uint64_t offset) {
  CO_TRY(Change change, co_await begin());
  co_return change.end(co_await truncate_from_held(offset));
}

Task<Result<uint64_t>> SegmentedLog::truncate_from_held(uint64_t offset) {
  if (offset < start_)
    co_return fail(ErrorCode::invalid_argument, "offset {} is before the log's start, {}", offset, start_);
  if (offset >= end_) co_return end_;
  const size_t segment = segment_of(offset);
  CO_TRY(const auto open, co_await open_segment(segments_[segment].base));
  CO_TRY(SegmentIndex index, co_await index_before(*open, offset));
  const uint64_t base = index.base;
  CO_TRY(LogSegmentHeader header, co_await read_header(*open->file, base));
  CO_TRY_STATUS(co_await sync_held());
  begin_cutting();
  end_ = index.end_offset;
  durable_ = std::min(durable_, end_);
  const bool start_moves = start_ > end_;
  start_ = std::min(start_, end_);
  while (segments_.size() > segment + 1) CO_TRY_STATUS(broken(co_await delete_segment(segments_.size() - 1)));
  drop_writer();
  segments_.back() = {.base = base, .bytes = index.end_position, .latest_ms = index.latest_ms, .known = true};
  // The file is never cut, so that nothing depends on that becoming durable: the next segment says where it ends.
  LogSegmentHeader next = next_header(end_);
  if (end_ == base) {
    next.previous_base = header.previous_base;
    next.previous_end = header.previous_end;
  }
  CO_TRY_STATUS(broken(co_await create_segment(next)));
  files_.drop(*this, base);
  if (end_ != base) CO_TRY_STATUS(broken(co_await seal(std::move(index))));
  if (start_moves) CO_TRY_STATUS(broken(co_await store_start(start_)));
  co_return end_;
}

Task<Status> SegmentedLog::truncate_before(uint64_t offset) {
  CO_TRY(Change change, co_await begin());
  co_return change.end(co_await truncate_before_held(offset));
}

Task<Status> SegmentedLog::truncate_before_held(uint64_t offset) {
  if (offset > end_) co_return fail(ErrorCode::invalid_argument, "offset {} is behind the log's end, {}", offset, end_);
  if (offset > start_) {
    // The start must not be behind the end after a crash.
    if (durable_ < end_) {
      CO_TRY_STATUS(co_await sync_held());
      co_await write_mark();
    }
    if (offset == end_ && end_ > segments_.back().base) CO_TRY_STATUS(co_await roll());
    // Where a segment begins there, the deletion of those before it says the same.
    if (index_of_base(offset) == SIZE_MAX) CO_TRY_STATUS(co_await store_start(offset));
    start_ = offset;
  }
  co_return co_await delete_before_start();
}

Task<Status> SegmentedLog::reset(uint64_t offset) {
  CO_TRY(Change change, co_await begin());
  co_return change.end(co_await reset_held(offset));
}

Task<Status> SegmentedLog::reset_held(uint64_t offset) {
  CO_TRY_STATUS(co_await delete_all());
  start_ = end_ = durable_ = 0;
  CO_TRY_STATUS(broken(co_await forget_start()));
  CO_TRY_STATUS(co_await create_segment(next_header(offset)));
  start_ = offset;
  co_return Status();
}

Task<Status> SegmentedLog::erase() {
  CO_TRY(Change change, co_await begin());
  auto status = co_await delete_all();
  start_ = end_ = durable_ = 0;
  if (status) status = co_await forget_start();
  if (!failure_) failure_ = Error{ErrorCode::closed, "the log was erased"};
  co_return change.end(std::move(status));
}

Task<Result<size_t>> SegmentedLog::retain(Retention retention) {
  CO_TRY(Change change, co_await begin());
  co_return change.end(co_await retain_held(retention));
}

Task<Result<size_t>> SegmentedLog::retain_held(Retention retention) {
  size_t deleted = 0;
  for (; !segments_.empty() && end_ > segments_.front().base && end_of(0) <= retention.keep_from; ++deleted) {
    CO_TRY(const bool goes, co_await expired(0, retention));
    if (!goes) break;
    if (segments_.size() == 1) CO_TRY_STATUS(co_await roll());
    start_ = std::max(start_, segments_[1].base);
    CO_TRY_STATUS(co_await delete_segment(0));
  }
  co_return deleted;
}

Task<Result<bool>> SegmentedLog::expired(size_t segment, const Retention& retention) {
  const bool last = segment + 1 == segments_.size();
  if (!last && stored_bytes() - segments_[segment].bytes >= retention.max_bytes) co_return true;
  if (retention.oldest_ms == INT64_MIN) co_return false;
  if (!segments_[segment].known) {
    CO_TRY(const auto open, co_await open_segment(segments_[segment].base));
    ASSERT(segments_[segment].known);
  }
  co_return segments_[segment].latest_ms < retention.oldest_ms;
}

}  // namespace asterism
