#include "cli/cql_format.h"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "cli/cql_json.h"
#include "datastore/literal.h"

namespace asterism {
namespace {

using datastore::DataType;

struct Example {
  const char* type;
  const char* literal;  // as CQL reads it from text
  const char* shown;
  const char* json;
};
constexpr Example examples[] = {
    {"ascii", "plain", "plain", R"("plain")"},
    {"bigint", "-9223372036854775808", "-9223372036854775808", "-9223372036854775808"},
    {"blob", "0xcafe", "0xcafe", R"("0xcafe")"},
    {"boolean", "true", "True", "true"},
    {"date", "2024-02-29", "2024-02-29", R"("2024-02-29")"},
    {"decimal", "123.4500", "123.4500", R"("123.4500")"},
    {"double", "0.1", "0.1", "0.1"},
    {"double", "NaN", "NaN", R"("NaN")"},
    {"double", "-Infinity", "-Infinity", R"("-Infinity")"},
    {"float", "1.5", "1.5", "1.5"},
    {"duration", "1y2mo3d4h", "1y2mo3d4h", R"("1y2mo3d4h")"},
    {"inet", "::1", "::1", R"("::1")"},
    {"text", "a\n\"b\" ü", "a\\n\"b\" ü", R"("a\n\"b\" ü")"},
    {"time", "12:34:56.789", "12:34:56.789000000", R"("12:34:56.789000000")"},
    {"timestamp", "2024-02-29T12:34:56.789Z", "2024-02-29 12:34:56.789000+0000", R"("2024-02-29T12:34:56.789Z")"},
    {"uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000",
     R"("123e4567-e89b-12d3-a456-426614174000")"},
    {"varint", "123456789012345678901234567890", "123456789012345678901234567890",
     R"("123456789012345678901234567890")"},
    {"list<frozen<list<int>>>", "[[1, 2], []]", "[[1, 2], []]", "[[1,2],[]]"},
    {"set<text>", "{'it''s', 'b'}", "{'b', 'it''s'}", R"(["b","it's"])"},
    {"map<text, frozen<set<int>>>", "{'x': {2, 1}}", "{'x': {1, 2}}", R"({"x":[1,2]})"},
    {"map<int, timestamp>", "{7: '2024-01-01'}", "{7: '2024-01-01 00:00:00.000000+0000'}",
     R"({"7":"2024-01-01T00:00:00.000Z"})"},
    {"map<frozen<tuple<int, text>>, boolean>", "{(1, 'x'): true}", "{(1, 'x'): True}", R"({"[1,\"x\"]":true})"},
    {"frozen<tuple<int, text, double>>", "(1, null, 2.5)", "(1, null, 2.5)", "[1,null,2.5]"},
};

TEST(Format, EveryTypeAsCqlshShowsItAndAsJsonAndBack) {
  for (const Example& example : examples) {
    const auto type = DataType::parse(example.type);
    ASSERT_TRUE(type) << example.type;
    const auto value = datastore::from_text(*type, example.literal);
    ASSERT_TRUE(value) << example.type << " " << value.error().message;
    EXPECT_EQ(format_value(*type, *value), example.shown);
    std::string json;
    to_json(*type, *value, json);
    EXPECT_EQ(json, example.json);
    const auto back = from_json(*type, boost::json::parse(json));
    ASSERT_TRUE(back) << json << ": " << back.error().message;
    EXPECT_EQ(*back, *value) << json;
  }
}

TEST(Format, WhatIsNoValueOfItsTypeIsShownAsBytes) {
  EXPECT_EQ(format_value(datastore::TypeKind::int_, "abc"), "0x616263");
  EXPECT_EQ(format_value(datastore::TypeKind::int_, ""), "");
}

TEST(Json, RefusesWhatDoesNotFit) {
  const auto refused = [](const char* type, const char* json) {
    return !from_json(*DataType::parse(type), boost::json::parse(json)).has_value();
  };
  EXPECT_TRUE(refused("int", "1.5"));
  EXPECT_TRUE(refused("int", "3000000000"));
  EXPECT_TRUE(refused("int", "true"));
  EXPECT_TRUE(refused("text", "1"));
  EXPECT_TRUE(refused("list<int>", "[1, null]"));
  EXPECT_TRUE(refused("list<int>", "{}"));
  EXPECT_TRUE(refused("list<int>", "\"[1]\""));
  EXPECT_TRUE(refused("map<text, int>", "[1]"));
  EXPECT_TRUE(refused("frozen<tuple<int, int>>", "[1, 2, 3]"));
  EXPECT_TRUE(refused("uuid", "\"no\""));
}

TEST(Width, CountsColumnsOfATerminal) {
  EXPECT_EQ(text_width("abc"), 3U);
  EXPECT_EQ(text_width("äöü"), 3U);
  EXPECT_EQ(text_width("日本"), 4U);
  EXPECT_EQ(text_width("e\u0301"), 1U);
  EXPECT_EQ(text_width("🙂"), 2U);
  EXPECT_EQ(text_width("\xff\xf0"), 2U) << "broken bytes take one each";
}

TEST(Table, AlignsByWidth) {
  TableText table({{"k", true}, {"name", false}}, false);
  const std::vector<std::vector<TableCell>> rows{{{"1"}, {"日本"}}, {{"10"}, {"null", true}}};
  table.measure(rows);
  EXPECT_EQ(table.header(), "  k | name\n----+------");
  EXPECT_EQ(table.row(rows[0]), "  1 | 日本");
  EXPECT_EQ(table.row(rows[1]), " 10 | null");
  EXPECT_EQ(table.width(), 11U);
  EXPECT_EQ(table.expanded(rows[0], 1), "@ Row 1\n------+------\n k    | 1\n name | 日本");
}

}  // namespace
}  // namespace asterism
