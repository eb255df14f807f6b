// The first byte says how the rest arrives in pieces and who receives it. Whatever decodes must be the same however it
// arrives, and what is encoded must decode.
#include <algorithm>

#include "base/assert.h"
#include "gateway/websocket.h"

using namespace asterism;

namespace {

constexpr size_t message_bytes_max = 1024;

struct Outcome {
  std::vector<WebSocketMessage> messages;
  uint16_t close_code = 0;
};

Outcome decode(BytesView input, size_t piece, WebSocketSide side) {
  WebSocketDecoder decoder(side, message_bytes_max);
  Outcome outcome;
  Bytes in;
  while (!input.empty()) {
    const size_t size = std::min(piece, input.size());
    in += input.substr(0, size);
    input.remove_prefix(size);
    while (true) {
      auto message = decoder.next(in);
      outcome.close_code = decoder.close_code();
      if (!message) {
        ASSERT(outcome.close_code != 0);
        return outcome;
      }
      if (!*message) break;
      ASSERT((*message)->payload.size() <= message_bytes_max);
      if ((*message)->kind == WebSocketKind::text) ASSERT(is_utf8((*message)->payload));
      outcome.messages.push_back(std::move(**message));
      if (outcome.close_code != 0) return outcome;
    }
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const BytesView input(reinterpret_cast<const char*>(data + 1), size - 1);
  const WebSocketSide side = (data[0] & 1) != 0 ? WebSocketSide::server : WebSocketSide::client;
  const Outcome whole = decode(input, input.size() + 1, side);
  const Outcome pieces = decode(input, size_t{1} + (data[0] >> 1), side);
  ASSERT(whole.close_code == pieces.close_code && whole.messages.size() == pieces.messages.size());
  for (size_t i = 0; i < whole.messages.size(); ++i)
    ASSERT(whole.messages[i].kind == pieces.messages[i].kind &&
           whole.messages[i].payload == pieces.messages[i].payload);

  const std::optional<uint32_t> mask =
      side == WebSocketSide::server ? std::optional<uint32_t>(0x9e3779b9u * data[0]) : std::nullopt;
  Bytes encoded = encode_websocket(WebSocketKind::binary, input, mask);
  WebSocketDecoder again(side, input.size());
  auto message = again.next(encoded);
  ASSERT(message && *message && (*message)->payload == input && encoded.empty());
  return 0;
}
