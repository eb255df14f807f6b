#include "gateway/websocket.h"

#include <openssl/evp.h>

#include <algorithm>

#include "base/assert.h"
#include "gateway/base64.h"

namespace asterism {
namespace {

constexpr uint8_t continuation = 0;
constexpr size_t control_payload_max = 125;  // RFC 6455 5.5

void apply_mask(Bytes& payload, const char* mask, size_t begin = 0) {
  for (size_t i = begin; i < payload.size(); ++i) payload[i] = static_cast<char>(payload[i] ^ mask[(i - begin) % 4]);
}

/// 16 bytes in base64 (RFC 6455 4.1).
bool is_key(std::string_view key) {
  const auto digit = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  };
  return key.size() == 24 && key.ends_with("==") && std::ranges::all_of(key.substr(0, 22), digit);
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Whether the header's comma-separated list has the token, whatever the case.
bool lists(const std::string* header, std::string_view token) {
  std::string_view rest = header ? std::string_view(*header) : std::string_view();
  while (!rest.empty()) {
    std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(item.size() + 1, rest.size()));
    item.remove_prefix(std::min(item.find_first_not_of(" \t"), item.size()));
    item = item.substr(0, item.find_last_not_of(" \t") + 1);
    if (std::ranges::equal(item, token, {}, lower, lower)) return true;
  }
  return false;
}

/// Codes that may be on the wire (RFC 6455 7.4).
bool is_close_code(uint16_t code) {
  return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
         (code >= 3000 && code <= 4999);
}

}  // namespace

bool is_utf8(BytesView bytes) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  for (size_t i = 0; i < bytes.size();) {
    const uint8_t first = at(i);
    if (first < 0x80) {
      ++i;
      continue;
    }
    const size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4 || bytes.size() - i <= more) return false;
    // The second byte excludes overlong forms, surrogates and what is too high.
    const uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (at(i + 1) < low || at(i + 1) > high) return false;
    for (size_t k = 2; k <= more; ++k)
      if ((at(i + k) & 0xc0) != 0x80) return false;
    i += more + 1;
  }
  return true;
}

std::unexpected<Error> WebSocketDecoder::refuse(uint16_t code, const char* why) {
  close_code_ = code;
  return fail(code == websocket_close::too_large ? ErrorCode::too_large : ErrorCode::corrupt, "{}", why);
}

/// RFC 6455 5.2.
Result<std::optional<WebSocketDecoder::Frame>> WebSocketDecoder::next_frame(Bytes& in) {
  using websocket_close::protocol_error;
  ByteReader reader(in);
  const uint8_t first = reader.u8(), second = reader.u8();
  if (reader.failed()) return std::nullopt;
  Frame frame{.final = (first & 0x80) != 0, .opcode = static_cast<uint8_t>(first & 0x0f), .payload = {}};
  if ((first & 0x70) != 0) return refuse(protocol_error, "a reserved bit is set");
  const bool control = (frame.opcode & 0x8) != 0;
  if ((frame.opcode > 2 && !control) || frame.opcode > 10) return refuse(protocol_error, "an unknown opcode");
  const bool masked = (second & 0x80) != 0;
  if (masked != (side_ == WebSocketSide::server))
    return refuse(protocol_error, masked ? "a server's frame is masked" : "a client's frame is not masked");
  uint64_t size = second & 0x7f;
  if (control && (!frame.final || size > control_payload_max))
    return refuse(protocol_error, "a control frame is fragmented or too long");
  const uint64_t form = size;
  if (form == 126) size = reader.u16_be();
  if (form == 127) size = reader.u64_be();
  if (reader.failed()) return std::nullopt;
  if ((form == 126 && size < 126) || (form == 127 && (size <= UINT16_MAX || size >> 63 != 0)))
    return refuse(protocol_error, "a length is not in its shortest form");
  if (size > bytes_max_ - (control ? 0 : message_.payload.size()) && !(control && size <= control_payload_max))
    return refuse(websocket_close::too_large, "the message is too long");
  const BytesView mask = masked ? reader.raw(4) : BytesView();
  const BytesView payload = reader.raw(size);
  if (reader.failed()) return std::nullopt;
  frame.payload = payload;
  if (masked) apply_mask(frame.payload, mask.data());
  in.erase(0, in.size() - reader.remaining());
  return frame;
}

Result<std::optional<WebSocketMessage>> WebSocketDecoder::take_close(Bytes payload) {
  WebSocketMessage message{.kind = WebSocketKind::close, .payload = {}, .close_code = websocket_close::no_code};
  if (payload.size() == 1) return refuse(websocket_close::protocol_error, "a close code of one byte");
  if (!payload.empty()) {
    message.close_code = load_big_endian<uint16_t>(payload.data());
    if (!is_close_code(message.close_code)) return refuse(websocket_close::protocol_error, "no close code");
    message.payload = payload.substr(2);
    if (!is_utf8(message.payload)) return refuse(websocket_close::bad_text, "the reason is not UTF-8");
  }
  close_code_ = message.close_code;
  return message;
}

Result<std::optional<WebSocketMessage>> WebSocketDecoder::take(Frame frame) {
  if (frame.opcode == static_cast<uint8_t>(WebSocketKind::close)) return take_close(std::move(frame.payload));
  if (frame.opcode >= 8) return WebSocketMessage{static_cast<WebSocketKind>(frame.opcode), std::move(frame.payload), 0};
  // RFC 6455 5.4.
  if ((frame.opcode == continuation) != in_message_)
    return refuse(websocket_close::protocol_error, "a fragment is out of place");
  if (frame.opcode != continuation)
    message_ = {static_cast<WebSocketKind>(frame.opcode), std::move(frame.payload), 0};
  else
    message_.payload += frame.payload;
  in_message_ = !frame.final;
  if (in_message_) return std::nullopt;
  WebSocketMessage whole = std::exchange(message_, {});
  if (whole.kind == WebSocketKind::text && !is_utf8(whole.payload))
    return refuse(websocket_close::bad_text, "the text is not UTF-8");
  return whole;
}

Result<std::optional<WebSocketMessage>> WebSocketDecoder::next(Bytes& in) {
  if (close_code_ != 0) return fail(ErrorCode::closed, "the connection is over");
  while (true) {
    TRY(auto frame, next_frame(in));
    if (!frame) return std::nullopt;
    TRY(auto message, take(std::move(*frame)));
    if (message) return message;
  }
}

Bytes encode_websocket(WebSocketKind kind, BytesView payload, std::optional<uint32_t> mask) {
  Bytes out;
  ByteWriter writer(out);
  writer.u8(static_cast<uint8_t>(0x80 | static_cast<uint8_t>(kind)));
  const uint8_t masked = mask ? 0x80 : 0;
  if (payload.size() < 126) {
    writer.u8(static_cast<uint8_t>(masked | payload.size()));
  } else if (payload.size() <= UINT16_MAX) {
    writer.u8(masked | 126);
    writer.u16_be(static_cast<uint16_t>(payload.size()));
  } else {
    writer.u8(masked | 127);
    writer.u64_be(payload.size());
  }
  if (mask) writer.u32_be(*mask);
  const size_t begin = out.size();
  out += payload;
  if (mask) {
    Bytes key;
    ByteWriter(key).u32_be(*mask);
    apply_mask(out, key.data(), begin);
  }
  return out;
}

Bytes encode_websocket_close(uint16_t code, std::string_view reason, std::optional<uint32_t> mask) {
  Bytes payload;
  ByteWriter(payload).u16_be(code);
  reason = reason.substr(0, control_payload_max - 2);
  while (!is_utf8(reason)) reason.remove_suffix(1);
  payload += reason;
  return encode_websocket(WebSocketKind::close, payload, mask);
}

std::string websocket_accept_key(std::string_view key) {
  // RFC 6455 1.3.
  const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  Bytes digest(20, '\0');
  const int done = EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char*>(digest.data()), nullptr,
                              EVP_sha1(), nullptr);
  ASSERT(done == 1);
  return to_base64(digest);
}

HttpResponse accept_websocket(const HttpRequest& request) {
  if (!lists(request.header("Upgrade"), "websocket") || !lists(request.header("Connection"), "upgrade")) {
    HttpResponse response = HttpResponse::text(426, "this path serves WebSocket connections\n");
    response.headers.emplace_back("Upgrade", "websocket");
    return response;
  }
  const std::string* version = request.header("Sec-WebSocket-Version");
  if (!version || *version != "13") {
    HttpResponse response = HttpResponse::text(426, "version 13 of the protocol is spoken here\n");
    response.headers.emplace_back("Sec-WebSocket-Version", "13");
    return response;
  }
  const std::string* key = request.header("Sec-WebSocket-Key");
  if (request.method != HttpMethod::get || !key || !is_key(*key))
    return HttpResponse::text(400, "this is no handshake of a WebSocket\n");
  return {101, {{"Upgrade", "websocket"}, {"Sec-WebSocket-Accept", websocket_accept_key(*key)}}, {}};
}

}  // namespace asterism
