#include "cli/row_encoder.h"

#include <gtest/gtest.h>

#include "base/hash.h"
#include "cli/import_progress.h"
#include "datastore/literal.h"

namespace asterism {
namespace {

using datastore::DataType;
using Kind = TableColumn::Kind;

const TableInfo table{"ks",
                      "t",
                      {{"a", *DataType::parse("int"), Kind::partition, 0},
                       {"b", *DataType::parse("text"), Kind::partition, 1},
                       {"c", *DataType::parse("bigint"), Kind::clustering, 0},
                       {"v", *DataType::parse("double"), Kind::plain, -1},
                       {"w", *DataType::parse("list<int>"), Kind::plain, -1}}};

std::vector<CsvField> fields(std::initializer_list<const char*> texts) {
  std::vector<CsvField> out;
  for (const char* text : texts) out.push_back({text, text[0] == '\''});
  for (CsvField& field : out)
    if (field.quoted) field.text.remove_prefix(1);
  return out;
}

/// "a=1" for each value of the row; "unset" where there is none.
std::string values_of(const RowEncoder& encoder) {
  std::string out;
  ByteReader in(encoder.values());
  const uint16_t count = in.u16_be();
  for (uint16_t i = 0; i < count; ++i) {
    const auto size = static_cast<int32_t>(in.u32_be());
    out += out.empty() ? "" : " ";
    out += size == -2 ? "unset" : to_text(table.columns[i].type, in.raw(static_cast<uint32_t>(size)));
  }
  EXPECT_TRUE(in.at_end() && !in.failed());
  return out;
}

TEST(RowEncoder, MakesValuesOfCsvAndJson) {
  auto encoder = RowEncoder::create(table, table.columns, "");
  ASSERT_TRUE(encoder) << encoder.error().message;
  EXPECT_EQ(encoder->statement(), "INSERT INTO ks.t (a, b, c, v, w) VALUES (?, ?, ?, ?, ?)");
  ASSERT_TRUE(encoder->encode_csv(fields({"1", "ü", "-5", "2.5e3", "[1, 2]"})));
  EXPECT_EQ(values_of(*encoder), "1 'ü' -5 2500.0 [1, 2]");
  ASSERT_TRUE(encoder->encode_csv(fields({"1", "'", "5", "NaN", ""})));
  EXPECT_EQ(values_of(*encoder), "1 '' 5 NaN unset") << "quoted and empty is the empty text, unquoted is null";
  ASSERT_TRUE(encoder->encode_json(R"({"a":1,"b":"x","c":9007199254740993,"w":[3],"v":null})"));
  EXPECT_EQ(values_of(*encoder), "1 'x' 9007199254740993 unset [3]");
}

TEST(RowEncoder, KnowsTheTokenOfThePartition) {
  auto encoder = RowEncoder::create(table, table.columns, "");
  ASSERT_TRUE(encoder && encoder->encode_csv(fields({"1", "x", "5", "", ""})));
  Bytes key("\0\4\0\0\0\1\0\0\1x\0", 11);
  EXPECT_EQ(encoder->token(), murmur3_token(key));
  const TableInfo single{"ks", "s", {{"k", *DataType::parse("text"), Kind::partition, 0}}};
  auto other = RowEncoder::create(single, single.columns, "");
  ASSERT_TRUE(other && other->encode_csv(fields({"abc"})));
  EXPECT_EQ(other->token(), murmur3_token("abc"));
}

TEST(RowEncoder, SaysWhatIsWrong) {
  auto encoder = RowEncoder::create(table, table.columns, "-");
  ASSERT_TRUE(encoder);
  EXPECT_FALSE(encoder->encode_csv(fields({"1", "x", "5"})));
  EXPECT_EQ(encoder->error().reason, "3 fields, and there are 5 columns");
  EXPECT_FALSE(encoder->encode_csv(fields({"1", "x", "5.0", "-", "-"})));
  EXPECT_EQ(encoder->error().column, "c");
  EXPECT_FALSE(encoder->encode_csv(fields({"1", "-", "5", "-", "-"})));
  EXPECT_EQ(encoder->error().column, "b");
  EXPECT_FALSE(encoder->encode_csv(fields({"1", "\xff", "5", "-", "-"})));
  EXPECT_FALSE(encoder->encode_csv(fields({"1", "x", "5", "inf", "-"})));
  EXPECT_FALSE(encoder->encode_json("{"));
  EXPECT_FALSE(encoder->encode_json(R"({"a":1,"b":"x"})"));
  EXPECT_FALSE(encoder->encode_json(R"({"a":1,"b":"x","c":1,"z":1})"));
  EXPECT_EQ(encoder->error().column, "z");
  EXPECT_FALSE(RowEncoder::create(table, {table.columns[0]}, ""));
}

TEST(ImportTracker, ItsPositionIsBehindWhatIsWholeOnly) {
  ImportTracker tracker({.offset = 10, .line = 2});
  tracker.add_row();
  const uint64_t first = tracker.stretch();
  tracker.close(100, 5);
  tracker.add_row();
  tracker.add_row();
  tracker.add_reject("bad\n");
  const uint64_t second = tracker.stretch();
  tracker.close(200, 9);
  tracker.acknowledge(second, 2);
  EXPECT_EQ(tracker.advance(), "");
  EXPECT_EQ(tracker.position().offset, 10U);
  tracker.acknowledge(first, 1);
  EXPECT_EQ(tracker.advance(), "bad\n");
  EXPECT_EQ(tracker.position().offset, 200U);
  EXPECT_EQ(tracker.position().line, 9U);
  EXPECT_EQ(tracker.position().rows, 3U);
  EXPECT_EQ(tracker.position().rejected, 1U);
  EXPECT_EQ(tracker.position().rejects_bytes, 4U);
  EXPECT_EQ(tracker.open_stretches(), 1U);
}

TEST(ImportRecord, ReadsBackWhatItWrites) {
  ImportRecord record{"table=x", {"a", "B \"c\""}, 1'234'567, {7, 8, 9, 10, 11}, "ff", 4096};
  const auto back = ImportRecord::parse(record.to_text());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->to_text(), record.to_text());
  EXPECT_EQ(back->position.rejects_bytes, 11U);
  EXPECT_FALSE(ImportRecord::parse("{}"));
  EXPECT_FALSE(ImportRecord::parse(record.to_text().substr(0, 40)));
}

}  // namespace
}  // namespace asterism
