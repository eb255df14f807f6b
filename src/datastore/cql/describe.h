// DESCRIBE: schemas as the CQL statements that make them, in the form in which Cassandra 4.1 prints them.
#pragma once

#include <string>

#include "cluster/cluster_state.h"
#include "datastore/cql/plan.h"

namespace asterism::cql {

/// "CREATE KEYSPACE … ;" without the tables.
std::string create_statement(const datastore::Keyspace& keyspace);
/// "CREATE TABLE … ;". With `internals` its id and dropped columns too. Running the statement makes an equal table.
std::string create_statement(const datastore::Table& table, bool internals = false);
/// What stands in for CREATE TABLE of a virtual table: the same within a comment.
std::string describe_virtual(const datastore::Table& table);

struct DescribeContext {
  const Catalog& catalog;
  const ClusterState& cluster;
  std::string cluster_name;
  std::string keyspace;  // the session's; may be empty
};

/// All rows at once, as a RESULT envelope. Paging is not needed: clients accept a page of any size.
struct DescribeResult {
  wire::ResultMetadata metadata;
  std::vector<std::vector<Bytes>> rows;
};
/// Errors: invalid, with Cassandra's texts ("'t' not found in keyspace 'ks'").
Answer<DescribeResult> describe(const Describe& statement, const DescribeContext& context);

}  // namespace asterism::cql
