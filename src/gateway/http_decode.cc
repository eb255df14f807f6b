// The decoders, around Boost.Beast's incremental parser.
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include "gateway/http_message.h"

namespace asterism {
namespace {

namespace http = boost::beast::http;
using BeastError = boost::beast::error_code;
using View = boost::beast::string_view;

std::string_view std_view(View view) { return {view.data(), view.size()}; }

/// What requests and responses have in common: fields, body, limits.
template <bool is_request>
class MessageParser : public http::basic_parser<is_request> {
 public:
  using Base = http::basic_parser<is_request>;

  explicit MessageParser(HttpLimits limits) : limits_(limits) {
    Base::header_limit(static_cast<uint32_t>(std::min<size_t>(limits.head_bytes_max, UINT32_MAX)));
    Base::body_limit(limits.body_bytes_max);
  }

  Status feed(Bytes& in) {
    size_t used = 0;
    Status status;
    while (status && used < in.size() && !Base::is_done()) {
      const bool in_head = !Base::is_header_done();
      BeastError error;
      const size_t taken = Base::put(boost::asio::const_buffer(in.data() + used, in.size() - used), error);
      used += taken;
      if (in_head) head_bytes_ += taken;
      if (error == http::error::need_more) break;
      if (error) status = failed(error);
    }
    in.erase(0, used);
    if (status) status = check_pending(in.size());
    return status;
  }

  int error_status = 400;
  HttpHeaders headers;
  Bytes body;

 protected:
  const HttpLimits& limits() const { return limits_; }
  BeastError refuse(int with_status, http::error why) {
    error_status = with_status;
    refused_ = true;
    return http::make_error_code(why);
  }

  void on_field_impl(http::field, View name, View value, BeastError& error) override {
    if (!Base::is_header_done()) {
      headers.emplace_back(std_view(name), std_view(value));
      return;
    }
    // The trailer of a chunked body: nobody here needs what it says.
    trailer_bytes_ += name.size() + value.size();
    if (trailer_bytes_ > limits_.head_bytes_max) error = refuse(400, http::error::header_limit);
  }
  void on_body_init_impl(const boost::optional<uint64_t>&, BeastError&) override {}
  size_t on_body_impl(View piece, BeastError&) override {
    body.append(piece.data(), piece.size());
    return piece.size();
  }
  void on_chunk_header_impl(uint64_t, View extensions, BeastError& error) override {
    if (extensions.size() > limits_.head_bytes_max) error = refuse(400, http::error::header_limit);
  }
  size_t on_chunk_body_impl(uint64_t, View piece, BeastError&) override {
    body.append(piece.data(), piece.size());
    return piece.size();
  }
  void on_finish_impl(BeastError&) override {}

 private:
  Status failed(const BeastError& error) {
    if (!refused_ && error == http::error::header_limit) error_status = 431;
    if (!refused_ && error == http::error::body_limit) error_status = 413;
    const bool size = error_status == 431 || error_status == 413;
    return fail(size ? ErrorCode::too_large : ErrorCode::corrupt, "{}", error.message());
  }
  /// Beast limits what it looks at in one call; the limits are for the whole head, and for a chunk's header.
  Status check_pending(size_t pending) {
    if (Base::is_done()) pending = 0;
    if (head_bytes_ + (Base::is_header_done() ? 0 : pending) > limits_.head_bytes_max) {
      error_status = 431;
      return fail(ErrorCode::too_large, "the head has more than {} bytes", limits_.head_bytes_max);
    }
    if (Base::is_header_done() && pending > limits_.head_bytes_max)
      return fail(ErrorCode::corrupt, "a chunk's header or a trailer has more than {} bytes", limits_.head_bytes_max);
    return {};
  }

  HttpLimits limits_;
  size_t head_bytes_ = 0;
  size_t trailer_bytes_ = 0;
  bool refused_ = false;
};

/// Path and query of "/a%20b?x=1&y", also behind "http://host".
Status split_target(std::string_view target, HttpRequest& request) {
  if (target.starts_with("http://") || target.starts_with("https://")) {
    target.remove_prefix(target.find("//") + 2);
    target.remove_prefix(std::min(target.find_first_of("/?"), target.size()));
    if (!target.starts_with('/')) request.path = "/";
  } else if (!target.starts_with('/')) {
    return fail(ErrorCode::invalid_argument, "the target is no path");
  }
  if (target.contains('#')) return fail(ErrorCode::invalid_argument, "the target has a fragment");
  const size_t mark = std::min(target.find('?'), target.size());
  TRY(std::string path, percent_decode(target.substr(0, mark), false));
  request.path += path;
  std::string_view query = target.substr(std::min(mark + 1, target.size()));
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    TRY(std::string name, percent_decode(pair.substr(0, equals), true));
    TRY(std::string value, percent_decode(pair.substr(std::min(equals + 1, pair.size())), true));
    request.query.emplace_back(std::move(name), std::move(value));
  }
  return {};
}

}  // namespace

class HttpRequestDecoder::Parser final : public MessageParser<true> {
 public:
  using MessageParser::MessageParser;
  HttpRequest request;
  bool expects_continue = false, large = false;

 private:
  void on_request_impl(http::verb method, View, View target, int version, BeastError& error) override {
    version_ = version;
    request.method = method == http::verb::get    ? HttpMethod::get
                     : method == http::verb::head ? HttpMethod::head
                     : method == http::verb::post ? HttpMethod::post
                                                  : HttpMethod::other;
    if (!split_target(std_view(target), request)) error = refuse(400, http::error::bad_target);
    large = !limits().large_target.empty() && std_view(target).starts_with(limits().large_target);
    if (large) body_limit(limits().large_body_bytes_max);
  }
  void on_response_impl(int, View, int, BeastError&) override {}

  void on_header_impl(BeastError& error) override {
    size_t hosts = 0;
    for (const auto& [name, value] : headers) {
      const View key(name.data(), name.size());
      if (boost::beast::iequals(key, "host")) ++hosts;
      if (boost::beast::iequals(key, "expect")) expects_continue |= boost::beast::iequals(value, "100-continue");
      if (!boost::beast::iequals(key, "transfer-encoding")) continue;
      // RFC 9112 6.1: a coding that is not understood, or one where HTTP/1.0 has none, leaves the length unclear.
      if (version_ < 11) error = refuse(400, http::error::bad_transfer_encoding);
      if (!boost::beast::iequals(value, "chunked")) error = refuse(501, http::error::bad_transfer_encoding);
    }
    // RFC 9112 3.2.
    if (!error && (hosts > 1 || (hosts == 0 && version_ >= 11))) error = refuse(400, http::error::bad_field);
    expects_continue &= version_ >= 11;
  }

  int version_ = 0;
};

HttpRequestDecoder::HttpRequestDecoder(HttpLimits limits) : parser_(std::make_unique<Parser>(limits)) {}
HttpRequestDecoder::~HttpRequestDecoder() = default;
Status HttpRequestDecoder::feed(Bytes& in) { return parser_->feed(in); }
bool HttpRequestDecoder::head_done() const { return parser_->is_header_done(); }
bool HttpRequestDecoder::done() const { return parser_->is_done(); }
bool HttpRequestDecoder::large() const { return parser_->large; }
bool HttpRequestDecoder::expects_continue() const { return parser_->expects_continue; }
int HttpRequestDecoder::error_status() const { return parser_->error_status; }

HttpRequest HttpRequestDecoder::take() {
  HttpRequest request = std::move(parser_->request);
  request.headers = std::move(parser_->headers);
  request.body = std::move(parser_->body);
  request.keep_alive = parser_->keep_alive();
  return request;
}

class HttpResponseDecoder::Parser final : public MessageParser<false> {
 public:
  using MessageParser::MessageParser;
  int status = 0;

 private:
  void on_request_impl(http::verb, View, View, int, BeastError&) override {}
  void on_response_impl(int code, View, int, BeastError&) override { status = code; }
  void on_header_impl(BeastError&) override {}
};

HttpResponseDecoder::HttpResponseDecoder(HttpLimits limits, bool to_head)
    : limits_(limits), to_head_(to_head), parser_(std::make_unique<Parser>(limits)) {
  if (to_head) parser_->skip(true);
}
HttpResponseDecoder::~HttpResponseDecoder() = default;

Status HttpResponseDecoder::feed(Bytes& in) {
  while (true) {
    if (parser_->is_done()) return {};
    TRY_STATUS(parser_->feed(in));
    if (!parser_->is_done() || parser_->status / 100 != 1) return {};
    parser_ = std::make_unique<Parser>(limits_);
    if (to_head_) parser_->skip(true);
  }
}

Status HttpResponseDecoder::end() {
  if (parser_->is_done()) return {};
  BeastError error = http::make_error_code(http::error::partial_message);
  if (parser_->got_some()) parser_->put_eof(error);
  if (error) return fail(ErrorCode::closed, "the answer was cut off");
  return {};
}

bool HttpResponseDecoder::done() const { return parser_->is_done(); }

HttpResponse HttpResponseDecoder::take() {
  HttpResponse response;
  response.status = parser_->status;
  response.headers = std::move(parser_->headers);
  response.body = std::move(parser_->body);
  return response;
}

}  // namespace asterism
