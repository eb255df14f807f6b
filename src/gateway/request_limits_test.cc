#include "gateway/request_limits.h"

#include <gtest/gtest.h>

namespace asterism {
namespace {

struct RequestLimitsTest : testing::Test {
  AccessState state;
  RequestLimits limits{state};
  uint64_t index = 0;
  Instant now{1'000'000'000};

  std::string make(const char* name, const char* limit) {
    Role role;
    role.name = name;
    if (limit) role.options[requests_per_second_option] = limit;
    auto made = state.apply(++index, AccessState::create(role));
    return made ? "" : to_string(made.error().code);
  }
  int taken(const char* role, Instant at) {
    int count = 0;
    while (count < 1000 && limits.take(role, at)) ++count;
    return count;
  }
};

TEST_F(RequestLimitsTest, WhoHasALimitIsHeldToIt) {
  EXPECT_EQ(make("ada", "10"), "");
  EXPECT_EQ(make("bob", nullptr), "");
  EXPECT_EQ(taken("ada", now), 10);
  EXPECT_EQ(limits.refused(), 1u);
  EXPECT_EQ(taken("ada", now + 500ms), 5);
  EXPECT_EQ(taken("bob", now), 1000);
  EXPECT_EQ(taken("nobody", now), 1000);
}

TEST_F(RequestLimitsTest, AChangeHoldsAtOnceAndForgivesNothing) {
  EXPECT_EQ(make("ada", "10"), "");
  EXPECT_EQ(taken("ada", now), 10);
  EXPECT_EQ(make("bob", "5"), "");
  EXPECT_EQ(taken("ada", now), 0);
  RoleChange change{.name = "ada"};
  change.options.emplace()[requests_per_second_option] = "100";
  EXPECT_TRUE(state.apply(++index, AccessState::alter(change)));
  EXPECT_EQ(taken("ada", now + 100ms), 10);
  change.options.emplace();
  EXPECT_TRUE(state.apply(++index, AccessState::alter(change)));
  EXPECT_EQ(taken("ada", now + 100ms), 1000);
}

TEST_F(RequestLimitsTest, OnlyNumbersAreLimits) {
  for (const char* bad : {"", "0", "-1", "1.5", "many", "10 ", "99999999999"})
    EXPECT_EQ(make("ada", bad), "invalid_argument") << bad;
  EXPECT_EQ(make("ada", "1000000"), "");
}

}  // namespace
}  // namespace asterism
