#include "datastore/row.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "datastore/partition.h"

namespace asterism::datastore {
namespace {

Cell live(uint32_t column, int64_t timestamp_us, BytesView value) {
  Cell cell;
  cell.column = column;
  cell.timestamp_us = timestamp_us;
  cell.value = value;
  return cell;
}

Cell tombstone(uint32_t column, int64_t timestamp_us, int64_t local_s) {
  Cell cell;
  cell.column = column;
  cell.kind = Cell::Kind::tombstone;
  cell.timestamp_us = timestamp_us;
  cell.local_s = local_s;
  return cell;
}

Bytes encoded(const Row& row) {
  Bytes out;
  encode_row(row, out);
  return out;
}

TEST(Reconcile, FollowsCassandrasTieBreaks) {
  const Cell old = live(1, 10, "b"), newer = live(1, 11, "a"), larger = live(1, 10, "c"), dead = tombstone(1, 10, 5);
  EXPECT_EQ(reconcile(old, newer).value, "a");
  EXPECT_EQ(reconcile(old, larger).value, "c");
  EXPECT_EQ(reconcile(larger, dead).kind, Cell::Kind::tombstone);
  Cell expiring = live(1, 10, "z");
  expiring.kind = Cell::Kind::expiring;
  expiring.ttl_s = 60;
  expiring.local_s = 100;
  EXPECT_EQ(reconcile(expiring, dead).kind, Cell::Kind::tombstone);
  EXPECT_EQ(reconcile(expiring, larger).kind, Cell::Kind::expiring);
}

/// Random row over few columns and timestamps, so that ties are common.
Row random_row(std::mt19937& random) {
  static const Bytes values[] = {"", "a", "b", Bytes(300, 'x')};
  static const Bytes paths[] = {"p", "q", "qq"};
  auto below = [&](unsigned bound) { return random() % bound; };
  Row row;
  auto stamp = [&](Cell& cell) {
    cell.kind = static_cast<Cell::Kind>(below(3));
    cell.timestamp_us = static_cast<int64_t>(below(4)) - 1;
    if (cell.kind == Cell::Kind::expiring) cell.ttl_s = 1 + below(3);
    if (cell.kind != Cell::Kind::live) cell.local_s = static_cast<int64_t>(below(3));
  };
  if (below(2)) {
    row.has_marker = true;
    stamp(row.marker);
    if (row.marker.kind == Cell::Kind::tombstone) row.marker.kind = Cell::Kind::live, row.marker.local_s = 0;
  }
  if (below(3) == 0) row.deletion = {static_cast<int64_t>(below(4)) - 1, static_cast<int64_t>(below(2))};
  for (uint32_t column = 1; column <= 4; ++column) {
    if (column > 2 && below(3) == 0)
      row.collections.push_back({column, {static_cast<int64_t>(below(3)), static_cast<int64_t>(below(2))}});
    for (size_t path = 0; path < (column > 2 ? 3u : 1u); ++path) {
      if (below(2)) continue;
      Cell cell;
      cell.column = column;
      stamp(cell);
      if (column > 2) cell.has_path = true, cell.path = paths[path];
      if (cell.kind != Cell::Kind::tombstone) cell.value = values[below(4)];
      row.cells.push_back(cell);
    }
  }
  return merge_rows(row, Row());  // drops what its own deletions hide
}

TEST(MergeRows, IsCommutativeAssociativeAndIdempotent) {
  for (unsigned seed = 0; seed < 20000; ++seed) {
    std::mt19937 random(seed);
    const Row a = random_row(random), b = random_row(random), c = random_row(random);
    EXPECT_EQ(encoded(merge_rows(a, b)), encoded(merge_rows(b, a))) << seed;
    EXPECT_EQ(encoded(merge_rows(merge_rows(a, b), c)), encoded(merge_rows(a, merge_rows(b, c)))) << seed;
    EXPECT_EQ(encoded(merge_rows(a, a)), encoded(a)) << seed;
    if (HasFailure()) break;
  }
}

TEST(RowSupersedes, SaysYesOnlyWhereMergingGivesTheNewer) {
  int yes = 0, plain = 0;
  for (unsigned seed = 0; seed < 40'000; ++seed) {
    std::mt19937 random(seed);
    Row older = random_row(random), newer = random_row(random);
    const bool plain_rows = seed % 4 < 2, later = seed % 2 == 0;
    if (plain_rows)
      for (Row* row : {&older, &newer}) {
        row->deletion = {};
        row->collections.clear();
        std::erase_if(row->cells, [](const Cell& cell) { return cell.has_path; });
      }
    if (later) {
      newer.marker.timestamp_us += 10;
      for (Cell& cell : newer.cells) cell.timestamp_us += 10;
    }
    const bool says = row_supersedes(encoded(older), encoded(newer));
    if (says) {
      EXPECT_EQ(encoded(merge_rows(older, newer)), encoded(newer)) << seed;
      ++yes;
    }
    const bool has_all =
        (newer.has_marker || !older.has_marker) && std::ranges::all_of(older.cells, [&](const Cell& a) {
          return std::ranges::any_of(newer.cells, [&](const Cell& b) { return same_place(a, b); });
        });
    if (plain_rows && later && has_all) {
      EXPECT_TRUE(says) << seed;
      ++plain;
    }
    if (HasFailure()) break;
  }
  EXPECT_GT(plain, 1000);
  EXPECT_GT(yes, plain);
}

TEST(RowSupersedes, TakesNoTruncatedRow) {
  Row row;
  for (uint32_t column = 1; column <= 3; ++column) {
    Cell& cell = row.cells.emplace_back();
    cell.column = column;
    cell.timestamp_us = 5;
    cell.value = "value";
  }
  const Bytes older = encoded(row);
  for (Cell& cell : row.cells) cell.timestamp_us = 6;
  const Bytes newer = encoded(row);
  EXPECT_TRUE(row_supersedes(older, newer));
  for (size_t size = 0; size < older.size(); ++size) {
    EXPECT_FALSE(row_supersedes(BytesView(older).substr(0, size), newer));
    EXPECT_FALSE(row_supersedes(older, BytesView(newer).substr(0, size)));
  }
}

TEST(EncodeRow, RoundTripsAndRefusesEveryTruncation) {
  std::mt19937 random(7);
  for (int i = 0; i < 200; ++i) {
    const Bytes bytes = encoded(random_row(random));
    Row decoded;
    ASSERT_TRUE(decode_row(bytes, decoded));
    EXPECT_EQ(encoded(decoded), bytes);
    for (size_t size = 0; size < bytes.size(); ++size)
      EXPECT_FALSE(decode_row(BytesView(bytes).substr(0, size), decoded));
  }
}

TEST(PartitionHead, RangeDeletionsAreCanonicalInAnyOrder) {
  for (unsigned seed = 0; seed < 3000; ++seed) {
    std::mt19937 random(seed);
    std::vector<RangeDeletion> all;
    for (int i = 0; i < 6; ++i) {
      Bytes from(1, static_cast<char>('a' + random() % 6));
      Bytes to = random() % 4 == 0 ? Bytes() : Bytes(1, static_cast<char>('a' + random() % 7));
      all.push_back({from, to, {static_cast<int64_t>(random() % 3), static_cast<int64_t>(random() % 2)}});
    }
    PartitionHead together, single;
    together.add(all);
    std::shuffle(all.begin(), all.end(), random);
    for (auto& range : all) single.add({range});
    EXPECT_EQ(together.ranges, single.ranges) << seed;
    for (char c = 'a'; c <= 'h'; ++c) {
      DeletionTime expected;
      const Bytes key(1, c);
      for (auto& range : all)
        if (key >= range.from && (range.to.empty() || key < range.to)) expected = std::max(expected, range.deletion);
      EXPECT_EQ(together.deletion_of(key), expected) << seed << c;
    }
    Bytes bytes;
    encode_head(together, bytes);
    EXPECT_EQ(decode_head(bytes)->ranges, together.ranges);
    if (HasFailure()) break;
  }
}

TEST(Keys, SplitGivesBackWhatWasJoinedAndTokensSort) {
  Bytes key = partition_prefix(7, -5, Bytes("k\0\xff", 3));
  key += static_cast<char>(Place::row);
  key += "clustering";
  auto parts = split_key(key);
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->table, 7u);
  EXPECT_EQ(parts->token, -5);
  EXPECT_EQ(parts->partition_key, BytesView("k\0\xff", 3));
  EXPECT_EQ(parts->clustering, "clustering");
  EXPECT_LT(token_key(7, INT64_MIN), token_key(7, -1));
  EXPECT_LT(token_key(7, -1), token_key(7, 0));
  EXPECT_LT(token_key(7, INT64_MAX), token_key(8, INT64_MIN));
  EXPECT_EQ(after_prefix("a\xff"), "b");
  EXPECT_EQ(after_prefix("\xff"), "");
}

}  // namespace
}  // namespace asterism::datastore
