#include "storage/record.h"

#include "base/assert.h"
#include "base/hash.h"

namespace asterism {

namespace {

constexpr BytesView magic{"ASTERWAL", 8};
constexpr uint32_t format_version = 1;
// Where the fields of a record begin; the checksum covers everything after itself.
constexpr size_t length_at = 8, owner_at = 12, kind_at = 20;

/// Mixes log and place into the checksum, so that a record copied or left over from elsewhere does not pass.
uint64_t checksum(BytesView covered, uint64_t log_id, Position position) {
  return xxh3(covered, hash_combine(log_id, position.value));
}

void seal(char* record, size_t size, uint64_t log_id, Position position) {
  store_little_endian(record, checksum({record + length_at, size - length_at}, log_id, position));
}

}  // namespace

void encode_record(Bytes& out, uint64_t log_id, Position position, ShardId owner, uint8_t kind,
                   std::span<const BytesView> payload) {
  const size_t start = out.size();
  ByteWriter writer(out);
  writer.u64_le(0);
  writer.u32_le(0);
  writer.u64_le(owner.value);
  writer.u8(kind);
  for (BytesView piece : payload) writer.raw(piece);
  const size_t length = out.size() - start - record_header_bytes;
  ASSERT(length <= max_payload_bytes);
  store_little_endian(out.data() + start + length_at, static_cast<uint32_t>(length));
  seal(out.data() + start, out.size() - start, log_id, position);
}

void encode_mark(char* out, uint64_t log_id, Position position, Position durable) {
  store_little_endian(out + length_at, uint32_t{8});
  store_little_endian(out + owner_at, uint64_t{0});
  out[kind_at] = static_cast<char>(mark_kind);
  store_little_endian(out + record_header_bytes, durable.value);
  seal(out, mark_bytes, log_id, position);
}

Decoded decode_record(BytesView in, uint64_t log_id, Position position) {
  if (in.size() < record_header_bytes) return {DecodeOutcome::incomplete, {}, record_header_bytes};
  const auto length = load_little_endian<uint32_t>(in.data() + length_at);
  if (length > max_payload_bytes) return {};
  const uint64_t size = record_bytes(length);
  if (in.size() < size) return {DecodeOutcome::incomplete, {}, size};
  if (load_little_endian<uint64_t>(in.data()) != checksum(in.substr(length_at, size - length_at), log_id, position))
    return {};
  Record record{position, ShardId{load_little_endian<uint64_t>(in.data() + owner_at)},
                static_cast<uint8_t>(in[kind_at]), in.substr(record_header_bytes, length)};
  return {DecodeOutcome::whole, record, size};
}

std::optional<Position> decode_mark(BytesView in, uint64_t log_id, Position position) {
  if (in.size() < mark_bytes || static_cast<uint8_t>(in[kind_at]) != mark_kind ||
      load_little_endian<uint32_t>(in.data() + length_at) != 8)
    return std::nullopt;
  if (decode_record(in.substr(0, mark_bytes), log_id, position).outcome != DecodeOutcome::whole) return std::nullopt;
  return Position{load_little_endian<uint64_t>(in.data() + record_header_bytes)};
}

Bytes SegmentHeader::encode() const {
  Bytes out;
  ByteWriter writer(out);
  writer.raw(magic);
  writer.u32_le(format_version);
  writer.u32_le(segment_header_bytes);
  writer.u64_le(log_id);
  writer.u64_le(sequence);
  writer.u64_le(base.value);
  writer.u64_le(previous_base.value);
  writer.u64_le(previous_end.value);
  writer.u64_le(xxh3(out));
  ASSERT(out.size() == segment_header_bytes);
  return out;
}

Result<SegmentHeader> SegmentHeader::decode(BytesView in) {
  if (in.size() < segment_header_bytes) return fail(ErrorCode::corrupt, "the segment header is cut short");
  in = in.substr(0, segment_header_bytes);
  ByteReader reader(in);
  if (reader.raw(magic.size()) != magic) return fail(ErrorCode::corrupt, "not a segment of a write-ahead log");
  const uint32_t version = reader.u32_le();
  const uint32_t header_bytes = reader.u32_le();
  SegmentHeader header;
  header.log_id = reader.u64_le();
  header.sequence = reader.u64_le();
  header.base = {reader.u64_le()};
  header.previous_base = {reader.u64_le()};
  header.previous_end = {reader.u64_le()};
  if (reader.u64_le() != xxh3(in.substr(0, segment_header_bytes - 8)))
    return fail(ErrorCode::corrupt, "the segment header fails its checksum");
  if (version != format_version || header_bytes != segment_header_bytes)
    return fail(ErrorCode::unsupported, "the segment has format version {}; this build reads {}", version,
                format_version);
  return header;
}

}  // namespace asterism
