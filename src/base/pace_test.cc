#include "base/pace.h"

#include <gtest/gtest.h>

namespace asterism {
namespace {

TEST(Pace, WorkSideBySideSharesTheRate) {
  Pace pace;
  const Instant start{1'000'000'000};
  EXPECT_EQ(pace.take(start, 500, 1000), start + 500ms);
  EXPECT_EQ(pace.take(start, 500, 1000), start + 1s) << "behind the first one";
  EXPECT_EQ(pace.take(start + 200ms, 100, 1000), start + 1100ms);
}

TEST(Pace, IdleTimeIsNotSavedUp) {
  Pace pace;
  const Instant start{1'000'000'000};
  pace.take(start, 1000, 1000);
  EXPECT_EQ(pace.take(start + 60s, 1000, 1000), start + 61s);
}

TEST(Pace, TheRateMayChange) {
  Pace pace;
  const Instant start{1'000'000'000};
  EXPECT_EQ(pace.take(start, 1000, 100), start + 10s);
  EXPECT_EQ(pace.take(start + 10s, 1000, 10'000), start + 10100ms);
}

}  // namespace
}  // namespace asterism
