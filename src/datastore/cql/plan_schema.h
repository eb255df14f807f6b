// Schema statements, planned: what to propose and what to answer.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "datastore/cql/answer.h"
#include "gateway/access.h"
#include "ports/random.h"

namespace asterism::cql {

/// Holds the statement: it is checked against the schema of the moment when it runs.
struct SchemaPlan {
  std::variant<CreateKeyspace, AlterKeyspace, DropKeyspace, CreateTable, AlterTable, DropTable, Truncate> statement;
};

struct SchemaStep {
  Bytes command;                             // for the metadata log; empty where nothing is to be done
  std::optional<wire::SchemaChange> change;  // what to answer; none: void
  bool exists_is_fine = false;               // IF NOT EXISTS
  bool missing_is_fine = false;              // IF EXISTS
};

/// Checks the statement and makes the command. `timestamp_us` is the time of the change.
Answer<SchemaStep> make_schema_step(const SchemaPlan& plan, const Catalog& catalog, Random& random,
                                    int64_t timestamp_us);

/// What changes for users in the same step: whoever makes something may do everything with it, and grants on what is
/// dropped go. A command of AccessState, or empty.
Bytes access_command(const SchemaPlan& plan, const Principal* principal);
/// "CREATE TABLE <table shop.orders>", for the audit log.
std::string summary(const SchemaPlan& plan);

wire::ErrorResponse already_exists(const std::string& keyspace, const std::string& table);

/// WITH options of a table, checked; defaults of the others are added. `altering`: without defaults.
Answer<std::map<std::string, std::string>> table_options(const Options& options, bool altering);

}  // namespace asterism::cql
