#include "datastore/cql/execute.h"

#include <algorithm>

#include "cluster/metadata_log.h"
#include "datastore/cql/plan_schema.h"
#include "datastore/cql/plan_write.h"

namespace asterism::cql {

namespace {

Outcome refused(wire::ErrorResponse error) { return {std::move(error), {}}; }

wire::CqlErrorCode code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::unavailable:
    case ErrorCode::timeout:
    case ErrorCode::closed:
    case ErrorCode::internal:
    case ErrorCode::corrupt:
    case ErrorCode::io:
      return wire::CqlErrorCode::server_error;
    case ErrorCode::overloaded:
      return wire::CqlErrorCode::overloaded;
    case ErrorCode::unauthorized:
      return wire::CqlErrorCode::unauthorized;
    default:
      return wire::CqlErrorCode::invalid;
  }
}

}  // namespace

StatementExecutor::StatementExecutor(Catalog catalog, datastore::TableService& tables, SchemaChanges& changes,
                                     const Clock& clock, Random& random)
    : catalog_(catalog), tables_(tables), changes_(changes), clock_(clock), random_(random) {}

int64_t StatementExecutor::next_timestamp_us() {
  last_timestamp_us_ = std::max(clock_.wall_now().us, last_timestamp_us_ + 1);
  return last_timestamp_us_;
}

wire::ErrorResponse unauthorized(std::string text) { return {wire::CqlErrorCode::unauthorized, std::move(text), {}}; }

wire::ErrorResponse no_permission(const Principal& principal, const Need& need) {
  return unauthorized(fmt::format("User {} has no {} permission on {} or any of its parents", principal.role(),
                                  permission_name(need.permission), resource_name(need.resource)));
}

std::optional<wire::ErrorResponse> StatementExecutor::refusal(const Plan& plan, const Principal* principal) const {
  if (principal == nullptr) {
    if (!principals_required_) return std::nullopt;
    return unauthorized("You have not logged in");
  }
  const Rights& rights = principal->rights();
  if (!rights.login) return unauthorized(fmt::format("User {} may not log in any more", principal->role()));
  for (const Need& need : plan.needs)
    if (!rights.allow(need.permission, need.resource)) return no_permission(*principal, need);
  return std::nullopt;
}

static Task<Outcome> at_once(Outcome outcome) { co_return outcome; }

// No coroutine itself: it would have a frame of 3 KB to wait in for what it calls.
Task<Outcome> StatementExecutor::execute(PlanPtr plan, QueryOptions options) {
  if (auto error = refusal(*plan, options.principal)) return at_once(refused(std::move(*error)));
  if (options.values.size() != plan->bind_markers.size())
    return at_once(refused(invalid("Invalid amount of bind variables").error()));
  if (plan->is_select()) return select(std::move(plan), std::move(options));
  if (plan->is_write()) return write(std::move(plan), std::move(options));
  if (plan->is_batch()) return batch(std::move(plan), std::move(options));
  if (const auto* use = std::get_if<UsePlan>(&plan->body))
    return at_once(Outcome{wire::SetKeyspace{use->keyspace}, {}});
  return change_schema(std::move(plan), std::move(options));
}

Task<Outcome> StatementExecutor::change_schema(PlanPtr plan, QueryOptions options) {
  const auto& schema_plan = *std::get<std::shared_ptr<const SchemaPlan>>(plan->body);
  auto step = make_schema_step(schema_plan, catalog_, random_, next_timestamp_us());
  if (!step) co_return refused(std::move(step.error()));
  if (!step->command.empty()) {
    const Bytes then = access_command(schema_plan, options.principal);
    const char* section = datastore::Schema::section_name;
    Bytes record = then.empty()
                       ? MetadataState::encode_record(section, step->command)
                       : MetadataState::encode_records(section, step->command, AccessState::section_name, then);
    auto applied = co_await changes_.propose(std::move(record), options.deadline);
    if (!applied) {
      const ErrorCode code = applied.error().code;
      // Another node may have been first.
      const bool fine = (code == ErrorCode::already_exists && step->exists_is_fine) ||
                        (code == ErrorCode::not_found && step->missing_is_fine);
      if (fine) co_return Outcome{wire::VoidResult(), {}};
      if (code == ErrorCode::already_exists) co_return refused(already_exists(plan->keyspace, plan->table));
      co_return refused(to_error(applied.error()));
    }
  }
  if (step->change) co_return Outcome{std::move(*step->change), {}};
  co_return Outcome{wire::VoidResult(), {}};
}

Answer<std::vector<wire::Value>> bind_by_name(const Plan& plan, const std::vector<wire::Value>& values,
                                              const std::vector<BytesView>& names) {
  std::vector<wire::Value> bound;
  for (size_t i = 0; i < plan.bind_markers.size(); ++i) {
    const std::string& wanted = plan.bind_markers[i].name;
    auto found = std::ranges::find(names, BytesView(wanted));
    const auto index = static_cast<size_t>(found - names.begin());
    if (found == names.end() || index >= values.size()) {
      bound.push_back(wire::Value::unset());
    } else {
      bound.push_back(values[index]);
    }
  }
  for (BytesView name : names) {
    if (std::ranges::find(plan.bind_markers, name, &wire::ColumnSpec::name) == plan.bind_markers.end()) {
      return invalid("Unknown bind variable name: {}", name);
    }
  }
  return bound;
}

wire::ErrorResponse to_error(const Error& error) { return {code_of(error.code), error.message, {}}; }

wire::ErrorResponse to_error(const datastore::RequestFailure& failure, std::optional<wire::WriteType> write) {
  using Kind = datastore::RequestFailure::Kind;
  using wire::CqlErrorCode;
  wire::ErrorResponse error;
  error.message = failure.message;
  const auto consistency = failure.consistency;
  const auto received = static_cast<int32_t>(failure.received);
  const auto required = static_cast<int32_t>(failure.required);
  const auto failures = static_cast<int32_t>(failure.failures);
  auto say = [&](std::string text) {
    if (error.message.empty()) error.message = std::move(text);
  };
  switch (failure.kind) {
    case Kind::unavailable:
      error.code = CqlErrorCode::unavailable;
      error.detail = wire::UnavailableDetail{consistency, required, received};
      say(fmt::format("Cannot achieve consistency level {}", wire::to_string(consistency)));
      break;
    case Kind::timeout:
      say(fmt::format("Operation timed out - received only {} responses.", received));
      if (write) {
        error.code = CqlErrorCode::write_timeout;
        error.detail = wire::WriteTimeoutDetail{consistency, received, required, *write, 0};
      } else {
        error.code = CqlErrorCode::read_timeout;
        error.detail = wire::ReadTimeoutDetail{consistency, received, required, failure.data_present};
      }
      break;
    case Kind::failure:
      say(fmt::format("Operation failed - received {} responses and {} failures", received, failures));
      if (write) {
        error.code = CqlErrorCode::write_failure;
        error.detail = wire::WriteFailureDetail{consistency, received, required, failures, {}, *write};
      } else {
        error.code = CqlErrorCode::read_failure;
        error.detail = wire::ReadFailureDetail{consistency, received, required, failures, {}, failure.data_present};
      }
      break;
    case Kind::overloaded:
      error.code = CqlErrorCode::overloaded;
      say("Too many requests are under way");
      break;
    case Kind::invalid:
      error.code = CqlErrorCode::invalid;
      say("The table does not exist any more");
      break;
  }
  return error;
}

}  // namespace asterism::cql
