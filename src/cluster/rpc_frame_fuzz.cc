// Any bytes in any pieces: the decoder neither crashes nor yields a frame that does not encode to what was read.
#include "base/assert.h"
#include "cluster/rpc_frame.h"

using namespace asterism;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const size_t step = data[0] % 64 + 1;
  const BytesView input(reinterpret_cast<const char*>(data) + 1, size - 1);
  // As it came, and with a checksum that fits, to get past it.
  RpcFrameDecoder decoder;
  bool failed = false;
  for (size_t at = 0; at < input.size() && !failed; at += step) {
    decoder.feed(input.substr(at, step));
    while (true) {
      auto frame = decoder.next();
      failed = !frame;
      if (failed || !*frame) break;
    }
  }
  rpc::Header header;
  if (header.ParseFromArray(input.data(), static_cast<int>(input.size()))) {
    RpcFrameDecoder whole;
    whole.feed(encode_rpc_head(header, input));
    whole.feed(input);
    auto frame = whole.next();
    ASSERT(frame && *frame && (*frame)->payload == input);
  }
  return 0;
}
