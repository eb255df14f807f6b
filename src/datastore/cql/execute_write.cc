#include "datastore/cql/execute.h"
#include "datastore/cql/write_builder.h"

namespace asterism::cql {

using datastore::Consistency;

/// One statement or batch: its writes with their values, until the mutations are stored.
class WriteRun {
 public:
  WriteRun(StatementExecutor& executor, const QueryOptions& options) : executor_(executor), options_(options) {
    timestamp_us_ = options.timestamp_us ? *options.timestamp_us : executor.next_timestamp_us();
    functions_.now_us = executor.clock_.wall_now().us;
    functions_.random = &executor.random_;
  }

  Bindings bindings(std::span<const wire::Value> values) { return {values, functions_, arena_}; }
  void set_timestamp(int64_t timestamp_us) { timestamp_us_ = timestamp_us; }

  /// Adds what a statement changes. `values` and the plan must outlive the run.
  Task<Answer<void>> add(const WritePlan& plan, std::span<const wire::Value> values) {
    if (plan.conditional) co_return invalid("{}", no_transactions);
    const Bindings bound = bindings(values);
    WriteContext context{timestamp_us_, options_.now_s(functions_.now_us),
                         [this] { return executor_.next_timestamp_us(); }, &executor_.random_};
    WriteBuilder builder(plan, bound, context);
    CO_TRY_STATUS(builder.prepare());
    for (const WriteBuilder::Read& read : builder.reads()) {
      datastore::ReadCommand command;
      command.table = plan.table->number;
      command.token = read.key.token;
      command.partition_key = read.key.bytes;
      command.now_s = context.now_s;
      command.whole_keys = true;
      if (read.clustering) {
        command.slices.push_back({*read.clustering, datastore::after_prefix(*read.clustering)});
      }
      auto page =
          co_await executor_.tables_.read(plan.table, std::move(command), read_consistency(), options_.deadline);
      if (!page) co_return std::unexpected(to_error(page.error(), std::nullopt));
      pages_.push_front(std::move(*page));
      const auto& partitions = pages_.front().partitions;
      CO_TRY_STATUS(answer(builder.add_read(read, partitions.empty() ? nullptr : &partitions[0])));
    }
    co_return builder.apply(mutations_);
  }

  Task<Outcome> store(bool logged) {
    auto mutations = mutations_.take();
    if (!mutations) co_return Outcome{std::move(mutations.error()), {}};
    const Consistency consistency = options_.consistency;
    if (mutations->empty()) co_return Outcome{wire::VoidResult(), {}};
    if (mutations->size() == 1) {
      auto& only = mutations->front();
      auto written = co_await executor_.tables_.write(std::move(only.table), std::move(only.mutation), consistency,
                                                      options_.deadline);
      if (!written) co_return Outcome{to_error(written.error(), wire::WriteType::simple), {}};
      co_return Outcome{wire::VoidResult(), {}};
    }
    auto written = co_await executor_.tables_.write_all(std::move(*mutations), logged, consistency, options_.deadline);
    if (!written) {
      const auto type = logged ? wire::WriteType::batch : wire::WriteType::unlogged_batch;
      co_return Outcome{to_error(written.error(), type), {}};
    }
    co_return Outcome{wire::VoidResult(), {}};
  }

 private:
  /// Levels that only writes have read at the nearest one that reads have.
  Consistency read_consistency() const {
    const Consistency level = options_.consistency;
    if (level == Consistency::any) return Consistency::one;
    return level == Consistency::each_quorum ? Consistency::quorum : level;
  }

  StatementExecutor& executor_;
  const QueryOptions& options_;
  int64_t timestamp_us_ = 0;
  FunctionContext functions_;
  Arena arena_;
  std::forward_list<datastore::ReadPage> pages_;
  MutationSet mutations_;
};

static std::optional<wire::ErrorResponse> check_write_level(wire::Consistency consistency) {
  if (consistency != wire::Consistency::serial && consistency != wire::Consistency::local_serial) return std::nullopt;
  return invalid("You must use conditional updates for serializable writes").error();
}

Task<Outcome> StatementExecutor::write(PlanPtr plan, QueryOptions options) {
  if (auto error = check_write_level(options.consistency)) co_return Outcome{std::move(*error), {}};
  WriteRun run(*this, options);
  auto added = co_await run.add(*std::get<std::shared_ptr<const WritePlan>>(plan->body), options.values);
  if (!added) co_return Outcome{std::move(added.error()), {}};
  co_return co_await run.store(false);
}

Task<Outcome> StatementExecutor::batch(PlanPtr plan, QueryOptions options) {
  if (auto error = check_write_level(options.consistency)) co_return Outcome{std::move(*error), {}};
  const BatchPlan& batch = *std::get<std::shared_ptr<const BatchPlan>>(plan->body);
  WriteRun run(*this, options);
  if (batch.timestamp) {
    auto value = batch.timestamp->evaluate(run.bindings(options.values));
    if (!value) co_return Outcome{std::move(value.error()), {}};
    if (value->kind == wire::Value::Kind::null) {
      co_return Outcome{invalid("Invalid null value of timestamp").error(), {}};
    }
    if (value->kind == wire::Value::Kind::value && value->bytes.size() == 8) {
      run.set_timestamp(load_big_endian<int64_t>(value->bytes.data()));
    }
  }
  for (const auto& write : batch.writes) {
    auto added = co_await run.add(*write, options.values);
    if (!added) co_return Outcome{std::move(added.error()), {}};
  }
  co_return co_await run.store(batch.kind == Batch::Kind::logged);
}

Task<Outcome> StatementExecutor::execute_batch(wire::BatchType type, std::vector<BatchEntry> entries,
                                               QueryOptions options) {
  if (auto error = check_write_level(options.consistency)) co_return Outcome{std::move(*error), {}};
  if (type == wire::BatchType::counter) co_return Outcome{invalid("Counters are not supported yet").error(), {}};
  for (const BatchEntry& entry : entries) {
    if (auto error = refusal(*entry.plan, options.principal)) co_return Outcome{std::move(*error), {}};
    if (!entry.plan->is_write()) {
      co_return Outcome{
          invalid("Invalid statement in batch: only UPDATE, INSERT and DELETE statements are allowed.").error(), {}};
    }
    if (entry.values.size() != entry.plan->bind_markers.size()) {
      co_return Outcome{invalid("Invalid amount of bind variables").error(), {}};
    }
  }
  WriteRun run(*this, options);
  for (const BatchEntry& entry : entries) {
    auto added = co_await run.add(*std::get<std::shared_ptr<const WritePlan>>(entry.plan->body), entry.values);
    if (!added) co_return Outcome{std::move(added.error()), {}};
  }
  co_return co_await run.store(type == wire::BatchType::logged);
}

}  // namespace asterism::cql
