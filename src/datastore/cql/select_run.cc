#include "datastore/cql/select_run.h"

#include <algorithm>

#include "datastore/cql/virtual_read.h"

namespace asterism::cql {

using datastore::Consistency;
using datastore::LivePartition;
using datastore::ReadCommand;
using datastore::ReadPage;
using datastore::Served;

namespace {

/// Rows asked for at a time where the page does not bound them.
constexpr uint32_t internal_page_rows = 5000;
/// Then others get the core: each may be short, of many keys.
constexpr uint32_t reads_in_turn = 16;

std::unexpected<wire::ErrorResponse> bad_paging_state() {
  return std::unexpected(
      wire::ErrorResponse{wire::CqlErrorCode::protocol_error, "Invalid value for the paging state", {}});
}

/// The four bytes that a table's storage keys start with.
Bytes table_prefix(uint32_t table) { return datastore::token_key(table, INT64_MIN).substr(0, 4); }

Answer<uint32_t> evaluate_limit(const Expression& expression, const Bindings& bindings, const char* name) {
  TRY(wire::Value value, expression.evaluate(bindings));
  if (value.kind == wire::Value::Kind::unset) return UINT32_MAX;
  if (value.kind == wire::Value::Kind::null) return invalid("Invalid null value of {}", name);
  if (value.bytes.size() != 4) return invalid("Invalid {} value", name);
  const auto limit = load_big_endian<int32_t>(value.bytes.data());
  if (limit <= 0) return invalid("{} must be strictly positive", name);
  return static_cast<uint32_t>(limit);
}

}  // namespace

SelectRun::SelectRun(StatementExecutor& executor, const Plan& plan, const QueryOptions& options)
    : executor_(executor),
      whole_(plan),
      plan_(*std::get<std::shared_ptr<const SelectPlan>>(plan.body)),
      options_(options),
      bindings_{options.values, functions_, arena_},
      row_(plan_.where) {
  functions_.now_us = executor.clock_.wall_now().us;
  functions_.random = &executor.random_;
  now_s_ = options.now_s(functions_.now_us);
}

Task<Outcome> StatementExecutor::select(PlanPtr plan, QueryOptions options) {
  SelectRun run(*this, *plan, options);
  co_return co_await run.run();
}

Task<Outcome> SelectRun::run() {
  auto prepared = prepare();
  if (!prepared) co_return Outcome{std::move(prepared.error()), {}};
  auto done = co_await read_all();
  if (!done) co_return Outcome{std::move(done.error()), {}};
  co_return finish();
}

// --------------------------------------------------------------------------------------------------------- preparing

Answer<void> SelectRun::prepare() {
  consistency_ = static_cast<Consistency>(options_.consistency);
  if (consistency_ == Consistency::any) return invalid("ANY ConsistencyLevel is only supported for writes");
  if (consistency_ == Consistency::each_quorum) {
    return invalid("EACH_QUORUM ConsistencyLevel is only supported for writes");
  }
  if (consistency_ == Consistency::serial) consistency_ = Consistency::quorum;
  if (consistency_ == Consistency::local_serial) consistency_ = Consistency::local_quorum;
  if (plan_.needs_stamps) row_.keep_stamps();
  TRY_STATUS(prepare_limits());
  TRY(filters_, bind_filters(plan_.where, bindings_));
  TRY_STATUS(prepare_reads());
  sorts_ = !plan_.order_by.empty() && plan_.where.partition_in;
  if (sorts_ && options_.page_size > 0) {
    return invalid(
        "Cannot page queries with both ORDER BY and a IN restriction on the partition key; you must either "
        "remove the ORDER BY or the IN and sort client side, or disable paging for this query");
  }
  if (options_.paging_state) TRY_STATUS(resume_page());

  wire::ResultMetadata changed;
  const bool skip = options_.skip_metadata && !options_.new_metadata_id;
  if (skip) {
    changed.column_count = static_cast<uint32_t>(whole_.result.columns.size());
    changed.no_metadata = true;
  } else if (options_.new_metadata_id) {
    changed = whole_.result;
    changed.new_metadata_id = options_.new_metadata_id;
  }
  const wire::ResultMetadata& metadata = skip || options_.new_metadata_id ? changed : whole_.result;
  TRY(wire::RowsWriter writer, answer(wire::RowsWriter::create(metadata, options_.version, options_.stream, out_)));
  writer_.emplace(writer);
  return {};
}

Answer<void> SelectRun::prepare_limits() {
  if (plan_.limit) {
    TRY(remaining_, evaluate_limit(*plan_.limit, bindings_, "LIMIT"));
  }
  if (plan_.per_partition_limit) {
    TRY(per_partition_limit_, evaluate_limit(*plan_.per_partition_limit, bindings_, "PER PARTITION LIMIT"));
  }
  if (plan_.distinct) per_partition_limit_ = 1;
  return {};
}

Answer<void> SelectRun::prepare_reads() {
  const WherePlan& where = plan_.where;
  ReadCommand command;
  command.table = plan_.table->number;
  command.now_s = now_s_;
  command.reversed = plan_.reversed;
  // The store counts rows before filters and groups do.
  if (filters_.empty() && !plan_.aggregated()) command.per_partition_limit = per_partition_limit_;
  if (where.partitions == WherePlan::Partitions::keys) {
    TRY(auto keys, partition_keys(where, bindings_));
    command.whole_keys = where.names_whole_keys();
    if (command.whole_keys) {
      TRY(const auto rows, clustering_keys(where, bindings_));
      for (const Bytes& row : rows) command.slices.push_back({row, datastore::after_prefix(row)});
    } else {
      TRY(command.slices, clustering_slices(where, bindings_));
    }
    if (command.slices.empty()) return {};
    for (PartitionKey& key : keys) {
      command.token = key.token;
      command.partition_key = std::move(key.bytes);
      if (&key == &keys.back())
        commands_.push_back(std::move(command));
      else
        commands_.push_back(command);
    }
    return {};
  }
  TRY(TokenRange range, token_range(where, bindings_));
  if (range.empty) return {};
  command.single = false;
  command.from = datastore::token_key(command.table, range.from);
  command.to =
      range.to == INT64_MAX ? table_prefix(command.table + 1) : datastore::token_key(command.table, range.to + 1);
  commands_.push_back(std::move(command));
  return {};
}

Answer<void> SelectRun::resume_page() {
  auto state = PagingState::decode(*options_.paging_state);
  if (!state || state->fingerprint != fingerprint() || state->stage > commands_.size()) return bad_paging_state();
  stage_ = state->stage;
  next_ = std::move(state->next);
  if (stage_ < commands_.size() && !commands_[stage_].single && !next_.empty()) {
    next_.insert(0, table_prefix(plan_.table->number));
    const ReadCommand& range = commands_[stage_];
    if (next_ < range.from || next_ >= range.to) return bad_paging_state();
  }
  partition_ = std::move(state->partition);
  partition_rows_ = state->partition_rows;
  partition_seen_ = state->partition_seen;
  remaining_ = std::min(remaining_, state->remaining);
  return {};
}

uint64_t SelectRun::fingerprint() const {
  Bytes text;
  ByteWriter out(text);
  out.u64_be(plan_.fingerprint);
  for (const wire::Value& value : options_.values) {
    out.u8(static_cast<uint8_t>(value.kind));
    out.sized(value.bytes);
  }
  return xxh3(text);
}

Bytes SelectRun::paging_state() const {
  PagingState state;
  state.fingerprint = fingerprint();
  state.stage = static_cast<uint32_t>(stage_);
  state.next = next_;
  if (stage_ < commands_.size() && !commands_[stage_].single && !next_.empty()) state.next.erase(0, 4);
  state.partition = partition_;
  state.partition_rows = partition_rows_;
  state.partition_seen = partition_seen_;
  state.remaining = remaining_;
  return state.encode();
}

// ----------------------------------------------------------------------------------------------------------- reading

ReadCommand SelectRun::next_command() const {
  ReadCommand command = commands_[stage_];
  if (!next_.empty()) command = resume(std::move(command), next_);
  uint32_t rows = internal_page_rows;
  if (filters_.empty() && !plan_.aggregated() && !sorts_) {
    rows = std::min(rows, remaining_);
    if (options_.page_size > 0) rows = std::min(rows, static_cast<uint32_t>(options_.page_size) - emitted_);
  }
  command.row_limit = rows;
  return command;
}

Task<Served<ReadPage>> SelectRun::read(ReadCommand command) {
  if (plan_.virtual_table != nullptr) co_return read_virtual(*plan_.virtual_table, command);
  Instant deadline = options_.deadline;
  if (reads_++ > 0) {
    if (options_.abandoned != nullptr && *options_.abandoned) {
      datastore::RequestFailure gone;
      gone.message = "the client is gone";
      co_return std::unexpected(std::move(gone));
    }
    deadline = std::max(deadline, executor_.clock_.now() + options_.read_limit);
  }
  if (reads_ % reads_in_turn == 0) co_await long_turn();
  co_return co_await executor_.tables_.read(plan_.table, std::move(command), consistency_, deadline);
}

Task<Answer<void>> SelectRun::read_all() {
  while (stage_ < commands_.size() && remaining_ > 0) {
    ReadCommand command = next_command();
    const bool single = command.single;
    const bool nothing_left = single && command.slices.empty();
    Flow flow = Flow::next_partition;
    bool complete = true;
    if (!nothing_left) {
      auto page = co_await read(std::move(command));
      if (!page) co_return std::unexpected(to_error(page.error(), std::nullopt));
      auto consumed = consume(*page);
      if (!consumed) co_return std::unexpected(std::move(consumed.error()));
      flow = *consumed;
      if (flow == Flow::stop) break;
      complete = page->complete || (single && flow == Flow::next_partition);
      next_ = std::move(page->next);
      if (!single && flow == Flow::next_partition) leave_partition();
    }
    if (complete) {
      ++stage_;
      next_.clear();
    }
    if (page_full() && !plan_.aggregated() && stage_ < commands_.size() && remaining_ > 0) {
      more_ = true;
      break;
    }
  }
  if (!more_ && group_) CO_TRY_STATUS(close_group());
  if (sorts_) CO_TRY_STATUS(emit_sorted());
  const bool lone_aggregate = !plan_.aggregates.empty() && plan_.group_by.empty();
  if (lone_aggregate && emitted_ == 0 && !options_.paging_state) {
    open_group();
    CO_TRY_STATUS(close_group());
  }
  co_return Answer<void>();
}

/// Nothing more is wanted of the partition: a page that ended inside it is not continued there.
void SelectRun::leave_partition() {
  const Bytes prefix = datastore::partition_prefix(plan_.table->number, partition_->token, partition_->bytes);
  if (next_.starts_with(prefix)) next_ = datastore::after_prefix(prefix);
}

Answer<SelectRun::Flow> SelectRun::consume(const ReadPage& page) {
  Flow flow = Flow::go_on;
  for (const LivePartition& partition : page.partitions) {
    bool continues = false;
    if (!page.complete && &partition == &page.partitions.back()) {
      continues = commands_[stage_].single || page.next.starts_with(datastore::partition_prefix(
                                                  plan_.table->number, partition.token, partition.key));
    }
    TRY(flow, consume_partition(partition, continues));
    if (flow == Flow::stop) return flow;
  }
  return flow;
}

Answer<SelectRun::Flow> SelectRun::consume_partition(const LivePartition& partition, bool continues) {
  if (!partition_ || partition_->token != partition.token || partition_->bytes != partition.key) {
    partition_ = PartitionKey{partition.token, Bytes(partition.key)};
    partition_rows_ = 0;
    partition_seen_ = false;
  }
  row_.clear();
  row_.set_partition_key(partition.key);
  row_.set_cells(partition.static_row, now_s_);
  for (const auto& live : partition.rows) {
    row_.clear_row();
    TRY_STATUS(answer(row_.set_clustering(live.clustering)));
    TRY_STATUS(answer(partition.read(live, stored_)));
    row_.set_cells(stored_, now_s_);
    TRY(Flow flow, offer(partition, &live.clustering));
    if (flow == Flow::stop) return flow;
    partition_seen_ = true;
    if (flow == Flow::next_partition) return flow;
  }
  // Static content without rows is a row of its own, unless particular rows were asked for.
  const bool alone = !partition_seen_ && !continues && partition.static_row.is_live(now_s_);
  if (!alone || plan_.where.restricts_clustering || plan_.where.restricts_others) return Flow::go_on;
  row_.clear_row();
  return offer(partition, nullptr);
}

void SelectRun::stop_before(const LivePartition& partition, const BytesView* clustering) {
  more_ = true;
  next_.clear();
  if (!commands_[stage_].single) {
    next_ = datastore::partition_prefix(plan_.table->number, partition.token, partition.key);
    if (clustering != nullptr) next_.push_back(static_cast<char>(datastore::Place::row));
  }
  if (clustering == nullptr) return;
  next_ += *clustering;
  if (commands_[stage_].reversed) next_.push_back('\0');
}

Answer<SelectRun::Flow> SelectRun::offer(const LivePartition& partition, const BytesView* clustering) {
  for (const BoundFilter& filter : filters_) {
    if (!matches(filter, row_)) return Flow::go_on;
  }
  if (plan_.aggregated()) return offer_to_group(partition, clustering);
  if (partition_rows_ >= per_partition_limit_) return Flow::next_partition;
  if (sorts_) {
    ++partition_rows_;
    TRY_STATUS(collect(row_));
    return Flow::go_on;
  }
  if (page_full()) {
    stop_before(partition, clustering);
    return Flow::stop;
  }
  ++partition_rows_;
  TRY_STATUS(emit(row_, {}));
  if (--remaining_ == 0) return Flow::stop;
  return partition_rows_ >= per_partition_limit_ ? Flow::next_partition : Flow::go_on;
}

// ------------------------------------------------------------------------------------------------------------ groups

Answer<SelectRun::Flow> SelectRun::offer_to_group(const LivePartition& partition, const BytesView* clustering) {
  Bytes key;
  ByteWriter out(key);
  for (const Column* column : plan_.group_by) {
    const MaybeView value = row_.value_of(*column);
    out.u8(value ? 1 : 0);
    out.sized(value.value_or(BytesView()));
  }
  if (group_ && key != group_key_) {
    TRY_STATUS(close_group());
    if (remaining_ == 0) return Flow::stop;
  }
  if (!group_) {
    if (partition_rows_ >= per_partition_limit_) return Flow::next_partition;
    if (page_full()) {
      stop_before(partition, clustering);
      return Flow::stop;
    }
    ++partition_rows_;
    group_key_ = std::move(key);
    group_ = row_.copy();
    open_group();
  }
  for (size_t i = 0; i < plan_.aggregates.size(); ++i) {
    const AggregateCall& call = plan_.aggregates[i];
    if (call.argument.empty()) {
      aggregates_[i]->add(std::nullopt);
      continue;
    }
    TRY(MaybeBytes value, evaluate(call.argument[0], row_, {}, bindings_));
    aggregates_[i]->add(value ? MaybeView(*value) : std::nullopt);
  }
  return Flow::go_on;
}

void SelectRun::open_group() {
  if (!group_) group_.emplace(plan_.where);
  aggregates_.clear();
  for (const AggregateCall& call : plan_.aggregates) {
    aggregates_.push_back(call.argument.empty() ? make_count_all() : make_aggregate(call.name, call.argument[0].type));
  }
}

Answer<void> SelectRun::close_group() {
  std::vector<MaybeBytes> results;
  for (const auto& aggregate : aggregates_) {
    TRY(MaybeBytes result, aggregate->result());
    results.push_back(std::move(result));
  }
  TRY_STATUS(emit(*group_, results));
  group_.reset();
  --remaining_;
  return {};
}

// ------------------------------------------------------------------------------------------------------------ output

Answer<void> SelectRun::emit(const RowValues& row, const std::vector<MaybeBytes>& aggregates) {
  for (const Selection& selection : plan_.selections) {
    if (selection.kind == Selection::Kind::column) {
      const MaybeView value = row.value_of(*selection.column);
      value ? writer_->cell(*value) : writer_->null_cell();
      continue;
    }
    TRY(MaybeBytes value, evaluate(selection, row, aggregates, bindings_));
    value ? writer_->cell(*value) : writer_->null_cell();
  }
  ++emitted_;
  return {};
}

Answer<void> SelectRun::collect(const RowValues& row) {
  Bytes order;
  for (const auto& [column, descending] : plan_.order_by) {
    // Static content without rows has no clustering values and comes first.
    const MaybeView value = row.value_of(*column);
    order.push_back(value ? 1 : 0);
    if (value) encode_ordered(column->type, *value, descending, order);
  }
  std::vector<MaybeBytes> cells;
  for (const Selection& selection : plan_.selections) {
    TRY(MaybeBytes value, evaluate(selection, row, {}, bindings_));
    cells.push_back(std::move(value));
  }
  collected_.emplace_back(std::move(order), std::move(cells));
  return {};
}

Answer<void> SelectRun::emit_sorted() {
  std::vector<size_t> order(collected_.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, [&](size_t a, size_t b) {
    const int compared = collected_[a].first.compare(collected_[b].first);
    return compared != 0 ? compared < 0 : a < b;
  });
  for (size_t i = 0; i < order.size() && i < remaining_; ++i) {
    for (const MaybeBytes& value : collected_[order[i]].second) value ? writer_->cell(*value) : writer_->null_cell();
    ++emitted_;
  }
  return {};
}

std::vector<std::string> SelectRun::warnings() const {
  if (options_.version < wire::Version::v4 || plan_.aggregates.empty() || plan_.virtual_table) return {};
  if (plan_.where.partitions != WherePlan::Partitions::keys) return {"Aggregation query used without partition key"};
  if (plan_.where.partition_in) {
    return {"Aggregation query used on multiple partition keys (IN restriction)"};
  }
  return {};
}

Outcome SelectRun::finish() {
  wire::ResponseExtras extras;
  extras.tracing_id = options_.tracing_id;
  extras.warnings = warnings();
  Bytes state;
  if (more_) state = paging_state();
  RowsResult result;
  result.row_count = emitted_;
  result.more = more_;
  const Status finished = writer_->finish(more_ ? std::optional<BytesView>(state) : std::nullopt, extras);
  if (!finished) return {to_error(finished.error()), {}};
  result.envelope = std::move(out_);
  return {std::move(result), {}};
}

}  // namespace asterism::cql
