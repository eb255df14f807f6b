// The envelope of the CQL native protocol (v3, v4, v5) and what is wrapped around it: LZ4 bodies in v3 and v4,
// checksummed segments in v5. Both directions; no I/O. native_protocol_v4.spec section 2, native_protocol_v5.spec
// section 2.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "datastore/cql/protocol.h"

namespace asterism::cql::wire {

enum class Direction : uint8_t { request, response };

struct EnvelopeHeader {
  Version version = Version::v4;
  Direction direction = Direction::request;
  uint8_t flags = 0;   // of namespace flag
  int16_t stream = 0;  // chosen by the client, 0 or more; -1 for events
  Opcode opcode = Opcode::options;
};

inline constexpr size_t envelope_header_size = 9;
inline constexpr uint32_t default_body_size_max = 256 << 20;
/// A v5 segment carries at most this many payload bytes; a longer envelope spans several segments.
inline constexpr size_t segment_payload_size_max = (128 << 10) - 1;

/// One message as it left the wire, its body decompressed. Decoded requests and rows are views into `body`.
struct Envelope {
  EnvelopeHeader header;
  Bytes body;
};

/// Appends a header whose length is patched by end_envelope; returns where the envelope starts in `out`.
size_t begin_envelope(const EnvelopeHeader& header, Bytes& out);
void end_envelope(size_t start, Bytes& out);

/// Compression agreed by STARTUP. Snappy is not offered.
enum class Compression : uint8_t { none, lz4 };

struct FrameDecoderOptions {
  Direction direction = Direction::request;        // what this side receives; the other direction is an error
  Version version_max = max_version;               // a server may refuse v5
  uint32_t body_size_max = default_body_size_max;  // of a body, compressed or not
};

/// Turns a stream of bytes into envelopes. It holds the unread input, at most what was fed plus one body of
/// body_size_max, so feed no more before next() returned nothing.
class FrameDecoder {
 public:
  explicit FrameDecoder(FrameDecoderOptions options = {});

  /// For v3 and v4: bodies may be compressed from here on.
  void set_compression(Compression compression) { compression_ = compression; }
  /// For v5: everything after this call is segments. A server switches once STARTUP was read; a client once READY or
  /// AUTHENTICATE arrived. That answer to STARTUP still travels as a bare envelope.
  void enable_segments(Compression compression);

  /// Of the bodies from here on.
  void set_body_size_max(uint32_t size) { options_.body_size_max = size; }

  /// Copies `bytes`.
  void feed(BytesView bytes);

  /// The next whole envelope, or nothing until more is fed.
  /// Errors: too_large: a body is longer than the limit; it is skipped and next() goes on with the one behind it.
  /// Every other error is final and comes back from every later call: unsupported (the version; answer and close),
  /// invalid_argument (direction, unannounced compression), corrupt (length, checksum, segmentation, LZ4; close).
  Result<std::optional<Envelope>> next();

  /// After an error: the version and stream with which to answer. The version is one that this decoder accepts.
  const EnvelopeHeader& failed_header() const { return failed_header_; }

 private:
  struct RawHeader {
    EnvelopeHeader header;
    uint32_t body_size = 0;
  };
  Result<std::optional<Envelope>> next_envelope(Bytes& from, size_t& offset);
  Result<std::optional<Envelope>> next_segmented();
  Result<std::optional<RawHeader>> read_header(BytesView input);
  Result<bool> read_segment();
  Status decompress_body(Envelope& envelope) const;

  FrameDecoderOptions options_;
  Compression compression_ = Compression::none;
  bool segmented_ = false;
  Bytes input_;  // as fed; consumed up to input_offset_
  size_t input_offset_ = 0;
  Bytes assembled_;  // segment payloads; consumed up to assembled_offset_
  size_t assembled_offset_ = 0;
  bool self_contained_ = false;  // of the segment read last
  uint64_t skip_size_ = 0;       // what is left of a body above the limit
  std::optional<Error> error_;   // a final error
  EnvelopeHeader failed_header_;
};

/// Wraps envelopes for sending, as FrameDecoder expects them at the other end.
class FrameEncoder {
 public:
  void set_compression(Compression compression) { compression_ = compression; }
  void enable_segments(Compression compression);

  /// Appends to `out` the frames of `envelopes`, which is a run of whole envelopes made with begin_envelope and
  /// end_envelope. In v5 small neighbours share a segment, so hand over everything that is ready at once. Without
  /// compression and segments this is a plain copy, which the caller may skip where passthrough() is true.
  void encode(BytesView envelopes, Bytes& out) const;
  bool passthrough() const { return !segmented_ && compression_ == Compression::none; }

 private:
  void encode_segment(BytesView payload, bool self_contained, Bytes& out) const;
  void encode_compressed(BytesView envelope, Bytes& out) const;

  Compression compression_ = Compression::none;
  bool segmented_ = false;
};

/// Checksums of segments (native_protocol_v5.spec section 2.2): CRC24 over the header bytes, CRC32 over the payload.
uint32_t segment_crc24(BytesView header);
uint32_t segment_crc32(BytesView payload);

}  // namespace asterism::cql::wire
