#include "gateway/websocket_connection.h"

#include "runtime/io.h"
#include "runtime/timeout.h"

namespace asterism {

constexpr size_t read_size = 16 << 10;

WebSocketConnection::WebSocketConnection(Stream& stream, Bytes received, WebSocketOptions options)
    : stream_(stream),
      in_(std::move(received)),
      options_(options),
      decoder_(WebSocketSide::server, options.message_bytes_max) {}

/// A stream takes one write at a time.
Task<Status> WebSocketConnection::write_alone(Bytes frame) {
  auto permit = co_await writing_.acquire();
  co_return co_await write(stream_, std::move(frame));
}

Task<Status> WebSocketConnection::write_frame(Bytes frame) {
  Status status = co_await with_timeout(options_.write_limit, write_alone(std::move(frame)));
  // Part of the frame may have been sent.
  if (!status) stream_.close();
  co_return status;
}

Task<Status> WebSocketConnection::send(Bytes text) {
  co_return co_await write_frame(encode_websocket(WebSocketKind::text, text));
}

Task<Result<WebSocketMessage>> WebSocketConnection::receive() {
  while (true) {
    auto message = decoder_.next(in_);
    if (!message) {
      (void)co_await write_frame(encode_websocket_close(decoder_.close_code(), message.error().message));
      co_return fail(std::move(message.error()));
    }
    if (!*message) {
      CO_TRY(Bytes bytes, co_await read(stream_, read_size));
      if (bytes.empty()) co_return fail(ErrorCode::closed, "the client went away");
      in_ += bytes;
      continue;
    }
    switch ((*message)->kind) {
      case WebSocketKind::ping:
        CO_TRY_STATUS(co_await write_frame(encode_websocket(WebSocketKind::pong, (*message)->payload)));
        break;
      case WebSocketKind::pong:
        break;
      case WebSocketKind::close:
        (void)co_await write_frame(encode_websocket_close(websocket_close::normal, ""));
        co_return fail(ErrorCode::closed, "the client closed the WebSocket");
      default:
        co_return std::move(**message);
    }
  }
}

}  // namespace asterism
