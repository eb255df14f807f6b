#include "runtime/real/certificates.h"

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>

namespace asterism {
namespace {

using CertificatePtr = std::unique_ptr<X509, decltype(&X509_free)>;
using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using BufferPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;

BufferPtr reader(const std::string& text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free};
}
CertificatePtr certificate(const std::string& pem) {
  return {PEM_read_bio_X509(reader(pem).get(), nullptr, nullptr, nullptr), X509_free};
}
KeyPtr key(const std::string& pem) {
  return {PEM_read_bio_PrivateKey(reader(pem).get(), nullptr, nullptr, nullptr), EVP_PKEY_free};
}

struct CertificateRequest : testing::Test {
  const Identity authority = make_authority("test");
  const std::string secret = make_private_key();
  std::string request = *make_certificate_request(secret, "n9");
};

TEST_F(CertificateRequest, TheAuthoritySignsTheKeyForWhatItWasTold) {
  auto made = sign_certificate_request(authority, request, "n10", {"10.0.0.9"});
  ASSERT_TRUE(made) << made.error().message;
  const auto signed_one = certificate(*made), issuer = certificate(authority.certificate);
  EXPECT_EQ(X509_check_private_key(signed_one.get(), key(secret).get()), 1);
  EXPECT_EQ(X509_verify(signed_one.get(), X509_get0_pubkey(issuer.get())), 1);
  EXPECT_EQ(X509_check_ip_asc(signed_one.get(), "10.0.0.9", 0), 1);
  EXPECT_NE(X509_check_ip_asc(signed_one.get(), "10.0.0.8", 0), 1);
  EXPECT_EQ(X509_check_ca(signed_one.get()), 0) << "it signs nobody";
  char name[16] = {};
  X509_NAME_get_text_by_NID(X509_get_subject_name(signed_one.get()), NID_commonName, name, sizeof(name));
  EXPECT_STREQ(name, "n10");
}

TEST_F(CertificateRequest, MustBeSignedByItsKey) {
  // The last bytes of the base64 text are of the signature.
  const size_t end = request.find("\n-----END");
  const size_t at = end - 12;
  request[at] = request[at] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(sign_certificate_request(authority, request, "n9", {"10.0.0.9"}));
}

TEST_F(CertificateRequest, OtherKindsOfKeysAreRefused) {
  for (const bool rsa : {true, false}) {
    const KeyPtr other(rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-384"), EVP_PKEY_free);
    const BufferPtr text(BIO_new(BIO_s_mem()), BIO_free);
    ASSERT_EQ(PEM_write_bio_PKCS8PrivateKey(text.get(), other.get(), nullptr, nullptr, 0, nullptr, nullptr), 1);
    char* data = nullptr;
    const long size = BIO_get_mem_data(text.get(), &data);
    auto asked = make_certificate_request({data, static_cast<size_t>(size)}, "n9");
    ASSERT_TRUE(asked);
    EXPECT_FALSE(sign_certificate_request(authority, *asked, "n9", {"10.0.0.9"}));
  }
}

TEST_F(CertificateRequest, NonsenseIsRefused) {
  EXPECT_FALSE(make_certificate_request("no key", "n9"));
  for (const std::string& bad : {std::string(), std::string("no request"), authority.certificate, secret})
    EXPECT_FALSE(sign_certificate_request(authority, bad, "n9", {"10.0.0.9"}));
  EXPECT_FALSE(sign_certificate_request(authority, request, "n9", {"example.org"}));
  EXPECT_FALSE(sign_certificate_request({authority.certificate, secret}, request, "n9", {"10.0.0.9"}))
      << "that is not the authority's key";
}

TEST(Fingerprint, OfEachCertificateInATextAndOfNothingElse) {
  const Identity a = make_authority("a"), b = make_authority("b");
  auto found = read_certificates(a.certificate + "words in between\n" + b.certificate);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 2u);
  EXPECT_EQ((*found)[0].certificate, a.certificate);
  EXPECT_EQ((*found)[1].certificate, b.certificate);
  EXPECT_EQ((*found)[0].fingerprint.size(), 64u);
  EXPECT_NE((*found)[0].fingerprint, (*found)[1].fingerprint);
  EXPECT_FALSE(read_certificates(a.key));
  EXPECT_FALSE(read_certificates(""));
}

}  // namespace
}  // namespace asterism
