#include "storage/write_ahead_log.h"

#include <algorithm>

#include "runtime/io.h"

namespace asterism {

// Of zeros ahead of the records. Larger batches cost so much more than their sync that they get none.
constexpr uint64_t reserve_max = 1u << 20, reserving_batch_max = 32u << 10;

WriteAheadLog::WriteAheadLog(Disk& disk, Executor& executor, Options options)
    : disk_(disk), options_(std::move(options)), tasks_(executor) {}

WriteAheadLog::~WriteAheadLog() = default;

void WriteAheadLog::start_tasks() {
  tasks_.spawn(write_batches());
  tasks_.spawn(delete_released());
  tasks_.spawn(sync_relaxed());
}

std::string WriteAheadLog::path_of(Position base) const {
  return fmt::format("{}/{:016x}.wal", options_.directory, base.value);
}

Status WriteAheadLog::refusal() const {
  if (failure_) return fail(*failure_);
  if (closing_) return fail(ErrorCode::closed, "the write-ahead log is closed");
  return {};
}

Result<Position> WriteAheadLog::append(ShardId owner, uint8_t kind, std::span<const BytesView> payload,
                                       Durability durability) {
  ASSERT(kind != mark_kind);
  TRY_STATUS(refusal());
  uint64_t payload_size = 0;
  for (BytesView piece : payload) payload_size += piece.size();
  if (payload_size > max_payload_bytes)
    return fail(ErrorCode::too_large, "a record of {} bytes; the limit is {}", payload_size, max_payload_bytes);
  const uint64_t size = record_bytes(payload_size);
  if (pending_bytes_ > 0 && pending_bytes_ + size > options_.max_pending_bytes)
    return fail(ErrorCode::overloaded, "{} bytes wait for the write-ahead log", pending_bytes_);

  Batch& batch = batch_for(size);
  const Position position = next_;
  encode_record(batch.bytes, log_id_, position, owner, kind, payload);
  next_.value += size;
  batch.end = next_;
  if (durability == Durability::synced) batch.synced = true;
  pending_bytes_ += size;
  segments_.back().holders[owner] = position;
  ++counters_.records;
  work_.wake_one();
  return position;
}

bool WriteAheadLog::joins_last_batch(uint64_t bytes) const {
  if (pending_.size() <= (writing_ ? 1u : 0u)) return false;
  const Batch& last = pending_.back();
  return last.bytes.size() + bytes <= options_.max_batch_bytes &&
         next_.value + bytes <= segments_.back().base.value + options_.segment_bytes;
}

WriteAheadLog::Batch& WriteAheadLog::batch_for(uint64_t bytes) {
  if (joins_last_batch(bytes)) return pending_.back();
  const Segment& last = segments_.back();
  const bool has_records = next_.value > last.base.value + segment_header_bytes;
  const bool full = next_.value + mark_bytes + bytes > last.base.value + options_.segment_bytes;
  return open_batch(has_records && full);
}

WriteAheadLog::Batch& WriteAheadLog::open_batch(bool in_new_segment) {
  Batch& batch = pending_.emplace_back();
  if (in_new_segment) {
    const Segment& before = segments_.back();
    // Where the segment before ends is known once its last batch is durable.
    batch.new_segment = SegmentHeader{log_id_, before.sequence + 1, next_, before.base, {}};
    segments_.push_back({.base = next_, .end = {}, .sequence = before.sequence + 1, .holders = {}});
    next_.value += segment_header_bytes;
  }
  batch.base = next_;
  batch.bytes.resize(mark_bytes);
  next_.value += mark_bytes;
  batch.end = next_;
  return batch;
}

Task<void> WriteAheadLog::write_batches() {
  while (true) {
    if (!late_.empty()) {
      call_late();
    } else if (failure_) {
      fail_pending();
      idle_.wake_all();
      room_.wake_all();
      if (late_.empty()) co_await work_.wait();
    } else if (!pending_.empty()) {
      co_await write_first_batch();
    } else if (stored_ > durable_ && (sync_wanted_ || closing_)) {
      co_await sync_stored();
    } else if (closing_ && !closed_) {
      if (auto status = co_await finish_closing(); !status) failure_ = status.error();
    } else {
      co_await work_.wait();
    }
  }
}

Task<void> WriteAheadLog::write_first_batch() {
  if (std::exchange(sync_wanted_, false)) pending_.front().synced = true;
  writing_ = true;
  Status status = co_await write_batch(pending_.front());
  writing_ = false;
  if (!status) {
    failure_ = std::move(status).error();
    co_return;
  }
  Batch batch = std::move(pending_.front());
  pending_.pop_front();
  stored_ = batch.end;
  pending_bytes_ -= batch.end.value - batch.base.value - mark_bytes;
  room_.wake_all();
  if (batch.synced)
    now_durable(stored_);
  else
    relaxed_.wake_one();
  for (auto& waiting : batch.waiting) waiting.second({});
}

/// Everything before `end` is; nobody in unsynced_ waits for more.
void WriteAheadLog::now_durable(Position end) {
  durable_ = end;
  sync_wanted_ = false;
  for (auto& done : std::exchange(unsynced_, {})) done({});
}

/// Where no batch follows that could be synced instead.
Task<void> WriteAheadLog::sync_stored() {
  sync_wanted_ = false;
  auto synced = sync(*file_);
  start_mark();
  if (Status status = co_await synced; !status) {
    failure_ = std::move(status).error();
    co_return;
  }
  ++counters_.syncs;
  now_durable(stored_);
}

Task<void> WriteAheadLog::sync_relaxed() {
  while (true) {
    while (stored_ == durable_ || failure_) co_await relaxed_.wait();
    co_await sleep_for(options_.sync_relaxed_after);
    if (stored_ == durable_) continue;
    sync_wanted_ = true;
    work_.wake_one();
  }
}

Task<Status> WriteAheadLog::write_batch(Batch& batch) {
  if (batch.new_segment) CO_TRY_STATUS(co_await create_segment(*batch.new_segment));
  encode_mark(batch.bytes.data(), log_id_, batch.base, durable_);
  const uint64_t batch_bytes = batch.bytes.size();
  counters_.bytes += batch_bytes;
  // Started together: the file's thread goes from one to the next without coming back here.
  auto written = asterism::append(*file_, std::move(batch.bytes));
  ++counters_.batches;
  if (!batch.synced) co_return co_await written;
  auto synced = sync(*file_);
  if (pending_.size() == 1) start_mark();
  reserve_ahead(batch_bytes);
  CO_TRY_STATUS(co_await written);
  CO_TRY_STATUS(co_await synced);
  ++counters_.syncs;
  co_return Status();
}

/// Nothing is written to a segment before its header and its name are durable, and all of the segment before it.
Task<Status> WriteAheadLog::create_segment(SegmentHeader header) {
  if (stored_ > durable_) {
    CO_TRY_STATUS(co_await sync(*file_));
    ++counters_.syncs;
    durable_ = stored_;
  }
  if (segments_.size() > 1) {
    auto created = std::ranges::find(segments_, header.base, &Segment::base);
    ASSERT(created != segments_.begin() && created != segments_.end());
    Segment& before = *std::prev(created);
    if (before.end == Position{}) before.end = durable_;
    header.previous_end = before.end;
  }
  CO_TRY(auto file, co_await asterism::open(disk_, path_of(header.base), OpenMode::create));
  counters_.bytes += segment_header_bytes;
  CO_TRY_STATUS(co_await asterism::append(*file, header.encode()));
  CO_TRY_STATUS(co_await sync(*file));
  CO_TRY_STATUS(co_await sync_directory(disk_, options_.directory));
  counters_.syncs += 2;
  file_ = std::move(file);
  reserved_ = 0;
  created_ = header.base;
  stored_ = durable_ = {header.base.value + segment_header_bytes};
  released_.wake_all();
  co_return Status();
}

/// Started behind the sync of the last batch there is, and written only where that succeeds: it tells a later opening
/// that everything before is durable. Not synced itself: without it, damage to that batch would look like a torn tail.
void WriteAheadLog::start_mark() {
  std::vector<Bytes> mark(1, Bytes(mark_bytes, '\0'));
  encode_mark(mark[0].data(), log_id_, next_, next_);
  next_.value += mark_bytes;
  counters_.bytes += mark_bytes;
  file_->append(std::move(mark), [this](Status written) {
    if (written || failure_) return;
    failure_ = std::move(written).error();
    work_.wake_one();
  });
}

/// Started behind the sync, so that nobody waits for it. A sync of bytes that lie in what was reserved has no new file
/// size to make durable.
void WriteAheadLog::reserve_ahead(uint64_t batch_bytes) {
  const uint64_t step = std::min(reserve_max, options_.segment_bytes / 8), end = file_->size();
  if (batch_bytes > reserving_batch_max || reserved_ >= end + step / 2 || end >= options_.segment_bytes) return;
  reserved_ = std::min(end + step, options_.segment_bytes);
  file_->reserve(reserved_ - end);
}

Task<Status> WriteAheadLog::finish_closing() {
  CO_TRY_STATUS(co_await sync(*file_));
  ++counters_.syncs;
  closed_ = true;
  idle_.wake_all();
  co_return Status();
}

Task<Status> WriteAheadLog::close() {
  closing_ = true;
  room_.wake_all();
  work_.wake_one();
  while (!closed_ && !failure_) co_await idle_.wait();
  if (failure_) co_return fail(*failure_);
  co_return Status();
}

void WriteAheadLog::fail_pending() {
  for (auto& done : std::exchange(unsynced_, {})) late_.emplace_back(std::move(done), fail(*failure_));
  for (Batch& batch : pending_)
    for (auto& waiting : batch.waiting) late_.emplace_back(std::move(waiting.second), fail(*failure_));
  pending_.clear();
  pending_bytes_ = 0;
}

void WriteAheadLog::call_late() {
  for (auto& [done, status] : std::exchange(late_, {})) done(std::move(status));
}

void WriteAheadLog::when_stored(Position position, Callback<void> done) {
  ASSERT(position < next_);
  if (position < stored_ || failure_) return call_later(std::move(done), position < stored_);
  batch_of(position).waiting.emplace_back(position, std::move(done));
}

void WriteAheadLog::when_durable(Position position, Callback<void> done) {
  ASSERT(position < next_);
  if (position < durable_ || failure_) return call_later(std::move(done), position < durable_);
  Batch* batch = position < stored_ ? nullptr : &batch_of(position);
  const bool begun = batch == nullptr || (writing_ && batch == &pending_.front());
  if (!begun) batch->synced = true;
  if (batch != nullptr && batch->synced) {
    batch->waiting.emplace_back(position, std::move(done));
    return;
  }
  unsynced_.push_back(std::move(done));
  sync_wanted_ = true;
  work_.wake_one();
}

void WriteAheadLog::call_later(Callback<void> done, bool reached) {
  late_.emplace_back(std::move(done), reached ? Status() : fail(*failure_));
  work_.wake_one();
}

WriteAheadLog::Batch& WriteAheadLog::batch_of(Position position) {
  auto behind = std::ranges::upper_bound(pending_, position, {}, &Batch::base);
  ASSERT(behind != pending_.begin());
  return *std::prev(behind);
}

Task<Status> WriteAheadLog::durable(Position position) {
  if (position < durable_) co_return Status();
  co_return co_await async<void>([&](auto done) { when_durable(position, std::move(done)); });
}

Task<Status> WriteAheadLog::room(uint64_t payload_bytes) {
  while (true) {
    CO_TRY_STATUS(refusal());
    if (pending_bytes_ == 0 || pending_bytes_ + record_bytes(payload_bytes) <= options_.max_pending_bytes)
      co_return Status();
    co_await room_.wait();
  }
}

Task<Result<Position>> WriteAheadLog::append_durably(ShardId owner, uint8_t kind, BytesView payload) {
  CO_TRY_STATUS(co_await room(payload.size()));
  CO_TRY(const Position position, append(owner, kind, payload));
  CO_TRY_STATUS(co_await durable(position));
  co_return position;
}

void WriteAheadLog::release(ShardId owner, Position before) {
  for (Segment& segment : segments_) {
    if (segment.base >= before) break;
    auto held = segment.holders.find(owner);
    if (held != segment.holders.end() && held->second < before) segment.holders.erase(held);
  }
  if (segments_.size() > 1 && segments_.front().holders.empty()) released_.wake_one();
}

WriteAheadLog::Oldest WriteAheadLog::oldest_live() const {
  const Segment& segment = segments_.front();
  Oldest oldest{segment.base, end_of(0), {}};
  for (const auto& [owner, position] : segment.holders) oldest.holders.push_back(owner);
  std::ranges::sort(oldest.holders);
  return oldest;
}

Position WriteAheadLog::end_of(size_t index) const {
  if (segments_[index].end != Position{}) return segments_[index].end;
  return index + 1 < segments_.size() ? segments_[index + 1].base : next_;
}

uint64_t WriteAheadLog::stored_bytes() const {
  uint64_t bytes = 0;
  for (size_t i = 0; i < segments_.size(); ++i) bytes += end_of(i).value - segments_[i].base.value;
  return bytes;
}

Task<void> WriteAheadLog::delete_released() {
  while (true) {
    const bool deletable =
        segments_.size() > 1 && segments_.front().holders.empty() && segments_[1].base <= created_ && !failure_;
    // What cannot be deleted now is tried again at the next release.
    if (!deletable || !co_await delete_oldest()) co_await released_.wait();
  }
}

/// One at a time, each made durable before the next, so that no crash leaves a gap between segments.
Task<Status> WriteAheadLog::delete_oldest() {
  const Position base = segments_.front().base;
  auto removed = co_await remove(disk_, path_of(base));
  if (!removed && removed.error().code != ErrorCode::not_found) co_return removed;
  CO_TRY_STATUS(co_await sync_directory(disk_, options_.directory));
  segments_.pop_front();
  if (read_base_ == base) read_file_ = nullptr;
  co_return Status();
}

}  // namespace asterism
