#include "datastore/ring_load.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace asterism::datastore {
namespace {

constexpr Duration tick = 60s;

/// A schema with keyspaces `one` and `also_one` of one rule, and `three` of another; tables 16, 17 and 18.
struct Tables {
  ClusterState cluster;
  Schema schema{cluster};

  Tables() {
    NodeInfo node;
    node.id = NodeId{1};
    node.place = {"dc1", "rack1"};
    EXPECT_TRUE(cluster.apply(1, ClusterState::bootstrap_command({node}, 4)));
    uint64_t index = 2;
    for (const auto& [name, factor] : {std::pair("one", "1"), {"also_one", "1"}, {"three", "3"}}) {
      Keyspace keyspace;
      keyspace.name = name;
      keyspace.replication = {{"class", "SimpleStrategy"}, {"replication_factor", factor}};
      EXPECT_TRUE(schema.apply(index++, Schema::create_keyspace(keyspace)));
      Table table;
      table.keyspace = name;
      table.name = "t";
      table.id = Bytes(16, static_cast<char>(index));
      Column key;
      key.name = "k";
      key.type = DataType{TypeKind::int_};
      key.kind = ColumnKind::partition_key;
      table.columns.push_back(key);
      EXPECT_TRUE(schema.apply(index++, Schema::create_table(table)));
    }
  }
  PlacementRule rule(const char* keyspace) const { return schema.keyspace(keyspace)->rule(); }
};

TEST(RingLoad, CellsCoverTheRing) {
  EXPECT_EQ(RingLoad::cell_of(INT64_MIN), 0u);
  EXPECT_EQ(RingLoad::cell_of(INT64_MAX), RingLoad::cells - 1);
  EXPECT_EQ(RingLoad::cell_of(-1), RingLoad::cells / 2 - 1);
  EXPECT_EQ(RingLoad::cell_of(0), RingLoad::cells / 2);
  for (size_t cell = 0; cell + 1 < RingLoad::cells; ++cell) {
    ASSERT_EQ(RingLoad::cell_of(RingLoad::end_of(cell)), cell);
    ASSERT_EQ(RingLoad::cell_of(RingLoad::end_of(cell) + 1), cell + 1);
  }
  EXPECT_EQ(RingLoad::end_of(RingLoad::cells - 1), INT64_MAX);
}

TEST(RingLoad, WorkIsCountedByRuleAndPlace) {
  Tables tables;
  RingLoad load(tables.schema);
  Instant now{};
  load.advance(now);
  EXPECT_TRUE(load.rates().empty()) << "nothing is known yet";
  for (int i = 0; i < 1000; ++i) {
    load.add(16, 5, RingLoad::unit);
    load.add(17, 5, RingLoad::unit);
    load.add(18, -5, RingLoad::work_of_write(0));
    load.add(99, 5, RingLoad::unit);  // no such table
  }
  now = now + tick;
  load.advance(now);
  const auto rates = load.rates();
  ASSERT_EQ(rates.size(), 2u);
  EXPECT_NEAR(rates.at(tables.rule("one"))[RingLoad::cells / 2], 2000 / 60.0, 0.1) << "two keyspaces together";
  EXPECT_NEAR(rates.at(tables.rule("three"))[RingLoad::cells / 2 - 1], 3000 / 60.0, 0.1) << "a write is three reads";
  EXPECT_NEAR(load.total(), 5000 / 60.0, 0.1) << "and nothing anywhere else";
}

TEST(RingLoad, OldWorkFades) {
  Tables tables;
  RingLoad load(tables.schema);
  Instant now{};
  load.advance(now);
  for (int i = 0; i < 120; ++i) {
    for (int j = 0; j < 1000; ++j) load.add(16, 5, RingLoad::unit);
    load.advance(now = now + 10s);
    if (i == 0) EXPECT_NEAR(load.total(), 1000 / 60.0, 2) << "a moment's work is taken for that of a minute";
    if (i >= 6) EXPECT_NEAR(load.total(), 100, 0.1) << "from then on it is right";
  }
  load.advance(now = now + RingLoad::half_life);
  EXPECT_NEAR(load.total(), 50, 1);
  load.advance(now + 100ms);
  EXPECT_NEAR(load.total(), 50, 1) << "a moment tells nothing";
  load.advance(now = now + 40 * RingLoad::half_life);
  EXPECT_TRUE(load.rates().empty()) << "rules that nobody uses are forgotten";
}

TEST(RingLoad, RangesAreSpread) {
  Tables tables;
  RingLoad load(tables.schema);
  load.advance(Instant{});
  load.add_between(16, INT64_MIN, INT64_MAX, RingLoad::unit * 6400);
  load.add_between(18, 5, 6, RingLoad::unit * 100);
  load.advance(Instant{} + tick);
  const auto rates = load.rates();
  const auto& wide = rates.at(tables.rule("one"));
  EXPECT_NEAR(std::accumulate(wide.begin(), wide.end(), 0.0), 6400 / 60.0, 0.1);
  EXPECT_NEAR(*std::ranges::max_element(wide), 100 / 60.0, 0.1);
  EXPECT_NEAR(rates.at(tables.rule("three"))[RingLoad::cells / 2], 100 / 60.0, 0.1);
}

TEST(RingLoad, ALongScanIsMoreThanAPointRead) {
  const double point = RingLoad::work_of_read(2, 100), scan = RingLoad::work_of_read(109, 10000);
  EXPECT_NEAR(point / RingLoad::unit, 1, 0.1);
  EXPECT_NEAR(scan / point, 8, 1);
}

}  // namespace
}  // namespace asterism::datastore
