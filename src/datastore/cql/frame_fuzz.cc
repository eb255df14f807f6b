// The first byte chooses how the decoder is set up, the second how the input is cut; the rest is the stream. Whatever
// comes out must survive being encoded and decoded again.
#include <algorithm>

#include "base/assert.h"
#include "datastore/cql/frame.h"

using namespace asterism;
using namespace asterism::cql::wire;

namespace {

void check_round_trip(const Envelope& envelope, Compression compression) {
  bool segmented = envelope.header.version == Version::v5;
  FrameEncoder encoder;
  FrameDecoder decoder({.direction = envelope.header.direction});
  if (segmented) {
    encoder.enable_segments(compression);
    decoder.enable_segments(compression);
  } else {
    encoder.set_compression(compression);
    decoder.set_compression(compression);
  }
  Bytes plain, framed;
  size_t start = begin_envelope(envelope.header, plain);
  plain += envelope.body;
  end_envelope(start, plain);
  encoder.encode(plain, framed);
  decoder.feed(framed);
  auto again = decoder.next();
  ASSERT(again && *again);
  ASSERT((*again)->body == envelope.body);
  ASSERT((*again)->header.stream == envelope.header.stream);
}

/// Cuts `payload` into segments whose checksums are right, so that what lies behind them is reached. Each begins with
/// two bytes of `payload` that choose its length and flags.
Bytes with_checksums(BytesView payload, Compression compression) {
  Bytes out;
  size_t header_size = compression == Compression::lz4 ? 5 : 3;
  while (payload.size() > 2) {
    uint64_t size = std::min<size_t>(static_cast<uint8_t>(payload[0]), payload.size() - 2);
    uint64_t choice = static_cast<uint8_t>(payload[1]);
    uint64_t bits = size;
    if (compression == Compression::lz4)
      bits |= ((choice >> 1) << 17) | ((choice & 1) << 34);
    else
      bits |= (choice & 1) << 17;
    Bytes header;
    for (size_t i = 0; i < header_size; ++i) header.push_back(static_cast<char>(bits >> 8 * i));
    uint32_t crc = segment_crc24(header);
    for (size_t i = 0; i < 3; ++i) header.push_back(static_cast<char>(crc >> 8 * i));
    BytesView content = payload.substr(2, size);
    out += header;
    out += content;
    ByteWriter(out).u32_le(segment_crc32(content));
    payload.remove_prefix(2 + size);
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  BytesView input(reinterpret_cast<const char*>(data) + 2, size - 2);
  Compression compression = data[0] & 1 ? Compression::lz4 : Compression::none;
  FrameDecoder decoder({.direction = data[0] & 2 ? Direction::response : Direction::request,
                        .version_max = max_version,
                        .body_size_max = data[0] & 4 ? 64u : 1u << 20});
  if (data[0] & 8)
    decoder.enable_segments(compression);
  else
    decoder.set_compression(compression);
  Bytes segments;
  if ((data[0] & 24) == 24) {
    segments = with_checksums(input, compression);
    input = segments;
  }
  size_t step = data[1] + size_t{1};
  while (!input.empty()) {
    decoder.feed(input.substr(0, step));
    input.remove_prefix(std::min(step, input.size()));
    while (true) {
      auto next = decoder.next();
      if (!next && next.error().code == ErrorCode::too_large) continue;
      if (!next) return 0;
      if (!*next) break;
      check_round_trip(**next, compression);
    }
  }
  return 0;
}
