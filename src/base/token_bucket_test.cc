#include "base/token_bucket.h"

#include <gtest/gtest.h>

namespace asterism {
namespace {

TEST(TokenBucket, ABurstAndThenItsRate) {
  TokenBucket bucket;
  Instant now{1};
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(bucket.take(now, 2, 5));
  EXPECT_FALSE(bucket.take(now, 2, 5));
  EXPECT_FALSE(bucket.take(now + 400ms, 2, 5));
  EXPECT_TRUE(bucket.take(now + 600ms, 2, 5));
  EXPECT_FALSE(bucket.take(now + 700ms, 2, 5));
  int taken = 0;
  for (int ms = 0; ms < 10'000; ms += 10) taken += bucket.take(now + 1s + std::chrono::milliseconds(ms), 2, 5);
  EXPECT_NEAR(taken, 20, 1);
}

TEST(TokenBucket, SilenceFillsItButNoMore) {
  TokenBucket bucket;
  EXPECT_TRUE(bucket.full(Instant{0}, 1, 3));
  EXPECT_TRUE(bucket.take(Instant{0}, 1, 3));
  EXPECT_FALSE(bucket.full(Instant{0}, 1, 3));
  const Instant later = Instant{0} + 1h;
  EXPECT_TRUE(bucket.full(later, 1, 3));
  int taken = 0;
  while (bucket.take(later, 1, 3)) ++taken;
  EXPECT_EQ(taken, 3);
}

}  // namespace
}  // namespace asterism
