// to_text() and to_display().
#include <bit>
#include <cmath>

#include "datastore/calendar.h"
#include "datastore/cql/parser.h"
#include "datastore/duration.h"
#include "datastore/literal.h"
#include "datastore/number.h"

namespace asterism::datastore {

namespace {

constexpr int64_t day_ms = 86'400'000;
// 0000-01-01 and 9999-12-31: outside, a timestamp prints as a number, which CQL reads as well.
constexpr int64_t first_printable_day = -719528;
constexpr int64_t last_printable_day = 2932896;

template <class Float>
std::string print_float(Float value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string print_uuid(BytesView value) {
  std::string hex = to_hex(value);
  for (size_t at : {20, 16, 12, 8}) hex.insert(at, 1, '-');
  return hex;
}

std::string quoted(std::string text, bool quotes) { return quotes ? cql::quote_string(text) : text; }

std::string print_timestamp_or_number(int64_t milliseconds, bool quotes) {
  if (milliseconds < first_printable_day * day_ms || milliseconds >= (last_printable_day + 1) * day_ms) {
    return fmt::format("{}", milliseconds);
  }
  return quoted(print_timestamp(milliseconds), quotes);
}

std::string print(const DataType& type, BytesView value, bool quotes);

std::string print_collection(const DataType& type, BytesView value) {
  bool list = type.kind() == TypeKind::list;
  std::string text(1, list ? '[' : '{');
  ByteReader in(value);
  uint32_t count = in.u32_be();
  for (uint32_t i = 0; i < count && !in.at_end(); ++i) {
    if (i > 0) text += ", ";
    text += print(type.key(), in.raw(in.u32_be()), true);
    if (type.kind() != TypeKind::map) continue;
    text += ": ";
    text += print(type.value(), in.raw(in.u32_be()), true);
  }
  text += list ? ']' : '}';
  return text;
}

std::string print_tuple(const DataType& type, BytesView value) {
  std::string text = "(";
  ByteReader in(value);
  bool first = true;
  for (const DataType& part : type.arguments()) {
    if (!first) text += ", ";
    first = false;
    auto size = in.at_end() ? -1 : static_cast<int32_t>(in.u32_be());
    text += size < 0 ? "null" : print(part, in.raw(static_cast<uint32_t>(size)), true);
  }
  return text + ")";
}

/// `value` is valid.
std::string print(const DataType& type, BytesView value, bool quotes) {
  switch (type.kind()) {
    case TypeKind::ascii:
    case TypeKind::text:
      return quoted(Bytes(value), quotes);
    case TypeKind::blob:
      return "0x" + to_hex(value);
    case TypeKind::list:
    case TypeKind::set:
    case TypeKind::map:
      return print_collection(type, value);
    case TypeKind::tuple:
      return print_tuple(type, value);
    default:
      break;
  }
  if (value.empty()) return quotes ? "''" : "";
  const char* from = value.data();
  switch (type.kind()) {
    case TypeKind::bigint:
    case TypeKind::counter:
      return fmt::format("{}", load_big_endian<int64_t>(from));
    case TypeKind::int_:
      return fmt::format("{}", load_big_endian<int32_t>(from));
    case TypeKind::smallint:
      return fmt::format("{}", load_big_endian<int16_t>(from));
    case TypeKind::tinyint:
      return fmt::format("{}", static_cast<int>(static_cast<int8_t>(value[0])));
    case TypeKind::boolean:
      return value[0] == 0 ? "false" : "true";
    case TypeKind::date:
      return quoted(print_date(int64_t{load_big_endian<uint32_t>(from)} - (int64_t{1} << 31)), quotes);
    case TypeKind::time:
      return quoted(print_time(load_big_endian<int64_t>(from)), quotes);
    case TypeKind::timestamp:
      return print_timestamp_or_number(load_big_endian<int64_t>(from), quotes);
    case TypeKind::decimal:
      return decimal_to_text(value);
    case TypeKind::varint:
      return varint_to_text(value);
    case TypeKind::float_:
      return print_float(std::bit_cast<float>(load_big_endian<uint32_t>(from)));
    case TypeKind::double_:
      return print_float(std::bit_cast<double>(load_big_endian<uint64_t>(from)));
    case TypeKind::duration:
      return DurationValue::from_bytes(value).value_or(DurationValue()).to_text();
    case TypeKind::inet:
      return quoted(print_inet(value), quotes);
    default:
      return print_uuid(value);
  }
}

}  // namespace

std::string to_text(const DataType& type, BytesView value) {
  if (!validate(type, value)) return "0x" + to_hex(value);
  return print(type, value, true);
}

std::string to_display(const DataType& type, BytesView value) {
  if (!validate(type, value)) return "0x" + to_hex(value);
  return print(type, value, false);
}

}  // namespace asterism::datastore
