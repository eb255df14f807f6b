#include "datastore/cql/system_rows.h"

#include "base/assert.h"
#include "datastore/cql/parser.h"
#include "datastore/literal.h"

namespace asterism::cql {

namespace {

void append_element(BytesView value, ByteWriter& out) {
  out.u32_be(static_cast<uint32_t>(value.size()));
  out.raw(value);
}

}  // namespace

RowMaker& RowMaker::raw(std::string_view column, Bytes value) {
  const datastore::Column* found = table_.find(column);
  ASSERT(found != nullptr);
  row_[static_cast<size_t>(found - table_.columns.data())] = std::move(value);
  return *this;
}

RowMaker& RowMaker::i32(std::string_view column, int32_t value) {
  Bytes bytes;
  ByteWriter(bytes).u32_be(static_cast<uint32_t>(value));
  return raw(column, std::move(bytes));
}

RowMaker& RowMaker::i64(std::string_view column, int64_t value) {
  Bytes bytes;
  ByteWriter(bytes).u64_be(static_cast<uint64_t>(value));
  return raw(column, std::move(bytes));
}

RowMaker& RowMaker::text_set(std::string_view column, const std::set<std::string>& values) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.u32_be(static_cast<uint32_t>(values.size()));
  for (const auto& value : values) append_element(value, writer);
  return raw(column, std::move(bytes));
}

RowMaker& RowMaker::text_map(std::string_view column, const std::map<std::string, std::string>& values) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.u32_be(static_cast<uint32_t>(values.size()));
  for (const auto& [key, value] : values) {
    append_element(key, writer);
    append_element(value, writer);
  }
  return raw(column, std::move(bytes));
}

RowMaker& RowMaker::option(std::string_view column, std::string_view text) {
  const datastore::Column* found = table_.find(column);
  ASSERT(found != nullptr);
  Result<Bytes> value;
  if (!found->type.is_collection()) {
    value = datastore::from_text(found->type, text);
  } else {
    auto term = parse_term(text);
    value = term ? datastore::to_bytes(found->type, *term, column) : fail(term.error());
  }
  return value ? raw(column, std::move(*value)) : *this;
}

std::unique_ptr<VirtualTable> function_table(std::string keyspace, std::string name, std::vector<std::string> columns,
                                             FunctionTable::Function function) {
  std::vector<VirtualColumn> made;
  for (std::string_view text : columns) {
    auto kind = datastore::ColumnKind::regular;
    if (text.starts_with("p ")) kind = datastore::ColumnKind::partition_key;
    if (text.starts_with("c ")) kind = datastore::ColumnKind::clustering;
    if (kind != datastore::ColumnKind::regular) text.remove_prefix(2);
    const size_t space = text.find(' ');
    ASSERT(space != std::string_view::npos);
    made.push_back({std::string(text.substr(0, space)), std::string(text.substr(space + 1)), kind, false});
  }
  return std::make_unique<FunctionTable>(make_virtual_table(std::move(keyspace), std::move(name), std::move(made)),
                                         std::move(function));
}

bool is_system_keyspace(std::string_view keyspace) {
  return keyspace == "system" || keyspace == "system_schema" || keyspace == "system_traces";
}

}  // namespace asterism::cql
