// HTTP/1.1 messages and their form on the wire (RFC 9110, RFC 9112), without any input or output.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "ports/network.h"

namespace asterism {

enum class HttpMethod : uint8_t { get, head, post, other };
const char* to_string(HttpMethod method);

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  HttpMethod method = HttpMethod::get;
  std::string path;                                        // percent-decoded; starts with '/'
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in the order given
  HttpHeaders headers;
  Bytes body;
  bool keep_alive = true;
  Address from;  // set by the server

  /// The first value of that name (not case-sensitive), or null.
  const std::string* header(std::string_view name) const;
  /// The first parameter of that name, or null.
  const std::string* parameter(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  /// Beside those that the server writes itself: Content-Length, Connection and Date. 101 has Connection: Upgrade.
  HttpHeaders headers;
  Bytes body;

  const std::string* header(std::string_view name) const;
  static HttpResponse text(int status, std::string body);  // text/plain
  /// `json` is JSON already.
  static HttpResponse json(int status, std::string json);
};

/// False for what a browser sends on behalf of a page from elsewhere: its Origin is not this Host, or the Host is a
/// name (other than localhost), which anybody may point here. What no browser sent has no Origin and passes.
bool is_same_origin(const HttpRequest& request);

/// "Not Found"; "" for codes without a name.
std::string_view http_reason(int status);

struct HttpLimits {
  size_t head_bytes_max = 16 << 10;  // of the head, and of each chunk's header and the trailer
  size_t body_bytes_max = 1 << 20;
  /// Requests whose target begins with this may have larger bodies; "": none may.
  std::string_view large_target{};
  size_t large_body_bytes_max = 0;
};

/// Decodes one request. The head must be one that RFC 9112 allows: one Host in HTTP/1.1, a length that is clear, no
/// transfer coding but chunked. Nothing is allocated for bytes that have not arrived.
class HttpRequestDecoder {
 public:
  explicit HttpRequestDecoder(HttpLimits limits = {});
  ~HttpRequestDecoder();

  /// Takes what belongs to this request from the front of `in`; call it again with more behind what it left. After an
  /// error the rest of the connection means nothing, and error_status() is what to answer.
  Status feed(Bytes& in);
  bool head_done() const;
  bool done() const;
  /// The client wants to hear "100 Continue" before it sends the body.
  bool expects_continue() const;
  /// Its body may have `large_body_bytes_max` bytes.
  bool large() const;
  int error_status() const;
  /// Once, when done.
  HttpRequest take();

 private:
  class Parser;
  std::unique_ptr<Parser> parser_;
};

/// Decodes one response, as the client needs it; interim ones (1xx) are passed over. `to_head`: it answers a HEAD and
/// has no body.
class HttpResponseDecoder {
 public:
  explicit HttpResponseDecoder(HttpLimits limits = {}, bool to_head = false);
  ~HttpResponseDecoder();
  Status feed(Bytes& in);
  /// The stream has ended, which ends a body without a length. Errors: closed where the response is incomplete.
  Status end();
  bool done() const;
  HttpResponse take();

 private:
  class Parser;
  HttpLimits limits_;
  bool to_head_;
  std::unique_ptr<Parser> parser_;
};

/// The whole response. Line breaks in header values turn into spaces. `head_only` leaves the body out and keeps its
/// length, as HEAD wants it.
Bytes encode_response(const HttpResponse& response, bool head_only, bool keep_alive, WallTime now);
/// A whole request with `Connection: close`. `target` is sent as it is: "/status?x=1".
Bytes encode_request(HttpMethod method, std::string_view target, std::string_view host, const HttpHeaders& headers,
                     BytesView body);

/// Decodes %XX, and '+' to a space where `plus_is_space`. Errors: invalid_argument.
Result<std::string> percent_decode(std::string_view text, bool plus_is_space);

}  // namespace asterism
