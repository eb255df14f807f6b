#include "datastore/cql/frame.h"

#include <lz4.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/assert.h"
#include "datastore/cql/notation.h"

namespace asterism::cql::wire {

namespace {

constexpr size_t size_offset = 5;  // of the body length within the header
constexpr size_t crc24_size = 3;
constexpr size_t crc32_size = 4;
constexpr unsigned segment_length_bits = 17;
constexpr uint64_t segment_length_mask = (1u << segment_length_bits) - 1;
/// Bodies and segments below this size are sent as they are: LZ4 gains nothing on them.
constexpr size_t compressed_size_min = 128;
/// One byte of LZ4 stands for at most this many bytes.
constexpr uint64_t lz4_ratio_max = 255;
/// A buffer that grew past this for one large body is given back afterwards.
constexpr size_t kept_capacity_max = 1 << 20;

constexpr std::array<uint32_t, 256> crc24_table = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte << 16;
    for (int bit = 0; bit < 8; ++bit) {
      crc <<= 1;
      if (crc & 0x1000000) crc ^= 0x1974F0B;
    }
    table[byte] = crc;
  }
  return table;
}();

uint64_t load_little_endian(const char* from, size_t size) {
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) value |= uint64_t{static_cast<uint8_t>(from[i])} << (8 * i);
  return value;
}

void append_little_endian(uint64_t value, size_t size, Bytes& out) {
  for (size_t i = 0; i < size; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

size_t segment_header_size(Compression compression) { return compression == Compression::lz4 ? 5 : 3; }

/// Appends the LZ4 block of `from` to `out` if that is shorter than `from`; otherwise leaves `out` alone.
bool append_compressed(BytesView from, Bytes& out) {
  if (from.size() < compressed_size_min || from.size() > LZ4_MAX_INPUT_SIZE) return false;
  size_t start = out.size();
  int capacity = static_cast<int>(from.size()) - 1;
  out.resize(start + capacity);
  int size = LZ4_compress_default(from.data(), out.data() + start, static_cast<int>(from.size()), capacity);
  out.resize(start + std::max(size, 0));
  return size > 0;
}

/// Appends exactly `size` bytes of decompressed data; the caller has bounded `size`.
bool append_decompressed(BytesView from, size_t size, Bytes& out) {
  size_t start = out.size();
  out.resize(start + size);
  int written =
      LZ4_decompress_safe(from.data(), out.data() + start, static_cast<int>(from.size()), static_cast<int>(size));
  return written >= 0 && static_cast<size_t>(written) == size;
}

void release_if_large(Bytes& buffer) {
  if (buffer.capacity() > kept_capacity_max) Bytes().swap(buffer);
  buffer.clear();
}

}  // namespace

uint32_t segment_crc24(BytesView header) {
  uint32_t crc = 0x875060;
  for (char byte : header) crc = ((crc << 8) & 0xFFFFFF) ^ crc24_table[(crc >> 16) ^ static_cast<uint8_t>(byte)];
  return crc;
}

uint32_t segment_crc32(BytesView payload) {
  static constexpr Bytef prefix[] = {0xFA, 0x2D, 0x55, 0xCA};
  uLong crc = crc32(crc32(0, nullptr, 0), prefix, sizeof prefix);
  return static_cast<uint32_t>(
      crc32_z(crc, reinterpret_cast<const Bytef*>(payload.data()), payload.data() ? payload.size() : 0));
}

size_t begin_envelope(const EnvelopeHeader& header, Bytes& out) {
  size_t start = out.size();
  ByteWriter writer(out);
  writer.u8(static_cast<uint8_t>(header.version) | (header.direction == Direction::response ? 0x80 : 0));
  writer.u8(header.flags);
  writer.u16_be(static_cast<uint16_t>(header.stream));
  writer.u8(static_cast<uint8_t>(header.opcode));
  writer.u32_be(0);
  return start;
}

void end_envelope(size_t start, Bytes& out) {
  ASSERT(out.size() >= start + envelope_header_size);
  size_t size = out.size() - start - envelope_header_size;
  ASSERT(size <= std::numeric_limits<int32_t>::max());
  store_big_endian(static_cast<uint32_t>(size), out.data() + start + size_offset);
}

// ---- FrameDecoder

FrameDecoder::FrameDecoder(FrameDecoderOptions options) : options_(options) {
  options_.body_size_max = std::min<uint32_t>(options_.body_size_max, LZ4_MAX_INPUT_SIZE);
}

void FrameDecoder::enable_segments(Compression compression) {
  compression_ = compression;
  segmented_ = true;
}

void FrameDecoder::feed(BytesView bytes) {
  if (input_offset_ == input_.size()) {
    release_if_large(input_);
    input_offset_ = 0;
  } else if (input_offset_ > input_.size() / 2) {
    input_.erase(0, input_offset_);
    input_offset_ = 0;
  }
  input_.append(bytes);
}

Result<std::optional<Envelope>> FrameDecoder::next() {
  if (error_) return fail(*error_);
  auto envelope = segmented_ ? next_segmented() : next_envelope(input_, input_offset_);
  if (!envelope && envelope.error().code != ErrorCode::too_large) error_ = envelope.error();
  return envelope;
}

Result<std::optional<FrameDecoder::RawHeader>> FrameDecoder::read_header(BytesView input) {
  // Versions 1 and 2 have headers of eight bytes, so the version is judged before nine are there.
  if (input.size() < 4) return std::nullopt;
  ByteReader reader(input);
  uint8_t first = reader.u8();
  uint8_t version = first & 0x7F;
  RawHeader raw;
  raw.header.direction = first & 0x80 ? Direction::response : Direction::request;
  raw.header.flags = reader.u8();
  raw.header.stream = static_cast<int16_t>(reader.u16_be());
  bool known = version >= static_cast<uint8_t>(min_version) && version <= static_cast<uint8_t>(options_.version_max);
  raw.header.version = known ? static_cast<Version>(version) : options_.version_max;
  failed_header_ = raw.header;
  if (raw.header.direction != options_.direction)
    return fail(ErrorCode::invalid_argument, "Wrong protocol direction: expected a {}",
                options_.direction == Direction::request ? "request" : "response");
  if (!known)
    return fail(
        ErrorCode::unsupported,
        "Invalid or unsupported protocol version ({}); the lowest supported version is {} and the greatest is {}",
        version, static_cast<int>(min_version), static_cast<int>(options_.version_max));
  if (segmented_ && raw.header.version != Version::v5)
    return fail(ErrorCode::invalid_argument, "Invalid message version {} within a v5 segment", version);
  if (input.size() < envelope_header_size) return std::nullopt;
  raw.header.opcode = static_cast<Opcode>(reader.u8());
  raw.body_size = reader.u32_be();
  failed_header_ = raw.header;
  return raw;
}

Result<std::optional<Envelope>> FrameDecoder::next_envelope(Bytes& from, size_t& offset) {
  if (skip_size_ > 0) {
    size_t skipped = std::min<uint64_t>(skip_size_, from.size() - offset);
    offset += skipped;
    skip_size_ -= skipped;
    if (skip_size_ > 0) return std::nullopt;
  }
  BytesView input = BytesView(from).substr(offset);
  TRY(auto raw, read_header(input));
  if (!raw) return std::nullopt;
  if (raw->body_size > static_cast<uint32_t>(std::numeric_limits<int32_t>::max()))
    return fail(ErrorCode::corrupt, "Negative length of a message body");
  if (raw->body_size > options_.body_size_max) {
    offset += envelope_header_size;
    skip_size_ = raw->body_size;
    return fail(ErrorCode::too_large, "Request is too big: length {} exceeds maximum allowed length {}", raw->body_size,
                options_.body_size_max);
  }
  if (input.size() < envelope_header_size + raw->body_size) return std::nullopt;
  Envelope envelope{raw->header, Bytes(input.substr(envelope_header_size, raw->body_size))};
  offset += envelope_header_size + raw->body_size;
  if ((raw->header.flags & flag::compressed) != 0 && raw->header.version != Version::v5)
    TRY_STATUS(decompress_body(envelope));
  return envelope;
}

Status FrameDecoder::decompress_body(Envelope& envelope) const {
  if (compression_ == Compression::none)
    return fail(ErrorCode::invalid_argument, "Compressed message, but no compression was agreed");
  ByteReader reader(envelope.body);
  uint32_t size = reader.u32_be();
  if (reader.failed()) return fail(ErrorCode::corrupt, "Compressed body without a length");
  if (size > options_.body_size_max)
    return fail(ErrorCode::too_large, "Request is too big: length {} exceeds maximum allowed length {}", size,
                options_.body_size_max);
  if (size > reader.remaining() * lz4_ratio_max)
    return fail(ErrorCode::corrupt, "A compressed body of {} bytes cannot hold {} bytes", reader.remaining(), size);
  Bytes body;
  if (size > 0 && !append_decompressed(reader.rest(), size, body))
    return fail(ErrorCode::corrupt, "Malformed LZ4 body");
  envelope.body = std::move(body);
  envelope.header.flags &= static_cast<uint8_t>(~flag::compressed);
  return {};
}

Result<std::optional<Envelope>> FrameDecoder::next_segmented() {
  while (true) {
    auto envelope = next_envelope(assembled_, assembled_offset_);
    bool leftover = assembled_offset_ < assembled_.size();
    if (!envelope) return envelope;
    if (*envelope) {
      if (!self_contained_ && leftover)
        return fail(ErrorCode::corrupt, "Bytes behind the message that spans several segments");
      return envelope;
    }
    if (self_contained_ && (leftover || skip_size_ > 0))
      return fail(ErrorCode::corrupt, "A self-contained segment ends within a message");
    if (!leftover) {
      release_if_large(assembled_);
      assembled_offset_ = 0;
    }
    TRY(bool more, read_segment());
    if (!more) return std::nullopt;
  }
}

Result<bool> FrameDecoder::read_segment() {
  size_t header_size = segment_header_size(compression_);
  BytesView input = BytesView(input_).substr(input_offset_);
  if (input.size() < header_size + crc24_size) return false;
  if (load_little_endian(input.data() + header_size, crc24_size) != segment_crc24(input.substr(0, header_size)))
    return fail(ErrorCode::corrupt, "Checksum mismatch in a segment header");
  uint64_t bits = load_little_endian(input.data(), header_size);
  size_t size = bits & segment_length_mask;
  bits >>= segment_length_bits;
  size_t uncompressed_size = 0;
  if (compression_ == Compression::lz4) {
    uncompressed_size = bits & segment_length_mask;
    bits >>= segment_length_bits;
  }
  bool self_contained = bits & 1;

  input.remove_prefix(header_size + crc24_size);
  if (input.size() < size + crc32_size) return false;
  BytesView payload = input.substr(0, size);
  if (load_little_endian(payload.data() + size, crc32_size) != segment_crc32(payload))
    return fail(ErrorCode::corrupt, "Checksum mismatch in a segment payload");
  if (self_contained && (!assembled_.empty() || skip_size_ > 0))
    return fail(ErrorCode::corrupt, "A self-contained segment within a message that spans several segments");
  if (uncompressed_size == 0)
    assembled_.append(payload);
  else if (!append_decompressed(payload, uncompressed_size, assembled_))
    return fail(ErrorCode::corrupt, "Malformed LZ4 segment");
  self_contained_ = self_contained;
  input_offset_ += header_size + crc24_size + size + crc32_size;
  return true;
}

// ---- FrameEncoder

void FrameEncoder::enable_segments(Compression compression) {
  compression_ = compression;
  segmented_ = true;
}

static size_t first_envelope_size(BytesView envelopes) {
  ASSERT(envelopes.size() >= envelope_header_size);
  size_t size = envelope_header_size + load_big_endian<uint32_t>(envelopes.data() + size_offset);
  ASSERT(size <= envelopes.size());
  return size;
}

void FrameEncoder::encode(BytesView envelopes, Bytes& out) const {
  if (passthrough()) {
    out.append(envelopes);
    return;
  }
  BytesView run = envelopes.substr(0, 0);  // whole envelopes for the next self-contained segment
  while (!envelopes.empty()) {
    size_t size = first_envelope_size(envelopes);
    BytesView envelope = envelopes.substr(0, size);
    envelopes.remove_prefix(size);
    if (!segmented_) {
      encode_compressed(envelope, out);
      continue;
    }
    if (run.size() + size <= segment_payload_size_max) {
      run = BytesView(run.data(), run.size() + size);
      continue;
    }
    if (!run.empty()) encode_segment(run, true, out);
    run = envelopes.substr(0, 0);
    if (size <= segment_payload_size_max) {
      run = envelope;
      continue;
    }
    for (; !envelope.empty(); envelope.remove_prefix(std::min(envelope.size(), segment_payload_size_max)))
      encode_segment(envelope.substr(0, segment_payload_size_max), false, out);
  }
  if (!run.empty()) encode_segment(run, true, out);
}

void FrameEncoder::encode_compressed(BytesView envelope, Bytes& out) const {
  size_t start = out.size();
  BytesView body = envelope.substr(envelope_header_size);
  out.append(envelope.substr(0, envelope_header_size));
  ByteWriter(out).u32_be(static_cast<uint32_t>(body.size()));
  if (!append_compressed(body, out)) {
    out.resize(start);
    out.append(envelope);
    return;
  }
  out[start + 1] = static_cast<char>(out[start + 1] | flag::compressed);
  end_envelope(start, out);
}

void FrameEncoder::encode_segment(BytesView payload, bool self_contained, Bytes& out) const {
  ASSERT(payload.size() <= segment_payload_size_max);
  size_t header_size = segment_header_size(compression_);
  size_t start = out.size();
  size_t payload_start = start + header_size + crc24_size;
  out.resize(payload_start);
  bool compressed = compression_ == Compression::lz4 && append_compressed(payload, out);
  if (!compressed) out.append(payload);

  uint64_t bits = out.size() - payload_start;
  unsigned shift = segment_length_bits;
  if (compression_ == Compression::lz4) {
    bits |= static_cast<uint64_t>(compressed ? payload.size() : 0) << shift;
    shift += segment_length_bits;
  }
  bits |= static_cast<uint64_t>(self_contained) << shift;
  Bytes header;
  append_little_endian(bits, header_size, header);
  append_little_endian(segment_crc24(header), crc24_size, header);
  std::copy(header.begin(), header.end(), out.begin() + static_cast<ptrdiff_t>(start));
  append_little_endian(segment_crc32(BytesView(out).substr(payload_start)), crc32_size, out);
}

}  // namespace asterism::cql::wire
