#include "gateway/scram.h"

#include <gtest/gtest.h>

namespace asterism {
namespace {

// RFC 7677 section 3: user "user", password "pencil"; the proofs of its exchange were made of these keys.
constexpr const char* rfc7677_verifier =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

TEST(Scram, Rfc7677Section3) {
  auto verifier = parse_verifier(rfc7677_verifier);
  ASSERT_TRUE(verifier) << verifier.error().message;
  EXPECT_EQ(make_verifier("pencil", verifier->salt, verifier->iterations), *verifier);
  EXPECT_TRUE(password_fits(*verifier, "pencil"));
  for (auto wrong : {"", "Pencil", "pencil ", "penci"}) EXPECT_FALSE(password_fits(*verifier, wrong)) << wrong;
  EXPECT_EQ(format_verifier(*verifier), rfc7677_verifier);
}

TEST(Scram, Rfc5803FormsThatAreNone) {
  const std::string good = rfc7677_verifier;
  auto refused = [](const std::string& text) { return !parse_verifier(text).has_value(); };
  for (size_t cut = 0; cut < good.size(); ++cut) EXPECT_TRUE(refused(good.substr(0, cut))) << cut;
  EXPECT_TRUE(refused("SCRAM-SHA-1" + good.substr(13)));
  EXPECT_TRUE(refused("SCRAM-SHA-256$100:" + good.substr(19))) << "too few iterations";
  EXPECT_TRUE(refused("SCRAM-SHA-256$4096000000:" + good.substr(19)));
  EXPECT_TRUE(refused("SCRAM-SHA-256$-4096:" + good.substr(19)));
  EXPECT_TRUE(refused(good + "A==="));
  EXPECT_TRUE(refused(good + std::string(4096, 'A')));
}

TEST(Scram, EqualInConstantTime) {
  EXPECT_TRUE(equal_in_constant_time("", ""));
  EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
  EXPECT_FALSE(equal_in_constant_time("abc", "abd"));
  EXPECT_FALSE(equal_in_constant_time("abc", "ab"));
}

}  // namespace
}  // namespace asterism
