// Opening: finds the end of the log, and makes what was not known to be durable so.
#include <algorithm>
#include <charconv>

#include "runtime/io.h"
#include "storage/log_change.h"
#include "storage/log_segment_reader.h"
#include "storage/segmented_log.h"

namespace asterism {

namespace {

constexpr uint64_t max_start_file_bytes = 4096;

/// The base in a name such as 00000000000000000042.log.
std::optional<uint64_t> base_of(std::string_view name, std::string_view ending) {
  constexpr size_t digits = 20;
  if (name.size() != digits + ending.size() || !name.ends_with(ending)) return std::nullopt;
  uint64_t base = 0;
  auto [end, error] = std::from_chars(name.data(), name.data() + digits, base);
  if (error != std::errc() || end != name.data() + digits) return std::nullopt;
  return base;
}

}  // namespace

class SegmentedLog::Opening {
 public:
  explicit Opening(SegmentedLog& log) : log_(log) {}
  Task<Status> run();

 private:
  Task<Status> find_files();
  Task<Status> read_last();
  Task<Status> walk_last();
  void take(const BatchHeader& header);
  Task<Status> cut_tail();
  Task<Status> copy_tail(LogSegmentHeader header);
  Task<Result<Bytes>> tail_in_new_segment(const LogSegmentHeader& header, SegmentIndex& index);
  Task<Status> seal_previous();
  Task<Status> read_start();
  Task<Status> remove_leftovers();

  SegmentedLog& log_;
  std::vector<std::string> leftovers_;
  bool start_found_ = false;
  std::unique_ptr<File> file_;  // the last segment
  LogSegmentHeader header_;
  SegmentIndex index_;                 // of what is whole
  uint32_t stored_position_ = 0;       // what the index knew
  uint32_t durable_ = 0;               // everything before this place was durable at some time
  std::vector<BatchHeader> doubtful_;  // what is whole behind it
};

Task<Status> SegmentedLog::Opening::run() {
  CO_TRY_STATUS(co_await find_files());
  if (!log_.segments_.empty()) {
    CO_TRY_STATUS(co_await read_last());
    CO_TRY_STATUS(co_await read_start());
    CO_TRY_STATUS(co_await walk_last());
    CO_TRY_STATUS(co_await remove_leftovers());
    CO_TRY_STATUS(co_await seal_previous());
    CO_TRY_STATUS(co_await cut_tail());
    log_.start_ = std::max(log_.start_, log_.segments_.front().base);
    if (log_.start_ > log_.end_) {
      // A start behind the end would hide records that are appended later.
      log_.start_ = log_.end_;
      CO_TRY_STATUS(co_await log_.store_start(log_.start_));
    }
    CO_TRY_STATUS(co_await log_.delete_before_start());
  } else if (start_found_) {
    leftovers_.push_back(log_.start_path());
  }
  CO_TRY_STATUS(co_await remove_leftovers());
  // The files stay closed until they are needed.
  log_.drop_writer();
  co_return Status();
}

Task<Status> SegmentedLog::Opening::find_files() {
  auto entries = co_await list(log_.files_.disk(), log_.options_.directory);
  if (!entries && entries.error().code == ErrorCode::not_found) co_return Status();
  if (!entries) co_return fail(entries.error());
  // A process that was killed may have left names that a loss of power would still undo.
  CO_TRY_STATUS(co_await sync_directory(log_.files_.disk(), log_.options_.directory));
  std::vector<uint64_t> indexes;
  for (const DirectoryEntry& entry : *entries) {
    if (entry.name.ends_with(".new")) leftovers_.push_back(log_.options_.directory + "/" + entry.name);
    if (entry.name == "start") start_found_ = true;
    if (auto base = base_of(entry.name, ".index")) indexes.push_back(*base);
    if (auto base = base_of(entry.name, ".log")) log_.segments_.push_back({.base = *base, .bytes = entry.size});
  }
  std::ranges::sort(log_.segments_, {}, &Segment::base);
  for (uint64_t base : indexes)
    if (log_.index_of_base(base) == SIZE_MAX) leftovers_.push_back(log_.index_path_of(base));
  co_return Status();
}

Task<Status> SegmentedLog::Opening::read_last() {
  const uint64_t base = log_.segments_.back().base;
  CO_TRY(file_, co_await asterism::open(log_.files_.disk(), log_.path_of(base), OpenMode::append));
  CO_TRY(const Bytes bytes, co_await read_at(*file_, 0, log_segment_header_bytes));
  auto header = LogSegmentHeader::decode(bytes);
  if (!header && header.error().code != ErrorCode::corrupt) co_return fail(header.error());
  if (!header) co_return log_.damaged(base, 0, header.error().message);
  if (header->base != base) co_return log_.damaged(base, 0, "the header of another segment");
  header_ = *header;
  log_.log_id_ = header_.log_id;
  log_.generation_ = header_.generation + 1;
  const size_t count = log_.segments_.size();
  if (count == 1) co_return Status();
  const Segment& previous = log_.segments_[count - 2];
  if (previous.base != header_.previous_base)
    co_return log_.damaged(base, 0,
                           fmt::format("the segment before it, {:020}.log, is missing", header_.previous_base));
  if (previous.bytes < header_.previous_end)
    co_return log_.damaged(previous.base, previous.bytes, fmt::format("it had {} bytes", header_.previous_end));
  co_return Status();
}

Task<Status> SegmentedLog::Opening::read_start() {
  if (!start_found_) co_return Status();
  const std::string path = log_.start_path();
  CO_TRY(auto file, co_await asterism::open(log_.files_.disk(), path, OpenMode::read));
  CO_TRY(const Bytes bytes, co_await read_at(*file, 0, max_start_file_bytes));
  auto start = decode_log_start(bytes, log_.log_id_);
  if (!start) co_return fail(ErrorCode::corrupt, "{} is damaged at byte 0: {}", path, start.error().message);
  log_.start_ = *start;
  log_.start_stored_ = true;
  co_return Status();
}

void SegmentedLog::Opening::take(const BatchHeader& header) {
  index_.add(header, log_.options_.index_interval_bytes);
  doubtful_.push_back(header);
  if (header.durable <= durable_) return;
  durable_ = header.durable;
  std::erase_if(doubtful_, [this](const BatchHeader& before) { return before.position < durable_; });
}

Task<Status> SegmentedLog::Opening::walk_last() {
  CO_TRY(index_, co_await log_.stored_index(header_));
  if (index_.end_position > file_->size())
    co_return log_.damaged(header_.base, file_->size(), fmt::format("its index knows {} bytes", index_.end_position));
  durable_ = stored_position_ = index_.end_position;
  if (index_.sealed) co_return Status();
  const BatchSpan span{header_.seed(), index_.end_offset, index_.end_position, file_->size(), true};
  const auto add = [this](const BatchHeader& header, BytesView) {
    take(header);
    return true;
  };
  CO_TRY(const WalkEnd walked, co_await walk_batches(*file_, span, add));
  if (walked.damaged) {
    CO_TRY(auto proof, co_await find_proof_of_batch(*file_, header_.seed(), walked.position));
    if (proof)
      co_return log_.damaged(header_.base, walked.position,
                             fmt::format("no whole batch begins there, but byte {} proves that one did", *proof));
  }
  const bool forgets = log_.options_.defects.has(Defect::forget_replay);
  if (forgets && !doubtful_.empty()) {
    index_.end_offset = doubtful_.back().offset;
    doubtful_.pop_back();
  }
  co_return Status();
}

/// The segment before may have more in its file than counts; the power may have failed before that was said for good.
Task<Status> SegmentedLog::Opening::seal_previous() {
  const size_t count = log_.segments_.size();
  if (count == 1 || log_.segments_[count - 2].bytes == header_.previous_end) co_return Status();
  Segment& previous = log_.segments_[count - 2];
  CO_TRY(auto file, co_await asterism::open(log_.files_.disk(), log_.path_of(previous.base), OpenMode::read));
  auto header = co_await log_.read_header(*file, previous.base);
  // Damage there is for those to find who read it.
  if (!header) co_return Status();
  CO_TRY(const SegmentIndex stored, co_await log_.stored_index(*header));
  if (stored.sealed) co_return Status();
  auto index = co_await log_.find_index(*file, *header, header_.base);
  if (!index) co_return index.error().code == ErrorCode::corrupt ? Status() : fail(index.error());
  co_return co_await log_.seal(std::move(*index));
}

/// What is whole and was perhaps never durable may be in the page cache only, and a file whose sync failed must not be
/// written to again: its pages count as clean, even where a later sync succeeds. So a log that was not closed goes on
/// in a new segment, which begins with a copy of what is in doubt. Marks are left out.
Task<Status> SegmentedLog::Opening::cut_tail() {
  std::erase_if(doubtful_, [](const BatchHeader& header) { return header.mark(); });
  Segment& segment = log_.segments_.back();
  segment.known = true;
  segment.bytes = log_.durable_position_ = durable_;
  segment.latest_ms = index_.latest_ms;
  log_.end_ = log_.durable_ = index_.end_offset;
  if (doubtful_.empty() && file_->size() == stored_position_ && !index_.sealed) co_return Status();
  LogSegmentHeader header = log_.next_header(doubtful_.empty() ? index_.end_offset : doubtful_.front().offset);
  if (header.base == header_.base) {
    header.previous_base = header_.previous_base;
    header.previous_end = header_.previous_end;
  }
  if (!doubtful_.empty()) co_return co_await copy_tail(header);
  CO_TRY_STATUS(co_await log_.create_segment(header));
  if (header.base == header_.base) co_return Status();
  index_.end_position = durable_;
  co_return co_await log_.seal(std::move(index_));
}

Task<Status> SegmentedLog::Opening::copy_tail(LogSegmentHeader header) {
  SegmentIndex index = SegmentIndex::of_empty(header);
  CO_TRY(Bytes bytes, co_await tail_in_new_segment(header, index));
  CO_TRY(auto file, co_await log_.create_named(log_.path_of(header.base), std::move(bytes)));
  if (header.base == header_.base) {
    log_.segments_.pop_back();
  } else {
    OpenSegment old{.file = std::move(file_), .index = std::move(index_), .seed = header_.seed()};
    CO_TRY(SegmentIndex before, co_await log_.index_before(old, header.base));
    before.end_position = durable_;
    log_.segments_.back().latest_ms = before.latest_ms;
    CO_TRY_STATUS(co_await log_.seal(std::move(before)));
  }
  log_.segments_.push_back(
      {.base = header.base, .bytes = index.end_position, .latest_ms = index.latest_ms, .known = true});
  log_.generation_ = header.generation + 1;
  log_.durable_position_ = index.end_position;
  log_.end_ = log_.durable_ = index.end_offset;
  (void)co_await log_.write_index(index, false);
  co_return Status();
}

Task<Result<Bytes>> SegmentedLog::Opening::tail_in_new_segment(const LogSegmentHeader& header, SegmentIndex& index) {
  Bytes out = header.encode();
  for (const BatchHeader& old : doubtful_) {
    CO_TRY(const Bytes payload,
           co_await read_at(*file_, uint64_t{old.position} + batch_header_bytes, old.payload_bytes));
    if (!payload_is_whole(old, payload))
      co_return log_.damaged(header_.base, old.position, "the batch changed while it was read");
    BatchHeader copy = old;
    copy.position = index.end_position;
    copy.durable = log_segment_header_bytes;
    out += encode_batch_header(copy, header.seed(), payload);
    out += payload;
    index.add(copy, log_.options_.index_interval_bytes);
  }
  co_return out;
}

Task<Status> SegmentedLog::Opening::remove_leftovers() {
  Disk& disk = log_.files_.disk();
  for (const std::string& path : leftovers_) {
    auto removed = co_await remove(disk, path);
    if (!removed && removed.error().code != ErrorCode::not_found) co_return removed;
  }
  if (!leftovers_.empty()) CO_TRY_STATUS(co_await sync_directory(disk, log_.options_.directory));
  leftovers_.clear();
  co_return Status();
}

Task<Result<std::unique_ptr<SegmentedLog>>> SegmentedLog::open(LogFiles& files, Executor& executor, Options options) {
  if (options.segment_bytes > max_segment_bytes || options.directory.empty())
    co_return fail(ErrorCode::invalid_argument, "segments of {} bytes in '{}'", options.segment_bytes,
                   options.directory);
  std::unique_ptr<SegmentedLog> log(new SegmentedLog(files, executor, std::move(options)));
  Change change(*log);
  Opening opening(*log);
  CO_TRY_STATUS(change.end(co_await opening.run()));
  co_return log;
}

}  // namespace asterism
