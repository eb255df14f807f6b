#include "gateway/http_client.h"

#include "runtime/io.h"
#include "runtime/timeout.h"

namespace asterism {
namespace {

constexpr size_t read_size = 64 << 10;

Task<Result<HttpResponse>> exchange(Network& network, const HttpCall& call) {
  CO_TRY(auto stream, co_await connect(network, call.to));
  // A server that refuses early stops reading; what it says still counts.
  (void)co_await write(*stream, encode_request(call.method, call.target, call.to.to_string(), call.headers, call.body));
  HttpResponseDecoder decoder({.body_bytes_max = call.response_bytes_max}, call.method == HttpMethod::head);
  Bytes in;
  while (!decoder.done()) {
    CO_TRY(Bytes bytes, co_await read(*stream, read_size));
    if (bytes.empty()) {
      CO_TRY_STATUS(decoder.end());
      break;
    }
    in += bytes;
    CO_TRY_STATUS(decoder.feed(in));
  }
  co_return decoder.take();
}

}  // namespace

Task<Result<HttpResponse>> http_call(Network& network, HttpCall call) {
  co_return co_await with_timeout(call.limit, exchange(network, call));
}

}  // namespace asterism
