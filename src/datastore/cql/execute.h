// Runs plans: bound values in, rows or effects out.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "datastore/cql/plan.h"
#include "datastore/cql/request.h"
#include "datastore/cql/rows.h"
#include "datastore/table_service.h"
#include "gateway/access.h"
#include "ports/clock.h"
#include "ports/random.h"

namespace asterism {
class MetadataService;
}

namespace asterism::cql {

/// What a request says beside its statement.
struct QueryOptions {
  /// Who asks, where somebody logged in; must outlive the execution.
  const Principal* principal = nullptr;
  wire::Consistency consistency = wire::Consistency::one;
  std::optional<wire::Consistency> serial_consistency;
  /// In the order of the markers; the views must outlive the execution. See bind_by_name.
  std::vector<wire::Value> values;
  int32_t page_size = 0;  // rows; 0 or less: no paging
  std::optional<BytesView> paging_state;
  std::optional<int64_t> timestamp_us;    // the client's default timestamp
  std::optional<int32_t> now_in_seconds;  // v5: instead of the node's clock for expiry
  int64_t now_s(int64_t now_us) const { return now_in_seconds ? *now_in_seconds : now_us / 1'000'000; }
  Instant deadline = Instant::never();
  /// What a SELECT that reads several times has for each of them, also behind the deadline: who counts a large table
  /// waits for it.
  Duration read_limit{0};
  /// True from when nobody waits for the answer: a SELECT then ends with its present read. Must outlive the execution.
  const bool* abandoned = nullptr;

  // How rows are written.
  wire::Version version = wire::Version::v4;
  int16_t stream = 0;
  bool skip_metadata = false;
  std::optional<Bytes> new_metadata_id;  // v5: announces changed columns (and then metadata is not skipped)
  std::optional<std::array<uint8_t, 16>> tracing_id;
};

/// A whole RESULT envelope, ready to be framed.
struct RowsResult {
  Bytes envelope;
  uint64_t row_count = 0;
  bool more = false;  // the envelope carries a paging state
};

struct Outcome {
  std::variant<wire::ErrorResponse, wire::VoidResult, RowsResult, wire::SetKeyspace, wire::SchemaChange> body;
  std::vector<std::string> warnings;  // to send with the answer; rows carry theirs already
};

/// One statement of a BATCH request.
struct BatchEntry {
  PlanPtr plan;
  std::vector<wire::Value> values;
};

/// How changes of schemas and users take effect.
class SchemaChanges {
 public:
  virtual ~SchemaChanges() = default;
  /// Completes once the record (MetadataState::encode_record) is applied on this node. Errors: as
  /// MetadataService::propose.
  virtual Task<Result<Bytes>> propose(Bytes record, Instant deadline) = 0;
};
std::unique_ptr<SchemaChanges> make_schema_changes(MetadataService& metadata);

/// Executes statements for all sessions of a core. What it is given must outlive it, and it must outlive its tasks.
class StatementExecutor {
 public:
  StatementExecutor(Catalog catalog, datastore::TableService& tables, SchemaChanges& changes, const Clock& clock,
                    Random& random);

  const Catalog& catalog() const { return catalog_; }

  /// From now on nothing is executed for those who have not logged in.
  void require_principals() { principals_required_ = true; }
  /// Why `principal` may not execute the plan; null stands for somebody who has not logged in. execute() asks itself.
  std::optional<wire::ErrorResponse> refusal(const Plan& plan, const Principal* principal) const;

  /// SELECT, INSERT, UPDATE, DELETE, BATCH, USE and schema statements.
  Task<Outcome> execute(PlanPtr plan, QueryOptions options);
  /// The protocol's BATCH: its statements must be writes. `options.values` is not used.
  Task<Outcome> execute_batch(wire::BatchType type, std::vector<BatchEntry> entries, QueryOptions options);

 private:
  friend class SelectRun;
  friend class WriteRun;
  /// Microseconds of the wall clock, larger than any given before.
  int64_t next_timestamp_us();
  Task<Outcome> select(PlanPtr plan, QueryOptions options);
  Task<Outcome> write(PlanPtr plan, QueryOptions options);
  Task<Outcome> batch(PlanPtr plan, QueryOptions options);
  Task<Outcome> change_schema(PlanPtr plan, QueryOptions options);

  Catalog catalog_;
  datastore::TableService& tables_;
  SchemaChanges& changes_;
  const Clock& clock_;
  Random& random_;
  int64_t last_timestamp_us_ = 0;
  bool principals_required_ = false;
};

/// Unauthorized (0x2100), in Cassandra's words.
wire::ErrorResponse unauthorized(std::string text);
wire::ErrorResponse no_permission(const Principal& principal, const Need& need);

/// Puts values that were sent with names into the order of the plan's markers. Errors: invalid, as Cassandra.
Answer<std::vector<wire::Value>> bind_by_name(const Plan& plan, const std::vector<wire::Value>& values,
                                              const std::vector<BytesView>& names);

/// The CQL error for a request that did not reach its consistency level. `write`: the type to name; none for reads.
wire::ErrorResponse to_error(const datastore::RequestFailure& failure, std::optional<wire::WriteType> write);
/// InvalidRequest (0x2200) and the other codes without fields.
wire::ErrorResponse to_error(const Error& error);

}  // namespace asterism::cql
