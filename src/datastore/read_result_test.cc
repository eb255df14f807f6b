#include "datastore/read_result.h"

#include <gtest/gtest.h>

namespace asterism::datastore {
namespace {

TEST(ReadResult, RoundTripAndEveryTruncation) {
  ReadResult result;
  result.complete = false;
  result.next = "next";
  result.partitions = {{5, "k", "head", "", {{"c", "row"}, {"d", "other"}}}, {6, "l", "", "static", {}}};
  const Bytes bytes = result.encode();
  auto decoded = ReadResult::decode(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->encode(), bytes);
  EXPECT_EQ(digest_of(decoded->encode()), digest_of(bytes));
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(ReadResult::decode(BytesView(bytes).substr(0, size))) << size;
}

TEST(ReadResult, APartitionCanBeTakenBack) {
  ReadResultWriter out;
  out.begin_partition(1, "a", "", "");
  out.add_row("c", "row");
  out.end_partition();
  out.begin_partition(2, "b", "head", "");
  out.drop_partition();
  auto result = ReadResult::decode(std::move(out).finish(true, {}));
  ASSERT_TRUE(result);
  ASSERT_EQ(result->partitions.size(), 1u);
  EXPECT_EQ(result->partitions[0].key, "a");
}

}  // namespace
}  // namespace asterism::datastore
