#include "gateway/http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/http_client.h"
#include "runtime/io.h"
#include "runtime/sim/machine.h"
#include "runtime/sim/sim_network.h"
#include "runtime/timeout.h"

namespace asterism {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

struct ServerProcess final : sim::Process {
  HttpServer server;
  ServerProcess(sim::Machine& machine, HttpRouter router, HttpServerOptions options)
      : server(machine.executor(), std::move(machine.network().listen(machine.address(80)).value()), std::move(router),
               machine.log("http"), options) {}
  Task<void> stop() override { return server.stop(); }
};

struct HttpTest : testing::Test {
  sim::Simulation simulation{5};
  sim::Machine& node = simulation.add_machine({.name = "node"});
  sim::Machine& client = simulation.add_machine({.name = "client"});
  HttpServerOptions options;
  int slow_handlers = 0;

  HttpServer& server() { return static_cast<ServerProcess*>(node.process())->server; }

  static Task<HttpResponse> echo(HttpRequest request) {
    std::string text = fmt::format("{} {}", to_string(request.method), request.path);
    for (const auto& [name, value] : request.query) text += fmt::format(" {}={}", name, value);
    if (!request.body.empty()) text += " body=" + request.body;
    co_return HttpResponse::text(200, text);
  }
  Task<HttpResponse> slow(HttpRequest request) {
    ++slow_handlers;
    const std::string* wait = request.parameter("ms");
    co_await sleep_for(std::chrono::milliseconds(wait ? std::stoi(*wait) : 1000));
    --slow_handlers;
    co_return HttpResponse::json(200, "{}");
  }

  /// Says everything twice, until the client goes away.
  Task<void> repeat(WebSocketConnection& socket) {
    while (auto message = co_await socket.receive()) {
      if (!co_await socket.send(message->payload)) break;
      if (!co_await socket.send(message->payload)) break;
    }
    ++ended_sockets;
  }
  int ended_sockets = 0;

  void start() {
    node.set_process([this](sim::Machine& machine) {
      HttpRouter router;
      router.add(HttpMethod::get, "/echo", echo);
      router.add(HttpMethod::post, "/echo", echo);
      router.add(HttpMethod::get, "/files/", echo);
      router.add(HttpMethod::get, "/files/exact", [](HttpRequest) -> Task<HttpResponse> {
        co_return HttpResponse{204, {{"X-Note", "a\r\nInjected: b"}}, ""};
      });
      router.add(HttpMethod::get, "/slow", [this](HttpRequest request) { return slow(std::move(request)); });
      router.add(HttpMethod::get, "/slower", [this](HttpRequest request) { return slow(std::move(request)); }, 10min);
      router.add(HttpMethod::get, "/large", [](HttpRequest) -> Task<HttpResponse> {
        co_return HttpResponse::text(200, std::string(3'000'000, 'x'));
      });
      router.add_websocket("/repeat", [this](WebSocketConnection& socket) { return repeat(socket); });
      return std::make_unique<ServerProcess>(machine, std::move(router), options);
    });
    node.start();
    client.start();
  }

  struct Wire {
    Bytes received;
    bool ended = false;
    std::optional<Instant> ended_at;
  };
  /// Sends the pieces with pauses between them and keeps what comes until the server ends the connection.
  Task<void> send_pieces(std::vector<Bytes> pieces, Duration pause, Wire& wire) {
    auto stream = (co_await connect(client.network(), node.address(80))).value();
    for (Bytes& piece : pieces) {
      if (!co_await write(*stream, std::move(piece))) break;
      if (pause > 0ns) co_await sleep_for(pause);
    }
    while (true) {
      auto bytes = co_await read(*stream, 100'000);
      if (!bytes || bytes->empty()) break;
      wire.received += *bytes;
    }
    wire.ended = true;
    wire.ended_at = simulation.now();
  }
  /// What the server sends for these bytes until it closes or `time` is over.
  Bytes raw(std::vector<Bytes> pieces, Duration pause = 0ns, Duration time = 90s, bool expect_end = true) {
    auto wire = std::make_shared<Wire>();
    auto task = [](HttpTest& self, std::vector<Bytes> sent, Duration wait, std::shared_ptr<Wire> to) -> Task<void> {
      co_await self.send_pieces(std::move(sent), wait, *to);
    };
    client.spawn(task(*this, std::move(pieces), pause, wire));
    EXPECT_EQ(simulation.run_until([&] { return wire->ended; }, time), expect_end);
    return wire->received;
  }
  Bytes raw(Bytes request) {
    std::vector<Bytes> pieces;
    pieces.push_back(std::move(request));
    return raw(std::move(pieces));
  }

  Result<HttpResponse> call(HttpCall request, Duration time = 120s) {
    std::optional<Result<HttpResponse>> result;
    auto task = [](HttpTest& self, HttpCall sent, std::optional<Result<HttpResponse>>& out) -> Task<void> {
      out.emplace(co_await http_call(self.client.network(), std::move(sent)));
    };
    request.to = node.address(80);
    client.spawn(task(*this, std::move(request), result));
    EXPECT_TRUE(simulation.run_until([&] { return result.has_value(); }, time));
    return std::move(*result);
  }
};

const std::string host = "Host: n\r\n";

TEST_F(HttpTest, GetHeadAndPost) {
  start();
  auto got = call({.target = "/echo?a=1&b=x%20y+z&c"});
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->status, 200);
  EXPECT_EQ(got->body, "GET /echo a=1 b=x y z c=");
  EXPECT_EQ(*got->header("content-type"), "text/plain; charset=utf-8");
  EXPECT_THAT(*got->header("Date"), HasSubstr(" 2026 "));

  auto posted = call({.method = HttpMethod::post, .target = "/echo", .body = "hello"});
  EXPECT_EQ(posted->body, "POST /echo body=hello");
  auto head = call({.method = HttpMethod::head, .target = "/echo"});
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(*head->header("Content-Length"), "10");
  EXPECT_EQ(head->body, "");
}

TEST_F(HttpTest, RoutesByTheLongestPathAndNamesAllowedMethods) {
  start();
  EXPECT_EQ(call({.target = "/files/a%2Fb"})->body, "GET /files/a/b");
  auto exact = call({.target = "/files/exact"});
  EXPECT_EQ(exact->status, 204);
  EXPECT_EQ(exact->header("Injected"), nullptr);
  EXPECT_EQ(call({.target = "/files"})->status, 404);
  EXPECT_EQ(call({.target = "/echo/more"})->status, 404);
  auto refused = call({.method = HttpMethod::post, .target = "/files/a"});
  EXPECT_EQ(refused->status, 405);
  EXPECT_EQ(*refused->header("Allow"), "GET, HEAD");
  EXPECT_THAT(raw("DELETE /echo HTTP/1.1\r\nConnection: close\r\n" + host + "\r\n"), StartsWith("HTTP/1.1 405 "));
}

TEST_F(HttpTest, Rfc9112_9_3_ConnectionsPersistAndRequestsMayBePipelined) {
  start();
  const Bytes answer =
      raw("\r\nGET /echo?n=1 HTTP/1.1\r\n" + host + "\r\nPOST /echo HTTP/1.1\r\nContent-Length: 2\r\n" + host +
          "\r\nhiGET /echo?n=3 HTTP/1.1\r\nConnection: close\r\n" + host + "\r\nGET /lost");
  const size_t first = answer.find("GET /echo n=1"), second = answer.find("POST /echo body=hi"),
               third = answer.find("GET /echo n=3");
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
  EXPECT_NE(third, Bytes::npos);
  EXPECT_THAT(answer, Not(HasSubstr("lost")));
  EXPECT_EQ(server().counters().connections_total, 1u);
  EXPECT_THAT(raw("GET /echo HTTP/1.0\r\n\r\n"), HasSubstr("Connection: close\r\n"));
}

TEST_F(HttpTest, Rfc9112_7_1_ChunkedBodies) {
  start();
  std::vector<Bytes> pieces;
  const Bytes request = "POST /echo HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n" + host +
                        "\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nContent-Type: evil\r\n\r\n";
  for (char c : request) pieces.push_back(Bytes(1, c));
  EXPECT_THAT(raw(std::move(pieces), 1ms), HasSubstr("body=abc0123456789"));
}

TEST_F(HttpTest, Rfc9110_10_1_1_Expect100Continue) {
  start();
  const Bytes answer =
      raw({"POST /echo HTTP/1.1\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" + host + "\r\n",
           "hi"},
          50ms);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"));
}

TEST_F(HttpTest, BadInputIsRefusedAndNeighboursAreNot) {
  start();
  auto status = [&](Bytes request) { return raw(std::move(request)).substr(9, 3); };
  EXPECT_EQ(status("\x16\x03\x01 this is TLS\r\n\r\n"), "400");
  EXPECT_EQ(status("GET /echo HTTP/1.1\r\n\r\n"), "400");                     // no Host
  EXPECT_EQ(status("GET /echo HTTP/1.1\r\n" + host + host + "\r\n"), "400");  // two
  EXPECT_EQ(status("GET echo HTTP/1.1\r\n" + host + "\r\n"), "400");          // no path
  EXPECT_EQ(status("GET /%zz HTTP/1.1\r\n" + host + "\r\n"), "400");          // no escape
  EXPECT_EQ(status("GET /echo?%4 HTTP/1.1\r\n" + host + "\r\n"), "400");      // half of one
  EXPECT_EQ(status("GET /echo HTTP/3.0\r\n" + host + "\r\n"), "400");         // no version of ours
  EXPECT_EQ(status("GET /echo HTTP/1.1\r\nBad Name: x\r\n" + host + "\r\n"), "400");
  const Bytes post = "POST /echo HTTP/1.1\r\n" + host;
  EXPECT_EQ(status(post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "400");
  EXPECT_EQ(status(post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), "400");
  EXPECT_EQ(status(post + "Content-Length: -1\r\n\r\n"), "400");
  EXPECT_EQ(status(post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), "501");
  EXPECT_EQ(status(post + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n"), "400");
  EXPECT_EQ(status("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "400");
  EXPECT_EQ(call({.target = "/echo"})->status, 200);
  EXPECT_EQ(server().connection_count(), 0u);
}

TEST_F(HttpTest, LimitsOnHeadsAndBodies) {
  options.limits.body_bytes_max = 100;
  start();
  auto status = [&](std::vector<Bytes> pieces) { return raw(std::move(pieces), 1ms).substr(9, 3); };
  EXPECT_EQ(status({"GET /echo HTTP/1.1\r\n" + host + "X: " + Bytes(17'000, 'x') + "\r\n\r\n"}), "431");
  // Many short lines that arrive one by one count together.
  std::vector<Bytes> lines = {"GET /echo HTTP/1.1\r\n" + host};
  for (int i = 0; i < 100; ++i) lines.push_back("X: " + Bytes(200, 'x') + "\r\n");
  EXPECT_EQ(status(std::move(lines)), "431");
  const Bytes post = "POST /echo HTTP/1.1\r\nConnection: close\r\n" + host;
  EXPECT_EQ(status({post + "Content-Length: 101\r\n\r\n"}), "413");
  EXPECT_EQ(status({post + "Content-Length: 18446744073709551615\r\n\r\n"}), "413");
  EXPECT_EQ(status({post + "Content-Length: 100\r\n\r\n" + Bytes(100, 'b')}), "200");
  const Bytes chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(status({chunked, "40\r\n" + Bytes(64, 'c') + "\r\n40\r\n" + Bytes(64, 'c') + "\r\n0\r\n\r\n"}), "413");
  EXPECT_EQ(status({chunked, "FFFFFFFFFFFFFFFF\r\n"}), "413");
  EXPECT_EQ(status({chunked, "1;" + Bytes(20'000, 'e')}), "400");
}

TEST_F(HttpTest, LargeBodiesAreForOneFolderOfPathsAndBoundedInNumber) {
  options.limits.body_bytes_max = 100;
  options.limits.large_target = "/echo";
  options.limits.large_body_bytes_max = 1000;
  options.large_bodies_max = 1;
  start();
  auto status = [&](std::vector<Bytes> pieces) { return raw(std::move(pieces), 1ms).substr(9, 3); };
  const auto post = [&](const std::string& path, size_t bytes) {
    return "POST " + path + " HTTP/1.1\r\nConnection: close\r\n" + host +
           fmt::format("Content-Length: {}\r\n\r\n", bytes);
  };
  EXPECT_EQ(status({post("/echo", 1000), Bytes(1000, 'b')}), "200");
  EXPECT_EQ(status({post("/echo", 1001)}), "413");
  EXPECT_EQ(status({post("/elsewhere?/echo", 101)}), "413");
  EXPECT_EQ(status({post("/echo", 1000), Bytes(1000, 'b')}), "200") << "one that was refused counts no more";
  // One that waits for its body takes the only place.
  bool sent = false;
  client.spawn([](HttpTest& test, Bytes begin, bool& done) -> Task<void> {
    auto stream = co_await connect(test.client.network(), test.node.address(80));
    EXPECT_TRUE(stream && co_await write(**stream, std::move(begin)));
    done = true;
    co_await sleep_for(2s);
  }(*this, post("/echo", 1000), sent));
  EXPECT_TRUE(simulation.run_until([&] { return sent; }, 10s));
  simulation.run_for(100ms);
  EXPECT_EQ(status({post("/echo", 1000), Bytes(1000, 'b')}), "503");
  simulation.run_for(5s);
  EXPECT_EQ(status({post("/echo", 1000), Bytes(1000, 'b')}), "200");
}

TEST_F(HttpTest, SlowSendersGet408AndAreClosed) {
  start();
  std::vector<Bytes> slow = {"GET /echo HTTP/1.1\r\n"};
  for (int i = 0; i < 30; ++i) slow.push_back("X: y\r\n");
  EXPECT_THAT(raw(std::move(slow), 1s), StartsWith("HTTP/1.1 408 "));
  EXPECT_THAT(raw("POST /echo HTTP/1.1\r\nContent-Length: 10\r\n" + host + "\r\nabc"), StartsWith("HTTP/1.1 408 "));
  // Whoever says nothing hears nothing.
  EXPECT_EQ(raw(std::vector<Bytes>()), "");
  EXPECT_EQ(server().connection_count(), 0u);
}

TEST_F(HttpTest, SlowReadersAreClosed) {
  start();
  auto reader = [](HttpTest& self) -> Task<void> {
    auto stream = (co_await connect(self.client.network(), self.node.address(80))).value();
    (void)co_await write(*stream, Bytes("GET /large HTTP/1.1\r\n" + host + "\r\n"));
    co_await sleep_for(1h);
  };
  client.spawn(reader(*this));
  simulation.run_for(10s);
  EXPECT_EQ(server().connection_count(), 1u);
  simulation.run_for(31s);
  EXPECT_EQ(server().connection_count(), 0u);
  auto large = call({.target = "/large"});
  ASSERT_TRUE(large);
  EXPECT_EQ(large->body.size(), 3'000'000u);
}

TEST_F(HttpTest, HandlersHaveALimitOfTime) {
  options.handler_limit = 2s;
  start();
  EXPECT_EQ(call({.target = "/slow?ms=1000"})->status, 200);
  EXPECT_EQ(call({.target = "/slow?ms=3000"})->status, 503);
  EXPECT_EQ(call({.target = "/slower?ms=100000", .limit = 110s})->status, 200);
}

TEST_F(HttpTest, ANewConnectionTakesThePlaceOfTheOneIdleForLongest) {
  options.connections_max = 3;
  start();
  Wire idle[5];
  for (int i = 0; i < 5; ++i) {
    client.spawn(send_pieces({"GET /echo HTTP/1.1\r\n" + host + "\r\n"}, 0ns, idle[i]));
    simulation.run_for(1s);
  }
  EXPECT_EQ(server().connection_count(), 3u);
  EXPECT_EQ(server().counters().evicted_total, 2u);
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(idle[i].received, HasSubstr("200 OK"));
    EXPECT_EQ(idle[i].ended, i < 2) << i;
  }
  EXPECT_EQ(call({.target = "/echo"})->status, 200);
  simulation.run_for(120s);
}

TEST_F(HttpTest, ANewConnectionWaitsWhereAllAreBusy) {
  options.connections_max = 2;
  start();
  Wire busy[2];
  for (Wire& wire : busy) client.spawn(send_pieces({"GET /slow?ms=5000 HTTP/1.1\r\n" + host + "\r\n"}, 0ns, wire));
  simulation.run_for(1s);
  EXPECT_EQ(slow_handlers, 2);
  const Instant begun = simulation.now();
  EXPECT_EQ(call({.target = "/echo", .limit = 20s})->status, 200);
  EXPECT_GT(simulation.now() - begun, 3s);
  simulation.run_for(120s);
  for (Wire& wire : busy) EXPECT_THAT(wire.received, HasSubstr("200 OK"));
}

TEST_F(HttpTest, StopLetsRequestsUnderWayEnd) {
  start();
  Wire quick, slow_one, idle;
  client.spawn(send_pieces({"GET /slow?ms=300 HTTP/1.1\r\n" + host + "\r\n"}, 0ns, quick));
  client.spawn(send_pieces({"GET /slow?ms=9000 HTTP/1.1\r\n" + host + "\r\n"}, 0ns, slow_one));
  client.spawn(send_pieces({}, 0ns, idle));
  simulation.run_for(100ms);
  node.stop();
  ASSERT_TRUE(simulation.run_until([&] { return !node.running(); }, 1s));
  simulation.run_for(1s);
  EXPECT_THAT(quick.received, HasSubstr("200 OK"));
  EXPECT_THAT(quick.received, HasSubstr("Connection: close"));
  EXPECT_EQ(slow_one.received, "");
  EXPECT_TRUE(quick.ended && slow_one.ended && idle.ended);
}

TEST_F(HttpTest, CrashesAtAnyMomentLeaveNothingBehind) {
  start();
  std::vector<Wire> wires(20);
  for (int round = 0; round < 20; ++round) {
    client.spawn(send_pieces({"GET /slow?ms=10 HTTP/1.1\r\n" + host + "\r\n"}, 0ns, wires[static_cast<size_t>(round)]));
    simulation.run_for(Duration(simulation.random().below(20'000'000)));
    node.crash(sim::Crash::kill);
    node.start();
  }
  simulation.run_for(1s);
  EXPECT_EQ(call({.target = "/echo"})->status, 200);
}

TEST_F(HttpTest, ReportsItsMetrics) {
  start();
  (void)call({.target = "/echo"});
  (void)call({.target = "/nothing"});
  MetricsPage page;
  server().report(page);
  EXPECT_THAT(page.text(), HasSubstr("asterism_http_responses_total{class=\"2xx\"} 1\n"));
  EXPECT_THAT(page.text(), HasSubstr("asterism_http_responses_total{class=\"4xx\"} 1\n"));
  EXPECT_THAT(page.text(), HasSubstr("asterism_http_request_seconds_count 2\n"));
}

TEST_F(HttpTest, ClientErrors) {
  start();
  auto code = [&](HttpCall request) { return call(std::move(request)).error().code; };
  EXPECT_EQ(code({.target = "/slow?ms=3000", .limit = 1s}), ErrorCode::timeout);
  EXPECT_EQ(code({.target = "/large", .response_bytes_max = 1'000'000}), ErrorCode::too_large);
  EXPECT_EQ(call({.target = "/slow?ms=100", .limit = 1s})->body, "{}");
  node.crash(sim::Crash::kill);
  EXPECT_EQ(code({.target = "/echo"}), ErrorCode::unavailable);
}

Bytes upgrade(std::string_view more = {}) {
  return fmt::format(
      "GET /repeat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{}\r\n",
      more);
}

/// What came behind the answer to the handshake.
std::vector<std::string> messages_in(const Bytes& received, uint16_t& close_code) {
  const size_t end = received.find("\r\n\r\n");
  EXPECT_THAT(received, StartsWith("HTTP/1.1 101 "));
  Bytes frames = received.substr(std::min(end + 4, received.size()));
  WebSocketDecoder decoder(WebSocketSide::client, 1 << 20);
  std::vector<std::string> messages;
  while (true) {
    auto message = decoder.next(frames);
    if (!message || !*message) break;
    if ((*message)->kind != WebSocketKind::close) messages.push_back((*message)->payload);
  }
  close_code = decoder.close_code();
  return messages;
}

constexpr uint32_t mask = 0x01020304;

TEST_F(HttpTest, WebSocketsTalkUntilTheyAreClosed) {
  start();
  uint16_t code = 0;
  Bytes cut = encode_websocket(WebSocketKind::text, "second", mask);
  const Bytes rest = cut.substr(3);
  cut.resize(3);
  // The first frames come with the handshake, the next in pieces.
  const Bytes received = raw({upgrade() + encode_websocket(WebSocketKind::text, "first", mask) +
                                  encode_websocket(WebSocketKind::ping, "there?", mask) + cut,
                              rest, encode_websocket_close(1000, "bye", mask)},
                             100ms);
  EXPECT_EQ(messages_in(received, code), (std::vector<std::string>{"first", "first", "there?", "second", "second"}));
  EXPECT_EQ(code, 1000);
  EXPECT_EQ(ended_sockets, 1);
  EXPECT_EQ(server().counters().websockets_open, 0u);
}

TEST_F(HttpTest, BadFramesEndAWebSocketWithTheirCode) {
  options.websocket.message_bytes_max = 100;
  start();
  uint16_t code = 0;
  messages_in(raw({upgrade() + encode_websocket(WebSocketKind::text, "not masked")}), code);
  EXPECT_EQ(code, 1002);
  messages_in(raw({upgrade() + encode_websocket(WebSocketKind::text, Bytes(101, 'x'), mask)}), code);
  EXPECT_EQ(code, 1009);
  messages_in(raw({upgrade() + encode_websocket(WebSocketKind::text, "\xff", mask)}), code);
  EXPECT_EQ(code, 1007);
  EXPECT_EQ(call({.target = "/echo"})->status, 200);
}

TEST_F(HttpTest, WebSocketsAreForPagesOfThisServerAndBoundedInNumber) {
  options.websockets_max = 1;
  start();
  EXPECT_THAT(raw(upgrade("Origin: http://evil.example\r\n")), StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(raw("GET /repeat HTTP/1.1\r\nHost: localhost\r\n\r\n"), StartsWith("HTTP/1.1 426 "));
  EXPECT_THAT(raw({upgrade("Origin: http://localhost\r\n")}, 0ns, 1s, false), StartsWith("HTTP/1.1 101 "));
  EXPECT_EQ(server().counters().websockets_open, 1u);
  EXPECT_THAT(raw(upgrade()), StartsWith("HTTP/1.1 503 "));
}

TEST_F(HttpTest, AReaderThatStopsEndsItsWebSocketAndCostsOneMessage) {
  options.websocket.message_bytes_max = 1 << 20;
  options.websocket.write_limit = 5s;
  start();
  std::unique_ptr<Stream> stream;
  auto task = [](HttpTest& self, std::unique_ptr<Stream>& kept) -> Task<void> {
    kept = (co_await connect(self.client.network(), self.node.address(80))).value();
    Bytes all = upgrade();
    for (int i = 0; i < 20; ++i) all += encode_websocket(WebSocketKind::text, Bytes(900'000, 'x'), mask);
    co_await write(*kept, std::move(all));
  };
  client.spawn(task(*this, stream));
  EXPECT_TRUE(simulation.run_until([&] { return ended_sockets == 1; }, 60s));
  EXPECT_TRUE(simulation.run_until([&] { return server().connection_count() == 0; }, 1s));
}

TEST_F(HttpTest, StoppingEndsWebSockets) {
  start();
  EXPECT_THAT(raw({upgrade()}, 0ns, 1s, false), StartsWith("HTTP/1.1 101 "));
  bool stopped = false;
  auto task = [](HttpServer& of, bool& done) -> Task<void> {
    co_await of.stop();
    done = true;
  };
  node.spawn(task(server(), stopped));
  EXPECT_TRUE(simulation.run_until([&] { return stopped; }, 100ms));
  EXPECT_EQ(ended_sockets, 1);
}

TEST(HttpResponseDecoder, Rfc9112_6_3_BodiesWithoutALengthEndWithTheStream) {
  HttpResponseDecoder decoder;
  Bytes in = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\n\r\nsome";
  ASSERT_TRUE(decoder.feed(in));
  in += " more";
  ASSERT_TRUE(decoder.feed(in));
  EXPECT_FALSE(decoder.done());
  ASSERT_TRUE(decoder.end());
  const HttpResponse response = decoder.take();
  EXPECT_EQ(response.body, "some more");
  EXPECT_EQ(*response.header("x"), "y");
}

TEST(HttpResponseDecoder, CutOffAndMalformedAnswers) {
  HttpResponseDecoder cut;
  EXPECT_EQ(cut.end().error().code, ErrorCode::closed);
  Bytes in = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc";
  ASSERT_TRUE(cut.feed(in));
  EXPECT_EQ(cut.end().error().code, ErrorCode::closed);
  HttpResponseDecoder bad;
  in = "SSH-2.0-OpenSSH\r\n";
  EXPECT_EQ(bad.feed(in).error().code, ErrorCode::corrupt);
}

TEST(HttpMessage, Rfc9110_5_6_7_Dates) {
  const Bytes encoded = encode_response({200, {}, ""}, false, true, WallTime{784'111'777'000'000});
  EXPECT_THAT(encoded, HasSubstr("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
}

TEST(HttpMessage, TargetsInAbsoluteForm) {
  HttpRequestDecoder decoder;
  Bytes in = "GET http://example.org?x=1 HTTP/1.1\r\nHost: example.org\r\n\r\n";
  ASSERT_TRUE(decoder.feed(in));
  ASSERT_TRUE(decoder.done());
  const HttpRequest request = decoder.take();
  EXPECT_EQ(request.path, "/");
  EXPECT_EQ(*request.parameter("x"), "1");
}

}  // namespace
}  // namespace asterism
