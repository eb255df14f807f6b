// An authority of one's own, and the certificates that it signs: keys on P-256, valid for ten years.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace asterism {

/// In PEM. The key is a secret.
struct Identity {
  std::string certificate, key;
};

/// A new authority that signs itself.
Identity make_authority(const std::string& name);
/// A new key and its certificate, for servers and clients at the literal IP addresses. Errors: invalid_argument where
/// the authority or an address is none.
Result<Identity> issue_certificate(const Identity& authority, const std::string& name,
                                   const std::vector<std::string>& addresses);

// For a node on a machine that does not have the authority: it keeps its key and asks for a certificate (PKCS #10).

/// A new key on P-256, in PEM: a secret.
std::string make_private_key();
/// A request for a certificate, in PEM, signed with the key. Errors: invalid_argument where the key is none.
Result<std::string> make_certificate_request(const std::string& key, const std::string& name);
/// The certificate, in PEM, for the key of the request, which must be on P-256 and have signed it. Nothing else of the
/// request counts: name and addresses are the caller's. Errors: invalid_argument.
Result<std::string> sign_certificate_request(const Identity& authority, const std::string& request,
                                             const std::string& name, const std::vector<std::string>& addresses);

/// Of every certificate in a PEM text, in its order, the lower-case hexadecimal SHA-256 of its DER form, and it alone
/// in PEM. Errors: invalid_argument where there is none.
struct NamedCertificate {
  std::string fingerprint, certificate;
};
Result<std::vector<NamedCertificate>> read_certificates(const std::string& pem);

}  // namespace asterism
