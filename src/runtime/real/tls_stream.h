// One TLS connection over a stream, within runtime/real.
#pragma once

#include <openssl/ssl.h>

#include <memory>

#include "ports/network.h"
#include "runtime/executor.h"

namespace asterism {

struct SslDeleter {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslPtr = std::unique_ptr<SSL, SslDeleter>;
using SslContext = std::unique_ptr<SSL_CTX, SslDeleter>;

/// OpenSSL sees two buffers in memory; this moves bytes between them and the stream below. Every step completes at most
/// one operation of the owner, last, because that may destroy the stream.
class TlsStream final : public Stream {
 public:
  TlsStream(std::unique_ptr<Stream> inner, SslPtr ssl, Executor& executor, bool server);

  /// Makes the handshake; reading and writing do so by themselves. Errors: unauthorized, closed, io.
  void handshake(Callback<void> done);

  void read(size_t max_bytes, Callback<Bytes> done) override;
  void write(std::vector<Bytes> pieces, Callback<void> done) override;
  Result<size_t> try_write(BytesView bytes) override;
  void close() override;
  Address local_address() const override { return inner_->local_address(); }
  Address remote_address() const override { return inner_->remote_address(); }

 private:
  void again();
  void step();
  void complete(Status outcome);
  Status encrypt();
  std::optional<Result<Bytes>> decrypt();
  Result<size_t> encrypt_some(BytesView bytes);
  std::optional<Error> error_of(int returned);
  void take_output();
  void flush();
  void fill();

  std::unique_ptr<Stream> inner_;
  SslPtr ssl_;
  BIO* in_;   // what arrived; belong to ssl_
  BIO* out_;  // what is to be sent
  Executor& executor_;

  bool closed_ = false, ended_ = false;
  bool filling_ = false, flushing_ = false;  // the inner stream reads, writes
  std::optional<Error> failure_;
  Bytes sending_;  // taken from out_, not given to the inner stream yet

  Callback<void> handshake_done_;
  Callback<Bytes> read_done_;
  size_t read_max_ = 0;
  Callback<void> write_done_;
  std::vector<Bytes> pieces_;
  size_t piece_ = 0, offset_ = 0;

  struct Step final : Ready {
    explicit Step(TlsStream& of) : stream(of) {}
    void run() override { stream.step(); }
    TlsStream& stream;
  } step_{*this};
};

}  // namespace asterism
