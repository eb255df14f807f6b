#include "storage/log_segment.h"

#include <algorithm>

#include "base/assert.h"
#include "base/hash.h"

namespace asterism {

namespace {

constexpr BytesView segment_magic{"ASTERSEG", 8};
constexpr BytesView index_magic{"ASTERIDX", 8};
constexpr BytesView start_magic{"ASTERBEG", 8};
constexpr uint32_t format_version = 1;
constexpr size_t index_header_bytes = 60, index_entry_bytes = 20, checksum_bytes = 8;
// The checksum of a header covers everything after itself.
constexpr size_t covered_at = 8, position_at = 40;

Status check_version(uint32_t version, const char* what) {
  if (version == format_version) return {};
  return fail(ErrorCode::unsupported, "the {} has format version {}; this build reads {}", what, version,
              format_version);
}

bool plausible(const BatchHeader& header) {
  if (header.durable > header.position || header.payload_bytes > max_batch_payload_bytes) return false;
  if (header.mark() && header.payload_bytes != 0) return false;
  return header.end_offset() >= header.offset && header.end_position() <= UINT32_MAX;
}

}  // namespace

uint64_t LogSegmentHeader::seed() const { return hash_combine(hash_combine(log_id, base), generation); }

Bytes LogSegmentHeader::encode() const {
  Bytes out;
  ByteWriter writer(out);
  writer.raw(segment_magic);
  writer.u32_le(format_version);
  writer.u32_le(log_segment_header_bytes);
  writer.u64_le(log_id);
  writer.u64_le(base);
  writer.u64_le(previous_base);
  writer.u64_le(static_cast<uint64_t>(created_ms));
  writer.u32_le(previous_end);
  writer.u32_le(generation);
  writer.u64_le(xxh3(out));
  ASSERT(out.size() == log_segment_header_bytes);
  return out;
}

Result<LogSegmentHeader> LogSegmentHeader::decode(BytesView in) {
  if (in.size() < log_segment_header_bytes) return fail(ErrorCode::corrupt, "the segment header is cut short");
  in = in.substr(0, log_segment_header_bytes);
  ByteReader reader(in);
  if (reader.raw(segment_magic.size()) != segment_magic)
    return fail(ErrorCode::corrupt, "not a segment of a segmented log");
  const uint32_t version = reader.u32_le();
  const uint32_t header_bytes = reader.u32_le();
  LogSegmentHeader header;
  header.log_id = reader.u64_le();
  header.base = reader.u64_le();
  header.previous_base = reader.u64_le();
  header.created_ms = static_cast<int64_t>(reader.u64_le());
  header.previous_end = reader.u32_le();
  header.generation = reader.u32_le();
  if (reader.u64_le() != xxh3(in.substr(0, log_segment_header_bytes - checksum_bytes)))
    return fail(ErrorCode::corrupt, "the segment header fails its checksum");
  TRY_STATUS(check_version(header_bytes == log_segment_header_bytes ? version : 0, "segment"));
  if (header.previous_base > header.base) return fail(ErrorCode::corrupt, "the segment header contradicts itself");
  return header;
}

Bytes encode_batch_header(BatchHeader header, uint64_t seed, BytesView payload) {
  ASSERT(payload.size() <= max_batch_payload_bytes);
  header.payload_bytes = static_cast<uint32_t>(payload.size());
  ASSERT(plausible(header));
  Bytes covered;
  covered.reserve(batch_header_bytes);
  ByteWriter writer(covered);
  writer.u64_le(xxh3(payload));
  writer.u64_le(header.offset);
  writer.u64_le(static_cast<uint64_t>(header.timestamp_ms));
  writer.u32_le(header.payload_bytes);
  writer.u32_le(header.records);
  writer.u32_le(header.position);
  writer.u32_le(header.durable);
  Bytes out;
  out.reserve(batch_header_bytes);
  ByteWriter(out).u64_le(xxh3(covered, seed));
  out += covered;
  ASSERT(out.size() == batch_header_bytes);
  return out;
}

std::optional<BatchHeader> decode_batch_header(BytesView in, uint64_t seed, uint32_t position) {
  // The place is compared first: a search for headers among other bytes must be fast.
  if (in.size() < batch_header_bytes || load_little_endian<uint32_t>(in.data() + position_at) != position)
    return std::nullopt;
  in = in.substr(0, batch_header_bytes);
  ByteReader reader(in);
  if (reader.u64_le() != xxh3(in.substr(covered_at), seed)) return std::nullopt;
  BatchHeader header;
  header.payload_checksum = reader.u64_le();
  header.offset = reader.u64_le();
  header.timestamp_ms = static_cast<int64_t>(reader.u64_le());
  header.payload_bytes = reader.u32_le();
  header.records = reader.u32_le();
  header.position = reader.u32_le();
  header.durable = reader.u32_le();
  if (!plausible(header)) return std::nullopt;
  return header;
}

bool payload_is_whole(const BatchHeader& header, BytesView payload) {
  return payload.size() == header.payload_bytes && xxh3(payload) == header.payload_checksum;
}

Bytes encode_log_start(uint64_t log_id, uint64_t start) {
  Bytes out;
  ByteWriter writer(out);
  writer.raw(start_magic);
  writer.u64_le(log_id);
  writer.u64_le(start);
  writer.u64_le(xxh3(out));
  return out;
}

Result<uint64_t> decode_log_start(BytesView in, uint64_t log_id) {
  if (in.size() != start_magic.size() + 24 || load_little_endian<uint64_t>(in.data() + in.size() - checksum_bytes) !=
                                                  xxh3(in.substr(0, in.size() - checksum_bytes)))
    return fail(ErrorCode::corrupt, "it fails its checksum");
  ByteReader reader(in);
  if (reader.raw(start_magic.size()) != start_magic || reader.u64_le() != log_id)
    return fail(ErrorCode::corrupt, "it belongs to another log");
  return reader.u64_le();
}

SegmentIndex SegmentIndex::of_empty(const LogSegmentHeader& header) {
  SegmentIndex index;
  index.log_id = header.log_id;
  index.base = index.end_offset = header.base;
  index.generation = header.generation;
  index.end_position = log_segment_header_bytes;
  return index;
}

void SegmentIndex::add(const BatchHeader& header, uint32_t interval_bytes) {
  ASSERT(header.position == end_position && header.offset == end_offset);
  if (!header.mark()) {
    const uint32_t last = entries.empty() ? uint32_t{log_segment_header_bytes} : entries.back().position;
    if (header.position - last >= interval_bytes && entries.size() < max_index_entries)
      entries.push_back({header.offset, header.position, latest_ms});
    latest_ms = std::max(latest_ms, header.timestamp_ms);
  }
  end_offset = header.end_offset();
  end_position = static_cast<uint32_t>(header.end_position());
}

uint32_t SegmentIndex::position_before(uint64_t offset) const {
  auto after = std::ranges::upper_bound(entries, offset, {}, &Entry::offset);
  return after == entries.begin() ? uint32_t{log_segment_header_bytes} : std::prev(after)->position;
}

uint32_t SegmentIndex::position_before_time(int64_t timestamp_ms) const {
  auto after = std::ranges::lower_bound(entries, timestamp_ms, {}, &Entry::latest_before_ms);
  return after == entries.begin() ? uint32_t{log_segment_header_bytes} : std::prev(after)->position;
}

Bytes SegmentIndex::encode() const {
  Bytes out;
  out.reserve(index_header_bytes + entries.size() * index_entry_bytes + checksum_bytes);
  ByteWriter writer(out);
  writer.raw(index_magic);
  writer.u32_le(format_version);
  writer.u64_le(log_id);
  writer.u64_le(base);
  writer.u32_le(generation);
  writer.u32_le(sealed ? 1 : 0);
  writer.u64_le(end_offset);
  writer.u32_le(end_position);
  writer.u64_le(static_cast<uint64_t>(latest_ms));
  writer.u32_le(static_cast<uint32_t>(entries.size()));
  ASSERT(out.size() == index_header_bytes);
  for (const Entry& entry : entries) {
    writer.u64_le(entry.offset);
    writer.u32_le(entry.position);
    writer.u64_le(static_cast<uint64_t>(entry.latest_before_ms));
  }
  writer.u64_le(xxh3(out));
  return out;
}

Result<SegmentIndex> SegmentIndex::decode(BytesView in) {
  const auto damaged = [](const char* what) { return fail(ErrorCode::corrupt, "the index {}", what); };
  if (in.size() < index_header_bytes + checksum_bytes) return damaged("is cut short");
  ByteReader reader(in);
  if (reader.raw(index_magic.size()) != index_magic) return damaged("is none");
  const uint32_t version = reader.u32_le();
  SegmentIndex index;
  index.log_id = reader.u64_le();
  index.base = reader.u64_le();
  index.generation = reader.u32_le();
  const uint32_t sealed = reader.u32_le();
  index.sealed = sealed == 1;
  index.end_offset = reader.u64_le();
  index.end_position = reader.u32_le();
  index.latest_ms = static_cast<int64_t>(reader.u64_le());
  const uint64_t count = reader.u32_le();
  if (count > max_index_entries || reader.remaining() != count * index_entry_bytes + checksum_bytes)
    return damaged("has another size than it says");
  if (load_little_endian<uint64_t>(in.data() + in.size() - checksum_bytes) !=
      xxh3(in.substr(0, in.size() - checksum_bytes)))
    return damaged("fails its checksum");
  TRY_STATUS(check_version(version, "index"));
  if (sealed > 1 || index.end_offset < index.base || index.end_position < log_segment_header_bytes)
    return damaged("contradicts itself");
  index.entries.reserve(count);
  Entry before{index.base, log_segment_header_bytes, INT64_MIN};
  for (uint64_t i = 0; i < count; ++i) {
    Entry entry;
    entry.offset = reader.u64_le();
    entry.position = reader.u32_le();
    entry.latest_before_ms = static_cast<int64_t>(reader.u64_le());
    if (entry.offset <= before.offset || entry.position <= before.position || entry.offset >= index.end_offset ||
        entry.position >= index.end_position || entry.latest_before_ms < before.latest_before_ms)
      return damaged("is not in order");
    before = entry;
    index.entries.push_back(entry);
  }
  return index;
}

}  // namespace asterism
