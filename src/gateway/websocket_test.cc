// Test names carry the section of RFC 6455.
#include "gateway/websocket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace asterism {
namespace {

constexpr uint32_t mask = 0x37fa213d;  // of the examples in 5.7

Bytes hex(std::string_view text) {
  Bytes out;
  EXPECT_TRUE(from_hex(text, out));
  return out;
}

struct Decoded {
  std::vector<WebSocketMessage> messages;
  uint16_t close_code = 0;
  Bytes left;
};

Decoded decode(Bytes in, WebSocketSide side = WebSocketSide::server, size_t most = 1 << 20) {
  WebSocketDecoder decoder(side, most);
  Decoded decoded;
  while (true) {
    auto message = decoder.next(in);
    if (!message || !*message) break;
    decoded.messages.push_back(std::move(**message));
  }
  decoded.close_code = decoder.close_code();
  decoded.left = std::move(in);
  return decoded;
}

HttpRequest handshake() {
  HttpRequest request;
  request.path = "/chat";
  request.headers = {{"Host", "127.0.0.1:7070"},
                     {"Upgrade", "WebSocket"},
                     {"Connection", "keep-alive, Upgrade"},
                     {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
                     {"Sec-WebSocket-Version", "13"}};
  return request;
}

void set(HttpRequest& request, std::string_view name, std::string value) {
  for (auto& [key, old] : request.headers)
    if (key == name) old = value;
}

TEST(WebSocket, Section1_3_AcceptKey) {
  EXPECT_EQ(websocket_accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocket, Section4_2_HandshakesAreAcceptedOrRefused) {
  const HttpResponse accepted = accept_websocket(handshake());
  EXPECT_EQ(accepted.status, 101);
  EXPECT_EQ(*accepted.header("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  const Bytes wire = encode_response(accepted, false, false, WallTime{0});
  EXPECT_THAT(wire, testing::StartsWith("HTTP/1.1 101 Switching Protocols\r\n"));
  EXPECT_THAT(wire, testing::HasSubstr("\r\nConnection: Upgrade\r\n"));
  EXPECT_THAT(wire, testing::Not(testing::HasSubstr("Content-Length")));

  HttpRequest plain = handshake();
  set(plain, "Upgrade", "h2c");
  EXPECT_EQ(accept_websocket(plain).status, 426);
  HttpRequest old = handshake();
  set(old, "Sec-WebSocket-Version", "8");
  EXPECT_EQ(*accept_websocket(old).header("Sec-WebSocket-Version"), "13");
  HttpRequest short_key = handshake();
  set(short_key, "Sec-WebSocket-Key", "dGhlIHNhbXBsZQ==");
  EXPECT_EQ(accept_websocket(short_key).status, 400);
}

TEST(WebSocket, Section5_7_Examples) {
  auto hello = decode(hex("818537fa213d7f9f4d5158"));
  ASSERT_EQ(hello.messages.size(), 1u);
  EXPECT_EQ(hello.messages[0].payload, "Hello");
  EXPECT_EQ(hello.messages[0].kind, WebSocketKind::text);
  EXPECT_EQ(decode(hex("810548656c6c6f"), WebSocketSide::client).messages.at(0).payload, "Hello");
  auto fragments = decode(hex("010348656c80026c6f"), WebSocketSide::client);
  EXPECT_EQ(fragments.messages.at(0).payload, "Hello");
  EXPECT_EQ(decode(hex("890548656c6c6f"), WebSocketSide::client).messages.at(0).kind, WebSocketKind::ping);
  EXPECT_EQ(decode(hex("8a8537fa213d7f9f4d5158")).messages.at(0).kind, WebSocketKind::pong);
  EXPECT_EQ(encode_websocket(WebSocketKind::text, "Hello", mask), hex("818537fa213d7f9f4d5158"));
  EXPECT_EQ(encode_websocket(WebSocketKind::binary, Bytes(256, 'x')).substr(0, 4), hex("827e0100"));
  EXPECT_EQ(encode_websocket(WebSocketKind::binary, Bytes(65536, 'x')).substr(0, 10), hex("827f0000000000010000"));
}

TEST(WebSocket, Section5_1_MasksAreForClientsAlone) {
  EXPECT_EQ(decode(hex("810548656c6c6f")).close_code, 1002);
  EXPECT_EQ(decode(hex("818537fa213d7f9f4d5158"), WebSocketSide::client).close_code, 1002);
}

TEST(WebSocket, Section5_2_ReservedBitsOpcodesAndLengths) {
  for (const char* wrong : {"c18037fa213d", "a18037fa213d", "918037fa213d", "838037fa213d", "8b8037fa213d", "81fe007d",
                            "81ff000000000000ffff", "81ff8000000000000000"})
    EXPECT_EQ(decode(hex(wrong)).close_code, 1002) << wrong;
  for (size_t size : {0u, 1u, 125u, 126u, 65535u, 65536u}) {
    const Bytes payload(size, 'p');
    EXPECT_EQ(decode(encode_websocket(WebSocketKind::binary, payload, mask)).messages.at(0).payload, payload);
  }
}

TEST(WebSocket, Section5_4_Fragments) {
  const Bytes begin = hex("018037fa213d"), end = hex("808037fa213d"), ping = hex("898037fa213d");
  auto between = decode(begin + ping + end);
  ASSERT_EQ(between.messages.size(), 2u);
  EXPECT_EQ(between.messages[0].kind, WebSocketKind::ping);
  EXPECT_EQ(between.messages[1].kind, WebSocketKind::text);
  EXPECT_EQ(decode(end).close_code, 1002);
  EXPECT_EQ(decode(begin + begin).close_code, 1002);
}

TEST(WebSocket, Section5_5_ControlFrames) {
  EXPECT_EQ(decode(hex("098037fa213d")).close_code, 1002);
  EXPECT_EQ(decode(hex("89fe007e37fa213d")).close_code, 1002);
  const auto close = decode(encode_websocket_close(1001, "bye", mask) + "rest");
  EXPECT_EQ(close.messages.at(0).close_code, 1001);
  EXPECT_EQ(close.messages.at(0).payload, "bye");
  EXPECT_EQ(close.left, "rest");
  EXPECT_EQ(decode(encode_websocket(WebSocketKind::close, "", mask)).messages.at(0).close_code, 1005);
  for (uint16_t code : {0, 999, 1004, 1005, 1006, 1015, 2999, 5000})
    EXPECT_EQ(decode(encode_websocket_close(code, "", mask)).close_code, 1002) << code;
  EXPECT_EQ(decode(encode_websocket(WebSocketKind::close, "\x03", mask)).close_code, 1002);
  EXPECT_LE(encode_websocket_close(1000, std::string(200, 'x')).size(), 127u);
}

TEST(WebSocket, Section8_1_TextIsUtf8) {
  EXPECT_EQ(decode(encode_websocket(WebSocketKind::text, "\xce\xba\xe1\xbd\xb9\xf0\x9f\x8c\x9f", mask)).messages.size(),
            1u);
  for (const char* bad : {"\xff", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xce", "\x80"})
    EXPECT_EQ(decode(encode_websocket(WebSocketKind::text, bad, mask)).close_code, 1007);
  // A character may be cut by a fragment.
  Bytes cut = encode_websocket(WebSocketKind::text, "\xce", mask);
  cut[0] = 0x01;
  Bytes rest = encode_websocket(WebSocketKind::text, "\xba", mask);
  rest[0] = static_cast<char>(0x80);
  EXPECT_EQ(decode(cut + rest).messages.at(0).payload, "\xce\xba");
}

TEST(WebSocket, Section10_4_MessagesAreLimitedHoweverTheyArrive) {
  EXPECT_EQ(decode(hex("81ff0000000100000000"), WebSocketSide::server, 1000).close_code, 1009);
  Bytes begin = encode_websocket(WebSocketKind::text, Bytes(600, 'x'), mask);
  begin[0] = 0x01;
  Bytes end = encode_websocket(WebSocketKind::text, Bytes(600, 'x'), mask);
  end[0] = static_cast<char>(0x80);
  EXPECT_EQ(decode(begin + end, WebSocketSide::server, 1000).close_code, 1009);
  EXPECT_EQ(decode(begin + end, WebSocketSide::server, 1200).messages.size(), 1u);
  // A ping within a message that has filled the limit is still a ping.
  EXPECT_EQ(
      decode(begin + encode_websocket(WebSocketKind::ping, "12345", mask), WebSocketSide::server, 600).messages.size(),
      1u);
}

TEST(HttpMessage, PagesFromElsewhereAreNotOfTheSameOrigin) {
  HttpRequest request;
  request.headers = {{"Host", "127.0.0.1:7070"}};
  EXPECT_TRUE(is_same_origin(request));
  request.headers.emplace_back("Origin", "http://127.0.0.1:7070");
  EXPECT_TRUE(is_same_origin(request));
  for (const char* other : {"null", "http://127.0.0.1", "http://127.0.0.2:7070", "http://evil.example"}) {
    set(request, "Origin", other);
    EXPECT_FALSE(is_same_origin(request)) << other;
  }
  // A name that somebody else points to this machine.
  request.headers = {{"Host", "evil.example:7070"}, {"Origin", "http://evil.example:7070"}};
  EXPECT_FALSE(is_same_origin(request));
  for (const char* host : {"localhost:7070", "[::1]:7070", "localhost"}) {
    request.headers = {{"Host", host}, {"Origin", std::string("http://") + host}};
    EXPECT_TRUE(is_same_origin(request)) << host;
  }
}

}  // namespace
}  // namespace asterism
