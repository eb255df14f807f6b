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
