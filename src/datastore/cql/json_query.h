// One statement as JSON, in and out: what the console's prompt sends.
#pragma once

#include <string>

#include "cluster/cluster_state.h"
#include "datastore/cql/roles.h"

namespace asterism::cql {

/// {"statement": "…", "keyspace": "shop", "consistency": "QUORUM", "page_size": 100, "page": "…"}: all but the
/// statement may be left out. `page` is what the answer before said under "next".
struct JsonQuery {
  static constexpr size_t statement_bytes_max = 256 << 10;
  static constexpr int32_t page_size_max = 1000;

  std::string statement, keyspace;
  wire::Consistency consistency = wire::Consistency::one;
  int32_t page_size = 100;
  std::optional<Bytes> page;

  /// Errors: invalid_argument, which names the member that is wrong; too_large.
  static Result<JsonQuery> parse(BytesView json);
};

struct JsonQueryContext {
  StatementExecutor& statements;
  RoleStatements& roles;
  const ClusterState& cluster;
  std::string cluster_name;
  Executor& executor;
  Audit audit = {};
  const Principal* principal = nullptr;  // who asks; null where nobody has to log in
  Address from = {};
};

/// The answer has "kind": "rows" (columns with name and type; rows of texts as cqlsh shows them, or null; "next" where
/// more follow), "done", "keyspace" (of USE), "schema" (what changed) or "error" (code, name, message and, of the
/// parser, line and column, both from 1). Long cells are cut, and then end in "…".
Task<std::string> run_json_query(JsonQueryContext context, JsonQuery query);

}  // namespace asterism::cql
