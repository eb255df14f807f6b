// The first byte says how the rest arrives in pieces. Whatever decodes must be the same however it arrives, and what a
// response is encoded to must decode.
#include "base/assert.h"
#include "gateway/http_message.h"

using namespace asterism;

namespace {

constexpr HttpLimits limits{.head_bytes_max = 2048, .body_bytes_max = 1024};

struct Outcome {
  bool done = false;
  HttpRequest request;
  size_t left = 0;
};

Outcome decode(BytesView input, size_t piece) {
  HttpRequestDecoder decoder(limits);
  Outcome outcome;
  Bytes in;
  while (!input.empty() && !decoder.done()) {
    const size_t size = std::min(piece, input.size());
    in += input.substr(0, size);
    input.remove_prefix(size);
    if (!decoder.feed(in)) {
      const int status = decoder.error_status();
      ASSERT(status == 400 || status == 413 || status == 431 || status == 501);
      return outcome;
    }
    ASSERT(decoder.done() || in.size() <= limits.head_bytes_max);
  }
  if (!decoder.done()) return outcome;
  outcome.done = true;
  outcome.left = in.size() + input.size();
  outcome.request = decoder.take();
  ASSERT(outcome.request.body.size() <= limits.body_bytes_max && outcome.request.path.starts_with('/'));
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const BytesView input(reinterpret_cast<const char*>(data + 1), size - 1);
  const Outcome whole = decode(input, input.size() + 1);
  const Outcome pieces = decode(input, size_t{1} + data[0]);
  if (input.size() <= limits.head_bytes_max) ASSERT(whole.done == pieces.done);
  if (whole.done && pieces.done) {
    ASSERT(whole.left == pieces.left && whole.request.path == pieces.request.path);
    ASSERT(whole.request.headers == pieces.request.headers && whole.request.body == pieces.request.body);
    ASSERT(whole.request.query == pieces.request.query && whole.request.keep_alive == pieces.request.keep_alive);
  }

  HttpResponseDecoder response(limits);
  Bytes in(input);
  if (response.feed(in) && response.end()) {
    HttpResponse answer = response.take();
    const HttpResponse plain{200, {}, answer.body};
    HttpResponseDecoder again(limits);
    Bytes encoded = encode_response(plain, false, true, WallTime{0});
    ASSERT(again.feed(encoded) && again.done() && again.take().body == answer.body);
  }
  return 0;
}
