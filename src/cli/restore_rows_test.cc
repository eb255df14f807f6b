#include "cli/restore_rows.h"

#include <gtest/gtest.h>

#include <map>

#include "datastore/replica.h"
#include "storage/test_rig.h"

namespace asterism {
namespace {

using namespace datastore;

Column column(uint32_t id, std::string name, const char* type, ColumnKind kind, uint32_t position = 0) {
  return {id, std::move(name), *DataType::parse(type), kind, position, false};
}

Table saved_table() {
  Table table;
  table.number = 20;
  table.keyspace = "ks";
  table.name = "t";
  table.columns = {column(1, "k", "text", ColumnKind::partition_key), column(2, "c", "int", ColumnKind::clustering),
                   column(5, "v", "text", ColumnKind::regular), column(4, "w", "text", ColumnKind::regular)};
  table.next_column = 6;
  table.dropped = {{"x", "text", 1, ColumnKind::regular}};  // had id 3
  return table;
}

Table other_table() {
  Table table = saved_table();
  table.columns[2].id = 3;
  table.next_column = 5;
  table.dropped.clear();
  return table;
}

Cell cell(uint32_t of, BytesView value, int64_t written_us) {
  Cell out;
  out.column = of;
  out.value = value;
  out.timestamp_us = written_us;
  return out;
}

Bytes encoded(const Row& row) {
  Bytes out;
  encode_row(row, out);
  return out;
}

TEST(ColumnMap, FindsColumnsByTheirNamesAndLeavesDroppedOnesOut) {
  const ColumnMap map = must(ColumnMap::make(saved_table(), other_table()));
  EXPECT_FALSE(map.same());
  Row row;
  row.has_marker = true;
  row.marker.timestamp_us = 7;
  row.collections = {{3, {1, 1}}, {5, {2, 2}}};
  row.cells = {cell(3, "gone", 1), cell(4, "w", 2), cell(5, "v", 3), cell(99, "no column's", 4)};
  const Bytes bytes = must(map.map(Place::row, encoded(row)));
  Row mapped;
  must(decode_row(bytes, mapped));
  ASSERT_EQ(mapped.cells.size(), 2u);
  EXPECT_EQ(mapped.cells[0].column, 3u);
  EXPECT_EQ(mapped.cells[0].value, "v");
  EXPECT_EQ(mapped.cells[1].column, 4u);
  ASSERT_EQ(mapped.collections.size(), 1u);
  EXPECT_EQ(mapped.collections[0].column, 3u);
  EXPECT_TRUE(mapped.has_marker);
  Row gone;
  gone.cells = {cell(3, "gone", 1)};
  EXPECT_TRUE(must(map.map(Place::row, encoded(gone))).empty());
  EXPECT_FALSE(map.map(Place::row, "garbage"));
}

TEST(ColumnMap, RefusesWhatWouldBeReadAsSomethingElse) {
  EXPECT_TRUE(must(ColumnMap::make(other_table(), other_table())).same());
  const auto refused = [](auto&& change) {
    Table to = other_table();
    change(to);
    auto map = ColumnMap::make(saved_table(), to);
    return map ? "" : map.error().message;
  };
  EXPECT_NE(refused([](Table& to) { to.columns.pop_back(); }).find("no column w"), std::string::npos);
  EXPECT_NE(refused([](Table& to) { to.columns[3].type = *DataType::parse("blob"); }), "");
  EXPECT_NE(refused([](Table& to) { to.columns[1].descending = true; }), "");
  EXPECT_NE(refused([](Table& to) { to.columns[3].kind = ColumnKind::static_; }), "");
  EXPECT_NE(refused([](Table& to) { to.columns.push_back(column(9, "d", "int", ColumnKind::clustering, 1)); }), "");
  EXPECT_EQ(refused([](Table& to) { to.columns.push_back(column(9, "more", "int", ColumnKind::regular)); }), "");
}

/// What mutations make of an empty table.
std::map<Bytes, Bytes> applied(BytesView bundle) {
  std::map<Bytes, Bytes> rows;
  ByteReader in(bundle);
  while (!in.at_end()) {
    const MutationView mutation = must(MutationView::decode(in.sized()));
    for (const auto& change : mutation.changes) {
      Bytes key = partition_prefix(mutation.table, mutation.token, mutation.partition_key);
      key.push_back(static_cast<char>(change.place));
      key.append(change.clustering);
      Bytes& value = rows[key];
      Bytes merged;
      if (!value.empty()) must(merge_versions(key, {value, change.value}, merged));
      value = value.empty() ? Bytes(change.value) : merged;
    }
  }
  EXPECT_FALSE(in.failed());
  return rows;
}

TEST(MutationBundle, WhatIsLargeIsCutIntoPartsThatMergeToTheSame) {
  Row row;
  row.has_marker = true;
  row.marker.timestamp_us = 5;
  row.deletion = {2, 2};
  row.collections = {{5, {3, 3}}};
  const Bytes value(10'000, 'v');
  std::vector<Bytes> paths;
  for (int i = 0; i < 100; ++i) paths.push_back(fmt::format("{:04}", i));
  for (const Bytes& path : paths) {
    Cell each = cell(5, value, 9);
    each.has_path = true;
    each.path = path;
    row.cells.push_back(each);
  }
  PartitionHead head;
  head.deletion = {1, 1};
  std::vector<RangeDeletion> ranges;
  for (int i = 0; i < 9000; ++i) ranges.push_back({fmt::format("{:05}a", i), fmt::format("{:05}b", i), {4, i}});
  head.add(std::move(ranges));
  Bytes head_bytes;
  encode_head(head, head_bytes);
  ASSERT_GT(head_bytes.size(), MutationBundle::piece_bytes_max);

  MutationBundle bundle;
  bundle.begin(30, 77, "key");
  must(bundle.add(Place::head, "", head_bytes));
  bundle.begin(30, 77, "key");
  must(bundle.add(Place::row, "c", encoded(row)));
  bundle.begin(30, 77, "key");
  must(bundle.add(Place::row, "d", encoded(Row{true, cell(0, "", 1), {}, {}, {}})));
  const Bytes bytes = bundle.take();
  EXPECT_EQ(bundle.bytes(), 0u);
  ByteReader in(bytes);
  while (!in.at_end()) EXPECT_LT(in.sized().size(), MutationBundle::piece_bytes_max * 2);
  auto rows = applied(bytes);
  EXPECT_EQ(rows.size(), 3u);
  Bytes key = partition_prefix(30, 77, "key") + '\0';
  EXPECT_EQ(rows[key], head_bytes);
  key.back() = 2;
  EXPECT_EQ(rows[key + "c"], encoded(row));
}

struct Stores {
  TestRig rig;
  std::vector<std::unique_ptr<KeyValueStore>> stores;

  void add(std::map<Bytes, Row> rows, uint32_t table) {
    rig.run([](Stores& self, std::map<Bytes, Row> of, uint32_t number) -> Task<void> {
      KeyValueStore::Options options;
      options.path = fmt::format("store{}", self.stores.size());
      options.background_compaction = false;
      options.merge = merge_function();
      auto store = must(co_await KeyValueStore::open(self.rig.disk(), options));
      KeyValueStore::Batch batch;
      for (const auto& [key, row] : of)
        batch.merge(partition_prefix(number, static_cast<int64_t>(key.size()), key) + '\x02' + "c", encoded(row));
      // Of neighbours, which are not asked for.
      batch.merge(partition_prefix(number - 1, 1, "before") + '\x02' + "c", encoded(Row()));
      batch.merge(partition_prefix(number + 1, 1, "behind") + '\x02' + "c", encoded(Row()));
      must(store->apply(batch));
      self.stores.push_back(std::move(store));
    }(*this, std::move(rows), table));
  }
};

TEST(VersionReader, MergesTheVersionsOfAllFolders) {
  Stores stores;
  const auto row = [](uint32_t of, BytesView value, int64_t written_us) {
    Row out;
    out.cells = {cell(of, value, written_us)};
    return out;
  };
  // Column w has id 4 in both; v has 5 in the folder whose schema is as it was, and 3 in the other.
  stores.add({{"a", row(4, "old", 1)}, {"bb", row(4, "same", 1)}, {"dddd", row(5, "one", 1)}, {"x", row(3, "", 9)}},
             20);
  stores.add({{"a", row(4, "new", 2)}, {"bb", row(4, "same", 1)}, {"ccc", row(4, "c", 1)}, {"dddd", row(3, "two", 2)}},
             33);
  VersionReader reader({{"f1", stores.stores[0].get(), 20, must(ColumnMap::make(saved_table(), other_table()))},
                        {"f2", stores.stores[1].get(), 33, must(ColumnMap::make(other_table(), other_table()))}},
                       40);
  MutationBundle bundle;
  Bytes all;
  while (must(reader.fill(bundle, 1))) all += bundle.take();
  all += bundle.take();
  const auto rows = applied(all);
  const auto value_of = [&](const Bytes& key) {
    const auto found = rows.find(partition_prefix(40, static_cast<int64_t>(key.size()), key) + '\x02' + "c");
    Row read;
    if (found == rows.end()) return std::string("none");
    must(decode_row(found->second, read));
    return fmt::format("{} {}", read.cells.at(0).column, read.cells.at(0).value);
  };
  EXPECT_EQ(value_of("a"), "4 new");
  EXPECT_EQ(value_of("bb"), "4 same");
  EXPECT_EQ(value_of("ccc"), "4 c");
  EXPECT_EQ(value_of("dddd"), "3 two");
  EXPECT_EQ(value_of("x"), "none") << "all of it was in a dropped column";
  EXPECT_EQ(rows.size(), 4u);
  EXPECT_EQ(reader.rows(), 4u);
  EXPECT_EQ(reader.progress(), 1);
  stores.stores.clear();
}

}  // namespace
}  // namespace asterism
