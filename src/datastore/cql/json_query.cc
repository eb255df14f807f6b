#include "datastore/cql/json_query.h"

#include <boost/json.hpp>
#include <charconv>

#include "datastore/cql/answer.h"
#include "datastore/cql/describe.h"
#include "datastore/cql/parser.h"
#include "datastore/literal.h"

namespace asterism::cql {
namespace {

constexpr Duration read_limit = 10s, write_limit = 5s, schema_limit = 30s;
constexpr size_t cell_bytes_max = 16 << 10;

const char* name_of(wire::CqlErrorCode code) {
  switch (code) {
    case wire::CqlErrorCode::unavailable:
      return "Unavailable";
    case wire::CqlErrorCode::overloaded:
      return "Overloaded";
    case wire::CqlErrorCode::write_timeout:
      return "WriteTimeout";
    case wire::CqlErrorCode::read_timeout:
      return "ReadTimeout";
    case wire::CqlErrorCode::read_failure:
      return "ReadFailure";
    case wire::CqlErrorCode::write_failure:
      return "WriteFailure";
    case wire::CqlErrorCode::syntax_error:
      return "SyntaxError";
    case wire::CqlErrorCode::unauthorized:
      return "Unauthorized";
    case wire::CqlErrorCode::invalid:
      return "InvalidRequest";
    case wire::CqlErrorCode::config_error:
      return "ConfigError";
    case wire::CqlErrorCode::already_exists:
      return "AlreadyExists";
    default:
      return "ServerError";
  }
}

/// "line 1:9 mismatched input …": the parser's columns count from 0.
void put_place(const std::string& message, boost::json::object& out) {
  if (!message.starts_with("line ")) return;
  const char* end = message.data() + message.size();
  uint32_t line = 0, column = 0;
  const auto [colon, bad_line] = std::from_chars(message.data() + 5, end, line);
  if (bad_line != std::errc() || colon == end || *colon != ':') return;
  if (std::from_chars(colon + 1, end, column).ec != std::errc()) return;
  out["line"] = line;
  out["column"] = column + 1;
}

boost::json::object error_object(const wire::ErrorResponse& error) {
  boost::json::object out{{"kind", "error"},
                          {"code", fmt::format("{:#06x}", static_cast<uint32_t>(error.code))},
                          {"name", name_of(error.code)},
                          {"message", error.message}};
  if (error.code == wire::CqlErrorCode::syntax_error) put_place(error.message, out);
  if (const auto* detail = std::get_if<wire::UnavailableDetail>(&error.detail)) {
    out["required"] = detail->required;
    out["alive"] = detail->alive;
  }
  return out;
}

/// Valid UTF-8 that was cut stays valid.
std::string shortened(std::string text) {
  if (text.size() <= cell_bytes_max) return text;
  size_t end = cell_bytes_max;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80) --end;
  text.resize(end);
  return text + "…";
}

boost::json::array columns_of(const wire::ResultMetadata& metadata, std::vector<datastore::DataType>& types) {
  boost::json::array columns;
  for (const wire::ColumnSpec& column : metadata.columns) {
    auto type = data_type_of(column.type);
    types.push_back(type ? std::move(*type) : datastore::DataType(datastore::TypeKind::blob));
    columns.push_back({{"name", column.name}, {"type", types.back().to_string()}});
  }
  return columns;
}

boost::json::object rows_object(BytesView envelope) {
  wire::EnvelopeHeader header{.version = wire::Version::v4,
                              .direction = wire::Direction::response,
                              .flags = static_cast<uint8_t>(envelope[1]),
                              .stream = 0,
                              .opcode = wire::Opcode::result};
  const auto response = wire::decode_response(header, envelope.substr(wire::envelope_header_size));
  const wire::Rows* rows = response ? std::get_if<wire::Rows>(&response->message) : nullptr;
  ASSERT(rows != nullptr);
  std::vector<datastore::DataType> types;
  boost::json::object out{{"kind", "rows"}, {"columns", columns_of(rows->metadata, types)}};
  boost::json::array lines;
  std::vector<std::optional<BytesView>> cells;
  for (wire::RowCursor cursor(*rows); cursor.next(cells);) {
    boost::json::array line;
    for (size_t i = 0; i < cells.size(); ++i)
      cells[i] ? line.emplace_back(shortened(to_display(types[i], *cells[i]))) : line.emplace_back(nullptr);
    lines.push_back(std::move(line));
  }
  out["rows"] = std::move(lines);
  if (rows->metadata.paging_state) out["next"] = to_hex(*rows->metadata.paging_state);
  boost::json::array warnings;
  for (const std::string& warning : response->extras.warnings) warnings.emplace_back(warning);
  if (!warnings.empty()) out["warnings"] = std::move(warnings);
  return out;
}

boost::json::object describe_object(const Describe& statement, const DescribeContext& context) {
  auto result = describe(statement, context);
  if (!result) return error_object(result.error());
  std::vector<datastore::DataType> types;
  boost::json::object out{{"kind", "rows"}, {"columns", columns_of(result->metadata, types)}};
  boost::json::array lines;
  for (const auto& row : result->rows) {
    boost::json::array line;
    for (size_t i = 0; i < row.size(); ++i) line.emplace_back(shortened(to_display(types[i], row[i])));
    lines.push_back(std::move(line));
  }
  out["rows"] = std::move(lines);
  return out;
}

boost::json::object schema_object(const wire::SchemaChange& change) {
  using Change = wire::SchemaChange::Change;
  const char* what = change.change == Change::created   ? "created"
                     : change.change == Change::updated ? "updated"
                                                        : "dropped";
  return {{"kind", "schema"}, {"change", what}, {"keyspace", change.keyspace}, {"name", change.name}};
}

boost::json::object outcome_object(const Outcome& outcome) {
  if (const auto* rows = std::get_if<RowsResult>(&outcome.body)) return rows_object(rows->envelope);
  boost::json::object out{{"kind", "done"}};
  if (const auto* error = std::get_if<wire::ErrorResponse>(&outcome.body))
    out = error_object(*error);
  else if (const auto* use = std::get_if<wire::SetKeyspace>(&outcome.body))
    out = {{"kind", "keyspace"}, {"keyspace", use->keyspace}};
  else if (const auto* change = std::get_if<wire::SchemaChange>(&outcome.body))
    out = schema_object(*change);
  boost::json::array warnings;
  for (const std::string& warning : outcome.warnings) warnings.emplace_back(warning);
  if (!warnings.empty()) out["warnings"] = std::move(warnings);
  return out;
}

Duration limit_of(const Plan& plan) {
  if (plan.is_select()) return read_limit;
  return std::holds_alternative<std::shared_ptr<const SchemaPlan>>(plan.body) ? schema_limit : write_limit;
}

Result<std::string> text_of(const boost::json::object& object, std::string_view name) {
  const boost::json::value* value = object.if_contains({name.data(), name.size()});
  if (!value) return std::string();
  if (!value->is_string()) return fail(ErrorCode::invalid_argument, "{} must be a text", name);
  return std::string(value->get_string().data(), value->get_string().size());
}

}  // namespace

Result<JsonQuery> JsonQuery::parse(BytesView json) {
  boost::json::error_code bad;
  boost::json::parse_options options;
  options.max_depth = 4;
  const boost::json::value value = boost::json::parse({json.data(), json.size()}, bad, {}, options);
  const boost::json::object* object = value.if_object();
  if (bad || !object) return fail(ErrorCode::invalid_argument, "the request is no JSON object");
  JsonQuery query;
  TRY(query.statement, text_of(*object, "statement"));
  TRY(query.keyspace, text_of(*object, "keyspace"));
  TRY(const std::string consistency, text_of(*object, "consistency"));
  TRY(const std::string page, text_of(*object, "page"));
  if (query.statement.empty()) return fail(ErrorCode::invalid_argument, "statement is missing");
  if (query.statement.size() > statement_bytes_max)
    return fail(ErrorCode::too_large, "the statement has more than {} bytes", statement_bytes_max);
  if (!consistency.empty() && !wire::parse(consistency, query.consistency))
    return fail(ErrorCode::invalid_argument, "consistency is no consistency level");
  if (const boost::json::value* size = object->if_contains("page_size")) {
    const int64_t rows = size->is_int64() ? size->get_int64() : 0;
    if (rows < 1 || rows > page_size_max)
      return fail(ErrorCode::invalid_argument, "page_size must be 1 to {}", page_size_max);
    query.page_size = static_cast<int32_t>(rows);
  }
  if (!page.empty() && !from_hex(page, query.page.emplace()))
    return fail(ErrorCode::invalid_argument, "page is none that was given");
  return query;
}

Task<std::string> run_json_query(JsonQueryContext context, JsonQuery query) {
  const Instant began = context.executor.now();
  const auto answered = [&](boost::json::object out) {
    out["ms"] = static_cast<double>((context.executor.now() - began).count()) * 1e-6;
    return boost::json::serialize(out);
  };
  auto statement = parse(query.statement);
  if (!statement) co_return answered(error_object({wire::CqlErrorCode::syntax_error, statement.error().message, {}}));
  if (const auto* description = std::get_if<Describe>(&statement->body))
    co_return answered(describe_object(
        *description, {context.statements.catalog(), context.cluster, context.cluster_name, query.keyspace}));
  if (const auto* roles = std::get_if<RoleStatement>(&statement->body)) {
    RoleRequest request;
    request.principal = context.principal;
    request.from = context.from;
    request.keyspace = query.keyspace;
    request.deadline = began + schema_limit;
    co_return answered(outcome_object(co_await context.roles.execute(*roles, std::move(request))));
  }
  auto plan = make_plan(*statement, query.keyspace, context.statements.catalog());
  if (!plan) co_return answered(error_object(plan.error()));
  QueryOptions options;
  options.consistency = query.consistency;
  options.page_size = query.page_size;
  if (query.page) options.paging_state = *query.page;
  options.deadline = began + limit_of(**plan);
  options.principal = context.principal;
  const Outcome outcome = co_await context.statements.execute(*plan, std::move(options));
  audit_schema_change(context.audit, context.principal, context.from, **plan, outcome);
  co_return answered(outcome_object(outcome));
}

}  // namespace asterism::cql
