#include "datastore/cql/virtual_table.h"

#include <algorithm>

#include "base/assert.h"
#include "base/hash.h"

namespace asterism::cql {

void VirtualTables::add(std::unique_ptr<VirtualTable> table) {
  const std::string keyspace = table->table()->keyspace;
  const std::string name = table->table()->name;
  keyspaces_[keyspace][name] = std::move(table);
}

const VirtualTable* VirtualTables::find(std::string_view keyspace, std::string_view name) const {
  auto tables = keyspaces_.find(keyspace);
  if (tables == keyspaces_.end()) return nullptr;
  auto table = tables->second.find(name);
  return table == tables->second.end() ? nullptr : table->second.get();
}

datastore::TablePtr make_virtual_table(std::string keyspace, std::string name, std::vector<VirtualColumn> columns) {
  using datastore::ColumnKind;
  auto table = std::make_shared<datastore::Table>();
  std::vector<VirtualColumn> sorted;
  for (ColumnKind kind :
       {ColumnKind::partition_key, ColumnKind::clustering, ColumnKind::static_, ColumnKind::regular}) {
    const auto first = static_cast<std::ptrdiff_t>(sorted.size());
    for (VirtualColumn& column : columns) {
      if (column.kind == kind) sorted.push_back(column);
    }
    if (kind == ColumnKind::static_ || kind == ColumnKind::regular) {
      std::sort(sorted.begin() + first, sorted.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    }
  }
  for (VirtualColumn& from : sorted) {
    datastore::Column column;
    column.id = table->next_column++;
    column.position = static_cast<uint32_t>(table->count(from.kind));
    auto type = datastore::DataType::parse(from.type);
    ASSERT(type.has_value());
    column.type = std::move(*type);
    column.name = std::move(from.name);
    column.kind = from.kind;
    column.descending = from.descending;
    table->columns.push_back(std::move(column));
  }
  // A name-based UUID of version 3's shape.
  ByteWriter id(table->id);
  id.u64_be((xxh3(keyspace + "." + name) & ~uint64_t{0xf000}) | 0x3000);
  id.u64_be((xxh3(name, 1) & 0x3fffffffffffffff) | 0x8000000000000000);
  table->keyspace = std::move(keyspace);
  table->name = std::move(name);
  return table;
}

}  // namespace asterism::cql
