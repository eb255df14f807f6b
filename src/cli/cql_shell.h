// Runs CQL statements and the shell's own commands, and prints what they answer.
#pragma once

#include "cli/cql_access.h"
#include "cli/cql_format.h"
#include "cli/cql_statements.h"

namespace asterism {

struct CqlShellOptions {
  cql::wire::Consistency consistency = cql::wire::Consistency::local_quorum;
  bool json = false;         // one object a row, and nothing else on standard output
  bool interactive = false;  // a person types and reads
  Duration timeout = 15s;    // of a request
};

class CqlShell {
 public:
  CqlShell(RealCore& core, CqlCluster& cluster, CqlShellOptions options)
      : core_(core), cluster_(cluster), options_(options) {}

  Status connect();
  /// The same with a fresh connection. False after an error, which was printed; `source` names where the statement was
  /// written.
  bool run(const StatementSplitter::Statement& statement, const std::string& source);
  /// All statements of a text; stops at the first that fails.
  bool run_all(std::string_view text, const std::string& source);

  /// EXIT was given, or nobody reads the output any more.
  bool leaving() const { return leaving_; }
  const std::string& keyspace() const { return keyspace_; }
  /// As of a moment ago; empty where they cannot be had.
  const SchemaNames& names();
  Result<std::string> greeting();

 private:
  enum class Expand : uint8_t { off, on, automatic };
  struct Page;

  Task<Status> connect_again();
  Result<cql::CqlReply> ask(const std::string& text, const cql::CqlQueryOptions& options);
  bool run_command(const std::string& command, const StatementSplitter::Statement& statement,
                   const std::string& source);
  bool run_statement(const StatementSplitter::Statement& statement, const std::string& source);
  bool set_consistency(std::string_view word);
  bool set_expand(std::string_view word);
  bool set_paging(std::string_view word);
  bool run_source(std::string_view argument);
  void show_rows(const cql::wire::Rows& rows, Page& page);
  void show_table(const std::vector<datastore::DataType>& types, const cql::wire::Rows& rows, Page& page);
  void note_change(const cql::CqlReply& reply);
  bool wants_more();
  void write(std::string_view text);
  void say(std::string_view line);
  /// Both return false.
  bool refuse(const std::string& message);
  bool report(const cql::wire::ErrorResponse& error, const StatementSplitter::Statement& statement,
              const std::string& source);

  RealCore& core_;
  CqlCluster& cluster_;
  CqlShellOptions options_;
  std::unique_ptr<cql::CqlClient> client_;
  std::string keyspace_;
  Expand expand_ = Expand::automatic;
  int32_t page_size_ = 100;  // 0: all at once
  int sources_ = 0;          // SOURCE within SOURCE
  bool leaving_ = false, interrupted_ = false, watching_ = false;
  std::optional<Instant> names_read_;
  SchemaNames names_;
};

/// Reads statements from the terminal until the end. The process's exit code.
int run_prompt(CqlShell& shell);

}  // namespace asterism
