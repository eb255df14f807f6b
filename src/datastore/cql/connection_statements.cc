#include <algorithm>

#include "datastore/cql/answer.h"
#include "datastore/cql/connection.h"
#include "datastore/cql/describe.h"
#include "datastore/cql/parser.h"
#include "datastore/cql/roles.h"

namespace asterism::cql {

using wire::CqlErrorCode;

namespace {

Answer<Statement> parse_text(std::string_view text) {
  auto statement = parse(text);
  if (!statement)
    return std::unexpected(wire::ErrorResponse{CqlErrorCode::syntax_error, statement.error().message, {}});
  return std::move(*statement);
}

Duration limit_of(const Plan& plan, const CqlServerOptions& options) {
  if (plan.is_select()) return options.read_timeout;
  return std::holds_alternative<std::shared_ptr<const SchemaPlan>>(plan.body) ? options.schema_timeout
                                                                              : options.write_timeout;
}

StatementKind kind_of(const Plan& plan) {
  if (plan.is_select()) return StatementKind::read;
  if (plan.is_write()) return StatementKind::write;
  if (plan.is_batch()) return StatementKind::batch;
  return std::holds_alternative<UsePlan>(plan.body) ? StatementKind::other : StatementKind::schema;
}

wire::ErrorResponse unprepared(BytesView id) {
  return {CqlErrorCode::unprepared,
          fmt::format("Prepared query with ID {} not found (either the query was not prepared on this host (maybe the "
                      "host has been restarted?) or you have prepared too many queries and it has been evicted from "
                      "the internal cache)",
                      to_hex(id)),
          wire::UnpreparedDetail{Bytes(id)}};
}

}  // namespace

Answer<QueryOptions> Connection::options_for(const Plan& plan, wire::QueryParameters& parameters, int16_t stream,
                                             Instant begun) const {
  QueryOptions options;
  options.consistency = parameters.consistency;
  options.serial_consistency = parameters.serial_consistency;
  if (parameters.names.empty()) {
    options.values = std::move(parameters.values);
  } else {
    auto bound = bind_by_name(plan, parameters.values, parameters.names);
    if (!bound) return std::unexpected(std::move(bound.error()));
    options.values = std::move(*bound);
  }
  options.page_size = parameters.page_size.value_or(0);
  options.paging_state = parameters.paging_state;
  options.timestamp_us = parameters.timestamp_us;
  options.now_in_seconds = parameters.now_in_seconds;
  options.deadline = begun + limit_of(plan, server_.options_);
  options.read_limit = server_.options_.read_timeout;
  options.abandoned = &closed_;
  options.version = version();
  options.stream = stream;
  options.principal = principal();
  return options;
}

Task<void> Connection::run_query(wire::Query& query, int16_t stream, Ran& ran) {
  const std::string keyspace(query.parameters.keyspace.value_or(keyspace_));
  auto statement = parse_text(query.text);
  if (!statement) co_return send(std::move(statement.error()), stream);
  if (auto* description = std::get_if<Describe>(&statement->body))
    co_return describe_to_client(*description, keyspace, stream, ran);
  if (auto* roles = std::get_if<RoleStatement>(&statement->body))
    co_return co_await run_role_statement(*roles, keyspace, stream, ran);
  auto plan = make_plan(*statement, keyspace, server_.statements_.catalog());
  if (!plan) co_return send(std::move(plan.error()), stream);
  ran.kind = kind_of(**plan);
  auto options = options_for(**plan, query.parameters, stream, ran.begun);
  if (!options) co_return send(std::move(options.error()), stream);
  Outcome outcome = co_await server_.statements_.execute(*plan, std::move(*options));
  audit_change(**plan, outcome);
  deliver(std::move(outcome), stream, ran);
}

void Connection::audit_change(const Plan& plan, const Outcome& outcome) const {
  audit_schema_change(server_.access_.authenticator.audit(), principal(), stream_->remote_address(), plan, outcome);
}

Task<void> Connection::run_role_statement(const RoleStatement& statement, std::string_view keyspace, int16_t stream,
                                          Ran& ran) {
  ran.kind = StatementKind::schema;
  RoleRequest request;
  request.principal = principal();
  request.from = stream_->remote_address();
  request.keyspace = keyspace;
  request.deadline = server_.executor_.now() + server_.options_.schema_timeout;
  request.version = version();
  request.stream = stream;
  deliver(co_await server_.roles_.execute(statement, std::move(request)), stream, ran);
}

void Connection::run_prepare(const wire::Prepare& request, int16_t stream) {
  std::string keyspace(request.keyspace.value_or(keyspace_));
  auto statement = parse_text(request.text);
  if (!statement) return send(std::move(statement.error()), stream);
  if (std::holds_alternative<Describe>(statement->body))
    return send_error(CqlErrorCode::invalid, "DESCRIBE statements cannot be prepared", stream);
  // What is prepared can be read in system.prepared_statements, and these may hold passwords.
  if (std::holds_alternative<RoleStatement>(statement->body))
    return send_error(CqlErrorCode::invalid, "Statements about roles cannot be prepared", stream);
  if (is_fully_qualified(*statement)) keyspace.clear();
  auto plan = make_plan(*statement, keyspace, server_.statements_.catalog());
  if (!plan) return send(std::move(plan.error()), stream);
  auto prepared = server_.prepared_.put(std::move(keyspace), std::string(request.text), std::move(*plan));
  send(wire::Prepared{prepared->id, prepared->result_metadata_id, prepared->plan->bind_markers,
                      prepared->plan->partition_key_indexes, prepared->plan->result},
       stream);
}

Answer<PreparedPtr> Connection::find_prepared(BytesView id) {
  auto prepared = server_.prepared_.find(id);
  if (!prepared) return std::unexpected(unprepared(id));
  if (prepared->plan->is_current(server_.schema_)) return prepared;
  auto plan = make_plan(prepared->text, prepared->keyspace, server_.statements_.catalog());
  if (!plan) return std::unexpected(std::move(plan.error()));
  return server_.prepared_.put(prepared->keyspace, prepared->text, std::move(*plan));
}

Task<void> Connection::run_execute(wire::Execute& request, int16_t stream, Ran& ran) {
  auto prepared = find_prepared(request.id);
  if (!prepared) co_return send(std::move(prepared.error()), stream);
  const PreparedStatement& statement = **prepared;
  ran.kind = kind_of(*statement.plan);
  auto options = options_for(*statement.plan, request.parameters, stream, ran.begun);
  if (!options) co_return send(std::move(options.error()), stream);
  if (statement.plan->is_select()) {
    // What a conditional write answers is known only when it ran, so it always describes its columns.
    if (version() < wire::Version::v5)
      options->skip_metadata = request.parameters.skip_metadata && !statement.columns_changed;
    else if (request.result_metadata_id != statement.result_metadata_id)
      options->new_metadata_id = statement.result_metadata_id;
    else
      options->skip_metadata = request.parameters.skip_metadata;
  }
  Outcome outcome = co_await server_.statements_.execute(statement.plan, std::move(*options));
  audit_change(*statement.plan, outcome);
  deliver(std::move(outcome), stream, ran);
}

Task<void> Connection::run_batch(const wire::Batch& batch, int16_t stream, Ran& ran) {
  ran.kind = StatementKind::batch;
  const std::string keyspace(batch.keyspace.value_or(keyspace_));
  std::vector<BatchEntry> entries;
  entries.reserve(batch.statements.size());
  for (const auto& statement : batch.statements) {
    PlanPtr plan;
    if (statement.prepared) {
      auto prepared = find_prepared(statement.text_or_id);
      if (!prepared) co_return send(std::move(prepared.error()), stream);
      plan = (*prepared)->plan;
    } else {
      auto made = make_plan(statement.text_or_id, keyspace, server_.statements_.catalog());
      if (!made) co_return send(std::move(made.error()), stream);
      plan = std::move(*made);
    }
    entries.push_back({std::move(plan), statement.values});
  }
  QueryOptions options;
  options.consistency = batch.consistency;
  options.serial_consistency = batch.serial_consistency;
  options.timestamp_us = batch.timestamp_us;
  options.now_in_seconds = batch.now_in_seconds;
  options.deadline = ran.begun + server_.options_.write_timeout;
  options.version = version();
  options.stream = stream;
  options.principal = principal();
  deliver(co_await server_.statements_.execute_batch(batch.type, std::move(entries), std::move(options)), stream, ran);
}

void Connection::describe_to_client(const Describe& statement, std::string_view keyspace, int16_t stream, Ran& ran) {
  auto result = describe(statement, {server_.statements_.catalog(), server_.cluster_, server_.options_.cluster_name,
                                     std::string(keyspace)});
  if (!result) return send(std::move(result.error()), stream);
  Bytes envelope;
  auto writer = wire::RowsWriter::create(result->metadata, version(), stream, envelope);
  if (!writer) return send(to_error(writer.error()), stream);
  for (const auto& row : result->rows)
    for (const auto& cell : row) writer->cell(cell);
  if (auto status = writer->finish(); !status) return send(to_error(status.error()), stream);
  ran.failed = false;
  send_envelope(std::move(envelope));
}

void Connection::deliver(Outcome outcome, int16_t stream, Ran& ran) {
  ran.failed = std::holds_alternative<wire::ErrorResponse>(outcome.body);
  if (auto* rows = std::get_if<RowsResult>(&outcome.body)) return send_envelope(std::move(rows->envelope));
  if (auto* keyspace = std::get_if<wire::SetKeyspace>(&outcome.body)) keyspace_ = keyspace->keyspace;
  std::visit(
      [&](auto& message) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(message)>, RowsResult>)
          send(std::move(message), stream, std::move(outcome.warnings));
      },
      outcome.body);
}

}  // namespace asterism::cql
