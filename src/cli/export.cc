#include <CLI/CLI.hpp>
#include <csignal>

#include "cli/commands.h"
#include "cli/cql_json.h"
#include "cli/csv.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "cli/table_info.h"
#include "datastore/cql/parser.h"
#include "datastore/literal.h"
#include "runtime/real/files.h"
#include "runtime/real/system_file.h"

namespace asterism {
namespace {

namespace wire = cql::wire;

constexpr Duration connect_limit = 5s, schema_limit = 10s, page_limit = 30s, give_up_after = 60s, show_every = 200ms;
constexpr Duration backoff_least = 50ms, backoff_most = 2s;
constexpr int32_t page_rows = 2000;
constexpr size_t out_bytes = 1 << 20;
constexpr int range_bits = 58;  // no range is wider than this many bits of tokens: there are 64 at least

struct ExportOptions {
  CqlAccessOptions access;
  std::string table, file, format, columns, delimiter = ",", null_text, consistency = "LOCAL_QUORUM";
  bool header = false, json = false;
  uint32_t concurrency = 8;

  bool to_stdout() const { return file == "-"; }
  bool jsonl() const {
    return format.empty() ? file.ends_with(".jsonl") || file.ends_with(".ndjson") : format == "jsonl";
  }
};

/// Tokens behind `after` up to `up_to`; the node that owns them.
struct TokenRange {
  int64_t after = 0, up_to = 0;
  size_t node = 0;
};

class ExportRun {
 public:
  ExportRun(RealCore& core, const ExportOptions& options)
      : core_(core), options_(options), bar_(!options.json), workers_(core.executor()) {}
  ~ExportRun() {
    workers_.cancel();
    if (part_.get() >= 0) (void)remove_file(part_path());
  }

  Task<Status> run();
  void interrupt() { stop({ErrorCode::closed, "interrupted: nothing was kept"}); }
  std::string summary() const;

 private:
  struct Node {
    Address address;
    std::shared_ptr<cql::CqlClient> client;
  };
  std::string part_path() const { return options_.file + ".part"; }
  Status open_output();
  Status write_out();
  Status close_output();
  void cut_ranges(const std::vector<RingNode>& ring);
  std::string statement_of(const TokenRange& range) const;
  Task<Result<std::shared_ptr<cql::CqlClient>>> client_of(size_t node);
  Task<void> work();
  Task<Status> export_range(TokenRange range);
  Task<Result<cql::CqlReply>> page(const TokenRange& range, const std::string& text, cql::CqlQueryOptions query);
  void append_header();
  void append_rows(const wire::Rows& rows);
  void append_row(const std::vector<std::optional<BytesView>>& cells);
  void show();
  void stop(Error error) {
    if (!failure_) failure_ = std::move(error);
  }

  RealCore& core_;
  const ExportOptions& options_;
  wire::Consistency consistency_ = wire::Consistency::local_quorum;
  std::unique_ptr<CqlCluster> cluster_;
  TableInfo table_;
  std::vector<TableColumn> columns_;
  std::vector<Node> nodes_;
  std::vector<TokenRange> ranges_;
  size_t next_range_ = 0, ranges_done_ = 0;
  Descriptor part_;
  std::string out_;
  uint64_t rows_ = 0, bytes_ = 0;
  std::optional<Error> failure_;
  Instant begun_{0}, shown_{0};
  ProgressBar bar_;
  TaskGroup workers_;
};

Status ExportRun::open_output() {
  if (options_.to_stdout()) return {};
  if (file_exists(part_path())) TRY_STATUS(remove_file(part_path()));
  TRY(part_, open_file(part_path(), OpenMode::create));
  return {};
}

Status ExportRun::write_out() {
  bytes_ += out_.size();
  std::string out = std::exchange(out_, {});
  if (options_.to_stdout()) return write_descriptor(1, out);
  return write_all(part_.get(), {std::move(out)}, part_path());
}

/// The file appears whole or not at all.
Status ExportRun::close_output() {
  TRY_STATUS(write_out());
  if (options_.to_stdout()) return {};
  TRY_STATUS(sync_data(part_.get(), part_path()));
  TRY_STATUS(rename_file(part_path(), options_.file));
  part_ = Descriptor();
  const size_t slash = options_.file.rfind('/');
  return sync_folder(slash == std::string::npos ? "." : options_.file.substr(0, slash + 1));
}

void ExportRun::cut_ranges(const std::vector<RingNode>& ring) {
  std::vector<std::pair<int64_t, size_t>> ends;
  for (size_t i = 0; i < ring.size(); ++i)
    for (int64_t token : ring[i].tokens) ends.emplace_back(token, i);
  std::ranges::sort(ends);
  // What is behind the last token belongs to the first one's owner.
  if (ends.empty() || ends.back().first != INT64_MAX) ends.emplace_back(INT64_MAX, ends.empty() ? 0 : ends[0].second);
  int64_t after = INT64_MIN;
  for (const auto& [end, node] : ends) {
    while (static_cast<uint64_t>(end) - static_cast<uint64_t>(after) > uint64_t{1} << range_bits) {
      const auto middle = static_cast<int64_t>(static_cast<uint64_t>(after) + (uint64_t{1} << range_bits));
      ranges_.push_back({std::exchange(after, middle), middle, node});
    }
    if (end != after) ranges_.push_back({after, end, node});
    after = end;
  }
}

std::string ExportRun::statement_of(const TokenRange& range) const {
  std::string names;
  for (const TableColumn& column : columns_) names += (names.empty() ? "" : ", ") + cql::quote_identifier(column.name);
  const std::string token = fmt::format("token({})", fmt::join(table_.partition_key(), ", "));
  return fmt::format("SELECT {} FROM {} WHERE {} > {} AND {} <= {}", names, table_.quoted_name(), token, range.after,
                     token, range.up_to);
}

Task<Result<std::shared_ptr<cql::CqlClient>>> ExportRun::client_of(size_t at) {
  Node& node = nodes_[at];
  if (node.client && !node.client->closed()) co_return node.client;
  CO_TRY(std::shared_ptr<cql::CqlClient> client,
         co_await cluster_->connect_to(node.address, connect_limit, wire::Version::v4));
  node.client = client;
  co_return client;
}

/// One page, from another node where one fails.
Task<Result<cql::CqlReply>> ExportRun::page(const TokenRange& range, const std::string& text,
                                            cql::CqlQueryOptions query) {
  const Instant end = core_.executor().now() + give_up_after;
  Duration backoff = backoff_least;
  for (size_t tried = 0; !failure_; ++tried) {
    Error error;
    auto client = co_await client_of((range.node + tried) % nodes_.size());
    if (client) {
      auto reply = co_await (*client)->query(text, core_.executor().now() + page_limit, {}, query);
      if (reply && !reply->error()) co_return std::move(*reply);
      error = reply ? error_of(*reply->error()) : reply.error();
      if (reply && !may_succeed_later(reply->error()->code)) co_return fail(error);
    } else {
      error = client.error();
    }
    if (core_.executor().now() > end) co_return fail(error);
    co_await sleep_for(backoff);
    backoff = std::min(backoff * 2, backoff_most);
  }
  co_return fail(*failure_);
}

Task<Status> ExportRun::export_range(TokenRange range) {
  const std::string text = statement_of(range);
  cql::CqlQueryOptions query;
  query.consistency = consistency_;
  query.page_size = page_rows;
  while (!failure_) {
    CO_TRY(const cql::CqlReply reply, co_await page(range, text, query));
    const auto* rows = reply.get<wire::Rows>();
    if (!rows) co_return fail(ErrorCode::corrupt, "the server answered SELECT with something else");
    append_rows(*rows);
    if (out_.size() >= out_bytes) CO_TRY_STATUS(write_out());
    show();
    if (!rows->metadata.paging_state) break;
    query.paging_state = *rows->metadata.paging_state;
  }
  co_return Status{};
}

Task<void> ExportRun::work() {
  while (!failure_ && next_range_ < ranges_.size()) {
    const Status done = co_await export_range(ranges_[next_range_++]);
    if (!done) stop(done.error());
    ++ranges_done_;
  }
}

void ExportRun::append_header() {
  if (!options_.header || options_.jsonl()) return;
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (i > 0) out_ += options_.delimiter;
    append_csv(columns_[i].name, options_.delimiter[0], false, out_);
  }
  out_ += '\n';
}

void ExportRun::append_rows(const wire::Rows& rows) {
  std::vector<std::optional<BytesView>> cells;
  for (wire::RowCursor cursor(rows); cursor.next(cells);) append_row(cells);
  rows_ += rows.row_count;
}

void ExportRun::append_row(const std::vector<std::optional<BytesView>>& cells) {
  const char delimiter = options_.delimiter[0];
  const bool json = options_.jsonl();
  if (json) out_ += '{';
  bool first = true;
  for (size_t i = 0; i < columns_.size(); ++i) {
    const TableColumn& column = columns_[i];
    if (json) {
      if (!cells[i]) continue;
      if (!std::exchange(first, false)) out_ += ',';
      append_json_string(column.name, out_);
      out_ += ':';
      to_json(column.type, *cells[i], out_);
      continue;
    }
    if (i > 0) out_ += delimiter;
    if (!cells[i]) {
      out_ += options_.null_text;
      continue;
    }
    const std::string text = to_display(column.type, *cells[i]);
    append_csv(text, delimiter, text.empty() || text == options_.null_text, out_);
  }
  out_ += json ? "}\n" : "\n";
}

void ExportRun::show() {
  const Instant now = core_.executor().now();
  if (!bar_.shown() || now - shown_ < show_every) return;
  shown_ = now;
  const double seconds = std::max(1e-3, static_cast<double>((now - begun_).count()) * 1e-9);
  bar_.show(static_cast<double>(ranges_done_) / static_cast<double>(ranges_.size()),
            fmt::format("{} rows  {} rows/s  {}", with_commas(rows_),
                        with_commas(static_cast<uint64_t>(static_cast<double>(rows_) / seconds)),
                        byte_words(bytes_ + out_.size())));
}

Task<Status> ExportRun::run() {
  if (!wire::parse(options_.consistency, consistency_))
    co_return fail(ErrorCode::invalid_argument, "{} is no consistency level: try ONE or LOCAL_QUORUM",
                   options_.consistency);
  std::string keyspace, table;
  CO_TRY_STATUS(parse_table_name(options_.table, keyspace, table));
  CO_TRY(cluster_, CqlCluster::open(core_, options_.access));
  CO_TRY(auto client, co_await cluster_->connect(connect_limit, wire::Version::v4));
  CO_TRY(table_, co_await read_table(*client, keyspace, table, core_.executor().now() + schema_limit));
  CO_TRY(columns_, choose_columns(table_, split_names(options_.columns)));
  CO_TRY(const auto ring, co_await read_ring(*client, core_.executor().now() + schema_limit));
  for (const RingNode& node : ring) nodes_.push_back({node.address, nullptr});
  cut_ranges(ring);
  CO_TRY_STATUS(open_output());
  append_header();
  begun_ = core_.executor().now();
  for (uint32_t i = 0; i < options_.concurrency; ++i) workers_.spawn(work());
  co_await workers_.join();
  bar_.clear();
  if (failure_) co_return fail(*failure_);
  co_return close_output();
}

std::string ExportRun::summary() const {
  const double seconds = std::max(1e-3, static_cast<double>((core_.executor().now() - begun_).count()) * 1e-9);
  const auto per_s = static_cast<uint64_t>(static_cast<double>(rows_) / seconds);
  if (options_.json)
    return JsonLine()
        .number("rows", static_cast<int64_t>(rows_))
        .number("bytes", static_cast<int64_t>(bytes_))
        .raw("seconds", fmt::format("{:.3f}", seconds))
        .number("rows_per_s", static_cast<int64_t>(per_s))
        .str();
  return fmt::format("{} rows, {} in {:.1f} s ({} rows/s)", with_commas(rows_), byte_words(bytes_), seconds,
                     with_commas(per_s));
}

int run_export(ExportOptions& options) {
  if (options.delimiter == "\\t") options.delimiter = "\t";
  if (options.delimiter.size() != 1 || options.delimiter == "\"") {
    print_error("--delimiter takes one character, such as ; or \\t");
    return 2;
  }
  RealCore core;
  ExportRun run(core, options);
  core.on_signals({SIGINT, SIGTERM}, [&](int) { run.interrupt(); });
  const auto done = run_task(core, run.run());
  if (!*done) {
    print_error(done->error().message);
    return 1;
  }
  // Standard output is the rows' where they go there.
  options.to_stdout() ? (void)write_descriptor(2, run.summary() + "\n") : print_line(run.summary());
  return 0;
}

}  // namespace

void add_export(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App* command = app.add_subcommand("export", "Write the rows of a table to a file of CSV or JSON lines");
  command->add_option("table", options->table, "KEYSPACE.TABLE")->required();
  command->add_option("file", options->file, "The file, which appears when it is whole; - for standard output")
      ->required();
  command->add_option("address", options->access.address, "The node to ask first (any of the cluster in --data)");
  command->add_option("--format", options->format, "csv or jsonl (by the file's name; else csv)")
      ->check(CLI::IsMember({"csv", "jsonl"}));
  command->add_flag("--header", options->header, "Name the columns in the first record of the CSV");
  command->add_option("--columns", options->columns, "a,b,c: these columns (all: key first, then by name)");
  command->add_option("--delimiter", options->delimiter, "Between the fields of CSV; \\t for tabs")
      ->capture_default_str();
  command->add_option("--null", options->null_text, "What stands for null in CSV; values like it are quoted")
      ->capture_default_str();
  command->add_option("--concurrency", options->concurrency, "Token ranges that are read at once")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command->add_option("--consistency", options->consistency, "How many replicas must agree on each row")
      ->capture_default_str();
  command->add_flag("--json", options->json, "Print the outcome as one line of JSON, and no progress");
  add_access_options(*command, options->access);
  command->footer(
      "asterism import with the same options reads the file back. Rows that change meanwhile are as they were or as\n"
      "they become. Exit status: 0, 1 after an error, 2 for wrong usage.");
  command->callback([options, &chosen] { chosen = [options] { return run_export(*options); }; });
}

}  // namespace asterism
