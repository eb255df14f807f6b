#include "cli/cql_json.h"

#include <bit>
#include <boost/json.hpp>
#include <cmath>

#include "datastore/literal.h"

namespace asterism {
namespace {

using datastore::DataType;
using datastore::TypeKind;

template <class Float>
void append_float(const DataType& type, BytesView value, Float number, std::string& out) {
  if (std::isfinite(number))
    out += to_text(type, value);
  else
    append_json_string(to_text(type, value), out);
}

void append_collection(const DataType& type, BytesView value, std::string& out) {
  const bool map = type.kind() == TypeKind::map;
  out += map ? '{' : '[';
  ByteReader in(value);
  const uint32_t count = in.u32_be();
  std::string key;
  for (uint32_t i = 0; i < count && !in.at_end(); ++i) {
    if (i > 0) out += ',';
    const BytesView element = in.raw(in.u32_be());
    if (!map) {
      to_json(type.element(), element, out);
      continue;
    }
    key.clear();
    to_json(type.key(), element, key);
    if (key.starts_with('"'))
      out += key;
    else
      append_json_string(key, out);
    out += ':';
    to_json(type.value(), in.raw(in.u32_be()), out);
  }
  out += map ? '}' : ']';
}

void append_tuple(const DataType& type, BytesView value, std::string& out) {
  ByteReader in(value);
  char before = '[';
  for (const DataType& part : type.arguments()) {
    out += std::exchange(before, ',');
    const int32_t size = in.at_end() ? -1 : static_cast<int32_t>(in.u32_be());
    if (size < 0)
      out += "null";
    else
      to_json(part, in.raw(static_cast<uint32_t>(size)), out);
  }
  out += ']';
}

std::unexpected<Error> wrong(const DataType& type, std::string_view what) {
  return fail(ErrorCode::invalid_argument, "{} is no {}", what, type.to_string());
}

bool is_text(const DataType& type) { return type.kind() == TypeKind::text || type.kind() == TypeKind::ascii; }

bool is_number(const DataType& type) {
  using enum TypeKind;
  switch (type.kind()) {
    case bigint:
    case counter:
    case decimal:
    case double_:
    case float_:
    case int_:
    case smallint:
    case timestamp:
    case tinyint:
    case varint:
      return true;
    default:
      return false;
  }
}

Result<Bytes> from_string(const DataType& type, std::string_view text) {
  if (text.empty() && allows_empty(type.kind())) return Bytes();
  return datastore::from_text(type, text);
}

void append_sized(Bytes& out, BytesView element) {
  ByteWriter writer(out);
  writer.u32_be(static_cast<uint32_t>(element.size()));
  writer.raw(element);
}

Result<Bytes> element_of(const DataType& type, const boost::json::value& value) {
  if (value.is_null()) return wrong(type, "null within a collection");
  return from_json(type, value);
}

Result<Bytes> from_array(const DataType& type, const boost::json::array& array) {
  Bytes bytes;
  if (type.kind() == TypeKind::tuple) {
    if (array.size() > type.arguments().size())
      return fail(ErrorCode::invalid_argument, "{} has {} fields, and {} are given", type.to_string(),
                  type.arguments().size(), array.size());
    for (size_t i = 0; i < array.size(); ++i) {
      if (array[i].is_null()) {
        ByteWriter(bytes).u32_be(0xffffffffU);
        continue;
      }
      TRY(const Bytes field, from_json(type.arguments()[i], array[i]));
      append_sized(bytes, field);
    }
    return bytes;
  }
  if (type.kind() != TypeKind::list && type.kind() != TypeKind::set) return wrong(type, "an array");
  ByteWriter(bytes).u32_be(static_cast<uint32_t>(array.size()));
  for (const boost::json::value& value : array) {
    TRY(const Bytes element, element_of(type.element(), value));
    append_sized(bytes, element);
  }
  return type.kind() == TypeKind::set ? normalize(type, bytes) : bytes;
}

Result<Bytes> key_from(const DataType& type, std::string_view text) {
  if (!type.is_collection() && type.kind() != TypeKind::tuple) return from_string(type, text);
  boost::json::error_code bad;
  const boost::json::value value = boost::json::parse({text.data(), text.size()}, bad);
  if (bad) return wrong(type, "a key that is no JSON");
  return element_of(type, value);
}

Result<Bytes> from_object(const DataType& type, const boost::json::object& object) {
  if (type.kind() != TypeKind::map) return wrong(type, "an object");
  Bytes bytes;
  ByteWriter(bytes).u32_be(static_cast<uint32_t>(object.size()));
  for (const auto& member : object) {
    TRY(const Bytes key, key_from(type.key(), {member.key().data(), member.key().size()}));
    TRY(const Bytes value, element_of(type.value(), member.value()));
    append_sized(bytes, key);
    append_sized(bytes, value);
  }
  return normalize(type, bytes);
}

}  // namespace

void append_json_string(std::string_view text, std::string& out) {
  out += '"';
  for (char c : text) {
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (c == '\n')
      out += "\\n";
    else if (static_cast<uint8_t>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      out += c;
  }
  out += '"';
}

void to_json(const DataType& type, BytesView value, std::string& out) {
  using enum TypeKind;
  switch (type.kind()) {
    case list:
    case set:
    case map:
      return append_collection(type, value, out);
    case tuple:
      return append_tuple(type, value, out);
    default:
      break;
  }
  if (value.empty() && type.kind() != blob) return append_json_string("", out);
  switch (type.kind()) {
    case bigint:
    case counter:
    case int_:
    case smallint:
    case tinyint:
    case boolean:
      out += to_text(type, value);
      return;
    case float_:
      return append_float(type, value, std::bit_cast<float>(load_big_endian<uint32_t>(value.data())), out);
    case double_:
      return append_float(type, value, std::bit_cast<double>(load_big_endian<uint64_t>(value.data())), out);
    default:
      return append_json_string(to_display(type, value), out);
  }
}

Result<Bytes> from_json(const DataType& type, const boost::json::value& value) {
  switch (value.kind()) {
    case boost::json::kind::null:
      return wrong(type, "null");
    case boost::json::kind::bool_:
      if (type.kind() != TypeKind::boolean) return wrong(type, value.get_bool() ? "true" : "false");
      return Bytes(1, value.get_bool() ? '\1' : '\0');
    case boost::json::kind::int64:
      if (!is_number(type)) return wrong(type, "a number");
      return datastore::from_text(type, fmt::format("{}", value.get_int64()));
    case boost::json::kind::uint64:
      if (!is_number(type)) return wrong(type, "a number");
      return datastore::from_text(type, fmt::format("{}", value.get_uint64()));
    case boost::json::kind::double_:
      if (!is_number(type)) return wrong(type, "a number");
      return datastore::from_text(type, fmt::format("{}", value.get_double()));
    case boost::json::kind::array:
      return from_array(type, value.get_array());
    case boost::json::kind::object:
      return from_object(type, value.get_object());
    case boost::json::kind::string:
      break;
  }
  const std::string_view text(value.get_string().data(), value.get_string().size());
  if (type.is_collection() || type.kind() == TypeKind::tuple) return wrong(type, "a string");
  return is_text(type) ? datastore::from_text(type, text) : from_string(type, text);
}

}  // namespace asterism
