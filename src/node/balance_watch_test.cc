#include "node/balance_watch.h"

#include <gtest/gtest.h>

namespace asterism {
namespace {

constexpr BalanceWatch::Options options{60s, 300s, 600s};
constexpr Duration between = 10s;

/// Three nodes with even tokens, one replica of everything.
struct Looks {
  BalanceWatch watch{options};
  Ring ring;
  Instant now{};
  size_t begun = 0;

  Looks() {
    const auto tokens = even_tokens(3, 16);
    for (uint32_t i = 0; i < 3; ++i) ring.add(NodeId{i + 1}, {"dc1", "rack1"}, tokens[i]);
  }
  /// So many times as much lies, or is to be done, on the first node as on the others, which have `sum` together.
  std::vector<std::pair<int64_t, double>> parts(double times, double sum) const {
    constexpr int64_t cells = 1024;
    std::vector<std::pair<int64_t, double>> parts;
    for (int64_t cell = 1 - cells / 2; cell <= cells / 2; ++cell) {
      const int64_t end = cell == cells / 2 ? INT64_MAX : cell * (INT64_MAX / (cells / 2));
      const bool first = ring.place_simple(end, 1).front() == NodeId{1};
      parts.emplace_back(end, (first ? times : 1) * sum / cells);
    }
    return parts;
  }
  /// Looks for that time, as if nothing came of a step. Returns when one was due, in seconds from now.
  std::vector<int64_t> look_for(Duration time, double bytes, double load, double reads = 10'000) {
    const Instant began = now;
    PlacementRule rule;
    rule.simple = 1;
    std::vector<int64_t> due;
    for (; now < began + time; now = now + between)
      if (watch.look(ring, {{rule, parts(bytes, 1), parts(load, 3 * reads)}}, now))
        due.push_back((now - began) / Duration(1s));
    return due;
  }
};

using Seconds = std::vector<int64_t>;

TEST(BalanceWatch, BytesAreEvenedAfterAMinute) {
  Looks looks;
  EXPECT_EQ(looks.look_for(150s, 3, 1), (Seconds{60, 130}));
  EXPECT_TRUE(looks.watch.reason().starts_with("a node stores 7")) << looks.watch.reason();
}

TEST(BalanceWatch, LoadIsEvenedAfterFiveMinutesAndNotAgainForTen) {
  Looks looks;
  EXPECT_EQ(looks.look_for(1000s, 1, 3), (Seconds{300, 900})) << "nothing came of the first step";
  EXPECT_TRUE(looks.watch.reason().starts_with("a node does 7")) << looks.watch.reason();
}

TEST(BalanceWatch, LoadThatDoesNotLastMovesNothing) {
  Looks looks;
  for (int wave = 0; wave < 10; ++wave) {
    EXPECT_EQ(looks.look_for(290s, 1, 3), Seconds());
    EXPECT_EQ(looks.look_for(10s, 1, 1.1), Seconds());
  }
  EXPECT_EQ(looks.look_for(290s, 1, 3), Seconds());
  looks.watch.begin_anew();
  EXPECT_EQ(looks.look_for(300s, 1, 3), Seconds());
}

TEST(BalanceWatch, LittleLoadMovesNothing) {
  Looks looks;
  EXPECT_EQ(looks.look_for(2000s, 1, 3, 1'000), Seconds()) << "idle";
  EXPECT_EQ(looks.look_for(2000s, 1, 1.4), Seconds()) << "24 % above the mean";
}

TEST(BalanceWatch, BytesGoFirst) {
  Looks looks;
  EXPECT_EQ(looks.look_for(310s, 3, 3), (Seconds{60, 130, 200, 270}));
  EXPECT_EQ(looks.look_for(400s, 1, 3), (Seconds{300})) << "it was load's turn, but bytes are first";
}

}  // namespace
}  // namespace asterism
