#include "runtime/real/certificates.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>

#include "base/assert.h"
#include "base/bytes.h"
#include "runtime/real/secret.h"

namespace asterism {
namespace {

constexpr long day_s = 24 * 60 * 60, valid_days = 3650;

struct Deleter {
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(BIO* buffer) const { BIO_free(buffer); }
  void operator()(X509_REQ* request) const { X509_REQ_free(request); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
};
using CertificatePtr = std::unique_ptr<X509, Deleter>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter>;
using RequestPtr = std::unique_ptr<X509_REQ, Deleter>;
using BufferPtr = std::unique_ptr<BIO, Deleter>;

constexpr size_t certificates_most = 100;

std::string text_of(BIO* buffer) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(buffer, &data);
  return {data, static_cast<size_t>(size)};
}

BufferPtr reader_of(const std::string& text) {
  return BufferPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

/// Where a key is encrypted, nobody is asked for its password.
int no_password(char*, int, int, void*) { return -1; }

KeyPtr read_key(const std::string& pem) {
  return KeyPtr(PEM_read_bio_PrivateKey(reader_of(pem).get(), nullptr, no_password, nullptr));
}

std::string to_pem(X509* certificate) {
  const BufferPtr text(BIO_new(BIO_s_mem()));
  ASSERT(PEM_write_bio_X509(text.get(), certificate) == 1);
  return text_of(text.get());
}

std::string to_pem(EVP_PKEY* key) {
  const BufferPtr text(BIO_new(BIO_s_mem()));
  ASSERT(PEM_write_bio_PKCS8PrivateKey(text.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return text_of(text.get());
}

Identity to_pem(X509* certificate, EVP_PKEY* key) { return {to_pem(certificate), to_pem(key)}; }

KeyPtr make_key() {
  KeyPtr key(EVP_EC_gen("P-256"));
  ASSERT(key != nullptr);
  return key;
}

/// Without issuer and signature.
CertificatePtr make_certificate(EVP_PKEY* key, const std::string& name) {
  CertificatePtr made(X509_new());
  X509* const raw = made.get();
  ASSERT(raw != nullptr && X509_set_version(raw, X509_VERSION_3) == 1);
  const Bytes serial = secret_bytes(8);
  ASSERT(ASN1_INTEGER_set_uint64(X509_get_serialNumber(raw), load_big_endian<uint64_t>(serial.data()) >> 1) == 1);
  // Clocks of other machines may be behind.
  X509_gmtime_adj(X509_getm_notBefore(raw), -day_s);
  X509_gmtime_adj(X509_getm_notAfter(raw), valid_days * day_s);
  ASSERT(X509_set_pubkey(raw, key) == 1);
  ASSERT(X509_NAME_add_entry_by_txt(X509_get_subject_name(raw), "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0) == 1);
  return made;
}

bool add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Deleter> extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

/// A certificate of the authority for that key.
Result<CertificatePtr> issue(const Identity& authority, EVP_PKEY* key, const std::string& name,
                             const std::vector<std::string>& addresses) {
  const CertificatePtr issuer(PEM_read_bio_X509(reader_of(authority.certificate).get(), nullptr, nullptr, nullptr));
  const KeyPtr issuer_key = read_key(authority.key);
  ERR_clear_error();
  if (!issuer || !issuer_key || X509_check_private_key(issuer.get(), issuer_key.get()) != 1)
    return fail(ErrorCode::invalid_argument, "the authority's certificate and key cannot be read");
  std::string names;
  for (const std::string& address : addresses) names += (names.empty() ? "IP:" : ",IP:") + address;
  CertificatePtr made = make_certificate(key, name);
  X509* const raw = made.get();
  ASSERT(X509_set_issuer_name(raw, X509_get_subject_name(issuer.get())) == 1);
  ASSERT(add_extension(raw, issuer.get(), NID_basic_constraints, "critical,CA:FALSE"));
  ASSERT(add_extension(raw, issuer.get(), NID_key_usage, "critical,digitalSignature"));
  ASSERT(add_extension(raw, issuer.get(), NID_ext_key_usage, "serverAuth,clientAuth"));
  ASSERT(add_extension(raw, issuer.get(), NID_subject_key_identifier, "hash"));
  ASSERT(add_extension(raw, issuer.get(), NID_authority_key_identifier, "keyid"));
  if (!add_extension(raw, issuer.get(), NID_subject_alt_name, names)) {
    ERR_clear_error();
    return fail(ErrorCode::invalid_argument, "'{}' are no IP addresses", names);
  }
  ASSERT(X509_sign(raw, issuer_key.get(), EVP_sha256()) > 0);
  return made;
}

}  // namespace

Identity make_authority(const std::string& name) {
  const KeyPtr key = make_key();
  const CertificatePtr made = make_certificate(key.get(), name);
  X509* const raw = made.get();
  ASSERT(X509_set_issuer_name(raw, X509_get_subject_name(raw)) == 1);
  ASSERT(add_extension(raw, raw, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
  ASSERT(add_extension(raw, raw, NID_key_usage, "critical,keyCertSign,cRLSign"));
  ASSERT(add_extension(raw, raw, NID_subject_key_identifier, "hash"));
  ASSERT(X509_sign(raw, key.get(), EVP_sha256()) > 0);
  return to_pem(raw, key.get());
}

Result<Identity> issue_certificate(const Identity& authority, const std::string& name,
                                   const std::vector<std::string>& addresses) {
  const KeyPtr key = make_key();
  TRY(const CertificatePtr made, issue(authority, key.get(), name, addresses));
  return to_pem(made.get(), key.get());
}

std::string make_private_key() { return to_pem(make_key().get()); }

Result<std::string> make_certificate_request(const std::string& key_pem, const std::string& name) {
  const KeyPtr key = read_key(key_pem);
  ERR_clear_error();
  if (!key) return fail(ErrorCode::invalid_argument, "the key of the node cannot be read");
  const RequestPtr made(X509_REQ_new());
  X509_REQ* const raw = made.get();
  ASSERT(raw != nullptr && X509_REQ_set_version(raw, X509_REQ_VERSION_1) == 1);
  ASSERT(X509_REQ_set_pubkey(raw, key.get()) == 1);
  ASSERT(X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(raw), "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0) == 1);
  ASSERT(X509_REQ_sign(raw, key.get(), EVP_sha256()) > 0);
  const BufferPtr text(BIO_new(BIO_s_mem()));
  ASSERT(PEM_write_bio_X509_REQ(text.get(), raw) == 1);
  return text_of(text.get());
}

Result<std::string> sign_certificate_request(const Identity& authority, const std::string& request,
                                             const std::string& name, const std::vector<std::string>& addresses) {
  const RequestPtr asked(PEM_read_bio_X509_REQ(reader_of(request).get(), nullptr, nullptr, nullptr));
  EVP_PKEY* const key = asked ? X509_REQ_get0_pubkey(asked.get()) : nullptr;
  char group[64] = {};
  const bool good = key != nullptr && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
                    EVP_PKEY_get_group_name(key, group, sizeof(group), nullptr) == 1 &&
                    std::string_view(group) == "prime256v1" && X509_REQ_verify(asked.get(), key) == 1;
  ERR_clear_error();
  if (!good) return fail(ErrorCode::invalid_argument, "this is no request for a certificate that its own key signed");
  TRY(const CertificatePtr made, issue(authority, key, name, addresses));
  return to_pem(made.get());
}

Result<std::vector<NamedCertificate>> read_certificates(const std::string& pem) {
  std::vector<NamedCertificate> found;
  const BufferPtr text = reader_of(pem);
  while (found.size() < certificates_most) {
    const CertificatePtr next(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
    if (!next) break;
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    ASSERT(X509_digest(next.get(), EVP_sha256(), hash, &size) == 1);
    found.push_back({to_hex({reinterpret_cast<const char*>(hash), size}), to_pem(next.get())});
  }
  ERR_clear_error();
  if (found.empty()) return fail(ErrorCode::invalid_argument, "there is no certificate in it");
  return found;
}

}  // namespace asterism
