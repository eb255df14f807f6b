// The life of a log: appending, syncing, rolling over to new segments, closing.
#include "storage/segmented_log.h"

#include <algorithm>

#include "runtime/io.h"
#include "storage/log_change.h"
#include "storage/log_segment_reader.h"

namespace asterism {

namespace {

constexpr uint64_t max_append_bytes = 64u << 20;

}  // namespace

SegmentedLog::SegmentedLog(LogFiles& files, Executor& executor, Options options)
    : files_(files), options_(std::move(options)), log_id_(options_.new_log_id), tasks_(executor) {}

SegmentedLog::~SegmentedLog() {
  tasks_.cancel();
  files_.forget(*this);
}

std::string SegmentedLog::path_of(uint64_t base) const {
  return fmt::format("{}/{:020}.log", options_.directory, base);
}

std::string SegmentedLog::index_path_of(uint64_t base) const {
  return fmt::format("{}/{:020}.index", options_.directory, base);
}

std::string SegmentedLog::start_path() const { return options_.directory + "/start"; }

std::unexpected<Error> SegmentedLog::damaged(uint64_t base, uint64_t offset, std::string_view what) const {
  return fail(ErrorCode::corrupt, "{} is damaged at byte {}: {}", path_of(base), offset, what);
}

size_t SegmentedLog::segment_of(uint64_t offset) const {
  auto after = std::ranges::upper_bound(segments_, offset, {}, &Segment::base);
  return after == segments_.begin() ? 0 : static_cast<size_t>(after - segments_.begin()) - 1;
}

size_t SegmentedLog::index_of_base(uint64_t base) const {
  auto at = std::ranges::lower_bound(segments_, base, {}, &Segment::base);
  return at != segments_.end() && at->base == base ? static_cast<size_t>(at - segments_.begin()) : SIZE_MAX;
}

uint64_t SegmentedLog::stored_bytes() const {
  uint64_t bytes = 0;
  for (const Segment& segment : segments_) bytes += segment.bytes;
  return bytes;
}

Task<Result<SegmentedLog::Change>> SegmentedLog::begin() {
  while (busy_) co_await free_.wait();
  if (failure_) co_return fail(*failure_);
  co_return Change(*this);
}

/// Nobody knows any more what is on the disk.
Status SegmentedLog::broken(Status status) {
  if (!status && !failure_) failure_ = status.error();
  return status;
}

void SegmentedLog::drop_writer() {
  writer_ = nullptr;
  files_.drop_writer(*this);
}

Task<Result<uint64_t>> SegmentedLog::append(NewBatch batch) {
  std::vector<NewBatch> batches;
  batches.push_back(std::move(batch));
  return append(std::move(batches));
}

Task<Result<uint64_t>> SegmentedLog::append(std::vector<NewBatch> batches) {
  uint64_t bytes = 0, records = 0;
  for (const NewBatch& batch : batches) {
    if (batch.records == 0) co_return fail(ErrorCode::invalid_argument, "a batch without records");
    bytes += batch_header_bytes + batch.payload.size();
    records += batch.records;
    if (bytes > max_append_bytes)
      co_return fail(ErrorCode::too_large, "more than {} bytes to append at once", max_append_bytes);
  }
  CO_TRY(Change change, co_await begin());
  if (records > UINT64_MAX - 1 - end_)
    co_return change.end(fail(ErrorCode::too_large, "the log has used up its offsets"));
  co_return change.end(co_await append_held(batches, bytes));
}

Task<Result<uint64_t>> SegmentedLog::append_held(std::vector<NewBatch>& batches, uint64_t bytes) {
  const uint64_t first = end_;
  if (batches.empty()) co_return first;
  if (segments_.empty()) CO_TRY_STATUS(co_await create_segment(next_header(end_)));
  CO_TRY_STATUS(co_await open_writer());
  const bool has_records = end_ > segments_.back().base;
  const bool full = uint64_t{writer_->index.end_position} + bytes > options_.segment_bytes;
  const int64_t age_ms = files_.clock().wall_now().us / 1000 - writer_->created_ms;
  if (has_records && (full || (options_.segment_age_ms > 0 && age_ms >= options_.segment_age_ms)))
    CO_TRY_STATUS(co_await roll());

  std::vector<BatchHeader> headers;
  std::vector<Bytes> pieces;
  uint64_t offset = end_, position = writer_->index.end_position;
  for (NewBatch& batch : batches) {
    BatchHeader& header = headers.emplace_back();
    header = {.offset = offset,
              .records = batch.records,
              .timestamp_ms = batch.timestamp_ms,
              .position = static_cast<uint32_t>(position),
              .durable = durable_position_,
              .payload_bytes = static_cast<uint32_t>(batch.payload.size()),
              .payload_checksum = 0};
    pieces.push_back(encode_batch_header(header, writer_->seed, batch.payload));
    if (!batch.payload.empty()) pieces.push_back(std::move(batch.payload));
    offset = header.end_offset();
    position = header.end_position();
  }
  CO_TRY_STATUS(co_await write_batches(std::move(pieces), bytes));
  Segment& segment = segments_.back();
  for (const BatchHeader& header : headers) writer_->index.add(header, options_.index_interval_bytes);
  segment.bytes = writer_->index.end_position;
  segment.latest_ms = writer_->index.latest_ms;
  end_ = offset;
  co_return first;
}

/// What could be written of it is taken back where it fails.
Task<Status> SegmentedLog::write_batches(std::vector<Bytes> pieces, uint64_t bytes) {
  File& file = *writer_->file;
  const uint64_t before = writer_->index.end_position;
  ASSERT(before + bytes <= UINT32_MAX);
  auto written = co_await asterism::append(file, std::move(pieces));
  if (!written) CO_TRY_STATUS(broken(co_await truncate(file, before)));
  co_return written;
}

Task<Status> SegmentedLog::open_writer() {
  if (writer_) {
    files_.used_writer(*this);
    co_return Status();
  }
  co_await files_.room();
  const Segment& segment = segments_.back();
  files_.drop(*this, segment.base);
  auto open = std::make_shared<OpenSegment>();
  CO_TRY(open->file, co_await asterism::open(files_.disk(), path_of(segment.base), OpenMode::append));
  CO_TRY(const LogSegmentHeader header, co_await read_header(*open->file, segment.base));
  CO_TRY(open->index, co_await find_index(*open->file, header, end_));
  open->seed = header.seed();
  open->created_ms = header.created_ms;
  // Nothing that lies behind was acknowledged: marks, or what could not be taken back.
  if (open->file->size() > open->index.end_position)
    CO_TRY_STATUS(co_await truncate(*open->file, open->index.end_position));
  segments_.back().bytes = open->index.end_position;
  durable_position_ = std::min(durable_position_, open->index.end_position);
  writer_ = std::move(open);
  files_.keep_writer(*this);
  co_return Status();
}

/// Makes a file with these bytes that has its name only once they are durable. Replaces what had the name.
Task<Result<std::unique_ptr<File>>> SegmentedLog::create_named(const std::string& path, Bytes bytes) {
  Disk& disk = files_.disk();
  const std::string unnamed = path + ".new";
  auto file = co_await asterism::open(disk, unnamed, OpenMode::create);
  if (!file && file.error().code == ErrorCode::already_exists) {
    CO_TRY_STATUS(co_await remove(disk, unnamed));
    file = co_await asterism::open(disk, unnamed, OpenMode::create);
  }
  if (!file) co_return fail(file.error());
  CO_TRY_STATUS(co_await asterism::append(**file, std::move(bytes)));
  CO_TRY_STATUS(co_await asterism::sync(**file));
  CO_TRY_STATUS(broken(co_await rename(disk, unnamed, path)));
  CO_TRY_STATUS(broken(co_await sync_directory(disk, options_.directory)));
  co_return std::move(*file);
}

/// Of a segment that follows the last one, which ends where it is durable.
LogSegmentHeader SegmentedLog::next_header(uint64_t base) const {
  LogSegmentHeader header;
  header.log_id = log_id_;
  header.base = header.previous_base = base;
  header.generation = generation_;
  header.created_ms = files_.clock().wall_now().us / 1000;
  if (!segments_.empty()) {
    header.previous_base = segments_.back().base;
    header.previous_end = static_cast<uint32_t>(segments_.back().bytes);
  }
  return header;
}

/// Replaces the last one where that has the same base.
Task<Status> SegmentedLog::create_segment(LogSegmentHeader header) {
  if (segments_.empty()) {
    CO_TRY_STATUS(co_await make_directory(files_.disk(), options_.directory));
    // From the root on: a folder whose own name is lost takes along what is in it.
    CO_TRY_STATUS(co_await sync_directory(files_.disk(), ""));
    for (size_t slash = options_.directory.find('/'); slash != std::string::npos;
         slash = options_.directory.find('/', slash + 1))
      CO_TRY_STATUS(co_await sync_directory(files_.disk(), options_.directory.substr(0, slash)));
  }
  co_await files_.room();
  auto open = std::make_shared<OpenSegment>();
  CO_TRY(open->file, co_await create_named(path_of(header.base), header.encode()));
  open->index = SegmentIndex::of_empty(header);
  open->seed = header.seed();
  open->created_ms = header.created_ms;
  if (!segments_.empty() && segments_.back().base == header.base) segments_.pop_back();
  segments_.push_back({.base = header.base, .bytes = log_segment_header_bytes, .latest_ms = INT64_MIN, .known = true});
  generation_ = header.generation + 1;
  end_ = durable_ = header.base;
  durable_position_ = log_segment_header_bytes;
  files_.drop(*this, header.base);
  writer_ = std::move(open);
  files_.keep_writer(*this);
  co_return Status();
}

/// Says for good where a segment ends that another one follows, because there is more in its file: when those that
/// follow are deleted, that must not count. `index` covers what counts, and all of it is durable.
Task<Status> SegmentedLog::seal(SegmentIndex index) {
  index.sealed = true;
  co_return co_await write_index(index, true);
}

/// A segment begins only when the one before is durable as a whole.
Task<Status> SegmentedLog::roll() {
  CO_TRY_STATUS(co_await open_writer());
  CO_TRY_STATUS(co_await sync_held());
  (void)co_await write_index(writer_->index, true);
  co_return co_await create_segment(next_header(end_));
}

Task<Status> SegmentedLog::sync_held() {
  if (!writer_ || durable_position_ == writer_->index.end_position) co_return Status();
  if (!options_.defects.has(Defect::skip_sync)) CO_TRY_STATUS(broken(co_await asterism::sync(*writer_->file)));
  durable_ = end_;
  durable_position_ = writer_->index.end_position;
  co_return Status();
}

Task<Result<uint64_t>> SegmentedLog::sync() {
  const uint64_t target = end_;
  if (durable_ >= target && !failure_) co_return durable_;
  CO_TRY(Change change, co_await begin());
  if (durable_ < std::min(target, end_)) {
    if (auto status = co_await sync_held(); !status) co_return change.end(fail(status.error()));
    if (free_.empty()) co_await write_mark();
  }
  co_return change.end(Result<uint64_t>(durable_));
}

/// Tells a later opening that everything before is durable. Not synced itself, and done without where it fails.
Task<void> SegmentedLog::write_mark() {
  const uint32_t position = writer_->index.end_position;
  if (position > max_segment_bytes) co_return;
  BatchHeader mark;
  mark.offset = end_;
  mark.position = position;
  mark.durable = durable_position_;
  std::vector<Bytes> pieces;
  pieces.push_back(encode_batch_header(mark, writer_->seed, {}));
  if (!co_await write_batches(std::move(pieces), batch_header_bytes)) co_return;
  writer_->index.add(mark, options_.index_interval_bytes);
  segments_.back().bytes = writer_->index.end_position;
}

/// Only of what is durable. An index that is missing or cut short costs time and nothing else.
Task<Status> SegmentedLog::write_index(const SegmentIndex& index, bool durably) {
  Disk& disk = files_.disk();
  const std::string path = index_path_of(index.base);
  auto removed = co_await remove(disk, path);
  if (!removed && removed.error().code != ErrorCode::not_found) co_return removed;
  CO_TRY(auto file, co_await asterism::open(disk, path, OpenMode::create));
  CO_TRY_STATUS(co_await asterism::append(*file, index.encode()));
  if (!durably) co_return Status();
  CO_TRY_STATUS(co_await asterism::sync(*file));
  co_return co_await sync_directory(disk, options_.directory);
}

Task<Status> SegmentedLog::close_held() {
  if (!writer_) co_return Status();
  CO_TRY_STATUS(co_await sync_held());
  (void)co_await write_index(writer_->index, false);
  drop_writer();
  co_return Status();
}

Task<Status> SegmentedLog::close() {
  CO_TRY(Change change, co_await begin());
  auto status = change.end(co_await close_held());
  drop_writer();
  files_.forget(*this);
  co_return status;
}

void SegmentedLog::start_closing() {
  closing_ = true;
  tasks_.spawn(close_in_background());
}

Task<void> SegmentedLog::close_in_background() {
  struct Report {
    SegmentedLog& log;
    ~Report() {
      log.closing_ = false;
      log.files_.retired();
    }
  } report{*this};
  if (busy_) {
    files_.used_writer(*this);
    co_return;
  }
  Change change(*this);
  (void)change.end(co_await close_held());
  drop_writer();
}

}  // namespace asterism
