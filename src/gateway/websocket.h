// WebSocket frames (RFC 6455) and the handshake that leads to them, without any input or output. No extensions.
#pragma once

#include <optional>

#include "gateway/http_message.h"

namespace asterism {

enum class WebSocketKind : uint8_t { text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

/// RFC 6455 7.4.1.
namespace websocket_close {
inline constexpr uint16_t normal = 1000;
inline constexpr uint16_t going_away = 1001;
inline constexpr uint16_t protocol_error = 1002;
inline constexpr uint16_t no_code = 1005;  // never on the wire: the peer's close carried none
inline constexpr uint16_t bad_text = 1007;
inline constexpr uint16_t too_large = 1009;
}  // namespace websocket_close

/// A whole message: fragments are joined. `close_code` is set for close alone, whose payload is then its reason.
struct WebSocketMessage {
  WebSocketKind kind = WebSocketKind::text;
  Bytes payload;
  uint16_t close_code = 0;
};

enum class WebSocketSide : uint8_t { client, server };

/// Decodes what the other side sends. Clients must mask their frames and servers must not; text and reasons must be
/// UTF-8; lengths must be as short as they can be. Nothing is allocated for bytes that have not arrived.
class WebSocketDecoder {
 public:
  /// `side`: who receives. `message_bytes_max` is for one frame and for all fragments of a message together.
  explicit WebSocketDecoder(WebSocketSide side, size_t message_bytes_max)
      : side_(side), bytes_max_(message_bytes_max) {}

  /// Takes whole frames from the front of `in` up to the end of one message; none where that takes more bytes. Control
  /// messages may come between the fragments of another. After an error (corrupt, too_large), or a close, the rest of
  /// the connection means nothing; close_code() says why.
  Result<std::optional<WebSocketMessage>> next(Bytes& in);
  uint16_t close_code() const { return close_code_; }

 private:
  struct Frame {
    bool final = false;
    uint8_t opcode = 0;
    Bytes payload;
  };
  Result<std::optional<Frame>> next_frame(Bytes& in);
  Result<std::optional<WebSocketMessage>> take(Frame frame);
  Result<std::optional<WebSocketMessage>> take_close(Bytes payload);
  std::unexpected<Error> refuse(uint16_t code, const char* why);

  WebSocketSide side_;
  size_t bytes_max_;
  bool in_message_ = false;
  WebSocketMessage message_;  // its fragments so far
  uint16_t close_code_ = 0;
};

/// One frame that is a whole message. With `mask`, as clients must have it: four bytes that nobody can foresee.
Bytes encode_websocket(WebSocketKind kind, BytesView payload, std::optional<uint32_t> mask = {});
/// A close frame; `reason` is cut to the 123 bytes that it may have.
Bytes encode_websocket_close(uint16_t code, std::string_view reason, std::optional<uint32_t> mask = {});

/// The answer to a client's opening handshake (RFC 6455 4.2): 101, or what to refuse it with (400, 426).
HttpResponse accept_websocket(const HttpRequest& request);
/// Sec-WebSocket-Accept for a Sec-WebSocket-Key.
std::string websocket_accept_key(std::string_view key);

/// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(BytesView bytes);

}  // namespace asterism
