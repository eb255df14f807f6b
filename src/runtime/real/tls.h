// TLS over any network: streams that encrypt what passes through them. OpenSSL, TLS 1.2 and 1.3, forward secrecy only.
#pragma once

#include <memory>
#include <string>

#include "ports/network.h"
#include "runtime/executor.h"

namespace asterism {

struct TlsOptions {
  /// PEM files. A listener needs certificate (with its chain) and key; without them the network only connects, and has
  /// no certificate of its own.
  std::string certificate, key;
  /// PEM file: who may have signed the other end's certificate. One that is in the file itself is trusted too.
  std::string authorities;
  /// Of those who connect to a listener. Anything but `off` needs authorities.
  enum class Clients : uint8_t { off, optional, required };
  Clients clients = Clients::off;
  /// Of those that this network connects to: whether the certificate must name the address.
  bool check_address = true;
  /// False: connects to anybody, who could be everybody. For asking for what is checked in other ways, and nothing
  /// else.
  bool check_certificate = true;
};

/// Wraps a network, which must outlive what this makes, as must the executor. Files are read now and not again.
/// Errors: invalid_argument naming the file.
///
/// A listener accepts at once; the handshake is made by reading, so that a peer that never makes one holds only its own
/// connection. What is no TLS ends that connection, after an alert. connect() completes after the handshake; errors:
/// also unauthorized where the certificate is not to be trusted. There is no renegotiation, compression or resumption.
/// Handshakes run on the core, and cost it less with keys on P-256 than with RSA.
Result<std::unique_ptr<Network>> make_tls_network(Network& network, Executor& executor, const TlsOptions& options);

}  // namespace asterism
