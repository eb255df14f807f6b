#include "datastore/type.h"

#include <gtest/gtest.h>

#include <random>

#include "datastore/literal.h"
#include "datastore/number.h"

namespace asterism::datastore {
namespace {

Bytes hex(std::string_view digits) {
  Bytes bytes;
  EXPECT_TRUE(from_hex(digits, bytes)) << digits;
  return bytes;
}

DataType type_of(std::string_view text) {
  auto type = DataType::parse(text);
  EXPECT_TRUE(type.has_value()) << text << ": " << (type ? "" : type.error().message);
  return type.value_or(DataType());
}

std::string parse_error(std::string_view text) {
  auto type = DataType::parse(text);
  return type ? "" : type.error().message;
}

const std::vector<std::string> simple_types = {
    "ascii", "bigint",   "blob", "boolean", "counter",   "date",     "decimal", "double", "float",  "inet",
    "int",   "smallint", "text", "time",    "timestamp", "timeuuid", "tinyint", "uuid",   "varint", "duration"};
const std::vector<std::string> nested_types = {"frozen<list<int>>",
                                               "frozen<set<text>>",
                                               "frozen<map<text, decimal>>",
                                               "frozen<tuple<int, text, varint>>",
                                               "frozen<list<frozen<map<uuid, frozen<set<double>>>>>>",
                                               "frozen<tuple<frozen<list<text>>, blob, timeuuid>>"};

TEST(DataType, ParsesAndPrintsAsCassandraDoes) {
  for (const std::string& name : simple_types) EXPECT_EQ(type_of(name).to_string(), name);
  EXPECT_EQ(type_of("VarChar").to_string(), "text");
  EXPECT_EQ(type_of(" MAP < text,frozen<list< int > >>").to_string(), "map<text, frozen<list<int>>>");
  EXPECT_EQ(type_of("frozen<list<list<int>>>").to_string(), "frozen<list<frozen<list<int>>>>");
  EXPECT_EQ(type_of("tuple<int, list<text>>").to_string(), "frozen<tuple<int, frozen<list<text>>>>");
  EXPECT_EQ(type_of("list<tuple<int, text>>").to_string(), "list<frozen<tuple<int, text>>>");
  EXPECT_TRUE(type_of("set<int>").is_multi_cell());
  EXPECT_FALSE(type_of("frozen<set<int>>").is_multi_cell());
  EXPECT_EQ(type_of("list<int>").freeze(), type_of("frozen<list<int>>"));
  EXPECT_NE(type_of("list<int>"), type_of("frozen<list<int>>"));
  EXPECT_EQ(DataType::map(TypeKind::text, TypeKind::int_), type_of("map<text, int>"));
}

TEST(DataType, RefusesWhatCassandraRefuses) {
  EXPECT_EQ(parse_error("list<list<int>>"), "Non-frozen collections are not allowed inside collections: list<int>");
  EXPECT_EQ(parse_error("list<counter>"), "Counters are not allowed inside collections");
  EXPECT_EQ(parse_error("frozen<int>"),
            "frozen<> is only allowed on collections, tuples, and user-defined types (got int)");
  EXPECT_EQ(parse_error("map<duration, int>"), "Durations are not allowed as map keys: map<duration, int>");
  for (std::string_view bad : {"", "integer", "list", "list<", "list<int", "list<int>>", "map<int>", "set<int, int>",
                               "tuple<>", "int int", "frozen", "list<>"}) {
    EXPECT_FALSE(DataType::parse(bad).has_value()) << bad;
  }
}

TEST(DataType, BoundsNesting) {
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "frozen<list<";
  EXPECT_EQ(DataType::parse(deep).error().code, ErrorCode::too_large);
}

TEST(DataType, ProtocolOptionIds_4_2_5_2) {
  EXPECT_EQ(protocol_id(TypeKind::ascii), 0x01);
  EXPECT_EQ(protocol_id(TypeKind::text), 0x0d);
  EXPECT_EQ(protocol_id(TypeKind::inet), 0x10);
  EXPECT_EQ(protocol_id(TypeKind::duration), 0x15);
  EXPECT_EQ(protocol_id(TypeKind::list), 0x20);
  EXPECT_EQ(protocol_id(TypeKind::map), 0x21);
  EXPECT_EQ(protocol_id(TypeKind::set), 0x22);
  EXPECT_EQ(protocol_id(TypeKind::tuple), 0x31);
}

struct ValidateCase {
  std::string_view type;
  std::string_view value;
  std::string_view error;  // empty: valid
};

TEST(Validate, GivesCassandrasVerdict) {
  const ValidateCase cases[] = {
      {"int", "00000001", ""},
      {"int", "", ""},
      {"int", "000001", "Expected 4 or 0 byte int (3)"},
      {"bigint", "00", "Expected 8 or 0 byte long (1)"},
      {"smallint", "", "Expected 2 bytes for a smallint (0)"},
      {"tinyint", "0000", "Expected 1 byte for a tinyint (2)"},
      {"boolean", "0000", "Expected 1 or 0 byte value (2)"},
      {"date", "", "Expected 4 byte long for date (0)"},
      {"time", "00004e94914f0000", "Input long out of bounds: 86400000000000"},
      {"time", "00004e94914effff", ""},
      {"uuid", "00", "Expected 16 or 0 byte UUID (1)"},
      {"timeuuid", "00000000000040008000000000000000", "Invalid version for TimeUUID type."},
      {"timeuuid", "00000000000010008000000000000000", ""},
      {"ascii", "61ff", "Invalid byte for ascii: -1"},
      {"text", "c3a4", ""},
      {"text", "f09f9880", ""},
      {"text", "c0af", "String didn't validate."},
      {"text", "eda080", "String didn't validate."},
      {"text", "f4908080", "String didn't validate."},
      {"text", "e282", "String didn't validate."},
      {"inet", "7f0000", "Expected 4 or 16 byte inetaddress; got 3 bytes"},
      {"decimal", "00000000", "Expected 0 or at least 5 bytes (4)"},
      {"duration", "0000", "Expected at least 3 bytes for a duration (2)"},
      {"duration", "020100", "The duration months, days and nanoseconds must be all of the same sign (1, -1, 0)"},
      {"list<int>",
       "00000001"
       "00000004"
       "00000007",
       ""},
      {"list<int>", "", "Not enough bytes to read a list"},
      {"list<int>",
       "00000002"
       "00000004"
       "00000007",
       "Not enough bytes to read a list"},
      {"list<int>", "7fffffff", "Not enough bytes to read a list"},
      {"list<int>", "ffffffff", "The data cannot be deserialized as a list"},
      {"list<int>",
       "00000001"
       "ffffffff",
       "Null value read when not allowed"},
      {"list<int>",
       "00000001"
       "00000003"
       "000007",
       "Expected 4 or 0 byte int (3)"},
      {"list<int>",
       "00000000"
       "00",
       "Unexpected extraneous bytes after list value"},
      {"map<int, text>",
       "00000001"
       "00000004"
       "00000007"
       "00000001"
       "61",
       ""},
      {"map<int, text>",
       "00000001"
       "00000004"
       "00000007",
       "Not enough bytes to read a map"},
      {"tuple<int, text>",
       "00000004"
       "00000007"
       "ffffffff",
       ""},
      {"tuple<int, text>",
       "00000004"
       "00000007",
       ""},
      {"tuple<int, text>",
       "00000004"
       "000007",
       "Not enough bytes to read 0th component"},
      {"tuple<int>",
       "00000004"
       "00000007"
       "00000000",
       "Invalid remaining data after end of tuple value"},
  };
  for (const ValidateCase& one : cases) {
    Status status = validate(type_of(one.type), hex(one.value));
    EXPECT_EQ(status ? "" : status.error().message, one.error) << one.type << " " << one.value;
  }
}

TEST(Validate, BoundsNumbers) {
  EXPECT_TRUE(validate(TypeKind::varint, Bytes(max_number_size_bytes, '\x7f')).has_value());
  EXPECT_EQ(validate(TypeKind::varint, Bytes(max_number_size_bytes + 1, '\x7f')).error().code, ErrorCode::too_large);
  EXPECT_EQ(validate(TypeKind::decimal, Bytes(max_number_size_bytes + 5, '\x7f')).error().code, ErrorCode::too_large);
}

/// Values in ascending order; "=" before a value says that it equals the one before.
void expect_order(std::string_view type_text, const std::vector<std::string>& values) {
  DataType type = type_of(type_text);
  for (size_t i = 0; i + 1 < values.size(); ++i) {
    for (size_t k = i + 1; k < values.size(); ++k) {
      bool equal = true;
      for (size_t j = i + 1; j <= k; ++j) equal = equal && values[j].starts_with("=");
      Bytes a = hex(std::string_view(values[i]).substr(values[i].starts_with("=")));
      Bytes b = hex(std::string_view(values[k]).substr(values[k].starts_with("=")));
      int order = compare(type, a, b);
      EXPECT_EQ(order < 0, !equal) << type_text << ": " << values[i] << " " << values[k];
      EXPECT_EQ(order == 0, equal) << type_text << ": " << values[i] << " " << values[k];
      Bytes x;
      Bytes y;
      encode_ordered(type, a, false, x);
      encode_ordered(type, b, false, y);
      EXPECT_EQ(x < y, order < 0) << type_text << ": " << values[i] << " " << values[k];
      EXPECT_EQ(x == y, equal) << type_text << ": " << values[i] << " " << values[k];
    }
  }
}

TEST(Compare, FollowsCassandrasOrder) {
  expect_order("int", {"", "80000000", "ffffffff", "00000000", "00000001", "7fffffff"});
  expect_order("date", {"00000000", "7fffffff", "80000000", "ffffffff"});
  expect_order("boolean", {"", "00", "01", "=02"});
  expect_order("text", {"", "00", "0000", "0001", "01", "61", "6100", "6161", "62", "c3a4"});
  expect_order("double", {"", "fff0000000000000", "bff0000000000000", "8000000000000000", "0000000000000000",
                          "3ff0000000000000", "7ff0000000000000", "7ff8000000000000", "=fff8000000000001"});
  expect_order("varint", {"", "8000", "80", "=ff80", "ff", "00", "=0000", "01", "7f", "0080", "00ff", "0100"});
  // -1E+1, -1.5, -1, 0, 0.00, 0.001, 1, 1.0, 1.00, 1.01, 10
  expect_order("decimal", {"", "ffffffffff", "00000001f1", "00000000ff", "0000000000", "=0000000200", "0000000301",
                           "0000000001", "=000000010a", "=0000000264", "0000000265", "ffffffff01", "=000000000a"});
  // The time decides, not the bytes; then each byte of the node is signed.
  expect_order("timeuuid", {"ffffffff000010008000000000000000", "ffffffff000010000000000000000000",
                            "00000000000110008000000000000000", "00000000000010018000000000000000"});
  expect_order("uuid", {"", "ffffffff000010008000000000000000", "00000000000010018000000000000000",
                        "00000000000040008000000000000000", "ffffffff000040008000000000000000"});
  expect_order("inet", {"", "01000000", "01000000000000000000000000000000", "7f000001"});
  expect_order("frozen<list<int>>", {"00000000", "0000000100000004ffffffff", "000000010000000400000001",
                                     "00000002000000040000000100000004ffffffff", "000000010000000400000002"});
  expect_order("tuple<int, text>",
               {"", "=ffffffffffffffff", "00000000", "0000000400000001", "=0000000400000001ffffffff",
                "000000040000000100000000", "00000004000000010000000161"});
}

class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  uint64_t below(uint64_t bound) { return engine_() % bound; }

  Bytes bytes(size_t most) {
    Bytes bytes;
    // Few different bytes, with 00 and ff among them, make common prefixes likely.
    constexpr std::string_view alphabet("\x00\x01\x7f\x80\xfe\xff", 6);
    for (size_t i = below(most + 1); i > 0; --i) {
      bytes.push_back(below(2) == 0 ? alphabet[below(6)] : static_cast<char>(engine_()));
    }
    return bytes;
  }
  Bytes exactly(size_t size) {
    Bytes value = bytes(size);
    value.resize(size, '\0');
    return value;
  }

  Bytes value(const DataType& type) {
    if (allows_empty(type.kind()) && type.kind() != TypeKind::tuple && below(20) == 0) return {};
    for (int attempt = 0; attempt < 1000; ++attempt) {
      Bytes candidate = guess(type);
      if (validate(type, candidate)) return candidate;
    }
    ADD_FAILURE() << "no value of " << type.to_string();
    return {};
  }

 private:
  Bytes guess(const DataType& type) {
    switch (type.kind()) {
      case TypeKind::ascii:
      case TypeKind::text: {
        Bytes text = bytes(12);
        for (char& c : text) c = static_cast<char>(c & 0x7f);
        return text;
      }
      case TypeKind::blob:
      case TypeKind::varint:
        return bytes(below(10) == 0 ? 300 : 12);
      case TypeKind::decimal:
        return decimal();
      case TypeKind::duration:
        return hex(below(2) == 0 ? "020406" : "010305");
      case TypeKind::inet:
        return exactly(below(2) == 0 ? 4 : 16);
      case TypeKind::boolean:
        return Bytes(1, static_cast<char>(below(2)));
      case TypeKind::time: {
        Bytes bytes = exactly(8);
        bytes[0] = bytes[1] = 0;
        bytes[2] = static_cast<char>(below(0x4e));
        return bytes;
      }
      case TypeKind::timeuuid:
      case TypeKind::uuid: {
        Bytes bytes = exactly(16);
        if (type.kind() == TypeKind::timeuuid || below(2) == 0) bytes[6] = static_cast<char>((bytes[6] & 0xf) | 0x10);
        return bytes;
      }
      case TypeKind::list:
      case TypeKind::set:
      case TypeKind::map:
      case TypeKind::tuple:
        return composite(type);
      case TypeKind::smallint:
        return exactly(2);
      case TypeKind::tinyint:
        return exactly(1);
      case TypeKind::int_:
      case TypeKind::float_:
      case TypeKind::date:
        return exactly(4);
      default:
        return exactly(8);
    }
  }

  Bytes decimal() {
    Bytes out;
    ByteWriter writer(out);
    writer.u32_be(below(10) == 0 ? static_cast<uint32_t>(engine_()) : static_cast<uint32_t>(below(8)) - 4);
    uint64_t kind = below(3);
    if (kind == 0) {
      writer.raw(varint_from_int(static_cast<int64_t>(below(40)) * 100 - 2000));
    } else if (kind == 1) {
      writer.raw(varint_from_int(static_cast<int64_t>(engine_())));
    } else {
      writer.raw(bytes(20) + Bytes(1, '\1'));
    }
    return out;
  }

  Bytes composite(const DataType& type) {
    Bytes out;
    ByteWriter writer(out);
    bool tuple = type.kind() == TypeKind::tuple;
    uint64_t count = tuple ? 1 : below(4);
    if (!tuple) writer.u32_be(static_cast<uint32_t>(count));
    for (uint64_t i = 0; i < count; ++i) {
      for (const DataType& part : type.arguments()) {
        if (tuple && below(5) == 0) {
          writer.u32_be(0xffffffffU);
          continue;
        }
        Bytes element = value(part);
        writer.u32_be(static_cast<uint32_t>(element.size()));
        writer.raw(element);
      }
    }
    return type.kind() == TypeKind::list || tuple ? out : normalize(type, out);
  }

  std::mt19937_64 engine_;
};

/// What a decoded key shows for `value`: equal in order; the same bytes wherever the type has one spelling per value.
bool has_one_spelling(const DataType& type) {
  for (TypeKind kind : {TypeKind::varint, TypeKind::decimal, TypeKind::float_, TypeKind::double_}) {
    if (type.mentions(kind)) return false;
  }
  return true;
}

TEST(Ordered, BytesOrderAsValuesDoAndRoundTrip) {
  Random random(1);
  std::vector<std::string> names = simple_types;
  names.insert(names.end(), nested_types.begin(), nested_types.end());
  for (const std::string& name : names) {
    DataType type = type_of(name);
    std::vector<Bytes> values;
    for (int i = 0; i < 120; ++i) values.push_back(random.value(type));
    for (bool descending : {false, true}) {
      std::vector<Bytes> keys;
      for (const Bytes& value : values) {
        Bytes& key = keys.emplace_back();
        encode_ordered(type, value, descending, key);
        Bytes followed = key + hex("ff00") + "more";
        ByteReader in(followed);
        Bytes decoded;
        ASSERT_TRUE(decode_ordered(type, in, descending, decoded).has_value()) << name << " " << to_hex(value);
        EXPECT_EQ(in.rest().size(), followed.size() - key.size()) << name << " " << to_hex(value);
        EXPECT_EQ(compare(type, value, decoded), 0) << name << " " << to_hex(value) << " " << to_hex(decoded);
        if (has_one_spelling(type)) EXPECT_EQ(decoded, value) << name << " " << to_hex(value);
        Bytes cut = key.substr(0, key.size() - 1);
        ByteReader short_in(cut);
        Bytes ignored;
        EXPECT_FALSE(decode_ordered(type, short_in, descending, ignored).has_value()) << name << " " << to_hex(value);
      }
      for (size_t i = 0; i < values.size(); ++i) {
        for (size_t k = 0; k < values.size(); ++k) {
          int order = compare(type, values[i], values[k]) * (descending ? -1 : 1);
          ASSERT_EQ(order < 0, keys[i] < keys[k]) << name << " " << to_hex(values[i]) << " " << to_hex(values[k]);
          ASSERT_EQ(order == 0, keys[i] == keys[k]) << name << " " << to_hex(values[i]) << " " << to_hex(values[k]);
          if (i != k && keys[i] != keys[k]) ASSERT_FALSE(keys[k].starts_with(keys[i])) << name;
        }
      }
    }
  }
}

TEST(Ordered, CanonicalSpellings) {
  auto round = [](TypeKind kind, std::string_view value) {
    Bytes key;
    encode_ordered(kind, hex(value), false, key);
    ByteReader in(key);
    Bytes out;
    EXPECT_TRUE(decode_ordered(kind, in, false, out).has_value());
    return to_hex(out);
  };
  EXPECT_EQ(round(TypeKind::decimal, "0000000264"), "0000000001");  // 1.00 -> 1
  EXPECT_EQ(round(TypeKind::decimal, "0000000096"),
            "00000000"
            "96");                                                    // -106
  EXPECT_EQ(round(TypeKind::decimal, "000000020096"), "000000010f");  // 1.50 -> 1.5
  EXPECT_EQ(round(TypeKind::decimal, "ffffffff01"), "000000000a");    // 1E+1 -> 10
  EXPECT_EQ(round(TypeKind::decimal, "800000000a"), "800000000a");    // 10E+2147483648 cannot shift its zero
  EXPECT_EQ(round(TypeKind::decimal, "7fffffff01"), "7fffffff01");
  EXPECT_EQ(round(TypeKind::varint, "000001"), "01");
  EXPECT_EQ(round(TypeKind::float_, "ffc00001"), "7fc00000");
}

TEST(Normalize, SortsAndDropsDuplicates) {
  DataType set = type_of("set<int>");
  EXPECT_EQ(to_text(set, normalize(set, hex("00000003"
                                            "00000004"
                                            "00000002"
                                            "00000004"
                                            "ffffffff"
                                            "00000004"
                                            "00000002"))),
            "{-1, 2}");
  DataType map = type_of("map<int, text>");
  EXPECT_EQ(to_text(map, normalize(map, hex("00000003"
                                            "00000004"
                                            "00000002"
                                            "00000001"
                                            "61"
                                            "00000004"
                                            "00000001"
                                            "00000001"
                                            "62"
                                            "00000004"
                                            "00000002"
                                            "00000001"
                                            "63"))),
            "{1: 'b', 2: 'c'}");
  DataType nested = type_of("frozen<list<set<int>>>");
  EXPECT_EQ(to_text(nested, normalize(nested, hex("00000001"
                                                  "00000014"
                                                  "00000002"
                                                  "00000004"
                                                  "00000002"
                                                  "00000004"
                                                  "00000001"))),
            "[{1, 2}]");
}

}  // namespace
}  // namespace asterism::datastore
