// The server's end of an open WebSocket, on a stream.
#pragma once

#include "gateway/websocket.h"
#include "ports/network.h"
#include "runtime/channel.h"

namespace asterism {

struct WebSocketOptions {
  size_t message_bytes_max = 64 << 10;  // that the client sends
  /// What a client may take to receive one message.
  Duration write_limit = 30s;
};

/// Pings are answered and a close is returned while receive() waits. One task may wait in receive() while others send.
/// Nothing is queued: a sender waits until the transport has taken its message.
class WebSocketConnection {
 public:
  /// `received`: what the stream gave beyond the handshake. The stream outlives it.
  WebSocketConnection(Stream& stream, Bytes received, WebSocketOptions options);

  /// Errors: closed, io, timeout (the client does not read: the connection is of no more use).
  Task<Status> send(Bytes text);
  /// The next text or binary message. Errors: closed (by the client, whose close was answered), io, and what the
  /// decoder says, which the client was told.
  Task<Result<WebSocketMessage>> receive();

 private:
  Task<Status> write_frame(Bytes frame);
  Task<Status> write_alone(Bytes frame);

  Stream& stream_;
  Bytes in_;
  WebSocketOptions options_;
  WebSocketDecoder decoder_;
  Semaphore writing_{1};
};

}  // namespace asterism
