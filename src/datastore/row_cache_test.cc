#include "datastore/row_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <map>

#include "runtime/sim/seeded_random.h"

namespace asterism::datastore {
namespace {

TEST(RowCache, KeepsValuesAndTheKnowledgeThatThereIsNone) {
  RowCache cache(1 << 16);
  EXPECT_FALSE(cache.find("a"));
  cache.put("a", "1");
  cache.put("b", "");
  EXPECT_EQ(cache.find("a"), "1");
  EXPECT_EQ(cache.find("b"), "");
  cache.put("a", std::string(300, 'x'));
  EXPECT_EQ(cache.find("a"), std::string(300, 'x'));
  cache.erase("a");
  EXPECT_FALSE(cache.find("a"));
  cache.clear();
  EXPECT_FALSE(cache.find("b"));
  EXPECT_EQ(cache.bytes(), 0u);
}

TEST(RowCache, KeepsNothingWithoutRoomAndNoEntryThatTakesMostOfIt) {
  RowCache none(0), small(1000);
  none.put("a", "1");
  EXPECT_FALSE(none.find("a"));
  small.put("a", std::string(200, 'x'));
  EXPECT_FALSE(small.find("a"));
}

/// Against a list of what was used last: the cache must hold a prefix of it, with the latest values.
TEST(RowCache, ForgetsWhatWasUsedLongestAgo) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    sim::SeededRandom random(seed);
    RowCache cache(20'000);
    std::map<Bytes, Bytes> values;
    std::list<Bytes> by_use;  // newest first
    auto used = [&](const Bytes& key) {
      by_use.remove(key);
      by_use.push_front(key);
    };
    for (int step = 0; step < 5000; ++step) {
      const Bytes key = std::to_string(random.below(400));
      switch (random.below(10)) {
        case 0:
          cache.erase(key);
          values.erase(key);
          by_use.remove(key);
          break;
        case 1:
        case 2:
        case 3: {
          const Bytes value(random.below(150), static_cast<char>('a' + random.below(26)));
          cache.put(key, value);
          values[key] = value;
          used(key);
          break;
        }
        default:
          if (auto found = cache.find(key)) {
            ASSERT_EQ(*found, values.at(key)) << seed;
            used(key);
          }
      }
      ASSERT_LE(cache.bytes(), 20'000u);
    }
    EXPECT_GT(cache.size(), 50u);
    size_t held = 0;
    for (const Bytes& key : by_use) {
      if (!cache.find(key)) break;
      ++held;
    }
    EXPECT_EQ(held, cache.size()) << "an older entry outlived a newer one, seed " << seed;
  }
}

}  // namespace
}  // namespace asterism::datastore
