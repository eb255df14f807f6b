// The tables in which drivers and cqlsh look for nodes, tokens and schemas: system, system_schema,
// system_virtual_schema, system_traces, as Apache Cassandra 4.1 has them.
#pragma once

#include <string>

#include "cluster/cluster_state.h"
#include "datastore/cql/prepared_cache.h"
#include "datastore/cql/virtual_table.h"

namespace asterism::cql {

/// What clients are told. 4.1 is the newest version whose schema tables every driver reads and that offers protocol v5:
/// the Python driver picks SchemaParserV4, the Java driver Cassandra4SchemaQueries, gocql its v4 queries and cqlsh
/// DESCRIBE on the server (all from 4.0 on). 5.0 would promise vectors, masks and SAI, which are not here.
inline constexpr std::string_view release_version = "4.1.0";
inline constexpr std::string_view cql_version = "3.4.7";
inline constexpr std::string_view partitioner = "org.apache.cassandra.dht.Murmur3Partitioner";

/// All of it must outlive the tables.
struct SystemTablesSource {
  NodeId self;
  std::string cluster_name;
  const ClusterState& cluster;
  const datastore::Schema& schema;
  const PreparedCache& prepared;
};

/// Adds the tables. A node that is not a member yet has an empty system.local.
void add_system_tables(VirtualTables& tables, SystemTablesSource source);

/// 4 or 16 bytes; empty where `host` is no literal address.
Bytes inet_bytes(const std::string& host);

}  // namespace asterism::cql
