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
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
};
using CertificatePtr = std::unique_ptr<X509, Deleter>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter>;
using BufferPtr = std::unique_ptr<BIO, Deleter>;

std::string text_of(BIO* buffer) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(buffer, &data);
  return {data, static_cast<size_t>(size)};
}

Identity to_pem(X509* certificate, EVP_PKEY* key) {
  BufferPtr certificate_text(BIO_new(BIO_s_mem())), key_text(BIO_new(BIO_s_mem()));
  ASSERT(PEM_write_bio_X509(certificate_text.get(), certificate) == 1);
  ASSERT(PEM_write_bio_PKCS8PrivateKey(key_text.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return {text_of(certificate_text.get()), text_of(key_text.get())};
}

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
  const BufferPtr issuer_text(
      BIO_new_mem_buf(authority.certificate.data(), static_cast<int>(authority.certificate.size())));
  const BufferPtr key_text(BIO_new_mem_buf(authority.key.data(), static_cast<int>(authority.key.size())));
  const CertificatePtr issuer(PEM_read_bio_X509(issuer_text.get(), nullptr, nullptr, nullptr));
  const KeyPtr issuer_key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (!issuer || !issuer_key || X509_check_private_key(issuer.get(), issuer_key.get()) != 1)
    return fail(ErrorCode::invalid_argument, "the authority's certificate and key cannot be read");
  std::string names;
  for (const std::string& address : addresses) names += (names.empty() ? "IP:" : ",IP:") + address;
  const KeyPtr key = make_key();
  const CertificatePtr made = make_certificate(key.get(), name);
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
  return to_pem(raw, key.get());
}

}  // namespace asterism
