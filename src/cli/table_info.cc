#include "cli/table_info.h"

#include <algorithm>
#include <charconv>

#include "cli/output.h"
#include "datastore/cql/lexer.h"
#include "datastore/cql/parser.h"
#include "datastore/literal.h"

namespace asterism {
namespace {

using cql::CqlClient;
using cql::CqlReply;
using Row = std::vector<std::optional<Bytes>>;

constexpr int32_t page_rows = 5000;

std::string text_of(const std::optional<Bytes>& cell) { return cell.value_or(""); }

Result<TableColumn> column_of(const Row& row) {
  TableColumn column;
  column.name = text_of(row[0]);
  TRY(column.type, datastore::DataType::parse(text_of(row[1])));
  const std::string kind = text_of(row[2]);
  if (kind == "partition_key") column.kind = TableColumn::Kind::partition;
  if (kind == "clustering") column.kind = TableColumn::Kind::clustering;
  if (row[3] && row[3]->size() == 4) column.position = load_big_endian<int32_t>(row[3]->data());
  return column;
}

std::vector<int64_t> tokens_of(const std::optional<Bytes>& cell) {
  std::vector<int64_t> tokens;
  if (!cell) return tokens;
  ByteReader in(*cell);
  for (uint32_t left = in.u32_be(); left > 0 && !in.at_end(); --left) {
    const BytesView text = in.raw(in.u32_be());
    int64_t token = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), token).ec == std::errc()) tokens.push_back(token);
  }
  return tokens;
}

std::optional<RingNode> node_of(const Row& row) {
  if (!row[0] || !row[1] || row[1]->size() != 4) return std::nullopt;
  const int32_t port = load_big_endian<int32_t>(row[1]->data());
  const std::string host = to_display(datastore::TypeKind::inet, *row[0]);
  return RingNode{{host, static_cast<uint16_t>(port)}, tokens_of(row[2])};
}

}  // namespace

std::string TableInfo::quoted_name() const {
  return cql::quote_identifier(keyspace) + "." + cql::quote_identifier(table);
}

std::vector<std::string> TableInfo::partition_key() const {
  std::vector<std::string> names;
  for (const TableColumn& column : columns)
    if (column.kind == TableColumn::Kind::partition) names.push_back(cql::quote_identifier(column.name));
  return names;
}

Status parse_table_name(const std::string& text, std::string& keyspace, std::string& table) {
  cql::Lexer lexer(text);
  const cql::Token first = lexer.next(), dot = lexer.next(), second = lexer.next();
  if (!first.is_name() || !dot.is('.') || !second.is_name() || lexer.next().kind != cql::Token::Kind::end)
    return fail(ErrorCode::invalid_argument, "'{}' names no table: write KEYSPACE.TABLE, such as shop.orders",
                printable(text));
  keyspace = first.content();
  table = second.content();
  return {};
}

std::vector<std::string> split_names(const std::string& text) {
  std::vector<std::string> names;
  std::string_view rest = text;
  while (!rest.empty()) {
    size_t end = rest.find(',');
    if (rest.starts_with('"')) end = rest.find(',', std::min(rest.find('"', 1), rest.size()));
    std::string_view name = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    const cql::Token token = cql::Lexer(name).next();
    names.push_back(token.text.size() == name.size() && !name.empty() ? token.content() : std::string(name));
  }
  return names;
}

Task<Result<TableInfo>> read_table(CqlClient& client, std::string keyspace, std::string table, Instant deadline) {
  TableInfo info{std::move(keyspace), std::move(table), {}};
  cql::CqlQueryOptions options;
  options.consistency = cql::wire::Consistency::one;
  options.page_size = page_rows;
  const std::string text = fmt::format(
      "SELECT column_name, type, kind, position FROM system_schema.columns WHERE keyspace_name = {} AND table_name = "
      "{}",
      cql::quote_string(info.keyspace), cql::quote_string(info.table));
  CO_TRY(const auto rows, co_await client.query_all(text, deadline, options));
  for (const Row& row : rows) {
    CO_TRY(TableColumn column, column_of(row));
    info.columns.push_back(std::move(column));
  }
  if (info.columns.empty())
    co_return fail(ErrorCode::not_found, "there is no table {}: asterism cql -e 'DESCRIBE TABLES' lists them",
                   info.quoted_name());
  std::ranges::sort(info.columns, [](const TableColumn& a, const TableColumn& b) {
    return std::tie(a.kind, a.position, a.name) < std::tie(b.kind, b.position, b.name);
  });
  co_return info;
}

Result<std::vector<TableColumn>> choose_columns(const TableInfo& table, const std::vector<std::string>& names) {
  if (names.empty()) return table.columns;
  std::vector<TableColumn> chosen;
  for (const std::string& name : names) {
    const auto found = std::ranges::find(table.columns, name, &TableColumn::name);
    if (found == table.columns.end()) {
      std::string known;
      for (const TableColumn& column : table.columns) known += (known.empty() ? "" : ", ") + column.name;
      return fail(ErrorCode::invalid_argument, "{} has no column {}: it has {}", table.quoted_name(), printable(name),
                  known);
    }
    if (std::ranges::find(chosen, name, &TableColumn::name) != chosen.end())
      return fail(ErrorCode::invalid_argument, "column {} is named twice", printable(name));
    chosen.push_back(*found);
  }
  return chosen;
}

Task<Result<std::vector<RingNode>>> read_ring(CqlClient& client, Instant deadline) {
  cql::CqlQueryOptions options;
  options.consistency = cql::wire::Consistency::one;
  std::vector<RingNode> nodes;
  CO_TRY(auto rows,
         co_await client.query_all("SELECT rpc_address, rpc_port, tokens FROM system.local", deadline, options));
  CO_TRY(auto peers, co_await client.query_all("SELECT native_address, native_port, tokens FROM system.peers_v2",
                                               deadline, options));
  std::ranges::move(peers, std::back_inserter(rows));
  for (const Row& row : rows)
    if (auto node = node_of(row)) nodes.push_back(std::move(*node));
  if (nodes.empty()) co_return fail(ErrorCode::unavailable, "the node knows no cluster yet: try again in a moment");
  co_return nodes;
}

bool may_succeed_later(cql::wire::CqlErrorCode code) {
  using enum cql::wire::CqlErrorCode;
  switch (code) {
    case server_error:
    case unavailable:
    case overloaded:
    case is_bootstrapping:
    case write_timeout:
    case read_timeout:
    case write_failure:
    case read_failure:
      return true;
    default:
      return false;
  }
}

Error error_of(const cql::wire::ErrorResponse& error) {
  return {may_succeed_later(error.code) ? ErrorCode::unavailable : ErrorCode::invalid_argument,
          fmt::format("{}: {}", cql_error_name(error.code), printable(error.message))};
}

}  // namespace asterism
