#include "datastore/slice_cache.h"

#include <gtest/gtest.h>

#include "datastore/row.h"
#include "runtime/sim/seeded_random.h"

namespace asterism::datastore {
namespace {

constexpr size_t prefix_bytes = 1;

Bytes key_of(char partition, uint64_t i) { return Bytes{partition, static_cast<char>(i >> 8), static_cast<char>(i)}; }

Bytes value_of(size_t bytes, int64_t at) {
  Row row;
  row.has_marker = true;
  row.marker.timestamp_us = at;
  const Bytes text(bytes, 'v');
  row.cells.emplace_back().value = text;
  Bytes encoded;
  encode_row(row, encoded);
  return encoded;
}

TEST(RowRun, FindsReplacesAndInsertsRows) {
  RowRun run;
  for (uint64_t i = 0; i < 20; i += 2) run.add(key_of('p', i), value_of(i, 1));
  EXPECT_EQ(run.lower_bound(key_of('p', 3)), 2u);
  EXPECT_EQ(run.lower_bound(key_of('p', 4)), 2u);
  EXPECT_EQ(run.lower_bound(key_of('p', 19)), 10u);
  run.set(key_of('p', 5), value_of(300, 2));
  run.set(key_of('p', 6), value_of(0, 3));
  run.set(key_of('p', 40), value_of(7, 4));
  EXPECT_EQ(run.size(), 12u);
  EXPECT_EQ(run.row(3).value, value_of(300, 2));
  EXPECT_EQ(run.row(4).clustering, key_of('p', 6));
  EXPECT_EQ(run.row(4).value, value_of(0, 3));
  EXPECT_EQ(run.row(5).value, value_of(8, 1));
  EXPECT_EQ(run.row(11).clustering, key_of('p', 40));
  EXPECT_TRUE(run.all_live());
  RowRun turned = run;
  turned.reverse();
  EXPECT_EQ(turned.row(0).value, run.row(11).value);
  EXPECT_EQ(turned.row(11).clustering, run.row(0).clustering);

  Bytes deleted;
  Row row;
  row.deletion = {5, 5};
  encode_row(row, deleted);
  run.set(key_of('p', 2), deleted);
  EXPECT_FALSE(run.all_live());
}

TEST(SliceCache, KnowsWhatLiesInItsStretchesAndNothingElse) {
  SliceCache cache(1 << 20);
  RowRun run;
  run.add(key_of('p', 10).substr(prefix_bytes), value_of(1, 1));
  run.add(key_of('p', 12).substr(prefix_bytes), value_of(2, 1));
  cache.put(key_of('p', 10), key_of('p', 20), prefix_bytes, run);
  EXPECT_EQ(cache.find(key_of('p', 12), prefix_bytes), value_of(2, 1));
  EXPECT_EQ(cache.find(key_of('p', 11), prefix_bytes), "");
  EXPECT_EQ(cache.find(key_of('p', 19), prefix_bytes), "");
  EXPECT_FALSE(cache.find(key_of('p', 9), prefix_bytes));
  EXPECT_FALSE(cache.find(key_of('p', 20), prefix_bytes));
  EXPECT_FALSE(cache.find(key_of('q', 12), prefix_bytes));
  EXPECT_EQ(cache.at(key_of('p', 20)), nullptr);
  EXPECT_NE(cache.before(key_of('p', 20)), nullptr);
  EXPECT_EQ(cache.before(key_of('p', 10)), nullptr);
  EXPECT_EQ(cache.next_known(key_of('p', 3), key_of('p', 30)), key_of('p', 10));
  EXPECT_EQ(cache.next_known(key_of('p', 3), key_of('p', 7)), key_of('p', 7));
  EXPECT_EQ(cache.previous_known(key_of('p', 30), key_of('p', 3)), key_of('p', 20));
  EXPECT_EQ(cache.previous_known(key_of('p', 30), key_of('p', 25)), key_of('p', 25));

  cache.put(key_of('p', 20), key_of('p', 22), prefix_bytes, RowRun());
  ASSERT_NE(cache.at(key_of('p', 12)), nullptr);
  EXPECT_EQ(cache.at(key_of('p', 12))->to, key_of('p', 22)) << "neighbours become one";
  cache.update(key_of('p', 21), prefix_bytes, value_of(3, 1));
  EXPECT_EQ(cache.find(key_of('p', 21), prefix_bytes), value_of(3, 1));
  cache.clear();
  EXPECT_EQ(cache.bytes(), 0u);
  EXPECT_FALSE(cache.find(key_of('p', 12), prefix_bytes));
}

TEST(SliceCache, KeepsNoRunThatTakesMostOfIt) {
  SliceCache none(0), small(10'000);
  RowRun run;
  run.add(key_of('p', 1).substr(prefix_bytes), value_of(2000, 1));
  none.put(key_of('p', 0), key_of('p', 5), prefix_bytes, run);
  small.put(key_of('p', 0), key_of('p', 5), prefix_bytes, run);
  EXPECT_FALSE(none.find(key_of('p', 1), prefix_bytes));
  EXPECT_FALSE(small.find(key_of('p', 1), prefix_bytes));
}

/// Against a map: whatever is read into the cache, written and forgotten, what it says is what is stored.
TEST(SliceCache, SaysWhatIsStored) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    sim::SeededRandom random(seed);
    const uint64_t bound = seed % 2 == 0 ? 1 << 20 : 60'000;
    SliceCache cache(bound);
    std::map<Bytes, Bytes> stored;
    size_t known = 0;
    for (int step = 0; step < 4000; ++step) {
      const char partition = static_cast<char>('p' + random.below(3));
      const Bytes key = key_of(partition, random.below(1000));
      if (random.chance(0.3)) {
        const Bytes value = value_of(random.below(200), step);
        stored[key] = value;
        cache.update(key, prefix_bytes, value);
      } else if (random.chance(0.5)) {
        const Bytes to = key_of(partition, random.below(1000));
        Bytes from = key;
        while (from < to) {
          if (const auto* stretch = cache.at(from)) {
            from = stretch->to;
            continue;
          }
          const Bytes end(cache.next_known(from, to));
          RowRun run;
          for (auto it = stored.lower_bound(from); it != stored.end() && it->first < end; ++it)
            run.add(BytesView(it->first).substr(prefix_bytes), it->second);
          cache.put(from, end, prefix_bytes, run);
          from = end;
        }
      } else if (const auto found = cache.find(key, prefix_bytes)) {
        ++known;
        const auto there = stored.find(key);
        ASSERT_EQ(*found, there == stored.end() ? BytesView() : BytesView(there->second)) << "seed " << seed;
      }
      ASSERT_LE(cache.bytes(), bound);
    }
    EXPECT_GT(known, 200u) << "seed " << seed;
    cache.clear();
    EXPECT_EQ(cache.bytes(), 0u);
  }
}

}  // namespace
}  // namespace asterism::datastore
