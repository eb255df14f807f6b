#include "cli/cql_shell.h"

#include <boost/json.hpp>
#include <charconv>
#include <csignal>

#include "cli/cql_json.h"
#include "cli/output.h"
#include "datastore/cql/lexer.h"
#include "datastore/cql/parser.h"
#include "datastore/literal.h"
#include "runtime/real/files.h"

namespace asterism {
namespace {

using cql::CqlReply;
using datastore::DataType;
namespace wire = cql::wire;

constexpr Duration connect_limit = 5s, names_fresh_for = 30s, names_limit = 2s;
constexpr int sources_max = 8;
constexpr uint64_t source_bytes_max = 256 << 20;
constexpr int32_t page_size_max = 100'000, script_page_size = 1000;

constexpr const char* help_text =
    R"(Statements end with a semicolon and may span lines. Ctrl-C gives one up, Ctrl-D leaves, TAB completes.

  SELECT …  INSERT …  CREATE …       any CQL; DESCRIBE KEYSPACES, DESCRIBE TABLE shop.orders
  USE shop                           names without a keyspace are looked up there
  CONSISTENCY [QUORUM]               how many replicas must answer; without a level: says it
  PAGING [50 | OFF]                  rows on a page
  EXPAND [ON | OFF | AUTO]           a line for each value; AUTO: where rows are wider than the terminal
  SOURCE 'file.cql'                  runs the statements of a file
  HELP, EXIT, QUIT

Rows come from files and go to files with asterism import and asterism export.)";

std::vector<DataType> types_of(const wire::ResultMetadata& metadata) {
  std::vector<DataType> types;
  for (const wire::ColumnSpec& column : metadata.columns) {
    auto type = data_type_of(column.type);
    types.push_back(type ? std::move(*type) : DataType(datastore::TypeKind::blob));
  }
  return types;
}

bool is_number(const DataType& type) {
  using enum datastore::TypeKind;
  switch (type.kind()) {
    case bigint:
    case counter:
    case decimal:
    case double_:
    case float_:
    case int_:
    case smallint:
    case tinyint:
    case varint:
      return true;
    default:
      return false;
  }
}

std::string milliseconds(Duration time) {
  const double ms = static_cast<double>(time.count()) * 1e-6;
  return ms < 10    ? fmt::format("{:.1f} ms", ms)
         : ms < 1e4 ? fmt::format("{:.0f} ms", ms)
                    : fmt::format("{:.1f} s", ms * 1e-3);
}

struct Place {
  uint32_t line = 0, column = 0;  // from 1
  std::string message;            // without the place
};

/// "line 1:9 mismatched input …": columns count from 0.
std::optional<Place> place_in(const std::string& message) {
  if (!message.starts_with("line ")) return std::nullopt;
  Place place;
  const char* end = message.data() + message.size();
  const auto line = std::from_chars(message.data() + 5, end, place.line);
  if (line.ec != std::errc() || line.ptr == end || *line.ptr != ':') return std::nullopt;
  const auto column = std::from_chars(line.ptr + 1, end, place.column);
  if (column.ec != std::errc() || column.ptr == end || *column.ptr != ' ') return std::nullopt;
  ++place.column;
  place.message.assign(column.ptr + 1, end);
  return place;
}

std::string line_of(std::string_view text, uint32_t number) {
  for (; number > 1; --number) text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  return std::string(text.substr(0, text.find('\n')));
}

/// The word behind the command, where there is one.
std::string argument_of(const std::string& statement) {
  cql::Lexer lexer(statement);
  lexer.next();
  const cql::Token token = lexer.next();
  return token.kind == cql::Token::Kind::string ? token.content() : std::string(token.text);
}

}  // namespace

/// What has been shown of one result.
struct CqlShell::Page {
  std::optional<TableText> table;
  bool expanded = false, statements = false;
  uint64_t rows = 0;
};

void CqlShell::write(std::string_view text) {
  if (!write_descriptor(1, text)) leaving_ = true;
}

void CqlShell::say(std::string_view line) {
  if (!options_.json) write(fmt::format("{}\n", line));
}

bool CqlShell::refuse(const std::string& message) {
  print_error(message);
  return false;
}

Task<Status> CqlShell::connect_again() {
  CO_TRY(client_, co_await cluster_.connect(connect_limit, wire::Version::v5));
  if (keyspace_.empty()) co_return Status{};
  CO_TRY(const CqlReply reply,
         co_await client_->query("USE " + cql::quote_identifier(keyspace_), core_.executor().now() + options_.timeout));
  if (reply.error()) keyspace_.clear();
  co_return Status{};
}

Status CqlShell::connect() {
  if (options_.interactive && !std::exchange(watching_, true))
    core_.on_signals({SIGINT}, [this](int) { interrupted_ = true; });
  auto done = run_task(core_, connect_again());
  return done ? *done : Status{};
}

Result<CqlReply> CqlShell::ask(const std::string& text, const cql::CqlQueryOptions& options) {
  if (options_.interactive) {
    // Sees what happened to the connection while a line was typed.
    core_.run_until([] { return false; }, 1ms);
    interrupted_ = false;
  }
  if (!client_ || client_->closed()) TRY_STATUS(connect());
  auto reply = run_task(core_, client_->query(text, core_.executor().now() + options_.timeout, {}, options),
                        options_.interactive ? &interrupted_ : nullptr);
  if (!reply) return fail(ErrorCode::timeout, "given up: whether it had its effect is not known");
  if (*reply) return std::move(*reply);
  if (reply->error().code == ErrorCode::timeout)
    return fail(ErrorCode::timeout, "no answer within {} s (--timeout): whether it had its effect is not known",
                std::chrono::duration_cast<std::chrono::seconds>(options_.timeout).count());
  return fail(reply->error().code, "{}: whether it had its effect is not known", reply->error().message);
}

bool CqlShell::report(const wire::ErrorResponse& error, const StatementSplitter::Statement& statement,
                      const std::string& source) {
  const char* name = cql_error_name(error.code);
  const auto place = place_in(error.message);
  const std::string message = printable(place ? place->message : error.message);
  if (options_.interactive && source.empty()) {
    std::string text = fmt::format("{}: {}\n", name, message);
    if (place)
      text = fmt::format("{}: line {}, column {}: {}\n  {}\n  {:>{}}\n", name, place->line, place->column, message,
                         printable(line_of(statement.text, place->line)), "^", place->column);
    (void)write_descriptor(2, use_colours() ? fmt::format("\x1b[31m{}\x1b[0m", text) : text);
    return false;
  }
  uint32_t line = statement.line, column = statement.column;
  if (place) {
    column = place->line == 1 ? column + place->column - 1 : place->column;
    line += place->line - 1;
  }
  return refuse(fmt::format("{}:{}:{}: {}: {}", source, line, column, name, message));
}

void CqlShell::show_table(const std::vector<DataType>& types, const wire::Rows& rows, Page& page) {
  std::vector<std::vector<TableCell>> lines;
  std::vector<std::optional<BytesView>> cells;
  for (wire::RowCursor cursor(rows); cursor.next(cells);) {
    auto& line = lines.emplace_back();
    for (size_t i = 0; i < cells.size(); ++i)
      line.push_back(cells[i] ? TableCell{format_value(types[i], *cells[i])} : TableCell{"null", true});
  }
  const bool first = !page.table;
  if (first) {
    std::vector<TableText::Column> columns;
    for (size_t i = 0; i < types.size(); ++i) columns.push_back({rows.metadata.columns[i].name, is_number(types[i])});
    page.table.emplace(std::move(columns), use_colours());
  }
  page.table->measure(lines);
  if (first) {
    const auto room = terminal_columns(1);
    page.expanded = expand_ == Expand::on || (expand_ == Expand::automatic && room && page.table->width() > *room);
  }
  std::string text;
  if (first && !page.expanded) text = page.table->header() + "\n";
  for (const auto& line : lines) {
    ++page.rows;
    text += page.expanded ? page.table->expanded(line, page.rows) + "\n\n" : page.table->row(line) + "\n";
  }
  write(text);
}

void CqlShell::show_rows(const wire::Rows& rows, Page& page) {
  const std::vector<DataType> types = types_of(rows.metadata);
  const auto& columns = rows.metadata.columns;
  std::string text;
  std::vector<std::optional<BytesView>> cells;
  if (options_.json) {
    for (wire::RowCursor cursor(rows); cursor.next(cells);) {
      text += '{';
      for (size_t i = 0; i < cells.size(); ++i) {
        if (i > 0) text += ',';
        append_json_string(columns[i].name, text);
        text += ':';
        if (!cells[i])
          text += "null";
        else if (validate(types[i], *cells[i]))
          to_json(types[i], *cells[i], text);
        else
          append_json_string("0x" + to_hex(*cells[i]), text);
      }
      text += "}\n";
    }
    return write(text);
  }
  // What DESCRIBE answers is to be read, or run again.
  if (!columns.empty() && columns.back().name == "create_statement") {
    for (wire::RowCursor cursor(rows); cursor.next(cells);)
      if (cells.back()) text += fmt::format("{}\n\n", *cells.back());
    page.statements = true;
    return write(text);
  }
  show_table(types, rows, page);
}

void CqlShell::note_change(const CqlReply& reply) {
  if (const auto* use = reply.get<wire::SetKeyspace>()) keyspace_ = use->keyspace;
  if (reply.get<wire::SchemaChange>()) names_read_.reset();
  for (const std::string& warning : reply.response.extras.warnings) print_error("warning: " + printable(warning));
}

bool CqlShell::wants_more() {
  write(use_colours() ? "\x1b[2m-- more: any key, q to stop --\x1b[0m" : "-- more: any key, q to stop --");
  const auto key = read_key();
  write("\r\x1b[K");
  constexpr char interrupt = 3, end = 4;
  return key && *key != 'q' && *key != 'Q' && *key != interrupt && *key != end;
}

bool CqlShell::run_statement(const StatementSplitter::Statement& statement, const std::string& source) {
  const bool person = options_.interactive && source.empty();
  cql::CqlQueryOptions options;
  options.consistency = options_.consistency;
  options.page_size = person ? page_size_ : script_page_size;
  Page page;
  Duration took{0};
  while (!leaving_) {
    const Instant begun = core_.executor().now();
    auto reply = ask(statement.text, options);
    took += core_.executor().now() - begun;
    if (!reply && person) return refuse(reply.error().message);
    if (!reply) return refuse(fmt::format("{}:{}: {}", source, statement.line, reply.error().message));
    if (reply->error()) return report(*reply->error(), statement, source);
    note_change(*reply);
    const auto* rows = reply->get<wire::Rows>();
    if (!rows) return true;
    show_rows(*rows, page);
    const bool more = rows->metadata.paging_state.has_value();
    if (more) options.paging_state = *rows->metadata.paging_state;
    if (!more || (person && !wants_more())) {
      if (!page.statements)
        say(fmt::format("{}({} row{}{})  {}", page.expanded ? "" : "\n", page.rows, page.rows == 1 ? "" : "s",
                        more ? " so far" : "", dim(milliseconds(took))));
      return true;
    }
  }
  return true;
}

bool CqlShell::set_consistency(std::string_view word) {
  wire::Consistency level = options_.consistency;
  if (word.empty()) {
    say(fmt::format("Consistency level {}.", to_string(level)));
    return true;
  }
  if (!wire::parse(word, level))
    return refuse(
        fmt::format("{} is no consistency level: try ONE, QUORUM, LOCAL_QUORUM or ALL", printable(std::string(word))));
  options_.consistency = level;
  say(fmt::format("Consistency level set to {}.", to_string(level)));
  return true;
}

bool CqlShell::set_expand(std::string_view word) {
  std::string folded(word);
  for (char& c : folded) c = static_cast<char>(c & ~0x20);
  if (folded == "ON")
    expand_ = Expand::on;
  else if (folded == "OFF")
    expand_ = Expand::off;
  else if (folded == "AUTO")
    expand_ = Expand::automatic;
  else if (!folded.empty())
    return refuse("EXPAND takes ON, OFF or AUTO");
  say(fmt::format("Expanded output is {}.", expand_ == Expand::on    ? "on"
                                            : expand_ == Expand::off ? "off"
                                                                     : "on where rows are wider than the terminal"));
  return true;
}

bool CqlShell::set_paging(std::string_view word) {
  int32_t size = 0;
  const auto read = std::from_chars(word.data(), word.data() + word.size(), size);
  if (word == "OFF" || word == "off")
    page_size_ = 0;
  else if (word == "ON" || word == "on")
    page_size_ = 100;
  else if (!word.empty() &&
           (read.ec != std::errc() || read.ptr != word.data() + word.size() || size < 1 || size > page_size_max))
    return refuse(fmt::format("PAGING takes OFF, or rows on a page: 1 to {}", page_size_max));
  else if (!word.empty())
    page_size_ = size;
  say(page_size_ == 0 ? "Paging is off." : fmt::format("Pages of {} rows.", page_size_));
  return true;
}

bool CqlShell::run_source(std::string_view argument) {
  const std::string path(argument);
  if (path.empty()) return refuse("SOURCE takes a file: SOURCE 'statements.cql'");
  if (sources_ >= sources_max) return refuse(fmt::format("{}: files name one another {} deep", path, sources_max));
  auto text = read_file(path, source_bytes_max);
  if (!text) return refuse(text.error().message);
  ++sources_;
  const bool done = run_all(*text, path);
  --sources_;
  return done;
}

bool CqlShell::run_command(const std::string& command, const StatementSplitter::Statement& statement,
                           const std::string& source) {
  const std::string argument = argument_of(statement.text);
  if (command == "EXIT" || command == "QUIT") {
    leaving_ = true;
    return true;
  }
  if (command == "HELP") {
    say(help_text);
    return true;
  }
  if (command == "CONSISTENCY") return set_consistency(argument);
  if (command == "EXPAND") return set_expand(argument);
  if (command == "PAGING") return set_paging(argument);
  if (command == "SOURCE") return run_source(argument);
  const std::string where = source.empty() ? "" : fmt::format("{}:{}: ", source, statement.line);
  if (command == "COPY")
    return refuse(where + "COPY is a command of its own here: asterism import and asterism export, see their --help");
  return refuse(fmt::format("{}{} is not offered; HELP says what is", where, command));
}

bool CqlShell::run(const StatementSplitter::Statement& statement, const std::string& source) {
  const std::string command = shell_command(statement.text);
  return command.empty() ? run_statement(statement, source) : run_command(command, statement, source);
}

bool CqlShell::run_all(std::string_view text, const std::string& source) {
  StatementSplitter splitter;
  splitter.feed(text);
  while (!leaving_) {
    const auto statement = splitter.next(true);
    if (!statement) return true;
    if (!run(*statement, source)) return false;
  }
  return true;
}

const SchemaNames& CqlShell::names() {
  const Instant now = core_.executor().now();
  if (names_read_ && now - *names_read_ < names_fresh_for) return names_;
  names_read_ = now;
  if (!client_ || client_->closed()) return names_;
  auto spaces =
      run_task(core_, client_->query_all("SELECT keyspace_name FROM system_schema.keyspaces", now + names_limit));
  auto columns = run_task(core_, client_->query_all("SELECT keyspace_name, table_name, column_name FROM "
                                                    "system_schema.columns",
                                                    now + names_limit));
  if (!spaces || !*spaces || !columns || !*columns) return names_;
  names_ = {};
  for (const auto& row : **spaces) names_.keyspaces[cql::quote_identifier(row[0].value_or(""))];
  for (const auto& row : **columns)
    names_.keyspaces[cql::quote_identifier(row[0].value_or(""))][cql::quote_identifier(row[1].value_or(""))].push_back(
        cql::quote_identifier(row[2].value_or("")));
  return names_;
}

Result<std::string> CqlShell::greeting() {
  TRY(const CqlReply local, ask("SELECT cluster_name, rpc_address, rpc_port FROM system.local", {}));
  TRY(const CqlReply peers, ask("SELECT peer FROM system.peers_v2", {}));
  const auto rows = local.rows();
  if (rows.empty() || !rows[0][0] || !rows[0][1]) return fail(ErrorCode::unavailable, "the node knows no cluster");
  return fmt::format("Connected to {} at {}: {} node{}. HELP lists commands, Ctrl-D leaves.", printable(*rows[0][0]),
                     to_display(datastore::TypeKind::inet, *rows[0][1]), peers.rows().size() + 1,
                     peers.rows().empty() ? "" : "s");
}

}  // namespace asterism
