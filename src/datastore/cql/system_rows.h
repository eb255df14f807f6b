// Making rows of virtual tables: values by column name, encoded as the column's type wants.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "datastore/cql/virtual_table.h"

namespace asterism::cql {

/// Columns that are not set are null. A column that the table lacks is a broken invariant.
class RowMaker {
 public:
  explicit RowMaker(const datastore::Table& table) : table_(table), row_(table.columns.size()) {}

  RowMaker& raw(std::string_view column, Bytes value);
  RowMaker& text(std::string_view column, std::string_view value) { return raw(column, Bytes(value)); }
  RowMaker& i32(std::string_view column, int32_t value);
  RowMaker& i64(std::string_view column, int64_t value);
  RowMaker& boolean(std::string_view column, bool value) { return raw(column, Bytes(1, value ? '\1' : '\0')); }
  RowMaker& text_set(std::string_view column, const std::set<std::string>& values);
  RowMaker& text_map(std::string_view column, const std::map<std::string, std::string>& values);
  /// From what a WITH clause says; null where that is no value of the column's type.
  RowMaker& option(std::string_view column, std::string_view text);
  VirtualRow take() { return std::move(row_); }

 private:
  const datastore::Table& table_;
  VirtualRow row_;
};

/// A virtual table whose rows a function makes.
class FunctionTable final : public VirtualTable {
 public:
  using Function = std::function<std::vector<VirtualRow>(const datastore::Table&)>;
  FunctionTable(datastore::TablePtr table, Function function)
      : table_(std::move(table)), function_(std::move(function)) {}
  const datastore::TablePtr& table() const override { return table_; }
  std::vector<VirtualRow> rows() const override { return function_(*table_); }

 private:
  datastore::TablePtr table_;
  Function function_;
};

/// A column is its name and type, behind "p " for the partition key and "c " for clustering columns.
std::unique_ptr<VirtualTable> function_table(std::string keyspace, std::string name, std::vector<std::string> columns,
                                             FunctionTable::Function function);

/// system_schema and system_virtual_schema. `tables` is described too and must outlive them.
void add_schema_tables(VirtualTables& tables, const datastore::Schema& schema);

/// Keyspaces that Cassandra has as real tables of its own and therefore lists in system_schema.
bool is_system_keyspace(std::string_view keyspace);

}  // namespace asterism::cql
