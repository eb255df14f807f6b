// From a statement and a schema to a plan: names resolved, types known, rules checked. What is left for execution
// depends only on the bound values.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "datastore/cql/ast.h"
#include "datastore/cql/resource.h"
#include "datastore/cql/response.h"
#include "datastore/cql/virtual_table.h"
#include "datastore/schema.h"

namespace asterism::cql {

/// An outcome or the error to send to the client.
template <class T>
using Answer = std::expected<T, wire::ErrorResponse>;

/// What a plan is made against.
struct Catalog {
  const datastore::Schema& schema;
  const VirtualTables& virtual_tables;
};

struct SelectPlan;
struct WritePlan;
struct BatchPlan;
struct SchemaPlan;
struct UsePlan {
  std::string keyspace;
};

/// Immutable; shared by any number of executions at once. It keeps the Table it was made for, so it stays usable after
/// the schema changed, but describes and reads what was: a server makes a new plan where is_current() is false.
struct Plan {
  /// One for each bind marker, in the order of the text. The names are Cassandra's: the column's, "[limit]",
  /// "in(col)", "value(col)", "partition key token" and so on.
  std::vector<wire::ColumnSpec> bind_markers;
  /// For PREPARED: which marker binds each partition key column, or none where not all of them are bound.
  std::vector<uint16_t> partition_key_indexes;
  /// The columns of the rows that execution gives; none where it gives no rows.
  wire::ResultMetadata result;
  /// Names of the markers in the order of the text, for requests that bind by name; empty for "?".
  std::vector<std::string> marker_names;
  /// The keyspace and table that it is about; empty for USE, and the table's for batches of several.
  std::string keyspace, table;
  /// What whoever executes it must be allowed; nothing for USE and for the system tables that everybody reads.
  std::vector<Need> needs;
  /// Schema::version_index() when it was made.
  uint64_t schema_version = 0;

  std::variant<std::shared_ptr<const SelectPlan>, std::shared_ptr<const WritePlan>, std::shared_ptr<const BatchPlan>,
               std::shared_ptr<const SchemaPlan>, UsePlan>
      body;

  bool is_current(const datastore::Schema& schema) const { return schema_version == schema.version_index(); }
  bool is_select() const { return body.index() == 0; }
  /// INSERT, UPDATE or DELETE: may be part of a batch.
  bool is_write() const { return body.index() == 1; }
  bool is_batch() const { return body.index() == 2; }
};
using PlanPtr = std::shared_ptr<const Plan>;

/// `keyspace`: the session's, or empty. Errors: those that Cassandra gives for a statement that it refuses to prepare.
Answer<PlanPtr> make_plan(const Statement& statement, std::string_view keyspace, const Catalog& catalog);

/// Parses as well; errors of the parser are SyntaxException.
Answer<PlanPtr> make_plan(std::string_view text, std::string_view keyspace, const Catalog& catalog);

/// The [option] that describes a type in metadata.
wire::WireType wire_type_of(const datastore::DataType& type);

}  // namespace asterism::cql
