#include "gateway/http.h"

#include <algorithm>

#include "runtime/io.h"
#include "runtime/timeout.h"

namespace asterism {
namespace {

constexpr size_t read_size = 16 << 10;
// After a refusal the rest of the request is read and dropped for so long: closing with unread bytes would reset the
// connection before the client has seen why.
constexpr Duration drain_limit = 1s;
constexpr size_t drain_bytes_max = 256 << 10;

Task<Result<Bytes>> read_some(Stream& stream) { co_return co_await read(stream, read_size); }
Task<Status> write_all(Stream& stream, Bytes bytes) { co_return co_await write(stream, std::move(bytes)); }

Task<Status> drain(Stream& stream) {
  for (size_t total = 0; total < drain_bytes_max;) {
    CO_TRY(Bytes bytes, co_await read(stream, read_size));
    if (bytes.empty()) break;
    total += bytes.size();
  }
  co_return Status();
}

Task<Result<HttpResponse>> call(const HttpHandler& handler, HttpRequest request) {
  co_return co_await handler(std::move(request));
}

Task<Result<std::optional<HttpResponse>>> asked(const WebSocketGuard& guard, const HttpRequest& request) {
  co_return co_await guard(request);
}

Task<Status> joined(TaskGroup& tasks) {
  co_await tasks.join();
  co_return Status();
}

bool fits(std::string_view pattern, std::string_view path) {
  return pattern.ends_with('/') && pattern.size() > 1 ? path.starts_with(pattern) : path == pattern;
}

}  // namespace

void HttpRouter::add(HttpMethod method, std::string path, HttpHandler handler, std::optional<Duration> limit) {
  ASSERT(path.starts_with('/') && method != HttpMethod::other);
  routes_.push_back({method, std::move(path), std::move(handler), limit});
}

void HttpRouter::add_websocket(std::string path, WebSocketHandler handler, WebSocketGuard guard) {
  ASSERT(path.starts_with('/'));
  websockets_.push_back({std::move(path), std::move(handler), std::move(guard)});
}

const HttpRouter::WebSocketRoute* HttpRouter::find_websocket(std::string_view path) const {
  auto found = std::ranges::find(websockets_, path, &WebSocketRoute::path);
  return found == websockets_.end() ? nullptr : &*found;
}

HttpRouter::Match HttpRouter::find(HttpMethod method, std::string_view path) const {
  size_t longest = 0;
  for (const Route& route : routes_)
    if (fits(route.path, path)) longest = std::max(longest, route.path.size());
  Match match;
  for (const Route& route : routes_) {
    if (route.path.size() != longest || !fits(route.path, path)) continue;
    const bool serves_head = method == HttpMethod::head && route.method == HttpMethod::get;
    if (route.method == method || (serves_head && match.handler == nullptr)) {
      match.handler = &route.handler;
      match.limit = route.limit;
    }

    match.allowed += fmt::format("{}{}", match.allowed.empty() ? "" : ", ", to_string(route.method));
    if (route.method == HttpMethod::get) match.allowed += ", HEAD";
  }
  return match;
}

struct HttpServer::Connection {
  std::unique_ptr<Stream> stream;
  Bytes in;          // received, not decoded yet
  bool idle = true;  // between requests
  bool upgraded = false;
  Instant idle_since;
};

/// Counted however its request ends.
struct HttpServer::LargeBody {
  explicit LargeBody(size_t& of) : count(++of) {}
  ~LargeBody() { --count; }
  size_t& count;
};

HttpServer::HttpServer(Executor& executor, std::unique_ptr<Listener> listener, HttpRouter router, Log log,
                       HttpServerOptions options)
    : executor_(executor),
      listener_(std::move(listener)),
      address_(listener_->local_address()),
      router_(std::move(router)),
      log_(std::move(log)),
      options_(options),
      tasks_(executor),
      accepter_(executor) {
  ASSERT(options_.connections_max > 0);
  accepter_.spawn(accept_all());
}

HttpServer::~HttpServer() = default;

Task<void> HttpServer::stop() {
  stopping_ = true;
  accepter_.cancel();
  listener_.reset();
  for (Connection& connection : connections_)
    if (connection.idle || connection.upgraded) connection.stream->close();
  (void)co_await with_timeout(options_.stop_limit, joined(tasks_));
  tasks_.cancel();
  connections_.clear();
}

Task<void> HttpServer::accept_all() {
  while (true) {
    auto stream = co_await accept(*listener_);
    if (!stream) {
      if (stream.error().code == ErrorCode::closed) co_return;
      log_.warning("cannot accept a connection: {}", stream.error().message);
      co_await sleep_for(100ms);
      continue;
    }
    ++counters_.connections_total;
    while (connections_.size() >= options_.connections_max) {
      evict();
      co_await room_.wait();
    }
    connections_.push_back(
        {.stream = std::move(*stream), .in = {}, .idle = true, .upgraded = false, .idle_since = executor_.now()});
    tasks_.spawn(serve(std::prev(connections_.end())));
  }
}

void HttpServer::evict() {
  Connection* oldest = nullptr;
  for (Connection& connection : connections_)
    if (connection.idle && (!oldest || connection.idle_since < oldest->idle_since)) oldest = &connection;
  if (!oldest) return;
  oldest->idle = false;
  oldest->stream->close();
  ++counters_.evicted_total;
}

Task<void> HttpServer::serve(Place place) {
  while (!stopping_ && co_await serve_one(*place)) {
  }
  place->stream->close();
  connections_.erase(place);
  room_.wake_one();
}

/// False where the connection has to end.
Task<bool> HttpServer::serve_one(Connection& connection) {
  if (connection.in.empty()) {
    connection.idle = true;
    connection.idle_since = executor_.now();
    room_.wake_one();
    auto bytes = co_await with_timeout(options_.idle_limit, read_some(*connection.stream));
    connection.idle = false;
    if (!bytes || bytes->empty()) co_return false;
    counters_.bytes_received += bytes->size();
    connection.in = std::move(*bytes);
  }
  // RFC 9112 2.2: empty lines before a request mean nothing.
  connection.in.erase(0, std::min(connection.in.find_first_not_of("\r\n"), connection.in.size()));
  if (connection.in.empty()) co_return true;

  HttpRequestDecoder decoder(options_.limits);
  std::optional<LargeBody> large;
  if (Status status = co_await receive(connection, decoder, large); !status) {
    if (status.error().code == ErrorCode::overloaded)
      co_await reject(connection, 503, status.error().message);
    else if (status.error().code == ErrorCode::timeout)
      co_await reject(connection, 408, "the request took too long");
    else if (status.error().code == ErrorCode::too_large || status.error().code == ErrorCode::corrupt)
      co_await reject(connection, decoder.error_status(), status.error().message);
    co_return false;
  }
  const Instant received = executor_.now();
  HttpRequest request = decoder.take();
  request.from = connection.stream->remote_address();
  if (const HttpRouter::WebSocketRoute* route = router_.find_websocket(request.path)) {
    co_await serve_websocket(connection, std::move(request), *route);
    co_return false;
  }
  const bool head_only = request.method == HttpMethod::head;
  bool keep_alive = request.keep_alive;
  const HttpResponse response = co_await answer(std::move(request));
  keep_alive &= !stopping_;
  const bool sent = co_await send(connection, response, head_only, keep_alive);
  counters_.request_time.record(executor_.now() - received);
  co_return sent&& keep_alive;
}

/// Errors: timeout; overloaded; closed and io, with nobody to answer; else what the decoder says.
Task<Status> HttpServer::receive(Connection& connection, HttpRequestDecoder& decoder, std::optional<LargeBody>& large) {
  Instant deadline = executor_.now() + options_.head_limit;
  bool in_body = false;
  while (true) {
    CO_TRY_STATUS(decoder.feed(connection.in));
    if (decoder.done()) co_return Status();
    if (!in_body && decoder.head_done()) {
      in_body = true;
      if (decoder.large() && large_bodies_ >= options_.large_bodies_max)
        co_return fail(ErrorCode::overloaded, "too many large requests are under way");
      if (decoder.large()) large.emplace(large_bodies_);
      deadline = executor_.now() + options_.body_limit;
      Bytes go_on = "HTTP/1.1 100 Continue\r\n\r\n";
      if (decoder.expects_continue() &&
          !co_await with_deadline(deadline, write_all(*connection.stream, std::move(go_on))))
        co_return fail(ErrorCode::closed, "the client does not read");
    }
    CO_TRY(Bytes bytes, co_await with_deadline(deadline, read_some(*connection.stream)));
    if (bytes.empty()) co_return fail(ErrorCode::closed, "the client went away");
    counters_.bytes_received += bytes.size();
    connection.in += bytes;
  }
}

Task<HttpResponse> HttpServer::answer(HttpRequest request) {
  const HttpRouter::Match match = router_.find(request.method, request.path);
  if (!match.handler && match.allowed.empty()) co_return HttpResponse::text(404, "there is nothing at this path\n");
  if (!match.handler) {
    HttpResponse response = HttpResponse::text(405, "this path does not serve this method\n");
    response.headers.emplace_back("Allow", match.allowed);
    co_return response;
  }
  auto response =
      co_await with_timeout(match.limit.value_or(options_.handler_limit), call(*match.handler, std::move(request)));
  if (!response) co_return HttpResponse::text(503, "the answer took too long\n");
  co_return std::move(*response);
}

Task<HttpResponse> HttpServer::answer_upgrade(const HttpRequest& request, const HttpRouter::WebSocketRoute& route) {
  if (!is_same_origin(request)) co_return HttpResponse::text(403, "only pages of this server may do this\n");
  if (route.guard) {
    auto refused = co_await with_timeout(options_.handler_limit, asked(route.guard, request));
    if (!refused) co_return HttpResponse::text(503, "the answer took too long\n");
    if (*refused) co_return std::move(**refused);
  }
  if (counters_.websockets_open >= options_.websockets_max)
    co_return HttpResponse::text(503, "too many WebSockets are open\n");
  co_return accept_websocket(request);
}

Task<void> HttpServer::serve_websocket(Connection& connection, HttpRequest request,
                                       const HttpRouter::WebSocketRoute& route) {
  HttpResponse response = co_await answer_upgrade(request, route);
  const bool accepted = response.status == 101;
  if (!co_await send(connection, response, false, false) || !accepted) co_return;
  connection.upgraded = true;
  // Counted however the frame ends.
  struct Count {
    explicit Count(uint64_t& of) : count(++of) {}
    ~Count() { --count; }
    uint64_t& count;
  } open(counters_.websockets_open);
  WebSocketConnection socket(*connection.stream, std::move(connection.in), options_.websocket);
  co_await route.handler(socket);
}

Task<bool> HttpServer::send(Connection& connection, const HttpResponse& response, bool head_only, bool keep_alive) {
  ASSERT(response.status >= 100 && response.status <= 599);
  ++counters_.responses_total[response.status / 100];
  Bytes bytes = encode_response(response, head_only, keep_alive, executor_.clock().wall_now());
  counters_.bytes_sent += bytes.size();
  const Status status = co_await with_timeout(options_.write_limit, write_all(*connection.stream, std::move(bytes)));
  co_return status.has_value();
}

Task<void> HttpServer::reject(Connection& connection, int status, std::string_view message) {
  const HttpResponse response = HttpResponse::text(status, fmt::format("{}\n", message));
  // After a timeout a read is still under way: it takes what comes meanwhile.
  if (co_await send(connection, response, false, false) && status != 408)
    (void)co_await with_timeout(drain_limit, drain(*connection.stream));
}

void HttpServer::report(MetricsPage& page) const {
  page.gauge("asterism_http_connections", "Open HTTP connections.", static_cast<double>(connections_.size()));
  page.gauge("asterism_http_websockets", "Open WebSockets.", static_cast<double>(counters_.websockets_open));
  page.counter("asterism_http_received_bytes_total", "Bytes of HTTP requests received.", counters_.bytes_received);
  page.counter("asterism_http_sent_bytes_total", "Bytes of HTTP responses sent.", counters_.bytes_sent);
  page.counter("asterism_http_connections_total", "HTTP connections accepted.", counters_.connections_total);
  page.counter("asterism_http_connections_evicted_total", "Idle HTTP connections closed to make room.",
               counters_.evicted_total);
  for (int digit = 1; digit <= 5; ++digit)
    page.counter("asterism_http_responses_total", "HTTP responses by the class of their status.",
                 counters_.responses_total[digit], {{"class", fmt::format("{}xx", digit)}});
  page.histogram("asterism_http_request_seconds", "From the end of an HTTP request to the end of its response.",
                 counters_.request_time);
}

}  // namespace asterism
