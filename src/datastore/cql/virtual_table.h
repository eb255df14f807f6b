// Tables whose rows are made in memory when they are read: system.*, system_schema.* and the like.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "datastore/schema.h"

namespace asterism::cql {

/// The values of one row in the order of Table::columns; collections as one serialized value each.
using VirtualRow = std::vector<std::optional<Bytes>>;

/// SELECT treats it as any table: filters, functions, limits and paging work. Everything that writes is refused.
class VirtualTable {
 public:
  virtual ~VirtualTable() = default;
  /// Its columns, in the order that Table wants. Stays the same for the life of the object.
  virtual const datastore::TablePtr& table() const = 0;
  /// All rows, in any order; key columns must not be null and each primary key must appear once. The executor sorts
  /// them. Called once for each page.
  virtual std::vector<VirtualRow> rows() const = 0;
};

/// The virtual tables of a node, by keyspace and name.
class VirtualTables {
 public:
  using Tables = std::map<std::string, std::unique_ptr<VirtualTable>, std::less<>>;

  /// Replaces a table of the same name.
  void add(std::unique_ptr<VirtualTable> table);
  /// Null where there is none.
  const VirtualTable* find(std::string_view keyspace, std::string_view name) const;
  bool has_keyspace(std::string_view keyspace) const { return keyspaces_.contains(keyspace); }
  const std::map<std::string, Tables, std::less<>>& keyspaces() const { return keyspaces_; }

 private:
  std::map<std::string, Tables, std::less<>> keyspaces_;
};

/// A Table for virtual_table.h's users: ids, positions and the order of columns are filled in.
struct VirtualColumn {
  std::string name;
  std::string type;  // CQL
  datastore::ColumnKind kind = datastore::ColumnKind::regular;
  bool descending = false;
};
/// Key columns come in key order; the types must parse (ASSERT). The id is made from the names, so it is the same on
/// every node.
datastore::TablePtr make_virtual_table(std::string keyspace, std::string name, std::vector<VirtualColumn> columns);

}  // namespace asterism::cql
