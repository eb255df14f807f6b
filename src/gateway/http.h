// A small HTTP/1.1 server for status, metrics and the console, with WebSockets. One per core.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "base/log.h"
#include "base/metrics.h"
#include "gateway/http_message.h"
#include "gateway/websocket_connection.h"
#include "ports/network.h"
#include "runtime/channel.h"
#include "runtime/task_group.h"

namespace asterism {

/// Answers one request. It is destroyed, at any point where it waits, when its time is up or the server stops.
using HttpHandler = std::function<Task<HttpResponse>(HttpRequest)>;

/// Has one WebSocket for as long as it runs; destroyed, at any point where it waits, when the server stops.
using WebSocketHandler = std::function<Task<void>(WebSocketConnection&)>;

/// What to refuse a WebSocket with, if anything.
using WebSocketGuard = std::function<Task<std::optional<HttpResponse>>(const HttpRequest&)>;

/// Finds the handler of a request.
class HttpRouter {
 public:
  /// A path that ends in '/' stands for itself and everything below it, any other, and "/", for itself alone; the
  /// longest that fits wins. GET serves HEAD as well. The handler lives as long as the server, so that it may be a
  /// lambda with captures. `limit` replaces the server's `handler_limit`.
  void add(HttpMethod method, std::string path, HttpHandler handler, std::optional<Duration> limit = {});

  /// A path for WebSockets alone. Only pages of this server may open them (is_same_origin).
  /// `guard` may refuse the request before that, too.
  void add_websocket(std::string path, WebSocketHandler handler, WebSocketGuard guard = {});
  struct WebSocketRoute {
    std::string path;
    WebSocketHandler handler;
    WebSocketGuard guard;
  };
  const WebSocketRoute* find_websocket(std::string_view path) const;

  struct Match {
    const HttpHandler* handler = nullptr;
    std::optional<Duration> limit{};
    /// Where there is none: the methods that the path has, for the Allow header; empty where the path is unknown.
    std::string allowed{};
  };
  Match find(HttpMethod method, std::string_view path) const;

 private:
  struct Route {
    HttpMethod method;
    std::string path;
    HttpHandler handler;
    std::optional<Duration> limit;
  };
  std::vector<Route> routes_;
  std::vector<WebSocketRoute> websockets_;
};

struct HttpServerOptions {
  HttpLimits limits;
  size_t connections_max = 256;
  /// Of these, WebSockets: one more is answered 503.
  size_t websockets_max = 32;
  WebSocketOptions websocket;
  /// Requests of limits.large_target that are received or answered at a time: one more is answered 503.
  size_t large_bodies_max = 16;
  /// From the first byte of a request to the end of its head, and from there to the end of its body: else 408.
  Duration head_limit = 10s;
  Duration body_limit = 30s;
  /// How long a connection may be silent between requests.
  Duration idle_limit = 60s;
  /// What a handler may take: else 503.
  Duration handler_limit = 60s;
  /// What a client may take to receive a response.
  Duration write_limit = 30s;
  /// How long stop() waits for requests under way.
  Duration stop_limit = 500ms;
};

struct HttpServerCounters {
  uint64_t connections_total = 0;    // accepted
  uint64_t evicted_total = 0;        // idle connections that were closed to make room
  uint64_t responses_total[6] = {};  // by the first digit of the status; [0] is unused
  uint64_t websockets_open = 0;      // a gauge
  uint64_t bytes_received = 0, bytes_sent = 0;
  LatencyHistogram request_time;  // from the end of the request to the end of the response
};

/// Requests of one connection are answered one after another; while one is, nothing more of it is read. Bad input ends
/// its own connection only. Where all connections are taken, a new one takes the place of the one that has been idle
/// for longest, and waits where none is idle.
class HttpServer {
 public:
  /// Serves at once. The executor, what the handlers refer to and the log's sink outlive it.
  HttpServer(Executor& executor, std::unique_ptr<Listener> listener, HttpRouter router, Log log,
             HttpServerOptions options = {});
  HttpServer(const HttpServer&) = delete;
  ~HttpServer();

  /// Accepts no more, closes what is idle, and lets requests under way end within `stop_limit`.
  Task<void> stop();
  Address local_address() const { return address_; }
  size_t connection_count() const { return connections_.size(); }
  const HttpServerCounters& counters() const { return counters_; }
  void report(MetricsPage& page) const;

 private:
  struct Connection;
  using Place = std::list<Connection>::iterator;

  Task<void> accept_all();
  Task<void> serve(Place place);
  Task<bool> serve_one(Connection& connection);
  struct LargeBody;
  Task<Status> receive(Connection& connection, HttpRequestDecoder& decoder, std::optional<LargeBody>& large);
  Task<HttpResponse> answer(HttpRequest request);
  Task<void> serve_websocket(Connection& connection, HttpRequest request, const HttpRouter::WebSocketRoute& route);
  Task<HttpResponse> answer_upgrade(const HttpRequest& request, const HttpRouter::WebSocketRoute& route);
  Task<bool> send(Connection& connection, const HttpResponse& response, bool head_only, bool keep_alive);
  Task<void> reject(Connection& connection, int status, std::string_view message);
  void evict();

  Executor& executor_;
  std::unique_ptr<Listener> listener_;
  Address address_;
  HttpRouter router_;
  Log log_;
  HttpServerOptions options_;
  HttpServerCounters counters_;
  std::list<Connection> connections_;
  WaitQueue room_;
  bool stopping_ = false;
  size_t large_bodies_ = 0;
  TaskGroup tasks_;     // one per connection
  TaskGroup accepter_;  // accept_all()
};

}  // namespace asterism
