// Stored passwords: what SCRAM-SHA-256 keeps of one (RFC 5802 section 3, RFC 7677). Pure, and slow by intent: run
// make_verifier and password_fits away from the core.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace asterism {

/// What a server stores: enough to check a password, too little to log in with.
struct PasswordVerifier {
  Bytes salt;
  uint32_t iterations = 0;
  Bytes stored_key, server_key;  // 32 bytes each

  bool operator==(const PasswordVerifier&) const = default;
};

/// 13 ms of a processor with SHA instructions. RFC 7677 section 4 asks for 4,096 at least.
inline constexpr uint32_t password_iterations = 65'536;
inline constexpr size_t password_salt_bytes = 16;
inline constexpr size_t password_bytes_max = 1024;

/// The password is taken as it is: SASLprep (RFC 4013), which changes nothing in ASCII, is not applied.
PasswordVerifier make_verifier(std::string_view password, BytesView salt, uint32_t iterations = password_iterations);
/// Takes the same time whether the password fits or not.
bool password_fits(const PasswordVerifier& verifier, std::string_view password);
/// Takes a time that depends on the lengths only.
bool equal_in_constant_time(BytesView a, BytesView b);

/// RFC 5803: "SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>", base64.
std::string format_verifier(const PasswordVerifier& verifier);
/// Errors: invalid_argument.
Result<PasswordVerifier> parse_verifier(std::string_view text);

}  // namespace asterism
