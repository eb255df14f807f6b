// validate(), normalize() and compare().
#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "datastore/duration.h"
#include "datastore/number.h"
#include "datastore/type.h"

namespace asterism::datastore {

namespace {

constexpr int64_t day_ns = 86'400'000'000'000;

int sign(int64_t a, int64_t b) { return a < b ? -1 : a > b ? 1 : 0; }

Status wrong_size(std::string_view expected, BytesView value) {
  return fail(ErrorCode::invalid_argument, "Expected {} ({})", expected, value.size());
}

/// Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(BytesView text) {
  size_t i = 0;
  auto at = [&](size_t place) { return static_cast<uint8_t>(text[place]); };
  while (i < text.size()) {
    uint8_t first = at(i);
    if (first < 0x80) {
      ++i;
      continue;
    }
    size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4 || text.size() - i <= more) return false;
    uint8_t second = at(i + 1);
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
        (first == 0xf4 && second > 0x8f)) {
      return false;
    }
    for (size_t k = 1; k <= more; ++k) {
      if ((at(i + k) & 0xc0) != 0x80) return false;
    }
    i += more + 1;
  }
  return true;
}

/// The order of version 1 uuids: bits of the first half rearranged so that the time is one number.
int64_t time_bits(uint64_t msb) {
  return static_cast<int64_t>((msb << 48) | ((msb << 16) & 0xffff00000000ULL) | (msb >> 32));
}

/// Elements of a serialized collection, one after the other. A null element has is_null.
class Elements {
 public:
  explicit Elements(BytesView value) : in_(value), count_(static_cast<int32_t>(in_.u32_be())) {}
  int32_t count() const { return count_; }
  BytesView next() {
    auto size = static_cast<int32_t>(in_.u32_be());
    if (size < 0) {
      in_.fail();
      return {};
    }
    return in_.raw(static_cast<uint64_t>(size));
  }
  bool failed() const { return in_.failed(); }
  bool at_end() const { return in_.at_end(); }

 private:
  ByteReader in_;
  int32_t count_;
};

Status validate_collection(const DataType& type, BytesView value) {
  std::string_view name = to_string(type.kind());
  if (value.size() < 4) return fail(ErrorCode::invalid_argument, "Not enough bytes to read a {}", name);
  size_t each = type.arguments().size();
  auto count = static_cast<int32_t>(load_big_endian<uint32_t>(value.data()));
  if (count < 0) return fail(ErrorCode::invalid_argument, "The data cannot be deserialized as a {}", name);
  ByteReader in(value.substr(4));
  for (int32_t i = 0; i < count; ++i) {
    for (size_t part = 0; part < each; ++part) {
      if (in.remaining() < 4) return fail(ErrorCode::invalid_argument, "Not enough bytes to read a {}", name);
      auto size = static_cast<int32_t>(in.u32_be());
      if (size < 0) return fail(ErrorCode::invalid_argument, "Null value read when not allowed");
      BytesView element = in.raw(static_cast<uint32_t>(size));
      if (in.failed()) return fail(ErrorCode::invalid_argument, "Not enough bytes to read a {}", name);
      TRY_STATUS(validate(type.arguments()[part], element));
    }
  }
  if (!in.at_end()) return fail(ErrorCode::invalid_argument, "Unexpected extraneous bytes after {} value", name);
  return {};
}

Status validate_tuple(const DataType& type, BytesView value) {
  ByteReader in(value);
  for (size_t i = 0; i < type.arguments().size() && !in.at_end(); ++i) {
    if (in.remaining() < 4) {
      return fail(ErrorCode::invalid_argument, "Not enough bytes to read size of {}th component", i);
    }
    auto size = static_cast<int32_t>(in.u32_be());
    if (size < 0) continue;
    BytesView field = in.raw(static_cast<uint32_t>(size));
    if (in.failed()) return fail(ErrorCode::invalid_argument, "Not enough bytes to read {}th component", i);
    TRY_STATUS(validate(type.arguments()[i], field));
  }
  if (!in.at_end()) return fail(ErrorCode::invalid_argument, "Invalid remaining data after end of tuple value");
  return {};
}

Status validate_number(TypeKind kind, BytesView value) {
  if (kind == TypeKind::decimal) {
    if (value.empty()) return {};
    if (value.size() < 5) return wrong_size("0 or at least 5 bytes", value);
    value.remove_prefix(4);
  }
  if (value.size() > max_number_size_bytes) {
    return fail(ErrorCode::too_large, "A {} of {} bytes is above the limit of {}", to_string(kind), value.size(),
                max_number_size_bytes);
  }
  return {};
}

Status validate_text(TypeKind kind, BytesView value) {
  if (kind == TypeKind::ascii) {
    for (char c : value) {
      if ((c & 0x80) != 0) {
        return fail(ErrorCode::invalid_argument, "Invalid byte for ascii: {}",
                    static_cast<int>(static_cast<int8_t>(c)));
      }
    }
    return {};
  }
  if (!is_utf8(value)) return fail(ErrorCode::invalid_argument, "String didn't validate.");
  return {};
}

Status validate_time(BytesView value) {
  if (value.size() != 8) return wrong_size("8 byte long for time", value);
  if (load_big_endian<uint64_t>(value.data()) >= static_cast<uint64_t>(day_ns)) {
    return fail(ErrorCode::invalid_argument, "Input long out of bounds: {}", load_big_endian<int64_t>(value.data()));
  }
  return {};
}

int compare_uuid(BytesView a, BytesView b) {
  int version = a[6] >> 4 & 0xf;
  int other = b[6] >> 4 & 0xf;
  if (version != other) return version - other;
  if (version == 1) {
    int order = sign(time_bits(load_big_endian<uint64_t>(a.data())), time_bits(load_big_endian<uint64_t>(b.data())));
    if (order != 0) return order;
  }
  return a.compare(b);
}

int compare_timeuuid(BytesView a, BytesView b) {
  int order = sign(time_bits(load_big_endian<uint64_t>(a.data())), time_bits(load_big_endian<uint64_t>(b.data())));
  if (order != 0) return order;
  for (size_t i = 8; i < 16; ++i) {
    if (a[i] != b[i]) return sign(static_cast<int8_t>(a[i]), static_cast<int8_t>(b[i]));
  }
  return 0;
}

template <class Float, class Bits>
int compare_floats(BytesView a, BytesView b) {
  auto x = std::bit_cast<Float>(load_big_endian<Bits>(a.data()));
  auto y = std::bit_cast<Float>(load_big_endian<Bits>(b.data()));
  if (x < y) return -1;
  if (x > y) return 1;
  if (x != x || y != y) return (x != x) - (y != y);
  return static_cast<int>(std::signbit(y)) - static_cast<int>(std::signbit(x));
}

int compare_collections(const DataType& type, BytesView a, BytesView b) {
  Elements left(a);
  Elements right(b);
  for (int32_t i = std::min(left.count(), right.count()); i > 0; --i) {
    for (const DataType& part : type.arguments()) {
      BytesView x = left.next();
      BytesView y = right.next();
      if (left.failed() || right.failed()) return sign(right.failed(), left.failed());
      int order = compare(part, x, y);
      if (order != 0) return order;
    }
  }
  return sign(left.count(), right.count());
}

int compare_tuples(const DataType& type, BytesView a, BytesView b) {
  ByteReader left(a);
  ByteReader right(b);
  // Fields that are not there are null, and null comes first.
  auto next = [](ByteReader& in, BytesView& field) {
    auto size = in.at_end() ? -1 : static_cast<int32_t>(in.u32_be());
    if (size < 0) return false;
    field = in.raw(static_cast<uint32_t>(size));
    return true;
  };
  for (const DataType& part : type.arguments()) {
    BytesView x;
    BytesView y;
    bool has_x = next(left, x);
    bool has_y = next(right, y);
    if (has_x != has_y) return has_x ? 1 : -1;
    if (!has_x) continue;
    if (left.failed() || right.failed()) return sign(right.failed(), left.failed());
    int order = compare(part, x, y);
    if (order != 0) return order;
  }
  return 0;
}

int compare_decimals(BytesView a, BytesView b) {
  if (a.substr(0, 4) == b.substr(0, 4)) return compare_varint(a.substr(4), b.substr(4));
  return compare(Decimal::from_bytes(a), Decimal::from_bytes(b));
}

/// The number of bytes of every non-empty value, or 0 if values differ in size.
size_t fixed_size(TypeKind kind) {
  switch (kind) {
    case TypeKind::bigint:
    case TypeKind::counter:
    case TypeKind::double_:
    case TypeKind::time:
    case TypeKind::timestamp:
      return 8;
    case TypeKind::date:
    case TypeKind::float_:
    case TypeKind::int_:
      return 4;
    case TypeKind::smallint:
      return 2;
    case TypeKind::boolean:
    case TypeKind::tinyint:
      return 1;
    case TypeKind::uuid:
    case TypeKind::timeuuid:
      return 16;
    default:
      return 0;
  }
}

void append_element(ByteWriter& out, BytesView element) {
  out.u32_be(static_cast<uint32_t>(element.size()));
  out.raw(element);
}

Bytes normalize_collection(const DataType& type, BytesView value) {
  Elements in(value);
  std::vector<std::pair<Bytes, Bytes>> elements;
  for (int32_t i = 0; i < in.count() && !in.at_end(); ++i) {
    Bytes first = normalize(type.arguments()[0], in.next());
    Bytes second = type.kind() == TypeKind::map ? normalize(type.value(), in.next()) : Bytes();
    elements.emplace_back(std::move(first), std::move(second));
  }
  std::vector<size_t> order(elements.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (type.kind() != TypeKind::list) {
    auto by_key = [&](size_t a, size_t b) {
      int difference = compare(type.key(), elements[a].first, elements[b].first);
      return difference != 0 ? difference < 0 : a > b;
    };
    auto same_key = [&](size_t a, size_t b) { return compare(type.key(), elements[a].first, elements[b].first) == 0; };
    // Of equal keys the last written comes first, and the first one stays.
    std::sort(order.begin(), order.end(), by_key);
    order.erase(std::unique(order.begin(), order.end(), same_key), order.end());
  }
  Bytes result;
  ByteWriter out(result);
  out.u32_be(static_cast<uint32_t>(order.size()));
  for (size_t i : order) {
    append_element(out, elements[i].first);
    if (type.kind() == TypeKind::map) append_element(out, elements[i].second);
  }
  return result;
}

Bytes normalize_tuple(const DataType& type, BytesView value) {
  Bytes result;
  ByteWriter out(result);
  ByteReader in(value);
  for (const DataType& part : type.arguments()) {
    if (in.at_end()) break;
    uint32_t size = in.u32_be();
    if (static_cast<int32_t>(size) < 0) {
      out.u32_be(size);
    } else {
      append_element(out, normalize(part, in.raw(size)));
    }
  }
  return result;
}

}  // namespace

bool allows_empty(TypeKind kind) {
  switch (kind) {
    case TypeKind::date:
    case TypeKind::duration:
    case TypeKind::smallint:
    case TypeKind::time:
    case TypeKind::tinyint:
    case TypeKind::list:
    case TypeKind::set:
    case TypeKind::map:
      return false;
    default:
      return true;
  }
}

Status validate(const DataType& type, BytesView value) {
  TypeKind kind = type.kind();
  if (value.empty() && allows_empty(kind)) return {};
  switch (kind) {
    case TypeKind::blob:
      return {};
    case TypeKind::ascii:
    case TypeKind::text:
      return validate_text(kind, value);
    case TypeKind::varint:
    case TypeKind::decimal:
      return validate_number(kind, value);
    case TypeKind::duration:
      return DurationValue::from_bytes(value) ? Status() : DurationValue::check(value);
    case TypeKind::inet:
      if (value.size() == 4 || value.size() == 16) return {};
      return fail(ErrorCode::invalid_argument, "Expected 4 or 16 byte inetaddress; got {} bytes", value.size());
    case TypeKind::list:
    case TypeKind::set:
    case TypeKind::map:
      return validate_collection(type, value);
    case TypeKind::tuple:
      return validate_tuple(type, value);
    case TypeKind::time:
      return validate_time(value);
    case TypeKind::timeuuid:
      if (value.size() == 16 && (value[6] & 0xf0) != 0x10) {
        return fail(ErrorCode::invalid_argument, "Invalid version for TimeUUID type.");
      }
      break;
    default:
      break;
  }
  if (value.size() == fixed_size(kind)) return {};
  switch (kind) {
    case TypeKind::boolean:
      return wrong_size("1 or 0 byte value", value);
    case TypeKind::int_:
      return wrong_size("4 or 0 byte int", value);
    case TypeKind::bigint:
    case TypeKind::counter:
    case TypeKind::timestamp:
      return wrong_size("8 or 0 byte long", value);
    case TypeKind::float_:
      return wrong_size("4 or 0 byte value for a float", value);
    case TypeKind::double_:
      return wrong_size("8 or 0 byte value for a double", value);
    case TypeKind::date:
      return wrong_size("4 byte long for date", value);
    case TypeKind::smallint:
      return wrong_size("2 bytes for a smallint", value);
    case TypeKind::tinyint:
      return wrong_size("1 byte for a tinyint", value);
    default:
      return wrong_size("16 or 0 byte UUID", value);
  }
}

Bytes normalize(const DataType& type, BytesView value) {
  if (type.is_collection()) return normalize_collection(type, value);
  if (type.kind() == TypeKind::tuple) return normalize_tuple(type, value);
  return Bytes(value);
}

int compare(const DataType& type, BytesView a, BytesView b) {
  if (type.kind() == TypeKind::tuple) return compare_tuples(type, a, b);
  if (a.empty() || b.empty()) return static_cast<int>(!a.empty()) - static_cast<int>(!b.empty());
  size_t size = fixed_size(type.kind());
  if (size != 0 && (a.size() != size || b.size() != size)) return a.compare(b);
  switch (type.kind()) {
    case TypeKind::bigint:
    case TypeKind::counter:
    case TypeKind::timestamp:
      return sign(load_big_endian<int64_t>(a.data()), load_big_endian<int64_t>(b.data()));
    case TypeKind::int_:
      return sign(load_big_endian<int32_t>(a.data()), load_big_endian<int32_t>(b.data()));
    case TypeKind::smallint:
      return sign(load_big_endian<int16_t>(a.data()), load_big_endian<int16_t>(b.data()));
    case TypeKind::tinyint:
      return sign(static_cast<int8_t>(a[0]), static_cast<int8_t>(b[0]));
    case TypeKind::boolean:
      return static_cast<int>(a[0] != 0) - static_cast<int>(b[0] != 0);
    case TypeKind::float_:
      return compare_floats<float, uint32_t>(a, b);
    case TypeKind::double_:
      return compare_floats<double, uint64_t>(a, b);
    case TypeKind::uuid:
      return compare_uuid(a, b);
    case TypeKind::timeuuid:
      return compare_timeuuid(a, b);
    case TypeKind::varint:
      return compare_varint(a, b);
    case TypeKind::decimal:
      return compare_decimals(a, b);
    case TypeKind::list:
    case TypeKind::set:
    case TypeKind::map:
      return compare_collections(type, a, b);
    default:
      return a.compare(b);
  }
}

}  // namespace asterism::datastore
