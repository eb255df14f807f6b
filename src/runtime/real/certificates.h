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

}  // namespace asterism
