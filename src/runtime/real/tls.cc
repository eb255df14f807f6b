#include "runtime/real/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <list>

#include "base/assert.h"
#include "runtime/real/tls_stream.h"

namespace asterism {
namespace {

/// Of a connection that this side opens; whoever waits for it may have gone long before.
constexpr Duration handshake_limit = 10s;

/// The reason on top of OpenSSL's error queue, which it empties.
std::string tls_reason() {
  const unsigned long code = ERR_peek_error();
  const char* reason = ERR_reason_error_string(code);
  ERR_clear_error();
  return reason ? reason : "no reason is known";
}

std::unexpected<Error> bad_file(const char* what, const std::string& path) {
  return fail(ErrorCode::invalid_argument, "TLS: the {} {} cannot be used: {}", what, path, tls_reason());
}

Result<SslContext> make_context(const TlsOptions& options, bool server) {
  ERR_clear_error();
  SslContext context(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()));
  ASSERT(context != nullptr);
  SSL_CTX* const raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  ASSERT(SSL_CTX_set_cipher_list(raw, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1);
  // No group of finite fields: the small ones are weak, and the large ones let a stranger use up the core.
  ASSERT(SSL_CTX_set1_groups_list(raw, "X25519:P-256:P-384") == 1);
  if (!options.certificate.empty()) {
    if (SSL_CTX_use_certificate_chain_file(raw, options.certificate.c_str()) != 1)
      return bad_file("certificate", options.certificate);
    if (SSL_CTX_use_PrivateKey_file(raw, options.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(raw) != 1)
      return bad_file("key", options.key);
  }
  if (!options.authorities.empty()) {
    if (SSL_CTX_load_verify_file(raw, options.authorities.c_str()) != 1)
      return bad_file("file of authorities", options.authorities);
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(raw), X509_V_FLAG_PARTIAL_CHAIN);
    if (server) SSL_CTX_set_client_CA_list(raw, SSL_load_client_CA_file(options.authorities.c_str()));
  }
  int verify = SSL_VERIFY_NONE;
  if (server ? options.clients != TlsOptions::Clients::off : options.check_certificate) verify |= SSL_VERIFY_PEER;
  if (options.clients == TlsOptions::Clients::required) verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(raw, verify, nullptr);
  return context;
}

class TlsListener final : public Listener {
 public:
  TlsListener(std::unique_ptr<Listener> inner, SslContext context, Executor& executor)
      : inner_(std::move(inner)), context_(std::move(context)), executor_(executor) {}

  void accept(Callback<std::unique_ptr<Stream>> done) override {
    inner_->accept([this, done = std::move(done)](Result<std::unique_ptr<Stream>> stream) mutable {
      if (!stream) return done(std::move(stream));
      done(std::make_unique<TlsStream>(std::move(*stream), SslPtr(SSL_new(context_.get())), executor_, true));
    });
  }
  Address local_address() const override { return inner_->local_address(); }

 private:
  std::unique_ptr<Listener> inner_;
  SslContext context_;
  Executor& executor_;
};

class TlsNetwork final : public Network {
 public:
  TlsNetwork(Network& inner, Executor& executor, TlsOptions options, SslContext client)
      : inner_(inner), executor_(executor), options_(std::move(options)), client_(std::move(client)) {}
  ~TlsNetwork() override { *alive_ = false; }

  Result<std::unique_ptr<Listener>> listen(const Address& address) override {
    if (options_.certificate.empty())
      return fail(ErrorCode::invalid_argument, "TLS: listening on {} needs a certificate", address.to_string());
    TRY(SslContext context, make_context(options_, true));
    TRY(auto listener, inner_.listen(address));
    return std::make_unique<TlsListener>(std::move(listener), std::move(context), executor_);
  }

  void connect(const Address& address, Callback<std::unique_ptr<Stream>> done) override {
    inner_.connect(address, [this, alive = alive_, address, done = std::move(done)](auto stream) mutable {
      if (!*alive) return;
      if (!stream) return done(std::move(stream));
      SslPtr ssl(SSL_new(client_.get()));
      if (options_.check_address) X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl.get()), address.host.c_str());
      auto made = std::make_unique<TlsStream>(std::move(*stream), std::move(ssl), executor_, false);
      TlsStream& handshaking = *made;
      const auto place = handshaking_.emplace(handshaking_.end(), std::move(made), executor_);
      place->limit.arm(executor_.now() + handshake_limit, [&handshaking] { handshaking.close(); });
      handshaking.handshake([this, place, done = std::move(done)](Status status) mutable {
        std::unique_ptr<TlsStream> ready = std::move(place->stream);
        handshaking_.erase(place);
        if (!status) return done(std::unexpected(std::move(status).error()));
        done(std::move(ready));
      });
    });
  }

 private:
  Network& inner_;
  Executor& executor_;
  TlsOptions options_;
  SslContext client_;
  struct Handshake {
    Handshake(std::unique_ptr<TlsStream> of, Executor& executor) : stream(std::move(of)), limit(executor) {}
    std::unique_ptr<TlsStream> stream;
    Timer limit;
  };
  std::list<Handshake> handshaking_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

Result<std::unique_ptr<Network>> make_tls_network(Network& network, Executor& executor, const TlsOptions& options) {
  if (options.clients != TlsOptions::Clients::off && options.authorities.empty())
    return fail(ErrorCode::invalid_argument, "TLS: certificates of clients need a file of authorities (ca)");
  if (options.certificate.empty() != options.key.empty())
    return fail(ErrorCode::invalid_argument, "TLS: certificate and key belong together");
  // Both are read now, so that a wrong file is an error of the start.
  if (!options.certificate.empty()) {
    TRY([[maybe_unused]] const SslContext server, make_context(options, true));
  }
  TRY(SslContext client, make_context(options, false));
  return std::make_unique<TlsNetwork>(network, executor, options, std::move(client));
}

}  // namespace asterism
