#include "gateway/http_login.h"

#include <gtest/gtest.h>

#include "gateway/base64.h"

namespace asterism {
namespace {

std::string parsed(const std::string& header) {
  HttpRequest request;
  request.headers = {{"Authorization", header}};
  const auto credentials = credentials_of(request);
  return credentials ? credentials->name + "|" + credentials->password : "none";
}

TEST(HttpLogin, Rfc7617_2_TheBasicScheme) {
  EXPECT_EQ(parsed("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), "Aladdin|open sesame");
  EXPECT_EQ(parsed("bAsIc   QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), "Aladdin|open sesame");
  EXPECT_EQ(parsed("Basic dGVzdDoxMjPCow=="), "test|123\xc2\xa3");
  EXPECT_EQ(parsed("Basic " + to_base64("ada:a:b:")), "ada|a:b:");
  EXPECT_EQ(parsed("Basic " + to_base64(":")), "|");
}

TEST(HttpLogin, WhatIsNoneIsNone) {
  HttpRequest request;
  EXPECT_FALSE(credentials_of(request));
  for (const std::string header : {"", "Basic", "Basic ", "Basic  ", "Basic !!!!", "Basic QQ=", "Bearer QWxhZGRpbjpv",
                                   "Basic bm9jb2xvbg==", "BasicQWxhZGRpbjpvcGVuIHNlc2FtZQ=="})
    EXPECT_EQ(parsed(header), "none") << header;
  EXPECT_EQ(parsed("Basic " + to_base64("ada:" + std::string(4000, 'x'))), "none");
}

TEST(Base64, Rfc4648_10_Vectors) {
  const std::pair<std::string, std::string> vectors[] = {{"f", "Zg=="},         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},       {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
  EXPECT_EQ(to_base64(""), "");
  for (const auto& [plain, text] : vectors) {
    EXPECT_EQ(to_base64(plain), text);
    Bytes back;
    EXPECT_TRUE(from_base64(text, back));
    EXPECT_EQ(back, plain);
  }
}

}  // namespace
}  // namespace asterism
