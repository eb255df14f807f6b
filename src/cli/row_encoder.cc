#include "cli/row_encoder.h"

#include <bit>
#include <boost/json.hpp>
#include <charconv>

#include "base/hash.h"
#include "cli/cql_json.h"
#include "datastore/cql/parser.h"
#include "datastore/literal.h"

namespace asterism {
namespace {

using datastore::DataType;
using datastore::TypeKind;

constexpr uint32_t unset_value = static_cast<uint32_t>(-2);
constexpr size_t key_bytes_max = 65'535;
constexpr size_t json_room_bytes = 64 << 10;
constexpr size_t json_depth_max = 32;

template <class Int>
bool append_int(BytesView text, Bytes& out) {
  Int value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return false;
  ByteWriter writer(out);
  writer.u32_be(sizeof(Int));
  if constexpr (sizeof(Int) == 8)
    writer.u64_be(static_cast<uint64_t>(value));
  else if constexpr (sizeof(Int) == 4)
    writer.u32_be(static_cast<uint32_t>(value));
  else if constexpr (sizeof(Int) == 2)
    writer.u16_be(static_cast<uint16_t>(value));
  else
    writer.u8(static_cast<uint8_t>(value));
  return true;
}

bool append_double(BytesView text, Bytes& out) {
  double value = 0;
  // Words such as "inf" and numbers that do not fit are left to the slow way.
  if (text.empty() || (text.back() < '0' || text.back() > '9')) return false;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return false;
  ByteWriter writer(out);
  writer.u32_be(8);
  writer.u64_be(std::bit_cast<uint64_t>(value));
  return true;
}

bool is_ascii(BytesView text) {
  while (text.size() >= 8) {
    if ((load_little_endian<uint64_t>(text.data()) & 0x8080808080808080ULL) != 0) return false;
    text.remove_prefix(8);
  }
  for (char c : text)
    if (static_cast<uint8_t>(c) >= 0x80) return false;
  return true;
}

/// The types that files are full of. False: the slow way decides.
bool append_fast(TypeKind kind, BytesView text, Bytes& out) {
  switch (kind) {
    case TypeKind::bigint:
      return append_int<int64_t>(text, out);
    case TypeKind::int_:
      return append_int<int32_t>(text, out);
    case TypeKind::smallint:
      return append_int<int16_t>(text, out);
    case TypeKind::tinyint:
      return append_int<int8_t>(text, out);
    case TypeKind::double_:
      return append_double(text, out);
    case TypeKind::text:
    case TypeKind::ascii:
      if (!is_ascii(text)) return false;
      ByteWriter(out).u32_be(static_cast<uint32_t>(text.size()));
      out += text;
      return true;
    default:
      return false;
  }
}

}  // namespace

Result<RowEncoder> RowEncoder::create(const TableInfo& table, std::vector<TableColumn> columns, std::string null_text) {
  RowEncoder encoder;
  encoder.null_text_ = std::move(null_text);
  std::string names, marks;
  for (TableColumn& column : columns) {
    names += (names.empty() ? "" : ", ") + cql::quote_identifier(column.name);
    marks += marks.empty() ? "?" : ", ?";
    const bool key = column.kind != TableColumn::Kind::plain;
    encoder.columns_.push_back({std::move(column), key});
  }
  for (const TableColumn& column : table.columns) {
    if (column.kind == TableColumn::Kind::plain) continue;
    const auto at = std::ranges::find(encoder.columns_, column.name, [](const Column& c) { return c.column.name; });
    if (at == encoder.columns_.end())
      return fail(ErrorCode::invalid_argument, "column {} is missing, which is part of the primary key of {}",
                  column.name, table.quoted_name());
    if (column.kind == TableColumn::Kind::partition)
      encoder.partition_.push_back(static_cast<size_t>(at - encoder.columns_.begin()));
  }
  encoder.statement_ = fmt::format("INSERT INTO {} ({}) VALUES ({})", table.quoted_name(), names, marks);
  encoder.json_room_.reset(new unsigned char[json_room_bytes]);
  return encoder;
}

bool RowEncoder::wrong(size_t at, std::string reason) {
  error_ = {columns_[at].column.name, at, std::move(reason)};
  return false;
}

bool RowEncoder::put_null(size_t at) {
  if (columns_[at].key) return wrong(at, "a column of the primary key is null");
  ByteWriter(values_).u32_be(unset_value);
  return true;
}

bool RowEncoder::put(size_t at, BytesView bytes) {
  ByteWriter writer(values_);
  writer.u32_be(static_cast<uint32_t>(bytes.size()));
  columns_[at].begin = values_.size();
  columns_[at].size = bytes.size();
  writer.raw(bytes);
  return true;
}

bool RowEncoder::put_text(size_t at, BytesView text) {
  Column& column = columns_[at];
  const TypeKind kind = column.column.type.kind();
  const size_t begin = values_.size();
  if (append_fast(kind, text, values_)) {
    column.begin = begin + 4;
    column.size = values_.size() - column.begin;
    return true;
  }
  values_.resize(begin);
  // What is quoted and empty is the empty value, as to_display() writes it.
  if (text.empty() && allows_empty(kind)) return put(at, {});
  const auto bytes = datastore::from_text(column.column.type, text);
  if (!bytes) return wrong(at, bytes.error().message);
  return put(at, *bytes);
}

bool RowEncoder::check_key() {
  size_t size = 0;
  for (size_t at : partition_) size += columns_[at].size;
  if (partition_.size() == 1 && size == 0) return wrong(partition_[0], "the partition key is empty");
  for (size_t at = 0; at < columns_.size(); ++at)
    if (columns_[at].key && (columns_[at].size > key_bytes_max || size > key_bytes_max))
      return wrong(at, "keys have 65,535 bytes at most");
  return true;
}

bool RowEncoder::encode_csv(const std::vector<CsvField>& fields) {
  if (fields.size() != columns_.size()) {
    error_ = {"", 0, fmt::format("{} fields, and there are {} columns", fields.size(), columns_.size())};
    return false;
  }
  values_.clear();
  ByteWriter(values_).u16_be(static_cast<uint16_t>(columns_.size()));
  for (size_t at = 0; at < fields.size(); ++at) {
    const bool null = !fields[at].quoted && fields[at].text == null_text_;
    if (!(null ? put_null(at) : put_text(at, fields[at].text))) return false;
  }
  return check_key();
}

bool RowEncoder::encode_json(BytesView line) {
  boost::json::monotonic_resource resource(json_room_.get(), json_room_bytes);
  boost::json::error_code bad;
  boost::json::parse_options options;
  options.max_depth = json_depth_max;
  const boost::json::value value = boost::json::parse({line.data(), line.size()}, bad, &resource, options);
  const boost::json::object* object = value.if_object();
  if (bad || !object) {
    error_ = {"", 0, bad ? fmt::format("no JSON: {}", bad.message()) : "no JSON object"};
    return false;
  }
  values_.clear();
  ByteWriter(values_).u16_be(static_cast<uint16_t>(columns_.size()));
  size_t used = 0;
  for (size_t at = 0; at < columns_.size(); ++at) {
    const boost::json::value* member = object->if_contains(columns_[at].column.name);
    if (member) ++used;
    if (!member || member->is_null()) {
      if (!put_null(at)) return false;
      continue;
    }
    const auto bytes = from_json(columns_[at].column.type, *member);
    if (!bytes) return wrong(at, bytes.error().message);
    put(at, *bytes);
  }
  if (used == object->size()) return check_key();
  for (const auto& member : *object) {
    const std::string_view name(member.key().data(), member.key().size());
    if (std::ranges::find(columns_, name, [](const Column& c) { return std::string_view(c.column.name); }) !=
        columns_.end())
      continue;
    error_ = {std::string(name), 0, "there is no such column"};
    return false;
  }
  return check_key();
}

int64_t RowEncoder::token() const {
  const auto part = [&](size_t at) { return BytesView(values_).substr(columns_[at].begin, columns_[at].size); };
  if (partition_.size() == 1) return murmur3_token(part(partition_[0]));
  Bytes key;
  ByteWriter writer(key);
  for (size_t at : partition_) {
    writer.u16_be(static_cast<uint16_t>(columns_[at].size));
    writer.raw(part(at));
    writer.u8(0);
  }
  return murmur3_token(key);
}

}  // namespace asterism
