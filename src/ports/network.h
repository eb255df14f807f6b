// Port: listeners and byte streams.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "ports/callback.h"

namespace asterism {

/// Where a listener listens or a stream leads: a literal IPv4 or IPv6 address and a port.
struct Address {
  std::string host;
  uint16_t port = 0;

  auto operator<=>(const Address&) const = default;
  /// "127.0.0.1:9042", "[::1]:9042".
  std::string to_string() const;
};

/// A reliable, ordered stream of bytes between two ends, as TCP gives it. All calls come from the core that owns it.
/// At most one read and one write may be under way. Destroying the stream closes it and drops pending callbacks.
class Stream {
 public:
  virtual ~Stream() = default;
  /// Completes with 1 to `max_bytes` bytes as soon as any are there, or with none at the end of the stream.
  /// Errors: closed, io. Unread bytes push back on the sender.
  virtual void read(size_t max_bytes, Callback<Bytes> done) = 0;
  /// Sends all pieces in order as one write and completes when the transport has taken every byte, which says nothing
  /// about the peer. Owns the pieces meanwhile. Errors: closed, io; part of the bytes may have been sent.
  virtual void write(std::vector<Bytes> pieces, Callback<void> done) = 0;
  /// Sends at once what the transport takes right now, a prefix of `bytes`, and says how much: 0 where it takes
  /// nothing, for which write() waits. Not allowed while a write is under way. Errors: closed, io.
  virtual Result<size_t> try_write(BytesView bytes) = 0;
  /// Ends both directions now; pending operations complete with `closed`. May be called again.
  virtual void close() = 0;
  virtual Address local_address() const = 0;
  virtual Address remote_address() const = 0;
};

/// Takes connections. Destroying it stops listening and drops a pending callback; accepted streams live on.
class Listener {
 public:
  virtual ~Listener() = default;
  /// One call may be under way. Errors: closed, io, and overloaded where the process has no descriptor left: the
  /// listener still works and the caller should wait before it accepts again.
  virtual void accept(Callback<std::unique_ptr<Stream>> done) = 0;
  /// With the real port where 0 was asked for.
  virtual Address local_address() const = 0;
};

/// The network as one core of a node sees it.
class Network {
 public:
  virtual ~Network() = default;
  /// Errors: already_exists where the port is in use; io.
  virtual Result<std::unique_ptr<Listener>> listen(const Address& address) = 0;
  /// Errors: unavailable where nobody answers; io. There is no limit in time: use a deadline. Destroying the Network
  /// drops pending callbacks.
  virtual void connect(const Address& address, Callback<std::unique_ptr<Stream>> done) = 0;
};

}  // namespace asterism
