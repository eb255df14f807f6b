// Reading: by offset, by place, by time, and the scrub.
#include <algorithm>

#include "runtime/io.h"
#include "storage/log_segment_reader.h"
#include "storage/segmented_log.h"

namespace asterism {

static constexpr uint64_t max_index_file_bytes = 64u << 20;
static constexpr uint64_t max_read_bytes = 64u << 20;

/// Does it again where the log was cut meanwhile: what was read may be from before and after.
template <class T>
Task<Result<T>> SegmentedLog::while_unchanged(std::move_only_function<Task<Result<T>>()> attempt) {
  while (true) {
    while (cutting_) co_await free_.wait();
    const uint64_t version = version_;
    Result<T> result = co_await attempt();
    if (version == version_) co_return result;
  }
}

Task<Result<LogSegmentHeader>> SegmentedLog::read_header(File& file, uint64_t base) const {
  CO_TRY(const Bytes bytes, co_await read_at(file, 0, log_segment_header_bytes));
  auto header = LogSegmentHeader::decode(bytes);
  if (header && (header->base != base || (!segments_.empty() && header->log_id != log_id_)))
    co_return damaged(base, 0, "the header of another segment");
  if (!header && header.error().code == ErrorCode::corrupt) co_return damaged(base, 0, header.error().message);
  co_return header;
}

/// The index as it was written down, or an empty one.
Task<Result<SegmentIndex>> SegmentedLog::stored_index(const LogSegmentHeader& header) {
  auto file = co_await asterism::open(files_.disk(), index_path_of(header.base), OpenMode::read);
  if (!file && file.error().code != ErrorCode::not_found) co_return fail(file.error());
  if (file && (*file)->size() <= max_index_file_bytes) {
    CO_TRY(const Bytes bytes, co_await read_at(**file, 0, (*file)->size()));
    auto index = SegmentIndex::decode(bytes);
    if (index && index->log_id == header.log_id && index->base == header.base && index->generation == header.generation)
      co_return index;
  }
  co_return SegmentIndex::of_empty(header);
}

/// The index of all records before `end`, which is where the segment ends.
Task<Result<SegmentIndex>> SegmentedLog::find_index(File& file, const LogSegmentHeader& header, uint64_t end) {
  CO_TRY(SegmentIndex index, co_await stored_index(header));
  if (index.end_position > file.size())
    co_return damaged(header.base, file.size(), fmt::format("its index knows {} bytes of it", index.end_position));
  if (index.end_offset > end || (index.sealed && index.end_offset != end)) index = SegmentIndex::of_empty(header);
  const BatchSpan span{header.seed(), index.end_offset, index.end_position, file.size()};
  if (index.end_offset < end) {
    const auto add = [&](const BatchHeader& batch, BytesView) {
      if (index.end_offset == end) return false;
      index.add(batch, options_.index_interval_bytes);
      return true;
    };
    CO_TRY(const WalkEnd walked, co_await walk_batches(file, span, add));
    if (index.end_offset < end && walked.damaged)
      co_return damaged(header.base, walked.position, "no whole batch begins there");
  }
  if (index.end_offset != end)
    co_return damaged(header.base, index.end_position,
                      fmt::format("its records end at {} and the next ones begin at {}", index.end_offset, end));
  co_return index;
}

Task<Result<std::shared_ptr<OpenSegment>>> SegmentedLog::open_segment(uint64_t base) {
  const uint64_t version = version_;
  const size_t segment = index_of_base(base);
  if (segment == SIZE_MAX) co_return fail(ErrorCode::not_found, "{} is gone", path_of(base));
  const bool last = segment + 1 == segments_.size();
  if (last && writer_) {
    files_.used_writer(*this);
    co_return writer_;
  }
  const uint64_t end = end_of(segment);
  if (auto open = files_.find(*this, base); open && open->index.end_offset == end) co_return open;
  co_await files_.room();
  auto open = std::make_shared<OpenSegment>();
  CO_TRY(open->file, co_await asterism::open(files_.disk(), path_of(base), OpenMode::read));
  CO_TRY(const LogSegmentHeader header, co_await read_header(*open->file, base));
  CO_TRY(open->index, co_await find_index(*open->file, header, end));
  open->seed = header.seed();
  open->created_ms = header.created_ms;
  if (version != version_) co_return fail(ErrorCode::unavailable, "{} was cut while it was opened", path_of(base));
  // Another task may have opened it for writing, or rolled over to the next one.
  const bool superseded = writer_ && segments_.back().base == base;
  if (!superseded) files_.keep(*this, base, open);
  Segment& found = segments_[index_of_base(base)];
  if (!found.known) {
    found.known = true;
    found.bytes = open->index.end_position;
    found.latest_ms = open->index.latest_ms;
  }
  co_return open;
}

/// From where a walk finds the batch that holds `offset`.
static BatchSpan span_before(const OpenSegment& open, uint64_t offset) {
  BatchSpan span{open.seed, open.index.base, log_segment_header_bytes, open.index.end_position};
  const auto& entries = open.index.entries;
  if (const auto after = std::ranges::upper_bound(entries, offset, {}, &SegmentIndex::Entry::offset);
      after != entries.begin()) {
    span.offset = std::prev(after)->offset;
    span.position = std::prev(after)->position;
  }
  return span;
}

/// The place of the batch that holds `offset`, which must be in the segment.
Task<Result<uint32_t>> SegmentedLog::find_batch(OpenSegment& open, uint64_t offset) {
  if (open.hint_offset == offset) co_return open.hint_position;
  const uint64_t base = open.index.base;
  const auto until = [offset](const BatchHeader& header, BytesView) {
    return header.mark() || header.end_offset() <= offset;
  };
  CO_TRY(const WalkEnd walked, co_await walk_batches(*open.file, span_before(open, offset), until));
  if (walked.damaged) co_return damaged(base, walked.position, "no whole batch begins there");
  co_return walked.position;
}

/// The index of what lies before the batch that holds `offset`.
Task<Result<SegmentIndex>> SegmentedLog::index_before(OpenSegment& open, uint64_t offset) {
  const BatchSpan span = span_before(open, offset);
  SegmentIndex index = open.index;
  index.end_offset = span.offset;
  index.end_position = span.position;
  index.latest_ms = INT64_MIN;
  while (!index.entries.empty() && index.entries.back().position >= span.position) {
    index.latest_ms = index.entries.back().latest_before_ms;
    index.entries.pop_back();
  }
  const auto until = [&](const BatchHeader& header, BytesView) {
    if (!header.mark() && header.end_offset() > offset) return false;
    index.add(header, options_.index_interval_bytes);
    return true;
  };
  CO_TRY(const WalkEnd walked, co_await walk_batches(*open.file, span, until));
  if (walked.damaged) co_return damaged(index.base, walked.position, "no whole batch begins there");
  co_return index;
}

/// None where there is nothing to be read.
Task<Result<std::shared_ptr<OpenSegment>>> SegmentedLog::segment_for_reading(uint64_t offset, const Bounds& bounds) {
  if (offset < start_ || offset > end_)
    co_return fail(ErrorCode::not_found, "offset {} is not between {} and {}", offset, start_, end_);
  if (offset >= std::min(bounds.before, end_)) co_return std::shared_ptr<OpenSegment>();
  co_return co_await open_segment(segments_[segment_of(offset)].base);
}

Task<Result<std::vector<SegmentedLog::Extent>>> SegmentedLog::locate(uint64_t offset, Bounds bounds) {
  return while_unchanged<std::vector<Extent>>([this, offset, bounds] { return try_locate(offset, bounds); });
}

Task<Result<std::vector<SegmentedLog::Extent>>> SegmentedLog::try_locate(uint64_t offset, Bounds bounds) {
  std::vector<Extent> extents;
  CO_TRY(const auto open, co_await segment_for_reading(offset, bounds));
  if (!open) co_return extents;
  bounds.before = std::min(bounds.before, end_);
  CO_TRY(const uint32_t from, co_await find_batch(*open, offset));
  uint64_t bytes = 0, first = UINT64_MAX;
  const auto take = [&](const BatchHeader& header, BytesView) {
    if (header.mark()) return true;
    if (header.end_offset() > bounds.before) return false;
    if (!extents.empty() && bytes + header.payload_bytes > bounds.max_bytes) return false;
    bytes += header.payload_bytes;
    extents.push_back({.segment = open,
                       .file_offset = uint64_t{header.position} + batch_header_bytes,
                       .batch = {header.offset, header.records, header.timestamp_ms, {}},
                       .bytes = header.payload_bytes,
                       .payload_checksum = header.payload_checksum});
    return bytes < bounds.max_bytes && header.end_offset() < open->index.end_offset;
  };
  // The offset of the first batch stands in its header, whose checksum vouches for it.
  CO_TRY(const Bytes head, co_await read_at(*open->file, from, batch_header_bytes));
  if (const auto header = decode_batch_header(head, open->seed, from)) first = header->offset;
  const BatchSpan span{open->seed, first, from, open->index.end_position};
  CO_TRY(const WalkEnd walked, co_await walk_batches(*open->file, span, take));
  if (walked.damaged) co_return damaged(open->index.base, walked.position, "no whole batch begins there");
  co_return extents;
}

Task<Result<std::unique_ptr<SegmentedLog::Batches>>> SegmentedLog::read(uint64_t offset, Bounds bounds) {
  return while_unchanged<std::unique_ptr<Batches>>([this, offset, bounds] { return try_read(offset, bounds); });
}

Task<Result<std::unique_ptr<SegmentedLog::Batches>>> SegmentedLog::try_read(uint64_t offset, Bounds bounds) {
  auto batches = std::make_unique<Batches>();
  batches->next = offset;
  const uint64_t version = version_;
  CO_TRY(const auto open, co_await segment_for_reading(offset, bounds));
  if (!open) co_return batches;
  bounds.before = std::min(bounds.before, end_);
  CO_TRY(const uint32_t from, co_await find_batch(*open, offset));
  // With room for the headers of a few batches; a first batch that is larger is read once more, as a whole.
  uint64_t size = std::min(bounds.max_bytes, max_read_bytes) + 1024;
  while (true) {
    size = std::min<uint64_t>(size, open->index.end_position - from);
    CO_TRY(batches->buffer, co_await read_at(*open->file, from, size));
    if (batches->buffer.size() < size)
      co_return damaged(open->index.base, from + batches->buffer.size(), "it became shorter");
    CO_TRY(const uint64_t needed, take_batches(*batches, *open, from, bounds));
    if (needed > size) {
      size = needed;
      continue;
    }
    if (version == version_ && !batches->batches.empty()) {
      open->hint_offset = batches->next;
      open->hint_position = batches->end_position;
    }
    co_return batches;
  }
}

/// Returns how many bytes the first batch needs.
Result<uint64_t> SegmentedLog::take_batches(Batches& into, const OpenSegment& open, uint32_t from,
                                            Bounds bounds) const {
  uint64_t bytes = 0, at = 0;
  while (at + batch_header_bytes <= into.buffer.size() && into.next < open.index.end_offset) {
    const BytesView in = BytesView(into.buffer).substr(at);
    const auto header = decode_batch_header(in, open.seed, static_cast<uint32_t>(from + at));
    const uint64_t end = header ? header->end_position() - from : 0;
    if (!header || from + end > open.index.end_position || (!into.batches.empty() && header->offset != into.next))
      return damaged(open.index.base, from + at, "no whole batch begins there");
    if (header->end_offset() > bounds.before) break;
    if (!into.batches.empty() && bytes + header->payload_bytes > bounds.max_bytes) break;
    if (end > into.buffer.size()) {
      if (into.batches.empty()) return end;
      break;
    }
    const BytesView payload = in.substr(batch_header_bytes, header->payload_bytes);
    if (!payload_is_whole(*header, payload))
      return damaged(open.index.base, from + at, "the batch that begins there fails its checksum");
    bytes += payload.size();
    at = end;
    into.end_position = static_cast<uint32_t>(from + at);
    if (header->mark()) continue;
    into.batches.push_back({header->offset, header->records, header->timestamp_ms, payload});
    into.next = header->end_offset();
  }
  return 0;
}

Task<Result<std::optional<SegmentedLog::StoredBatch>>> SegmentedLog::find_time(int64_t timestamp_ms) {
  return while_unchanged<std::optional<StoredBatch>>([this, timestamp_ms] { return try_find_time(timestamp_ms); });
}

Task<Result<std::optional<SegmentedLog::StoredBatch>>> SegmentedLog::try_find_time(int64_t timestamp_ms) {
  std::optional<StoredBatch> found;
  const uint64_t version = version_;
  for (size_t i = 0; i < segments_.size() && !found && version == version_; ++i) {
    const uint64_t base = segments_[i].base;
    if (segments_[i].known && segments_[i].latest_ms < timestamp_ms) continue;
    CO_TRY(const auto open, co_await open_segment(base));
    if (open->index.end_offset == base || open->index.latest_ms < timestamp_ms) continue;
    const uint32_t from = open->index.position_before_time(timestamp_ms);
    uint64_t offset = base;
    for (const SegmentIndex::Entry& entry : open->index.entries)
      if (entry.position == from) offset = entry.offset;
    const auto look = [&](const BatchHeader& header, BytesView) {
      if (header.mark() || header.timestamp_ms < timestamp_ms || header.end_offset() <= start_)
        return header.end_offset() < open->index.end_offset;
      found = StoredBatch{header.offset, header.records, header.timestamp_ms, {}};
      return false;
    };
    const BatchSpan span{open->seed, offset, from, open->index.end_position};
    CO_TRY(const WalkEnd walked, co_await walk_batches(*open->file, span, look));
    if (walked.damaged) co_return damaged(base, walked.position, "no whole batch begins there");
  }
  co_return found;
}

Task<Result<std::vector<Damage>>> SegmentedLog::verify() {
  std::vector<Damage> found;
  // Segments may be deleted and added meanwhile.
  for (uint64_t from = 0;;) {
    auto next = std::ranges::lower_bound(segments_, from, {}, &Segment::base);
    if (next == segments_.end()) co_return found;
    const uint64_t base = next->base;
    const auto attempt = [this, base] { return verify_segment(base); };
    CO_TRY(auto damage, co_await while_unchanged<std::vector<Damage>>(attempt));
    std::ranges::move(damage, std::back_inserter(found));
    from = base + 1;
  }
}

Task<Result<std::vector<Damage>>> SegmentedLog::verify_segment(uint64_t base) {
  std::vector<Damage> found;
  const std::string path = path_of(base);
  const size_t segment = index_of_base(base);
  if (segment == SIZE_MAX) co_return found;
  const uint64_t end = end_of(segment);
  auto file = co_await asterism::open(files_.disk(), path, OpenMode::read);
  if (!file) {
    if (file.error().code != ErrorCode::not_found) co_return fail(file.error());
    found.push_back({path, 0, "the file is missing"});
    co_return found;
  }
  CO_TRY(const Bytes bytes, co_await read_at(**file, 0, log_segment_header_bytes));
  const auto header = LogSegmentHeader::decode(bytes);
  if (!header || header->base != base || header->log_id != log_id_) {
    found.push_back({path, 0, header ? "the header of another segment" : header.error().message});
    co_return found;
  }
  uint64_t offset = base;
  const auto count = [&](const BatchHeader& batch, BytesView) {
    if (offset >= end) return false;
    offset = batch.end_offset();
    return true;
  };
  const BatchSpan span{header->seed(), base, log_segment_header_bytes, (*file)->size(), true};
  CO_TRY(const WalkEnd walked, co_await walk_batches(**file, span, count));
  if (offset < end && walked.damaged) found.push_back({path, walked.position, "no whole batch begins there"});
  if (offset != end && !walked.damaged)
    found.push_back(
        {path, walked.position, fmt::format("its records end at {} and the next ones begin at {}", offset, end)});
  co_return found;
}

}  // namespace asterism
