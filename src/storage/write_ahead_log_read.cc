// Reading single records, and the scrub.
#include <algorithm>

#include "runtime/io.h"
#include "storage/segment_reader.h"
#include "storage/write_ahead_log.h"

namespace asterism {

static constexpr uint64_t first_read_bytes = 4096;

Task<Result<std::shared_ptr<File>>> WriteAheadLog::file_for_reading(Position base) {
  if (read_file_ && read_base_ == base) co_return read_file_;
  CO_TRY(auto file, co_await asterism::open(disk_, path_of(base), OpenMode::read));
  read_file_ = std::move(file);
  read_base_ = base;
  co_return read_file_;
}

Task<Result<WriteAheadLog::Stored>> WriteAheadLog::read(Position position) {
  auto after = std::ranges::upper_bound(segments_, position, {}, &Segment::base);
  if (after == segments_.begin() || position >= durable_)
    co_return fail(ErrorCode::not_found, "the write-ahead log holds no durable record at {}", position.value);
  const Position base = std::prev(after)->base;
  CO_TRY(auto file, co_await file_for_reading(base));
  const uint64_t offset = position.value - base.value;
  CO_TRY(Bytes bytes, co_await read_at(*file, offset, first_read_bytes));
  Decoded decoded = decode_record(bytes, log_id_, position);
  if (decoded.outcome == DecodeOutcome::incomplete && offset + decoded.bytes <= file->size()) {
    CO_TRY(bytes, co_await read_at(*file, offset, decoded.bytes));
    decoded = decode_record(bytes, log_id_, position);
  }
  if (decoded.outcome != DecodeOutcome::whole || decoded.record.kind == mark_kind)
    co_return fail(ErrorCode::corrupt, "{} is damaged at byte {}: no whole record begins there", path_of(base), offset);
  bytes.resize(decoded.bytes);
  bytes.erase(0, record_header_bytes);
  co_return Stored{decoded.record.owner, decoded.record.kind, std::move(bytes)};
}

Task<Result<std::vector<Damage>>> WriteAheadLog::verify() {
  std::vector<Damage> found;
  // Segments may be deleted and added meanwhile.
  for (Position from; from <= created_;) {
    auto segment = std::ranges::lower_bound(segments_, from, {}, &Segment::base);
    if (segment == segments_.end() || segment->base > created_) break;
    const Position base = segment->base;
    const Position end = base == created_ ? durable_ : segment->end;
    CO_TRY_STATUS(co_await verify_segment(base, end, segment->sequence, found));
    from = {base.value + 1};
  }
  co_return found;
}

Task<Status> WriteAheadLog::verify_segment(Position base, Position end, uint64_t sequence, std::vector<Damage>& found) {
  const std::string path = path_of(base);
  auto file = co_await asterism::open(disk_, path, OpenMode::read);
  if (!file) {
    const bool deleted = segments_.front().base > base;
    if (file.error().code != ErrorCode::not_found) co_return fail(file.error());
    if (!deleted) found.push_back({path, 0, "the file is missing"});
    co_return Status();
  }
  CO_TRY(const Bytes bytes, co_await read_at(**file, 0, segment_header_bytes));
  auto header = SegmentHeader::decode(bytes);
  if (!header || header->log_id != log_id_ || header->base != base || header->sequence != sequence) {
    found.push_back({path, 0, header ? "the header of another segment" : header.error().message});
    co_return Status();
  }
  std::move_only_function<Status(const Record&)> each = [](const Record&) { return Status(); };
  const SegmentSpan span{log_id_, base, end.value - base.value};
  CO_TRY(const uint64_t whole, co_await walk_segment(**file, span, each));
  if (whole < span.size) found.push_back({path, whole, "no whole record begins there"});
  co_return Status();
}

}  // namespace asterism
