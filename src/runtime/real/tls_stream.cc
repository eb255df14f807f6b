#include "runtime/real/tls_stream.h"

#include <openssl/err.h>

#include <algorithm>
#include <array>

#include "base/assert.h"

namespace asterism {
namespace {

constexpr size_t fill_bytes = 64 << 10;    // of one read below
constexpr size_t record_bytes = 16 << 10;  // of one TLS record at most
constexpr size_t sending_max = 256 << 10;  // encrypted, and not taken by the stream below

constexpr size_t joined_max = 64 << 10;

}  // namespace

TlsStream::TlsStream(std::unique_ptr<Stream> inner, SslPtr ssl, Executor& executor, bool server)
    : inner_(std::move(inner)),
      ssl_(std::move(ssl)),
      in_(BIO_new(BIO_s_mem())),
      out_(BIO_new(BIO_s_mem())),
      executor_(executor) {
  ASSERT(ssl_ != nullptr && in_ != nullptr && out_ != nullptr);
  // An empty buffer says "later", not "end".
  BIO_set_mem_eof_return(in_, -1);
  BIO_set_mem_eof_return(out_, -1);
  SSL_set_bio(ssl_.get(), in_, out_);
  if (server) {
    SSL_set_accept_state(ssl_.get());
  } else {
    SSL_set_connect_state(ssl_.get());
  }
}

void TlsStream::again() {
  if (!step_.queued()) executor_.post(step_);
}

void TlsStream::handshake(Callback<void> done) {
  ASSERT(!handshake_done_);
  handshake_done_ = std::move(done);
  again();
}

void TlsStream::read(size_t max_bytes, Callback<Bytes> done) {
  ASSERT(!read_done_ && max_bytes > 0);
  read_done_ = std::move(done);
  read_max_ = max_bytes;
  again();
}

void TlsStream::write(std::vector<Bytes> pieces, Callback<void> done) {
  ASSERT(!write_done_);
  write_done_ = std::move(done);
  size_t total = 0;
  for (const Bytes& piece : pieces) total += piece.size();
  // Each piece is a record at least, and a record costs more than copying a small piece.
  if (pieces.size() > 1 && total <= joined_max) {
    Bytes joined;
    joined.reserve(total);
    for (const Bytes& piece : pieces) joined += piece;
    pieces.clear();
    pieces.push_back(std::move(joined));
  }
  pieces_ = std::move(pieces);
  piece_ = offset_ = 0;
  again();
}

Result<size_t> TlsStream::try_write(BytesView bytes) {
  ASSERT(!write_done_);
  if (closed_) return fail(ErrorCode::closed, "write: closed");
  if (failure_) return fail(*failure_);
  if (flushing_ || !sending_.empty() || bytes.empty()) return 0;
  TRY(const size_t taken, encrypt_some(bytes));
  flush();
  if (failure_) return fail(*failure_);
  return taken;
}

void TlsStream::close() {
  if (std::exchange(closed_, true)) return;
  if (!failure_ && !flushing_ && SSL_is_init_finished(ssl_.get())) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    take_output();
    (void)inner_->try_write(sending_);
  }
  inner_->close();
  if (handshake_done_ || read_done_ || write_done_) again();
}

/// None where the operation only has to wait for more bytes.
std::optional<Error> TlsStream::error_of(int returned) {
  const int code = SSL_get_error(ssl_.get(), returned);
  if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE) return std::nullopt;
  const long verified = SSL_get_verify_result(ssl_.get());
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  Error error{ErrorCode::closed, fmt::format("TLS: {}", reason ? reason : "the other end gave up")};
  if (verified != X509_V_OK)
    error = {ErrorCode::unauthorized, fmt::format("TLS: {}", X509_verify_cert_error_string(verified))};
  ERR_clear_error();
  return error;
}

/// How many bytes were encrypted; stops where the handshake is not made yet.
Result<size_t> TlsStream::encrypt_some(BytesView bytes) {
  size_t taken = 0;
  while (taken < bytes.size() && sending_.size() < sending_max) {
    ERR_clear_error();
    const size_t size = std::min(bytes.size() - taken, record_bytes);
    const int written = SSL_write(ssl_.get(), bytes.data() + taken, static_cast<int>(size));
    take_output();
    if (written > 0) {
      taken += static_cast<size_t>(written);
      continue;
    }
    failure_ = error_of(written);
    if (failure_) return fail(*failure_);
    break;
  }
  return taken;
}

Status TlsStream::encrypt() {
  while (piece_ < pieces_.size() && sending_.size() < sending_max) {
    const BytesView left = BytesView(pieces_[piece_]).substr(offset_);
    TRY(const size_t taken, encrypt_some(left));
    offset_ += taken;
    if (offset_ < pieces_[piece_].size()) return {};
    ++piece_;
    offset_ = 0;
  }
  return {};
}

std::optional<Result<Bytes>> TlsStream::decrypt() {
  Bytes out;
  std::array<char, record_bytes> buffer;
  while (out.size() < read_max_) {
    ERR_clear_error();
    const size_t room = std::min(buffer.size(), read_max_ - out.size());
    const int got = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(room));
    if (got > 0) {
      out.append(buffer.data(), static_cast<size_t>(got));
      continue;
    }
    if (!out.empty()) break;
    if (SSL_get_error(ssl_.get(), got) == SSL_ERROR_ZERO_RETURN) return Bytes();
    auto error = error_of(got);
    take_output();  // the alert that says why
    if (error) return fail(*(failure_ = std::move(error)));
    if (ended_) return Bytes();
    return std::nullopt;
  }
  return out;
}

void TlsStream::take_output() {
  const size_t size = BIO_ctrl_pending(out_);
  if (size == 0) return;
  const size_t before = sending_.size();
  sending_.resize(before + size);
  const int taken = BIO_read(out_, sending_.data() + before, static_cast<int>(size));
  ASSERT(taken == static_cast<int>(size));
}

/// Gives the inner stream what it takes now, and waits for it with the rest.
void TlsStream::flush() {
  take_output();
  if (flushing_ || sending_.empty() || closed_) return;
  auto taken = inner_->try_write(sending_);
  if (!taken) {
    if (!failure_) failure_ = taken.error();
    sending_.clear();
    return;
  }
  sending_.erase(0, *taken);
  if (sending_.empty()) return;
  flushing_ = true;
  std::vector<Bytes> pieces;
  pieces.push_back(std::exchange(sending_, {}));
  inner_->write(std::move(pieces), [this](Status status) {
    flushing_ = false;
    if (!status && !failure_) failure_ = status.error();
    step();
  });
}

void TlsStream::fill() {
  if (filling_ || ended_) return;
  filling_ = true;
  inner_->read(fill_bytes, [this](Result<Bytes> bytes) {
    filling_ = false;
    if (!bytes) {
      if (!failure_) failure_ = bytes.error();
    } else if (bytes->empty()) {
      ended_ = true;
    } else {
      const int taken = BIO_write(in_, bytes->data(), static_cast<int>(bytes->size()));
      ASSERT(taken == static_cast<int>(bytes->size()));
    }
    step();
  });
}

void TlsStream::step() {
  if (closed_ || failure_) {
    return complete(closed_ ? Status(fail(ErrorCode::closed, "TLS: closed")) : Status(fail(*failure_)));
  }
  if (handshake_done_) {
    ERR_clear_error();
    const int made = SSL_do_handshake(ssl_.get());
    flush();
    if (made != 1) failure_ = error_of(made);
    if (made != 1 && !failure_ && ended_) failure_ = Error{ErrorCode::closed, "TLS: the other end closed"};
    if (made == 1 || failure_) return complete(failure_ ? Status(fail(*failure_)) : Status());
    return fill();
  }
  const bool writes = write_done_ != nullptr;
  if (writes && !encrypt()) {
    flush();
    return complete(fail(*failure_));
  }
  flush();
  if (writes && piece_ == pieces_.size() && !flushing_ && sending_.empty()) {
    if (read_done_) again();
    pieces_.clear();
    auto done = std::exchange(write_done_, nullptr);
    return done(failure_ ? Status(fail(*failure_)) : Status());
  }
  if (read_done_) {
    auto outcome = decrypt();
    flush();
    if (outcome) {
      if (write_done_) again();
      auto done = std::exchange(read_done_, nullptr);
      return done(std::move(*outcome));
    }
    // The handshake that this made may let a write go on.
    if (write_done_ && !flushing_ && SSL_is_init_finished(ssl_.get())) again();
    return fill();
  }
  if (write_done_ && !flushing_) {
    if (SSL_is_init_finished(ssl_.get())) return again();
    return ended_ ? complete(fail(ErrorCode::closed, "TLS: the other end closed")) : fill();
  }
}

/// Ends one operation with the outcome, and others in later steps.
void TlsStream::complete(Status outcome) {
  const int waiting = (handshake_done_ ? 1 : 0) + (read_done_ ? 1 : 0) + (write_done_ ? 1 : 0);
  if (waiting > 1) again();
  if (handshake_done_) {
    auto done = std::exchange(handshake_done_, nullptr);
    return done(std::move(outcome));
  }
  if (read_done_) {
    auto done = std::exchange(read_done_, nullptr);
    return done(outcome ? Result<Bytes>(Bytes()) : Result<Bytes>(fail(std::move(outcome).error())));
  }
  if (write_done_) {
    pieces_.clear();
    auto done = std::exchange(write_done_, nullptr);
    return done(std::move(outcome));
  }
}

}  // namespace asterism
