#include "gateway/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <charconv>
#include <span>

#include "base/assert.h"
#include "gateway/base64.h"

namespace asterism {
namespace {

constexpr size_t hash_bytes = 32;
constexpr uint32_t iterations_least = 4'096, iterations_most = 10'000'000;
constexpr std::string_view mechanism = "SCRAM-SHA-256";

const unsigned char* octets(BytesView bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
unsigned char* octets(Bytes& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

/// SaltedPassword := Hi(password, salt, i)
Bytes salted_password(std::string_view password, BytesView salt, uint32_t iterations) {
  Bytes out(hash_bytes, '\0');
  const int done =
      PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), octets(salt), static_cast<int>(salt.size()),
                        static_cast<int>(iterations), EVP_sha256(), static_cast<int>(out.size()), octets(out));
  ASSERT(done == 1);
  return out;
}

Bytes hmac(BytesView key, BytesView text) {
  Bytes out(hash_bytes, '\0');
  const void* done =
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), octets(text), text.size(), octets(out), nullptr);
  ASSERT(done != nullptr);
  return out;
}

Bytes sha256(BytesView text) {
  Bytes out(hash_bytes, '\0');
  const int done = EVP_Digest(text.data(), text.size(), octets(out), nullptr, EVP_sha256(), nullptr);
  ASSERT(done == 1);
  return out;
}

}  // namespace

PasswordVerifier make_verifier(std::string_view password, BytesView salt, uint32_t iterations) {
  const Bytes salted = salted_password(password, salt, iterations);
  return {Bytes(salt), iterations, sha256(hmac(salted, "Client Key")), hmac(salted, "Server Key")};
}

bool password_fits(const PasswordVerifier& verifier, std::string_view password) {
  const PasswordVerifier given = make_verifier(password, verifier.salt, verifier.iterations);
  return equal_in_constant_time(given.stored_key, verifier.stored_key);
}

bool equal_in_constant_time(BytesView a, BytesView b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string format_verifier(const PasswordVerifier& verifier) {
  return fmt::format("{}${}:{}${}:{}", mechanism, verifier.iterations, to_base64(verifier.salt),
                     to_base64(verifier.stored_key), to_base64(verifier.server_key));
}

Result<PasswordVerifier> parse_verifier(std::string_view text) {
  // mechanism $ iterations : salt $ stored : server
  constexpr char separators[] = {'$', ':', '$', ':'};
  std::string_view parts[5];
  for (size_t i = 0; i < 4; ++i) {
    const size_t end = text.find(separators[i]);
    if (end == std::string_view::npos) return fail(ErrorCode::invalid_argument, "this is no SCRAM-SHA-256 verifier");
    parts[i] = text.substr(0, end);
    text.remove_prefix(end + 1);
  }
  parts[4] = text;
  PasswordVerifier verifier;
  const char* end = parts[1].data() + parts[1].size();
  const auto number = std::from_chars(parts[1].data(), end, verifier.iterations);
  const bool fits = parts[0] == mechanism && number.ec == std::errc() && number.ptr == end &&
                    verifier.iterations >= iterations_least && verifier.iterations <= iterations_most &&
                    from_base64(parts[2], verifier.salt) && from_base64(parts[3], verifier.stored_key) &&
                    from_base64(parts[4], verifier.server_key) && verifier.stored_key.size() == hash_bytes &&
                    verifier.server_key.size() == hash_bytes;
  if (!fits) return fail(ErrorCode::invalid_argument, "this is no SCRAM-SHA-256 verifier");
  return verifier;
}

}  // namespace asterism
