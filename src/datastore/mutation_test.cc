#include "datastore/mutation.h"

#include <gtest/gtest.h>

namespace asterism::datastore {
namespace {

Row row_of(BytesView value) {
  Row row;
  row.has_marker = true;
  row.marker.timestamp_us = 9;
  Cell cell;
  cell.column = 3;
  cell.timestamp_us = 10;
  cell.value = value;
  row.cells.push_back(cell);
  return row;
}

TEST(Mutation, RoundTripAndEveryTruncation) {
  Mutation mutation(17, -5, "key");
  PartitionHead head;
  head.deletion = {3, 4};
  head.add({{"a", "b", {1, 2}}});
  mutation.add_head(head);
  mutation.add_static(row_of("s"));
  mutation.add_row("c1", row_of("v1"));
  const Bytes& bytes = mutation.encoded();
  auto view = MutationView::decode(bytes);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->table, 17u);
  EXPECT_EQ(view->token, -5);
  EXPECT_EQ(view->partition_key, "key");
  ASSERT_EQ(view->changes.size(), 3u);
  EXPECT_EQ(view->changes[2].clustering, "c1");
  size_t whole = 0;
  for (size_t size = 0; size < bytes.size(); ++size)
    whole += MutationView::decode(BytesView(bytes).substr(0, size)).has_value();
  EXPECT_EQ(whole, 2u) << "only at the ends of the first and second change";
}

TEST(Mutation, RefusesWhatHasNoPlace) {
  Mutation head(17, 1, "key");
  Bytes value;
  encode_head({}, value);
  head.add(Place::head, "clustering", value);
  EXPECT_FALSE(MutationView::decode(head.encoded()));
  Mutation place(17, 1, "key");
  place.add(static_cast<Place>(3), "", "");
  EXPECT_FALSE(MutationView::decode(place.encoded()));
  Mutation garbage(17, 1, "key");
  garbage.add(Place::row, "", "garbage");
  EXPECT_FALSE(MutationView::decode(garbage.encoded()));
  EXPECT_FALSE(MutationView::decode(Mutation(17, 1, "key").encoded())) << "no change at all";
}

TEST(ReadCommand, RoundTripAndEveryTruncation) {
  ReadCommand single;
  single.table = 9;
  single.token = INT64_MIN;
  single.partition_key = "pk";
  single.slices = {{"a", "b"}, {"c", ""}};
  single.reversed = true;
  single.row_limit = 7;
  ReadCommand range;
  range.single = false;
  range.from = "from";
  range.to = "to";
  for (const auto& command : {single, range}) {
    const Bytes bytes = command.encode();
    ByteReader in(bytes);
    auto decoded = ReadCommand::decode(in);
    ASSERT_TRUE(decoded);
    EXPECT_TRUE(in.at_end());
    EXPECT_EQ(decoded->encode(), bytes);
    for (size_t size = 0; size < bytes.size(); ++size) {
      ByteReader cut(BytesView(bytes).substr(0, size));
      EXPECT_FALSE(ReadCommand::decode(cut)) << size;
    }
  }
}

TEST(Mutation, ARowIsAsMergingItAloneLeavesIt) {
  Row row;
  row.deletion = {5, 5};
  Cell older, newer;
  older.column = 3;
  older.timestamp_us = 5;
  older.value = "hidden";
  newer = older;
  newer.column = 4;
  newer.timestamp_us = 6;
  newer.value = "seen";
  row.cells = {older, newer};
  Mutation mutation(20, 1, "k");
  mutation.add_row("c", row);
  auto view = MutationView::decode(mutation.encoded());
  ASSERT_TRUE(view);
  Row stored;
  ASSERT_TRUE(decode_row(view->changes[0].value, stored));
  ASSERT_EQ(stored.cells.size(), 1u);
  EXPECT_EQ(stored.cells[0].value, "seen");
  Bytes merged;
  Bytes key = partition_prefix(20, 1, "k") + "\2c";
  ASSERT_TRUE(merge_versions(key, {view->changes[0].value}, merged));
  EXPECT_EQ(merged, view->changes[0].value);
}

}  // namespace
}  // namespace asterism::datastore
