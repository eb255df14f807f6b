#include "datastore/cql/system_tables.h"

#include "datastore/cql/system_rows.h"
#include "datastore/literal.h"

namespace asterism::cql {

using datastore::Table;
using Rows = std::vector<VirtualRow>;

Bytes inet_bytes(const std::string& host) {
  auto bytes = datastore::from_text(datastore::TypeKind::inet, host == "localhost" ? "127.0.0.1" : host);
  return bytes ? std::move(*bytes) : Bytes();
}

namespace {

std::set<std::string> token_texts(const NodeInfo& node) {
  std::set<std::string> texts;
  for (int64_t token : node.tokens) texts.insert(std::to_string(token));
  return texts;
}

/// What the three tables of nodes share.
void describe_node(const NodeInfo& node, const SystemTablesSource& source, RowMaker& row) {
  row.raw("host_id", node.host_id)
      .text("data_center", node.place.datacenter)
      .text("rack", node.place.rack)
      .text("release_version", release_version)
      .raw("schema_version", source.schema.version())
      .text_set("tokens", token_texts(node));
}

Rows local_rows(const SystemTablesSource& source, const Table& table) {
  const NodeInfo* self = source.cluster.node(source.self);
  if (self == nullptr) return {};
  RowMaker row(table);
  row.text("key", "local")
      .text("bootstrapped", "COMPLETED")
      .text("cluster_name", source.cluster_name)
      .text("cql_version", cql_version)
      .text("native_protocol_version", "5")
      .text("partitioner", partitioner)
      .i32("gossip_generation", 1)
      .i32("listen_port", self->rpc_port)
      .i32("broadcast_port", self->rpc_port)
      .i32("rpc_port", self->port("cql"));
  describe_node(*self, source, row);
  if (Bytes address = inet_bytes(self->host); !address.empty())
    for (auto column : {"broadcast_address", "listen_address", "rpc_address"}) row.raw(column, address);
  Rows rows;
  rows.push_back(row.take());
  return rows;
}

/// system.peers has room for one node at each address, and none at our own: clients that meet nodes that differ only
/// by port need peers_v2.
Rows peers_rows(const SystemTablesSource& source, const Table& table) {
  std::set<Bytes> seen;
  if (const NodeInfo* self = source.cluster.node(source.self)) seen.insert(inet_bytes(self->host));
  Rows rows;
  for (const auto& [id, node] : source.cluster.nodes()) {
    const Bytes address = inet_bytes(node.host);
    if (id == source.self || address.empty() || !seen.insert(address).second) continue;
    RowMaker row(table);
    row.raw("peer", address).raw("rpc_address", address);
    describe_node(node, source, row);
    rows.push_back(row.take());
  }
  return rows;
}

Rows peers_v2_rows(const SystemTablesSource& source, const Table& table) {
  Rows rows;
  for (const auto& [id, node] : source.cluster.nodes()) {
    const Bytes address = inet_bytes(node.host);
    if (id == source.self || address.empty()) continue;
    RowMaker row(table);
    row.raw("peer", address)
        .i32("peer_port", node.rpc_port)
        .raw("native_address", address)
        .i32("native_port", node.port("cql"));
    describe_node(node, source, row);
    rows.push_back(row.take());
  }
  return rows;
}

Rows prepared_rows(const SystemTablesSource& source, const Table& table) {
  Rows rows;
  for (const auto& statement : source.prepared.statements()) {
    RowMaker row(table);
    row.raw("prepared_id", statement->id).text("query_string", statement->text);
    if (!statement->keyspace.empty()) row.text("logged_keyspace", statement->keyspace);
    rows.push_back(row.take());
  }
  return rows;
}

Rows no_rows(const Table&) { return {}; }

void add_traces(VirtualTables& tables) {
  tables.add(
      function_table("system_traces", "sessions",
                     {"p session_id uuid", "client inet", "command text", "coordinator inet", "coordinator_port int",
                      "duration int", "parameters map<text, text>", "request text", "started_at timestamp"},
                     no_rows));
  tables.add(function_table("system_traces", "events",
                            {"p session_id uuid", "c event_id timeuuid", "activity text", "source inet",
                             "source_elapsed int", "source_port int", "thread text"},
                            no_rows));
}

}  // namespace

void add_system_tables(VirtualTables& tables, SystemTablesSource source) {
  tables.add(function_table(
      "system", "local",
      {"p key text",        "bootstrapped text",   "broadcast_address inet", "broadcast_port int",
       "cluster_name text", "cql_version text",    "data_center text",       "gossip_generation int",
       "host_id uuid",      "listen_address inet", "listen_port int",        "native_protocol_version text",
       "partitioner text",  "rack text",           "release_version text",   "rpc_address inet",
       "rpc_port int",      "schema_version uuid", "tokens set<text>",       "truncated_at map<uuid, blob>"},
      [source](const Table& table) { return local_rows(source, table); }));
  tables.add(function_table("system", "peers",
                            {"p peer inet", "data_center text", "host_id uuid", "preferred_ip inet", "rack text",
                             "release_version text", "rpc_address inet", "schema_version uuid", "tokens set<text>"},
                            [source](const Table& table) { return peers_rows(source, table); }));
  tables.add(function_table("system", "peers_v2",
                            {"p peer inet", "c peer_port int", "data_center text", "host_id uuid",
                             "native_address inet", "native_port int", "preferred_ip inet", "preferred_port int",
                             "rack text", "release_version text", "schema_version uuid", "tokens set<text>"},
                            [source](const Table& table) { return peers_v2_rows(source, table); }));
  tables.add(function_table("system", "size_estimates",
                            {"p keyspace_name text", "c table_name text", "c range_start text", "c range_end text",
                             "mean_partition_size bigint", "partitions_count bigint"},
                            no_rows));
  tables.add(function_table("system", "prepared_statements",
                            {"p prepared_id blob", "logged_keyspace text", "query_string text"},
                            [source](const Table& table) { return prepared_rows(source, table); }));
  add_traces(tables);
  add_schema_tables(tables, source.schema);
}

}  // namespace asterism::cql
