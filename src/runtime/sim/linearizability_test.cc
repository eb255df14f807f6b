#include "runtime/sim/linearizability.h"

#include <gtest/gtest.h>

#include "runtime/sim/seeded_random.h"

namespace asterism::sim {
namespace {

RegisterOperation write(std::string value, int64_t start, int64_t end) { return {"k", true, value, {start}, {end}}; }
RegisterOperation read(std::string value, int64_t start, int64_t end) { return {"k", false, value, {start}, {end}}; }
RegisterOperation lost(std::string value, int64_t start) { return {"k", true, value, {start}, Instant::never()}; }

TEST(Linearizability, GoodHistories) {
  EXPECT_FALSE(find_violation({}));
  EXPECT_FALSE(find_violation({read("", 0, 1)}));
  EXPECT_FALSE(find_violation({write("a", 0, 1), read("a", 2, 3)}));
  EXPECT_FALSE(find_violation({write("a", 0, 10), read("", 1, 2), read("a", 3, 4)}))
      << "during the write both are right";
  EXPECT_FALSE(find_violation({write("a", 0, 10), write("b", 0, 10), read("a", 11, 12), read("a", 13, 14)}));
  EXPECT_FALSE(find_violation({write("a", 0, 10), write("b", 5, 6), read("a", 7, 8)}));
  EXPECT_FALSE(find_violation({lost("a", 0), read("", 5, 6), read("a", 100, 101)})) << "a lost write may come late";
  EXPECT_FALSE(find_violation({lost("a", 0), read("", 5, 6)})) << "or never";
  EXPECT_FALSE(find_violation({lost("a", 0), write("b", 1, 2), read("b", 3, 4), read("a", 5, 6), read("a", 7, 8)}));
}

TEST(Linearizability, BadHistories) {
  EXPECT_TRUE(find_violation({read("a", 0, 1)})) << "never written";
  EXPECT_TRUE(find_violation({write("a", 0, 1), read("", 2, 3)})) << "stale";
  EXPECT_TRUE(find_violation({write("a", 0, 10), read("a", 1, 2), read("", 3, 4)})) << "back in time";
  EXPECT_TRUE(find_violation({write("a", 0, 10), write("b", 0, 10), read("a", 11, 12), read("b", 13, 14)}));
  EXPECT_TRUE(find_violation({write("a", 0, 1), lost("b", 2), read("b", 3, 4), read("a", 5, 6)}));
  EXPECT_TRUE(find_violation({lost("a", 10), read("a", 0, 1)})) << "before it was asked for";
  EXPECT_TRUE(find_violation({write("a", 0, 1), write("b", 2, 3), read("a", 4, 5)}));
}

TEST(Linearizability, CompareAndSetTakesEffectOnlyWhereTheRegisterHoldsWhatItExpects) {
  const auto change = [](std::string from, std::string to, int64_t start, Instant end) {
    return RegisterOperation{"k", true, to, {start}, end, from};
  };
  EXPECT_FALSE(find_violation({write("a", 0, 1), change("a", "b", 2, {3}), read("b", 4, 5)}));
  EXPECT_TRUE(find_violation({write("a", 0, 1), change("", "b", 2, {3}), read("b", 4, 5)}));
  EXPECT_TRUE(find_violation({write("a", 0, 1), change("a", "b", 2, {9}), change("a", "c", 2, {9})})) << "both";
  EXPECT_FALSE(find_violation({write("a", 0, 1), change("a", "b", 2, Instant::never()), read("b", 4, 5)}));
  EXPECT_TRUE(find_violation({write("a", 0, 1), change("x", "b", 2, Instant::never()), read("b", 4, 5)}));
}

TEST(Linearizability, KeysDoNotMixAndInitialValueCounts) {
  auto other = write("a", 0, 1);
  other.key = "other";
  EXPECT_TRUE(find_violation({other, read("a", 2, 3)}));
  EXPECT_FALSE(find_violation({read("x", 2, 3)}, "x"));
}

/// Histories of a real register, with random windows around the instants at which things happened.
TEST(Linearizability, RandomHistoriesOfARegisterPassAndTheirSpoiltCopiesFail) {
  SeededRandom random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<RegisterOperation> history;
    std::string value;
    for (int i = 0; i < 60; ++i) {
      const int64_t at = i * 10;
      const bool writes = random.chance(0.4);
      if (writes) value = std::to_string(i);
      RegisterOperation operation{"k", writes, value, {at - random.between(0, 40)}, {at + random.between(0, 40)}};
      if (writes && random.chance(0.1)) operation.end = Instant::never();
      history.push_back(operation);
    }
    ASSERT_FALSE(find_violation(history));
    history.push_back({"k", false, "never written", {1000}, {1001}});
    ASSERT_TRUE(find_violation(history));
  }
}

}  // namespace
}  // namespace asterism::sim
