#include "base/hash.h"

#include <gtest/gtest.h>

namespace asterism {
namespace {

// Tokens that Cassandra's Murmur3Partitioner gives (the vectors of the Python driver's tests).
TEST(Murmur3Token, MatchesCassandra) {
  EXPECT_EQ(murmur3_token("123"), -7468325962851647638);
  Bytes repeated;
  for (int i = 0; i < 10; ++i) repeated += Bytes("\x00\xff\x10\xfa\x99", 5);
  EXPECT_EQ(murmur3_token(repeated), 5837342703291459765);
  EXPECT_EQ(murmur3_token(Bytes(8, static_cast<char>(0xfe))), -8927430733708461935);
  EXPECT_EQ(murmur3_token(Bytes(8, 0x10)), 1446172840243228796);
  EXPECT_EQ(murmur3_token("9223372036854775807"), 7162290910810015547);
}

TEST(Xxh3, MatchesReference) { EXPECT_EQ(xxh3(""), 0x2d06800538d394c2ULL); }

}  // namespace
}  // namespace asterism
