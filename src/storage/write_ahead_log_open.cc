// Opening the log: what is believed, what is taken for a torn tail, and what is called damage. README.md argues it.
#include <algorithm>
#include <charconv>

#include "runtime/io.h"
#include "storage/segment_reader.h"
#include "storage/write_ahead_log.h"

namespace asterism {

namespace {

// A new segment begins so far behind the last byte that no position that an earlier process gave out is used again.
constexpr uint64_t generation_bytes = uint64_t{1} << 40;
constexpr uint64_t last_base = uint64_t{1} << 62;
// Above this, positions given out could reach into the next generation.
constexpr uint64_t max_pending_limit = generation_bytes / 16;

std::optional<Position> base_of(std::string_view name) {
  if (name.size() != 20 || !name.ends_with(".wal")) return std::nullopt;
  Position base;
  auto [end, error] = std::from_chars(name.data(), name.data() + 16, base.value, 16);
  if (error != std::errc() || end != name.data() + 16) return std::nullopt;
  return base;
}

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

}  // namespace

class WriteAheadLog::Opening {
 public:
  Opening(WriteAheadLog& log, ReplayFunction replay) : log_(log), replay_(std::move(replay)) {}
  Task<Status> run();

 private:
  struct Found {
    Position base;
    std::string path;
    std::unique_ptr<File> file;
    SegmentHeader header;
  };
  Task<Status> find_segments();
  Task<Status> read_header(Found& found, bool last);
  Status check_chain() const;
  Task<Status> replay_sealed(Found& found, Position end);
  Task<Status> replay_last(Found& found);
  Task<Result<uint64_t>> walk(Found& found, uint64_t size);
  Task<Status> rewrite(Found& found, uint64_t size);
  Task<Status> start_new_segment();
  static std::unexpected<Error> damaged(const Found& found, uint64_t offset, std::string_view what) {
    return fail(ErrorCode::corrupt, "{} is damaged at byte {}: {}", found.path, offset, what);
  }

  WriteAheadLog& log_;
  ReplayFunction replay_;
  std::vector<Found> found_;
  std::vector<std::string> leftovers_;  // to be removed
  uint64_t highest_ = 0;                // no position above it was ever durable
  Position known_durable_;              // what the marks of the segment being walked say
  bool any_record_ = false;             // of an owner, after known_durable_
};

Task<Status> WriteAheadLog::Opening::run() {
  Disk& disk = log_.disk_;
  const std::string& directory = log_.options_.directory;
  if (log_.options_.max_pending_bytes > max_pending_limit)
    co_return fail(ErrorCode::invalid_argument, "max_pending_bytes is above {}", max_pending_limit);
  CO_TRY_STATUS(co_await make_directory(disk, directory));
  CO_TRY_STATUS(co_await sync_directory(disk, parent_of(directory)));
  CO_TRY_STATUS(co_await find_segments());
  CO_TRY_STATUS(check_chain());
  log_.log_id_ = found_.empty() ? log_.options_.new_log_id : found_.front().header.log_id;
  for (size_t i = 0; i < found_.size(); ++i) {
    const SegmentHeader& header = found_[i].header;
    log_.segments_.push_back({.base = header.base, .end = {}, .sequence = header.sequence, .holders = {}});
    if (i + 1 < found_.size())
      CO_TRY_STATUS(co_await replay_sealed(found_[i], found_[i + 1].header.previous_end));
    else
      CO_TRY_STATUS(co_await replay_last(found_[i]));
  }
  for (const std::string& path : leftovers_) CO_TRY_STATUS(co_await remove(disk, path));
  if (!leftovers_.empty()) CO_TRY_STATUS(co_await sync_directory(disk, directory));
  co_return co_await start_new_segment();
}

Task<Status> WriteAheadLog::Opening::find_segments() {
  const std::string& directory = log_.options_.directory;
  CO_TRY(auto entries, co_await list(log_.disk_, directory));
  for (const DirectoryEntry& entry : entries) {
    const std::string path = directory + "/" + entry.name;
    if (entry.directory) continue;
    if (entry.name.ends_with(".wal.new")) leftovers_.push_back(path);
    if (auto base = base_of(entry.name)) found_.push_back({*base, path, nullptr, {}});
  }
  std::ranges::sort(found_, {}, &Found::base);
  const size_t count = found_.size();
  for (size_t i = 0; i < count; ++i) {
    CO_TRY_STATUS(co_await read_header(found_[i], i + 1 == count));
    highest_ = std::max(highest_, found_[i].base.value + std::max(found_[i].file->size(), segment_header_bytes));
  }
  // A header that never became whole: the power failed before anything was written behind it.
  if (count > 0 && found_.back().header.sequence == 0) {
    leftovers_.push_back(found_.back().path);
    found_.pop_back();
  }
  co_return Status();
}

Task<Status> WriteAheadLog::Opening::read_header(Found& found, bool last) {
  CO_TRY(found.file, co_await asterism::open(log_.disk_, found.path, OpenMode::read));
  CO_TRY(const Bytes bytes, co_await read_at(*found.file, 0, segment_header_bytes));
  auto header = SegmentHeader::decode(bytes);
  if (!header && header.error().code == ErrorCode::unsupported) co_return fail(header.error());
  if (header && (header->base != found.base || header->sequence == 0))
    header = fail(ErrorCode::corrupt, "the header of another segment");
  if (header) {
    found.header = *header;
    co_return Status();
  }
  if (last && found.file->size() <= segment_header_bytes) co_return Status();
  co_return damaged(found, 0, header.error().message);
}

Status WriteAheadLog::Opening::check_chain() const {
  for (size_t i = 1; i < found_.size(); ++i) {
    const SegmentHeader& before = found_[i - 1].header;
    const SegmentHeader& header = found_[i].header;
    if (header.log_id != before.log_id) return damaged(found_[i], 0, "it belongs to another log");
    if (header.sequence != before.sequence + 1 || header.previous_base != before.base)
      return damaged(found_[i], 0,
                     fmt::format("the segment before it, {:016x}.wal, is missing", header.previous_base.value));
    if (header.previous_end <= before.base || header.previous_end > header.base)
      return damaged(found_[i], 0, "it does not follow the segment before it");
  }
  return {};
}

Task<Result<uint64_t>> WriteAheadLog::Opening::walk(Found& found, uint64_t size) {
  auto& holders = log_.segments_.back().holders;
  known_durable_ = {};
  any_record_ = false;
  std::move_only_function<Status(const Record&)> each = [&](const Record& record) -> Status {
    if (record.kind == mark_kind) {
      if (record.payload.size() != 8) return damaged(found, record.position.value - found.base.value, "a bad mark");
      known_durable_ = {load_little_endian<uint64_t>(record.payload.data())};
      if (known_durable_ == record.position) any_record_ = false;
      return {};
    }
    any_record_ = true;
    holders[record.owner] = record.position;
    return replay_(record);
  };
  co_return co_await walk_segment(*found.file, {log_.log_id_, found.base, size}, each);
}

Task<Status> WriteAheadLog::Opening::replay_sealed(Found& found, Position end) {
  const uint64_t size = end.value - found.base.value;
  CO_TRY(const uint64_t whole, co_await walk(found, size));
  if (whole < size) co_return damaged(found, whole, "no whole record begins there, in a sealed segment");
  log_.segments_.back().end = end;
  co_return Status();
}

Task<Status> WriteAheadLog::Opening::replay_last(Found& found) {
  const SegmentSpan span{log_.log_id_, found.base, found.file->size()};
  CO_TRY(const uint64_t whole, co_await walk(found, span.size));
  if (whole < span.size) {
    CO_TRY(auto proof, co_await find_proof_of_damage(*found.file, span, whole));
    if (proof)
      co_return damaged(found, whole,
                        fmt::format("no whole record begins there, but byte {} proves that one did", *proof));
  }
  const Position end{found.base.value + whole};
  // A final mark that says that all before it is durable leaves nothing in doubt. Else what was replayed may be in the
  // page cache only, even after a sync failed and later ones succeed.
  if (!any_record_ && known_durable_ != Position{}) {
    log_.segments_.back().end = known_durable_;
    co_return Status();
  }
  log_.segments_.back().end = end;
  co_return co_await rewrite(found, whole);
}

/// Replaces the segment by a durable copy of its first `size` bytes.
Task<Status> WriteAheadLog::Opening::rewrite(Found& found, uint64_t size) {
  Disk& disk = log_.disk_;
  const std::string copy_path = found.path + ".new";
  if (std::erase(leftovers_, copy_path) > 0) CO_TRY_STATUS(co_await remove(disk, copy_path));
  CO_TRY(auto copy, co_await asterism::open(disk, copy_path, OpenMode::create));
  for (uint64_t offset = 0; offset < size;) {
    CO_TRY(Bytes bytes, co_await read_at(*found.file, offset, std::min<uint64_t>(1u << 20, size - offset)));
    if (bytes.empty()) co_return fail(ErrorCode::io, "{} became shorter while it was read", found.path);
    offset += bytes.size();
    CO_TRY_STATUS(co_await asterism::append(*copy, std::move(bytes)));
  }
  CO_TRY_STATUS(co_await sync(*copy));
  CO_TRY_STATUS(co_await rename(disk, copy_path, found.path));
  co_return co_await sync_directory(disk, log_.options_.directory);
}

Task<Status> WriteAheadLog::Opening::start_new_segment() {
  SegmentHeader header{.log_id = log_.log_id_, .sequence = 1, .base = {}, .previous_base = {}, .previous_end = {}};
  if (highest_ > last_base) co_return fail(ErrorCode::too_large, "the write-ahead log has used up its positions");
  if (highest_ > 0) header.base = {((highest_ + generation_bytes / 2) / generation_bytes + 1) * generation_bytes};
  if (!log_.segments_.empty()) {
    header.sequence = log_.segments_.back().sequence + 1;
    header.previous_base = log_.segments_.back().base;
  }
  log_.segments_.push_back({.base = header.base, .end = {}, .sequence = header.sequence, .holders = {}});
  log_.next_ = {header.base.value + segment_header_bytes};
  co_return co_await log_.create_segment(header);
}

Task<Result<std::unique_ptr<WriteAheadLog>>> WriteAheadLog::open(Disk& disk, Executor& executor, Options options,
                                                                 ReplayFunction replay) {
  std::unique_ptr<WriteAheadLog> log(new WriteAheadLog(disk, executor, std::move(options)));
  Opening opening(*log, std::move(replay));
  CO_TRY_STATUS(co_await opening.run());
  log->start_tasks();
  co_return log;
}

}  // namespace asterism
