// Join tokens: who holds one may make one more machine a node. What the metadata log knows of them is part of section
// "access"; it is too little to join with.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace asterism {

namespace access {
class AccessCommand;
class AccessSnapshot;
}  // namespace access

inline constexpr size_t join_secret_bytes = 32;
inline constexpr size_t join_tokens_max = 100;
inline constexpr uint32_t join_uses_max = 1000;
inline constexpr int64_t join_expiry_most_s = 30 * 24 * 3600;

/// A token as its holder has it: "asterism1-<id>-<secret>-<authority>", all three in hexadecimal digits.
struct JoinTokenText {
  std::string id;         // 16 digits; no secret
  Bytes secret;           // join_secret_bytes that nobody can guess
  std::string authority;  // SHA-256 of the authority that signs nodes (DER), 64 digits; empty: nodes speak plainly

  std::string to_string() const;
};
/// Errors: invalid_argument, which holds nothing of the text.
Result<JoinTokenText> parse_join_token(std::string_view text);
/// The secret's SHA-256: it has 256 bits that nobody can guess, so nothing slower is needed.
Bytes hash_of_join_secret(BytesView secret);

/// What the cluster remembers of one.
struct JoinToken {
  /// Who used it. The same one may ask again and again, because its machine may fail half-way.
  struct Claim {
    Bytes claimant;  // 32 bytes: the hash of what only that machine knows
    std::string name, address;
    bool operator==(const Claim&) const = default;
  };
  Bytes hash;
  WallTime expires;
  uint32_t uses = 1;  // that are left
  std::vector<Claim> claims;

  bool operator==(const JoinToken&) const = default;
  const Claim* claim_of(BytesView claimant) const;
};

/// Part of AccessState. Times are those of whoever proposed the command.
class JoinTokens {
 public:
  const std::map<std::string, JoinToken>& all() const { return tokens_; }
  /// Whether that is the secret of the token, which may still be used by this claimant. An unknown id takes as long as
  /// a wrong secret and says the same. Errors: unauthorized with words for the holder.
  Status check(const std::string& id, BytesView secret, BytesView claimant, WallTime now) const;

  /// The three commands. Errors: unsupported where it is none of them; too_large, already_exists, not_found,
  /// invalid_argument, unauthorized.
  Status apply(const access::AccessCommand& command);
  void save(access::AccessSnapshot& out) const;
  void load(const access::AccessSnapshot& in);

  // Encoded commands to section "access".
  static Bytes add(const std::string& id, const JoinToken& token, WallTime now);
  static Bytes drop(const std::string& id);
  static Bytes claim(const std::string& id, const JoinToken::Claim& claim, WallTime now);

 private:
  Status usable(const JoinToken& token, BytesView claimant, WallTime now) const;
  Status add_now(const std::string& id, JoinToken token, WallTime now);
  Status claim_now(const std::string& id, JoinToken::Claim claim, WallTime now);

  std::map<std::string, JoinToken> tokens_;
};

}  // namespace asterism
