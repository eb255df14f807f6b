#include "datastore/literal.h"

#include <gtest/gtest.h>

#include "datastore/calendar.h"
#include "datastore/cql/parser.h"

namespace asterism::datastore {
namespace {

DataType type_of(std::string_view text) {
  auto type = DataType::parse(text);
  EXPECT_TRUE(type.has_value()) << text;
  return type.value_or(DataType());
}

/// Hex of the literal's bytes, or the error.
std::string bytes_of(std::string_view type, std::string_view literal) {
  auto term = cql::parse_term(literal);
  if (!term) return "syntax: " + term.error().message;
  auto bytes = to_bytes(type_of(type), *term, "v");
  if (!bytes) return bytes.error().message;
  EXPECT_TRUE(validate(type_of(type), *bytes).has_value()) << literal;
  return to_hex(*bytes);
}

struct Golden {
  std::string_view type;
  std::string_view literal;
  std::string_view bytes;
};

// The bytes are what the Python driver's cqltypes serializes.
TEST(Literal, GoldenValues) {
  const Golden cases[] = {
      {"decimal", "0", "0000000000"},
      {"decimal", "-1", "00000000ff"},
      {"decimal", "1.50", "000000020096"},
      {"decimal", "-0.001", "00000003ff"},
      {"decimal", "1E+3", "fffffffd01"},
      {"decimal", "123456789012345678901234567890.5", "000000010f951a9fa3a286c94f0e766c39"},
      {"decimal", "-99999999999999999999", "00000000fa9438a1d29cf00001"},
      {"varint", "0", "00"},
      {"varint", "-1", "ff"},
      {"varint", "127", "7f"},
      {"varint", "128", "0080"},
      {"varint", "-128", "80"},
      {"varint", "-129", "ff7f"},
      {"varint", "18446744073709551616", "010000000000000000"},
      {"varint", "-18446744073709551616", "ff0000000000000000"},
      {"varint", "1000000000000000000000000000000", "0c9f2c9cd04674edea40000000"},
      {"varint", "-10000000000000000000000000000000000000000", "e29cd60e3ca35b4054460a9f0000000000"},
      {"duration", "1y2mo3d4h", "1c06fc1a3185c50000"},
      {"duration", "P1Y2M3DT4H", "1c06fc1a3185c50000"},
      {"duration", "P0001-02-03T04:00:00", "1c06fc1a3185c50000"},
      {"duration", "-1mo2d3ns", "010305"},
      {"duration", "1MO", "020000"},
      {"duration", "2w", "001c00"},
      {"duration", "P2W", "001c00"},
      {"duration", "2147483647mo2147483647d9223372036854775807ns", "f0fffffffef0fffffffefffffffffffffffffe"},
      {"date", "'2024-02-29'", "80004d46"},
      {"date", "'1970-01-01'", "80000000"},
      {"date", "2147483648", "80000000"},
      {"date", "'-5877641-06-23'", "00000000"},
      {"date", "'5881580-07-11'", "ffffffff"},
      {"time", "'13:30:54.234'", "00002c4032559a80"},
      {"time", "'13:30:54'", "00002c4024630c00"},
      {"timestamp", "'2011-02-03 04:05:00+0000'", "0000012de9b1cde0"},
      {"timestamp", "'2011-02-03T04:05Z'", "0000012de9b1cde0"},
      {"timestamp", "'2011-02-03T06:05:00.000+02:00'", "0000012de9b1cde0"},
      {"timestamp", "'2011-02-03 04:05:00.000 UTC'", "0000012de9b1cde0"},
      {"timestamp", "1296705900000", "0000012de9b1cde0"},
      {"timestamp", "-1", "ffffffffffffffff"},
      {"inet", "'127.0.0.1'", "7f000001"},
      {"inet", "'2001:db8::1'", "20010db8000000000000000000000001"},
      {"inet", "'::'", "00000000000000000000000000000000"},
      {"inet", "'::ffff:127.0.0.1'", "7f000001"},
      {"double", "1.5", "3ff8000000000000"},
      {"double", "NaN", "7ff8000000000000"},
      {"double", "-Infinity", "fff0000000000000"},
      {"double", "1e999", "7ff0000000000000"},
      {"double", "1e-999", "0000000000000000"},
      {"float", "-2.25", "c0100000"},
      {"float", "3", "40400000"},
      {"int", "-2147483648", "80000000"},
      {"bigint", "9223372036854775807", "7fffffffffffffff"},
      {"smallint", "-2", "fffe"},
      {"tinyint", "-128", "80"},
      {"boolean", "TRUE", "01"},
      {"blob", "0xCAfe", "cafe"},
      {"blob", "0x", ""},
      {"text", "'it''s'", "69742773"},
      {"text", "$$it's$$", "69742773"},
      {"uuid", "123e4567-e89b-42d3-a456-426614174000", "123e4567e89b42d3a456426614174000"},
      {"list<int>", "[1, 2]", "0000000200000004000000010000000400000002"},
      {"map<text, int>", "{'b': 2, 'a': 1}", "000000020000000161000000040000000100000001620000000400000002"},
      {"map<text, int>", "{}", "00000000"},
      {"set<text>", "{'b', 'a', 'b'}", "0000000200000001610000000162"},
      {"tuple<int, text>", "(1, null)", "0000000400000001ffffffff"},
      {"map<text, frozen<list<bigint>>>", "{'k': [7]}", "00000001000000016b0000001000000001000000080000000000000007"},
      {"int", "(int) 5", "00000005"},
  };
  for (const Golden& one : cases)
    EXPECT_EQ(bytes_of(one.type, one.literal), one.bytes) << one.type << " " << one.literal;
}

TEST(Literal, ErrorsReadAsCassandras) {
  const Golden cases[] = {
      {"int", "'abc'", "Invalid STRING constant (abc) for \"v\" of type int"},
      {"text", "5", "Invalid INTEGER constant (5) for \"v\" of type text"},
      {"blob", "'aa'", "Invalid STRING constant (aa) for \"v\" of type blob"},
      {"int", "0xaa", "Invalid HEX constant (0xaa) for \"v\" of type int"},
      {"int", "2147483648", "Unable to make int from '2147483648'"},
      {"bigint", "9223372036854775808", "Unable to make long from '9223372036854775808'"},
      {"tinyint", "128", "Unable to make byte from '128'"},
      {"inet", "'1.2.3'", "Unable to make inet address from '1.2.3'"},
      {"inet", "'1::2::3'", "Unable to make inet address from '1::2::3'"},
      {"date", "'2023-02-29'", "Unable to coerce '2023-02-29' to a formatted date (long)"},
      {"timestamp", "'2011-02-03 25:00'", "Unable to parse a date/time from '2011-02-03 25:00'"},
      {"timeuuid", "123e4567-e89b-42d3-a456-426614174000",
       "Unable to make version 1 UUID from '123e4567-e89b-42d3-a456-426614174000'"},
      {"int", "[1]", "Invalid list literal for v of type int"},
      {"list<int>", "{1}", "Invalid set literal for v of type list<int>"},
      {"list<int>", "['a']", "Invalid list literal for v: value 'a' is not of type int"},
      {"list<int>", "[null]", "null is not supported inside collections"},
      {"tuple<int>", "(1, 2)",
       "Invalid tuple literal for v: too many elements. Type frozen<tuple<int>> expects 1 but got 2"},
      {"int", "null", "Invalid null value for v"},
      {"int", "?", "A bind marker is not a constant value for v"},
      {"int", "now()", "The function call now() is not a constant value for v"},
      {"duration", "1d1y", "Invalid duration. The units must be in order and not repeat: y"},
      {"duration", "2147483648mo", "Invalid duration. The total number of months must be less or equal to 2147483647"},
      {"ascii", "'\xc3\xa4'", "Invalid byte for ascii: -61"},
      {"blob", "0xabc", "cannot parse 'abc' as hex bytes"},
  };
  for (const Golden& one : cases)
    EXPECT_EQ(bytes_of(one.type, one.literal), one.bytes) << one.type << " " << one.literal;
}

TEST(Literal, PrintsWhatItReads) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"int", "-5"},
      {"double", "1.0"},
      {"double", "1e+100"},
      {"float", "0.1"},
      {"double", "-Infinity"},
      {"decimal", "1.50"},
      {"decimal", "1E+3"},
      {"decimal", "-0.001"},
      {"decimal", "1E-10"},
      {"varint", "-12345678901234567890123"},
      {"duration", "1y2mo3d4h5m6s7ms8us9ns"},
      {"duration", "-1mo"},
      {"duration", "0ns"},
      {"date", "'0000-01-01'"},
      {"date", "'-0001-12-31'"},
      {"time", "'13:30:54.234000000'"},
      {"timestamp", "'2011-02-03T04:05:06.007Z'"},
      {"timestamp", "'0000-01-01T00:00:00.000Z'"},
      {"timestamp", "9223372036854775807"},
      {"inet", "'2001:db8::1:0:0:1'"},
      {"inet", "'1:0:2:3:4:5:6:7'"},
      {"inet", "'::'"},
      {"boolean", "false"},
      {"uuid", "123e4567-e89b-42d3-a456-426614174000"},
      {"blob", "0xcafe"},
      {"text", "'it''s'"},
      {"map<text, frozen<list<int>>>", "{'a': [1, 2], 'b': []}"},
      {"tuple<int, text>", "(1, null)"},
      {"set<int>", "{}"},
  };
  for (auto [type_text, literal] : cases) {
    DataType type = type_of(type_text);
    auto term = cql::parse_term(literal);
    ASSERT_TRUE(term.has_value()) << literal;
    auto bytes = to_bytes(type, *term, "v");
    ASSERT_TRUE(bytes.has_value()) << literal << ": " << bytes.error().message;
    EXPECT_EQ(to_text(type, *bytes), literal);
  }
  EXPECT_EQ(to_text(TypeKind::int_, "abc"), "0x616263");
  EXPECT_EQ(to_text(TypeKind::int_, ""), "''");
  EXPECT_EQ(to_display(TypeKind::text, "it's"), "it's");
}

TEST(Calendar, EveryDayOfFourCenturiesRoundTrips) {
  for (int64_t day = -200000; day < 200000; ++day) ASSERT_EQ(parse_date(print_date(day)), day);
}

}  // namespace
}  // namespace asterism::datastore
