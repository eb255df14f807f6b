// One execution of a SELECT: reads partition by partition or along the ring, filters, groups, and writes rows.
#pragma once

#include "datastore/cql/execute.h"
#include "datastore/cql/paging.h"
#include "datastore/cql/plan_select.h"

namespace asterism::cql {

class SelectRun {
 public:
  /// The arguments must outlive the run.
  SelectRun(StatementExecutor& executor, const Plan& plan, const QueryOptions& options);
  Task<Outcome> run();

 private:
  enum class Flow : uint8_t { go_on, next_partition, stop };

  Answer<void> prepare();
  Answer<void> prepare_limits();
  Answer<void> prepare_reads();
  Answer<void> resume_page();
  Task<Answer<void>> read_all();
  Task<datastore::Served<datastore::ReadPage>> read(datastore::ReadCommand command);
  datastore::ReadCommand next_command() const;
  void leave_partition();
  Answer<Flow> consume(const datastore::ReadPage& page);
  Answer<Flow> consume_partition(const datastore::LivePartition& partition, bool continues);
  /// A row with its values in row_; `clustering` is none for static content without rows.
  Answer<Flow> offer(const datastore::LivePartition& partition, const BytesView* clustering);
  Answer<Flow> offer_to_group(const datastore::LivePartition& partition, const BytesView* clustering);
  void stop_before(const datastore::LivePartition& partition, const BytesView* clustering);
  void open_group();
  Answer<void> close_group();
  Answer<void> emit(const RowValues& row, const std::vector<MaybeBytes>& aggregates);
  Answer<void> collect(const RowValues& row);
  Answer<void> emit_sorted();
  bool page_full() const { return options_.page_size > 0 && emitted_ >= static_cast<uint32_t>(options_.page_size); }
  Bytes paging_state() const;
  /// Of the statement and its values: a paging state belongs to both.
  uint64_t fingerprint() const;
  Outcome finish();
  std::vector<std::string> warnings() const;

  StatementExecutor& executor_;
  const Plan& whole_;
  const SelectPlan& plan_;
  const QueryOptions& options_;
  FunctionContext functions_;
  Arena arena_;
  Bindings bindings_;
  int64_t now_s_ = 0;
  datastore::Consistency consistency_ = datastore::Consistency::one;

  std::vector<datastore::ReadCommand> commands_;
  std::vector<BoundFilter> filters_;
  uint32_t per_partition_limit_ = UINT32_MAX;
  uint32_t remaining_ = UINT32_MAX;
  bool sorts_ = false;  // several partitions and ORDER BY

  // Where the run is.
  size_t stage_ = 0;
  Bytes next_;
  std::optional<PartitionKey> partition_;
  uint32_t partition_rows_ = 0;
  bool partition_seen_ = false;
  uint32_t emitted_ = 0;
  bool more_ = false;
  uint32_t reads_ = 0;

  datastore::Row stored_;
  RowValues row_;
  std::optional<RowValues> group_;  // the group's first row
  Bytes group_key_;
  std::vector<std::unique_ptr<Aggregate>> aggregates_;
  std::vector<std::pair<Bytes, std::vector<MaybeBytes>>> collected_;

  Bytes out_;
  std::optional<wire::RowsWriter> writer_;
};

}  // namespace asterism::cql
