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
  RpcFrame frame;
  bool failed = false;
  for (size_t at = 0; at < input.size() && !failed; at += step) {
    decoder.feed(Bytes(input.substr(at, step)));
    while (true) {
      auto whole = decoder.next(frame);
      failed = !whole;
      if (failed || !*whole) break;
    }
  }
  rpc::Header header;
  if (header.ParseFromArray(input.data(), static_cast<int>(input.size()))) {
    RpcFrameDecoder whole;
    whole.feed(encode_rpc_head(header, input));
    whole.feed(Bytes(input));
    auto taken = whole.next(frame);
    ASSERT(taken && *taken && frame.payload == input);
    ASSERT(frame.header.kind() == header.kind() && frame.header.request() == header.request());
    ASSERT(frame.header.method() == header.method() && frame.header.timeout_us() == header.timeout_us());
  }
  return 0;
}
