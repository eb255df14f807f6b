// What import and export must know of a table and of the nodes that hold it.
#pragma once

#include <string>
#include <vector>

#include "cli/cql_access.h"
#include "datastore/type.h"

namespace asterism {

struct TableColumn {
  enum class Kind : uint8_t { partition, clustering, plain };  // plain: static too
  std::string name;
  datastore::DataType type;
  Kind kind = Kind::plain;
  int position = 0;  // within the key
};

struct TableInfo {
  std::string keyspace, table;
  std::vector<TableColumn> columns;  // the partition key, the clustering columns, then the others by name

  std::string quoted_name() const;
  std::vector<std::string> partition_key() const;  // quoted
};

/// "shop.orders", each part as CQL writes it. Errors: invalid_argument.
Status parse_table_name(const std::string& text, std::string& keyspace, std::string& table);
/// Errors: not_found, saying so of the keyspace or the table; those of the client.
Task<Result<TableInfo>> read_table(cql::CqlClient& client, std::string keyspace, std::string table, Instant deadline);
/// `names` of the table's columns in that order; all where it is empty. Errors: invalid_argument.
Result<std::vector<TableColumn>> choose_columns(const TableInfo& table, const std::vector<std::string>& names);
/// "a,b" to names as they are in the schema: quoted ones keep their case, others fold.
std::vector<std::string> split_names(const std::string& text);

struct RingNode {
  Address address;
  std::vector<int64_t> tokens;
};
/// The node that answers comes first. Errors: those of the client.
Task<Result<std::vector<RingNode>>> read_ring(cql::CqlClient& client, Instant deadline);

/// What an ERROR says, as an Error: unavailable where another attempt may succeed, else invalid_argument.
Error error_of(const cql::wire::ErrorResponse& error);
bool may_succeed_later(cql::wire::CqlErrorCode code);

}  // namespace asterism
