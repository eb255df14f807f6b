#include "datastore/cql/function.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "datastore/literal.h"
#include "datastore/number.h"

namespace asterism::cql {

namespace {

constexpr int64_t uuid_epoch_ticks = 0x01B21DD213814000;  // 1582-10-15 to 1970-01-01 in 100 ns
constexpr int64_t day_ms = 86'400'000;
constexpr int64_t day_zero = int64_t{1} << 31;  // a date's number for 1970-01-01

using Values = std::span<const MaybeView>;
using Call = std::function<Answer<MaybeBytes>(const FunctionContext&, Values)>;

FunctionPtr make(std::string_view name, std::vector<DataType> arguments, DataType result, Call call) {
  return std::make_shared<ScalarFunction>(
      ScalarFunction{std::string(name), std::move(arguments), std::move(result), std::move(call)});
}

/// A function of one argument that is null where the argument is null or empty.
template <class F>
FunctionPtr unary(std::string_view name, DataType from, DataType to, F convert) {
  return make(name, {std::move(from)}, std::move(to),
              [convert](const FunctionContext&, Values values) -> Answer<MaybeBytes> {
                if (!values[0] || values[0]->empty()) return std::nullopt;
                return convert(*values[0]);
              });
}

Bytes date_of_ms(int64_t ms) {
  const int64_t days = (ms >= 0 ? ms : ms - day_ms + 1) / day_ms;
  return int_value(static_cast<int32_t>(static_cast<uint32_t>(days + day_zero)));
}

int64_t load_long(BytesView value) { return load_big_endian<int64_t>(value.data()); }

int64_t ms_of_date(BytesView value) {
  return (static_cast<int64_t>(load_big_endian<uint32_t>(value.data())) - day_zero) * day_ms;
}

int64_t ms_of_timeuuid(BytesView value) {
  const uint64_t high = load_big_endian<uint64_t>(value.data());
  const uint64_t ticks = (high >> 32) | ((high & 0xffff0000) << 16) | ((high & 0x0fff) << 48);
  const int64_t since = static_cast<int64_t>(ticks) - uuid_epoch_ticks;
  return (since >= 0 ? since : since - 9999) / 10000;
}

/// toDate and its kin: from what to milliseconds.
using ToMs = int64_t (*)(BytesView);

void add_conversions(std::string_view name, DataType to, Bytes (*make_value)(int64_t), std::vector<TypeKind> from,
                     std::vector<FunctionPtr>& out) {
  for (TypeKind kind : from) {
    const ToMs to_ms = kind == TypeKind::timeuuid ? ms_of_timeuuid : kind == TypeKind::date ? ms_of_date : load_long;
    out.push_back(unary(name, kind, to, [to_ms, make_value](BytesView value) -> Answer<MaybeBytes> {
      return make_value(to_ms(value));
    }));
  }
}

FunctionPtr boundary_timeuuid(std::string_view name, bool max) {
  return unary(name, TypeKind::timestamp, TypeKind::timeuuid, [max](BytesView value) -> Answer<MaybeBytes> {
    const auto ms = static_cast<uint64_t>(load_long(value));
    uint64_t ticks = ms * 10000 + static_cast<uint64_t>(uuid_epoch_ticks);
    if (max) ticks += 9999;
    return make_timeuuid(ticks, max ? 0x7f7f7f7f7f7f7f7f : 0x8080808080808080);
  });
}

constexpr TypeKind simple_types[] = {TypeKind::ascii,   TypeKind::bigint,    TypeKind::boolean,  TypeKind::date,
                                     TypeKind::decimal, TypeKind::double_,   TypeKind::duration, TypeKind::float_,
                                     TypeKind::inet,    TypeKind::int_,      TypeKind::smallint, TypeKind::text,
                                     TypeKind::time,    TypeKind::timestamp, TypeKind::timeuuid, TypeKind::tinyint,
                                     TypeKind::uuid,    TypeKind::varint};

std::string fold(std::string_view name) {
  std::string folded;
  for (char c : name) {
    if (c != '_') folded.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  }
  return folded;
}

void add_blob_functions(std::string_view name, const std::string& folded, std::vector<FunctionPtr>& out) {
  for (TypeKind kind : simple_types) {
    std::vector<std::string> words{std::string(to_string(kind))};
    if (kind == TypeKind::text) words.emplace_back("varchar");
    for (const std::string& word : words) {
      if (folded == word + "asblob") {
        out.push_back(make(name, {kind}, TypeKind::blob, [](const FunctionContext&, Values values) {
          return Answer<MaybeBytes>(values[0] ? MaybeBytes(Bytes(*values[0])) : std::nullopt);
        }));
      } else if (folded == "blobas" + word) {
        const std::string called(name);
        out.push_back(make(name, {TypeKind::blob}, kind,
                           [kind, called](const FunctionContext&, Values values) -> Answer<MaybeBytes> {
                             if (!values[0]) return std::nullopt;
                             if (!datastore::validate(kind, *values[0])) {
                               return invalid(
                                   "In call to function system.{}, value 0x{} is not a valid binary "
                                   "representation for type {}",
                                   called, to_hex(*values[0]), to_string(kind));
                             }
                             return Bytes(*values[0]);
                           }));
      }
    }
  }
}

FunctionPtr token_function(std::string_view name, const datastore::Table& table) {
  std::vector<DataType> arguments;
  for (size_t i = 0; i < table.partition_key_size(); ++i) arguments.push_back(table.partition_column(i).type);
  return make(name, std::move(arguments), TypeKind::bigint,
              [](const FunctionContext&, Values values) -> Answer<MaybeBytes> {
                std::vector<BytesView> parts;
                for (const MaybeView& value : values) {
                  if (!value) return std::nullopt;
                  parts.push_back(*value);
                }
                return long_value(murmur3_token(make_partition_key(parts)));
              });
}

// ----------------------------------------------------------------------------------------------------------- casts

bool is_integer(TypeKind kind) {
  return kind == TypeKind::tinyint || kind == TypeKind::smallint || kind == TypeKind::int_ ||
         kind == TypeKind::bigint || kind == TypeKind::counter;
}
bool is_float(TypeKind kind) { return kind == TypeKind::float_ || kind == TypeKind::double_; }
bool is_number(TypeKind kind) {
  return is_integer(kind) || is_float(kind) || kind == TypeKind::varint || kind == TypeKind::decimal;
}

Bytes store_integer(int64_t value, TypeKind kind) {
  Bytes all = long_value(value);
  const size_t size = kind == TypeKind::tinyint ? 1 : kind == TypeKind::smallint ? 2 : kind == TypeKind::int_ ? 4 : 8;
  return all.substr(8 - size);
}

double load_float(TypeKind kind, BytesView value) {
  if (kind == TypeKind::float_) return std::bit_cast<float>(load_big_endian<uint32_t>(value.data()));
  return std::bit_cast<double>(load_big_endian<uint64_t>(value.data()));
}

Bytes store_float(double value, TypeKind kind) {
  if (kind == TypeKind::float_) return int_value(std::bit_cast<int32_t>(static_cast<float>(value)));
  return long_value(std::bit_cast<int64_t>(value));
}

/// As a Java narrowing conversion: saturates, NaN is 0.
int64_t saturate(double value, TypeKind to) {
  const bool wide = to == TypeKind::bigint || to == TypeKind::counter;
  const double most = wide ? 0x1p63 : 0x1p31;
  if (std::isnan(value)) return 0;
  if (value >= most) return wide ? INT64_MAX : INT32_MAX;
  if (value < -most) return wide ? INT64_MIN : INT32_MIN;
  return static_cast<int64_t>(value);
}

/// The digits of a decimal in front of its point.
std::string whole_part(BytesView decimal) {
  const auto value = datastore::Decimal::from_bytes(decimal);
  if (value.exponent <= 0 || value.digits.empty()) return "0";
  std::string digits = value.digits.substr(0, static_cast<size_t>(value.exponent));
  digits.resize(std::min<size_t>(static_cast<size_t>(value.exponent), 4096), '0');
  return (value.sign < 0 ? "-" : "") + digits;
}

Answer<MaybeBytes> parsed(TypeKind to, std::string_view text) {
  TRY(Bytes value, answer(datastore::from_text(to, text)));
  return value;
}

Answer<MaybeBytes> cast_number(TypeKind from, TypeKind to, BytesView value) {
  if (is_integer(to) && is_integer(from)) return store_integer(load_integer(value), to);
  if (is_integer(to) && is_float(from)) return store_integer(saturate(load_float(from, value), to), to);
  if (is_float(to) && is_float(from)) return store_float(load_float(from, value), to);
  const std::string text = datastore::to_display(from, value);
  if (is_float(to)) return store_float(std::strtod(text.c_str(), nullptr), to);
  if (is_float(from) && !std::isfinite(load_float(from, value))) return std::nullopt;
  if (to == TypeKind::decimal) return parsed(to, text);
  // What is left goes through a varint: its low bytes are what Java's narrowing keeps.
  Bytes whole;
  Bytes exact;
  if (from != TypeKind::decimal && !is_float(from)) {
    whole = text;
  } else {
    if (!datastore::decimal_from_text(text, exact)) return std::nullopt;
    whole = whole_part(exact);
  }
  TRY(MaybeBytes varint, parsed(TypeKind::varint, whole));
  if (to == TypeKind::varint) return varint;
  Bytes wide(8, (*varint)[0] & 0x80 ? '\xff' : '\0');
  wide += *varint;
  return store_integer(load_long(BytesView(wide).substr(wide.size() - 8)), to);
}

Answer<MaybeBytes> cast_time(TypeKind from, TypeKind to, BytesView value) {
  const int64_t ms = from == TypeKind::timeuuid ? ms_of_timeuuid(value)
                     : from == TypeKind::date   ? ms_of_date(value)
                                                : load_long(value);
  if (to == TypeKind::date) return date_of_ms(ms);
  return long_value(ms);
}

}  // namespace

int64_t load_integer(BytesView value) {
  uint64_t bits = 0;
  for (const char byte : value) bits = bits << 8U | static_cast<uint8_t>(byte);
  const size_t unused = 64 - 8 * value.size();
  return static_cast<int64_t>(bits << unused) >> unused;
}

Bytes long_value(int64_t value) {
  Bytes bytes;
  ByteWriter(bytes).u64_be(static_cast<uint64_t>(value));
  return bytes;
}

Bytes int_value(int32_t value) {
  Bytes bytes;
  ByteWriter(bytes).u32_be(static_cast<uint32_t>(value));
  return bytes;
}

FunctionPtr find_cast(const DataType& from_type, const DataType& to_type) {
  const TypeKind from = from_type.kind();
  const TypeKind to = to_type.kind();
  const std::string name = "castas" + to_type.to_string();
  if (!from_type.arguments().empty() || !to_type.arguments().empty()) return nullptr;
  if (from == to) {
    return unary(name, from, to, [](BytesView value) -> Answer<MaybeBytes> { return Bytes(value); });
  }
  if (is_number(from) && is_number(to) && to != TypeKind::counter) {
    return unary(name, from, to, [from, to](BytesView value) { return cast_number(from, to, value); });
  }
  const bool to_text = to == TypeKind::text || to == TypeKind::ascii;
  const bool printable = is_number(from) || from == TypeKind::boolean || from == TypeKind::date ||
                         from == TypeKind::time || from == TypeKind::timestamp || from == TypeKind::uuid ||
                         from == TypeKind::timeuuid || from == TypeKind::inet || from == TypeKind::ascii;
  if (to_text && printable && !(from == TypeKind::text && to == TypeKind::ascii)) {
    return unary(name, from, to,
                 [from](BytesView value) -> Answer<MaybeBytes> { return datastore::to_display(from, value); });
  }
  const bool times = (from == TypeKind::timeuuid && (to == TypeKind::timestamp || to == TypeKind::date)) ||
                     (from == TypeKind::timestamp && to == TypeKind::date) ||
                     (from == TypeKind::date && to == TypeKind::timestamp);
  if (!times) return nullptr;
  return unary(name, from, to, [from, to](BytesView value) { return cast_time(from, to, value); });
}

std::vector<FunctionPtr> find_functions(std::string_view name, const datastore::Table* table) {
  const std::string folded = fold(name);
  std::vector<FunctionPtr> found;
  auto moment = [&](TypeKind type, Bytes (*value)(const FunctionContext&)) {
    found.push_back(make(name, {}, type, [value](const FunctionContext& context, Values) {
      return Answer<MaybeBytes>(value(context));
    }));
  };
  using enum TypeKind;
  if (folded == "now" || folded == "currenttimeuuid") {
    moment(timeuuid, next_timeuuid);
  } else if (folded == "currenttimestamp") {
    moment(timestamp, [](const FunctionContext& context) { return long_value(context.now_us / 1000); });
  } else if (folded == "currentdate") {
    moment(date, [](const FunctionContext& context) { return date_of_ms(context.now_us / 1000); });
  } else if (folded == "currenttime") {
    moment(time, [](const FunctionContext& context) { return long_value(context.now_us % (day_ms * 1000) * 1000); });
  } else if (folded == "uuid") {
    moment(uuid, [](const FunctionContext& context) { return random_uuid(*context.random); });
  } else if (folded == "mintimeuuid" || folded == "maxtimeuuid") {
    found.push_back(boundary_timeuuid(name, folded == "maxtimeuuid"));
  } else if (folded == "todate") {
    add_conversions(name, date, date_of_ms, {timeuuid, timestamp}, found);
  } else if (folded == "totimestamp") {
    add_conversions(name, timestamp, long_value, {timeuuid, date}, found);
  } else if (folded == "tounixtimestamp") {
    add_conversions(name, bigint, long_value, {timeuuid, timestamp, date}, found);
  } else if (folded == "dateof") {
    add_conversions(name, timestamp, long_value, {timeuuid}, found);
  } else if (folded == "unixtimestampof") {
    add_conversions(name, bigint, long_value, {timeuuid}, found);
  } else if (folded == "token" && table != nullptr) {
    found.push_back(token_function(name, *table));
  } else if (folded.find("blob") != std::string::npos) {
    add_blob_functions(name, folded, found);
  }
  return found;
}

Bytes make_partition_key(std::span<const BytesView> values) {
  if (values.size() == 1) return Bytes(values[0]);
  Bytes key;
  ByteWriter out(key);
  for (BytesView value : values) {
    out.u16_be(static_cast<uint16_t>(value.size()));
    out.raw(value);
    out.u8(0);
  }
  return key;
}

Result<std::vector<BytesView>> split_partition_key(BytesView key, size_t columns) {
  std::vector<BytesView> values;
  if (columns == 1) {
    values.push_back(key);
    return values;
  }
  ByteReader in(key);
  for (size_t i = 0; i < columns; ++i) {
    values.push_back(in.raw(in.u16_be()));
    in.u8();
  }
  if (in.failed() || !in.at_end()) return fail(ErrorCode::corrupt, "a partition key is malformed");
  return values;
}

Bytes make_timeuuid(uint64_t ticks, uint64_t low) {
  Bytes bytes;
  ByteWriter out(bytes);
  out.u32_be(static_cast<uint32_t>(ticks));
  out.u16_be(static_cast<uint16_t>(ticks >> 32));
  out.u16_be(static_cast<uint16_t>(((ticks >> 48) & 0x0fff) | 0x1000));
  out.u64_be(low);
  return bytes;
}

uint64_t timeuuid_ticks(int64_t us) { return static_cast<uint64_t>(us) * 10 + static_cast<uint64_t>(uuid_epoch_ticks); }

Bytes next_timeuuid(const FunctionContext& context) {
  // The variant's two bits, 14 random bits of clock sequence and a random node id with the multicast bit.
  const uint64_t low = (context.random->next() & 0x3fffffffffffffff) | 0x8000010000000000;
  return make_timeuuid(timeuuid_ticks(context.now_us) + context.timeuuids++, low);
}

Bytes random_uuid(Random& random) {
  Bytes bytes;
  ByteWriter out(bytes);
  out.u64_be((random.next() & ~uint64_t{0xf000}) | 0x4000);
  out.u64_be((random.next() & 0x3fffffffffffffff) | 0x8000000000000000);
  return bytes;
}

}  // namespace asterism::cql
