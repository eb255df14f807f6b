#include "datastore/literal.h"

#include <algorithm>
#include <bit>
#include <charconv>

#include "datastore/calendar.h"
#include "datastore/cql/parser.h"
#include "datastore/duration.h"
#include "datastore/number.h"

namespace asterism::datastore {

namespace {

using cql::Term;

bool is_one_of(TypeKind kind, std::initializer_list<TypeKind> kinds) {
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

/// Which constants may be written for which types.
bool is_assignable(Term::Kind constant, TypeKind type) {
  using enum TypeKind;
  switch (constant) {
    case Term::Kind::string:
      return is_one_of(type, {ascii, text, inet, date, time, timestamp});
    case Term::Kind::integer:
      return is_one_of(type, {bigint, counter, date, decimal, double_, duration, float_, int_, smallint, time,
                              timestamp, tinyint, varint});
    case Term::Kind::uuid:
      return is_one_of(type, {uuid, timeuuid});
    case Term::Kind::decimal:
      return is_one_of(type, {decimal, double_, float_});
    case Term::Kind::boolean:
      return type == boolean;
    case Term::Kind::blob:
      return type == blob;
    case Term::Kind::duration:
      return type == duration;
    default:
      return false;
  }
}

std::string_view constant_name(Term::Kind kind) {
  switch (kind) {
    case Term::Kind::string:
      return "STRING";
    case Term::Kind::integer:
      return "INTEGER";
    case Term::Kind::uuid:
      return "UUID";
    case Term::Kind::decimal:
      return "FLOAT";
    case Term::Kind::boolean:
      return "BOOLEAN";
    case Term::Kind::blob:
      return "HEX";
    case Term::Kind::duration:
      return "DURATION";
    default:
      return "";
  }
}

bool is_constant(Term::Kind kind) { return !constant_name(kind).empty(); }

std::string constant_text(const Term& term) {
  if (term.kind == Term::Kind::string) return "'" + term.text + "'";
  return term.kind == Term::Kind::blob ? "0x" + term.text : term.text;
}

std::unexpected<Error> cannot_make(std::string_view what, std::string_view text) {
  return fail(ErrorCode::invalid_argument, "Unable to make {} from '{}'", what, text);
}

/// [+-]digits; false where they do not fit.
template <class Int>
bool read_int(std::string_view text, Int& out) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

template <class Int>
Result<Bytes> integer(std::string_view text, std::string_view what) {
  Int value = 0;
  if (!read_int(text, value)) return cannot_make(what, text);
  Bytes bytes;
  for (int shift = static_cast<int>(sizeof(Int)) * 8 - 8; shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<char>(value >> shift));
  }
  return bytes;
}

Bytes long_bytes(int64_t value) {
  Bytes bytes;
  ByteWriter(bytes).u64_be(static_cast<uint64_t>(value));
  return bytes;
}

template <class Float, class Bits>
Result<Bytes> floating(std::string_view text, std::string_view what) {
  Float value = 0;
  if (text == "NaN" || text == "-NaN") {
    value = std::bit_cast<Float>(sizeof(Float) == 8 ? static_cast<Bits>(0x7ff8000000000000ULL) : Bits{0x7fc00000U});
  } else if (text == "Infinity" || text == "-Infinity") {
    value = text[0] == '-' ? -std::numeric_limits<Float>::infinity() : std::numeric_limits<Float>::infinity();
  } else {
    std::string_view digits = text.size() > 1 && text[0] == '+' && text[1] != '-' ? text.substr(1) : text;
    // "nan" and "inf" are from_chars' words, not CQL's.
    bool number = !digits.empty() && digits.find_first_not_of("0123456789+-.eE") == std::string_view::npos;
    if (!number) return cannot_make(what, text);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (end != digits.data() + digits.size() || error == std::errc::invalid_argument) return cannot_make(what, text);
    if (error == std::errc::result_out_of_range) {
      Bytes exact;
      bool tiny = decimal_from_text(digits, exact)
                      ? Decimal::from_bytes(exact).exponent <= 0
                      : digits.find("e-") != std::string_view::npos || digits.find("E-") != std::string_view::npos;
      value = tiny ? Float(0) : std::numeric_limits<Float>::infinity();
      if (digits[0] == '-') value = -value;
    }
  }
  Bytes bytes;
  auto bits = std::bit_cast<Bits>(value);
  for (int shift = static_cast<int>(sizeof(Bits)) * 8 - 8; shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<char>(bits >> shift));
  }
  return bytes;
}

bool is_integer(std::string_view text) {
  if (!text.empty() && text[0] == '-') text.remove_prefix(1);
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Result<Bytes> date(std::string_view text) {
  int64_t days = 0;
  if (is_integer(text)) {
    // A bare number is the serialized one: 2^31 is 1970-01-01.
    if (!read_int(text, days) || days < 0 || days > UINT32_MAX) {
      return fail(ErrorCode::invalid_argument, "Input out of bounds: {}", text);
    }
  } else {
    auto parsed = parse_date(text);
    days = parsed.value_or(0) + (int64_t{1} << 31);
    if (!parsed || days < 0 || days > UINT32_MAX) {
      return fail(ErrorCode::invalid_argument, "Unable to coerce '{}' to a formatted date (long)", text);
    }
  }
  Bytes bytes;
  ByteWriter(bytes).u32_be(static_cast<uint32_t>(days));
  return bytes;
}

Result<Bytes> time_of_day(std::string_view text) {
  if (is_integer(text)) {
    int64_t value = 0;
    if (!read_int(text, value) || value < 0 || value >= 86'400'000'000'000) {
      return fail(ErrorCode::invalid_argument, "Input long out of bounds: {}", text);
    }
    return long_bytes(value);
  }
  if (auto value = parse_time(text)) return long_bytes(*value);
  return fail(ErrorCode::invalid_argument,
              "Unable to coerce '{}' to a formatted time (long): the format is hh:mm:ss[.fffffffff]", text);
}

Result<Bytes> timestamp(std::string_view text) {
  if (is_integer(text)) return integer<int64_t>(text, "long");
  if (auto value = parse_timestamp(text)) return long_bytes(*value);
  return fail(ErrorCode::invalid_argument, "Unable to parse a date/time from '{}'", text);
}

Result<Bytes> uuid(TypeKind kind, std::string_view text) {
  std::string digits;
  bool shaped = text.size() == 36;
  for (size_t i = 0; shaped && i < text.size(); ++i) {
    bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash) {
      shaped = text[i] == '-';
    } else {
      digits.push_back(text[i]);
    }
  }
  Bytes bytes;
  if (!shaped || !from_hex(digits, bytes)) return cannot_make("UUID", text);
  if (kind == TypeKind::timeuuid && (bytes[6] & 0xf0) != 0x10) return cannot_make("version 1 UUID", text);
  return bytes;
}

Result<Bytes> blob(std::string_view text) {
  Bytes bytes;
  if (from_hex(text, bytes)) return bytes;
  return fail(ErrorCode::invalid_argument, "cannot parse '{}' as hex bytes", text);
}

Result<Bytes> checked(const DataType& type, std::string_view text) {
  TRY_STATUS(validate(type, text));
  return Bytes(text);
}

Result<Bytes> boolean(std::string_view text) {
  std::string folded(text);
  std::transform(folded.begin(), folded.end(), folded.begin(), [](unsigned char c) { return std::tolower(c); });
  if (folded == "true") return Bytes(1, '\1');
  if (folded == "false") return Bytes(1, '\0');
  return cannot_make("boolean", text);
}

Result<Bytes> duration(std::string_view text) {
  TRY(DurationValue value, DurationValue::from_text(text));
  return value.to_bytes();
}

// ------------------------------------------------------------------------------------------------ terms to bytes

Result<Bytes> element_bytes(const DataType& type, const Term& term, std::string_view what, std::string_view literal) {
  if (term.kind == Term::Kind::null) {
    return fail(ErrorCode::invalid_argument, "null is not supported inside collections");
  }
  if (is_constant(term.kind) && !is_assignable(term.kind, type.kind())) {
    return fail(ErrorCode::invalid_argument, "Invalid {} literal for {}: value {} is not of type {}", literal, what,
                constant_text(term), type.to_string());
  }
  return to_bytes(type, term, what);
}

void append_sized(Bytes& out, BytesView element) {
  ByteWriter writer(out);
  writer.u32_be(static_cast<uint32_t>(element.size()));
  writer.raw(element);
}

std::string_view literal_name(const Term& term) {
  switch (term.kind) {
    case Term::Kind::list:
      return "list";
    case Term::Kind::set:
      return "set";
    case Term::Kind::map:
      return "map";
    case Term::Kind::tuple:
      return "tuple";
    default:
      return "user type";
  }
}

Result<Bytes> collection_bytes(const DataType& type, const Term& term, std::string_view what) {
  bool fits = (type.kind() == TypeKind::list && term.kind == Term::Kind::list) ||
              (type.kind() == TypeKind::set && term.kind == Term::Kind::set) ||
              (type.kind() == TypeKind::map &&
               (term.kind == Term::Kind::map || (term.kind == Term::Kind::set && term.items.empty())));
  std::string_view literal = literal_name(term);
  if (!fits) {
    return fail(ErrorCode::invalid_argument, "Invalid {} literal for {} of type {}", literal, what, type.to_string());
  }
  size_t each = type.arguments().size();
  Bytes bytes;
  ByteWriter(bytes).u32_be(static_cast<uint32_t>(term.items.size() / each));
  for (size_t i = 0; i < term.items.size(); ++i) {
    TRY(Bytes element, element_bytes(type.arguments()[i % each], term.items[i], what, literal));
    append_sized(bytes, element);
  }
  return bytes;
}

Result<Bytes> tuple_bytes(const DataType& type, const Term& term, std::string_view what) {
  if (term.kind != Term::Kind::tuple) {
    return fail(ErrorCode::invalid_argument, "Invalid {} literal for {} of type {}", literal_name(term), what,
                type.to_string());
  }
  if (term.items.size() > type.arguments().size()) {
    return fail(ErrorCode::invalid_argument,
                "Invalid tuple literal for {}: too many elements. Type {} expects {} but got {}", what,
                type.to_string(), type.arguments().size(), term.items.size());
  }
  Bytes bytes;
  for (size_t i = 0; i < term.items.size(); ++i) {
    if (term.items[i].kind == Term::Kind::null) {
      ByteWriter(bytes).u32_be(0xffffffffU);
      continue;
    }
    TRY(Bytes field, to_bytes(type.arguments()[i], term.items[i], what));
    append_sized(bytes, field);
  }
  return bytes;
}

Result<Bytes> hinted_bytes(const DataType& type, const Term& term, std::string_view what) {
  TRY(DataType hint, DataType::parse(term.text));
  if (hint.freeze() != type.freeze()) {
    return fail(ErrorCode::invalid_argument, "Cannot assign value of type {} to {} of type {}", hint.to_string(), what,
                type.to_string());
  }
  return to_bytes(type, term.items.at(0), what);
}

Result<Bytes> not_constant(const Term& term, std::string_view what) {
  switch (term.kind) {
    case Term::Kind::null:
      return fail(ErrorCode::invalid_argument, "Invalid null value for {}", what);
    case Term::Kind::marker:
      return fail(ErrorCode::invalid_argument, "A bind marker is not a constant value for {}", what);
    case Term::Kind::function:
      return fail(ErrorCode::invalid_argument, "The function call {}() is not a constant value for {}", term.text,
                  what);
    default:
      return fail(ErrorCode::invalid_argument, "An arithmetic operation is not a constant value for {}", what);
  }
}

}  // namespace

Result<Bytes> to_bytes(const DataType& type, const Term& term, std::string_view what) {
  switch (term.kind) {
    case Term::Kind::null:
    case Term::Kind::marker:
    case Term::Kind::function:
    case Term::Kind::operation:
      return not_constant(term, what);
    case Term::Kind::value:
      return checked(type, term.text);
    case Term::Kind::hint:
      return hinted_bytes(type, term, what);
    case Term::Kind::list:
    case Term::Kind::set:
    case Term::Kind::map:
    case Term::Kind::tuple:
    case Term::Kind::udt: {
      if (type.kind() == TypeKind::tuple) return tuple_bytes(type, term, what);
      TRY(Bytes bytes, collection_bytes(type, term, what));
      return type.kind() == TypeKind::list ? std::move(bytes) : normalize(type, bytes);
    }
    default:
      break;
  }
  if (!is_assignable(term.kind, type.kind())) {
    return fail(ErrorCode::invalid_argument, "Invalid {} constant ({}) for \"{}\" of type {}", constant_name(term.kind),
                term.kind == Term::Kind::string ? term.text : constant_text(term), what, type.to_string());
  }
  return from_text(type, term.text);
}

Result<Bytes> from_text(const DataType& type, std::string_view text) {
  switch (type.kind()) {
    case TypeKind::ascii:
    case TypeKind::text:
      return checked(type, text);
    case TypeKind::bigint:
    case TypeKind::counter:
      return integer<int64_t>(text, "long");
    case TypeKind::int_:
      return integer<int32_t>(text, "int");
    case TypeKind::smallint:
      return integer<int16_t>(text, "short");
    case TypeKind::tinyint:
      return integer<int8_t>(text, "byte");
    case TypeKind::blob:
      return blob(text.starts_with("0x") || text.starts_with("0X") ? text.substr(2) : text);
    case TypeKind::boolean:
      return boolean(text);
    case TypeKind::date:
      return date(text);
    case TypeKind::decimal: {
      Bytes bytes;
      if (decimal_from_text(text, bytes)) return bytes;
      return cannot_make("BigDecimal", text.substr(0, 200));
    }
    case TypeKind::double_:
      return floating<double, uint64_t>(text, "double");
    case TypeKind::float_:
      return floating<float, uint32_t>(text, "float");
    case TypeKind::duration:
      return duration(text);
    case TypeKind::inet: {
      if (auto address = parse_inet(text)) return *address;
      return cannot_make("inet address", text);
    }
    case TypeKind::time:
      return time_of_day(text);
    case TypeKind::timestamp:
      return timestamp(text);
    case TypeKind::uuid:
    case TypeKind::timeuuid:
      return uuid(type.kind(), text);
    case TypeKind::varint: {
      Bytes bytes;
      if (varint_from_text(text, bytes)) return bytes;
      return cannot_make("int", text.substr(0, 200));
    }
    case TypeKind::list:
    case TypeKind::set:
    case TypeKind::map:
    case TypeKind::tuple: {
      TRY(Term term, cql::parse_term(text));
      return to_bytes(type, term, "value");
    }
  }
  return fail(ErrorCode::internal, "a type without a text form");
}

}  // namespace asterism::datastore
