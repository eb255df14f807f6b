// A minimal HTTP/1.1 client: one request, one connection, the whole answer.
#pragma once

#include "gateway/http_message.h"
#include "ports/network.h"
#include "runtime/task.h"

namespace asterism {

struct HttpCall {
  Address to{};
  HttpMethod method = HttpMethod::get;
  std::string target = "/";  // path and query, encoded
  HttpHeaders headers{};
  Bytes body{};
  /// For everything from connecting to the last byte.
  Duration limit = 5s;
  size_t response_bytes_max = 16 << 20;
};

/// Any status is a success here. Errors: timeout, unavailable (nobody listens), closed (the answer was cut off),
/// corrupt (it is no HTTP), too_large. The network must outlive the task.
Task<Result<HttpResponse>> http_call(Network& network, HttpCall call);

}  // namespace asterism
