// asterism logs: what all nodes of a cluster say, in the order of time.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <csignal>
#include <deque>
#include <list>

#include "cli/cluster_folder.h"
#include "cli/commands.h"
#include "cli/log_source.h"
#include "cli/output.h"
#include "datastore/calendar.h"
#include "runtime/real/core.h"

namespace asterism {
namespace {

constexpr Duration look_every = 200ms;
/// Looks between two at which nodes there are.
constexpr int looks_per_cluster = 10;
/// A line of a log file, and then some.
constexpr uint64_t bytes_per_line = 4200;

struct LogsOptions {
  std::vector<std::string> nodes;
  std::string data = ClusterOptions().data;
  bool follow = false, json = false;
  std::optional<size_t> lines;
  std::string level = "debug", since;

  // What the texts mean.
  LogLevel least = LogLevel::debug;
  std::optional<int64_t> since_us;

  bool wants(const LogEntry& entry) const { return entry.level >= least && (!since_us || entry.at_us >= *since_us); }
};

constexpr size_t lines_standard = 50;

/// "90s", "15m", "2h", "3d" before now, or a time.
std::optional<int64_t> parse_since(std::string_view text, int64_t now_us) {
  int64_t count = 0;
  const char* end = text.data() + text.size();
  const auto [unit, error] = std::from_chars(text.data(), end, count);
  if (error == std::errc() && count >= 0 && count <= 1'000'000 && unit + 1 == end) {
    constexpr std::pair<char, int64_t> units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86'400}};
    for (const auto& [name, seconds] : units)
      if (*unit == name) return now_us - count * seconds * 1'000'000;
  }
  const auto ms = datastore::parse_timestamp(text);
  if (!ms) return std::nullopt;
  return *ms * 1000;
}

Colour colour_of(LogLevel level) {
  return level == LogLevel::error ? Colour::red : level == LogLevel::warning ? Colour::yellow : Colour::green;
}

std::string format_entry(const LogEntry& entry, bool json, size_t name_width) {
  const std::string component = entry.audit ? "audit" : entry.component.empty() ? "node" : entry.component;
  if (json)
    return JsonLine()
        .text("time", entry.time)
        .text("node", entry.node)
        .text("level", to_string(entry.level))
        .text("log", entry.audit ? "audit" : "node")
        .text("component", entry.component)
        .text("message", entry.message)
        .str();
  return fmt::format(
      "{} {} {} {:<9} {}", dim(fmt::format("{:<27}", entry.time)), bold(fmt::format("{:<{}}", entry.node, name_width)),
      coloured(fmt::format("{:<7}", to_string(entry.level)), colour_of(entry.level)), component, entry.message);
}

class Logs {
 public:
  explicit Logs(LogsOptions options) : options_(std::move(options)) {}

  Status open() {
    TRY(std::vector<NodeConfig> nodes, read_cluster(options_.data));
    if (nodes.empty()) return fail(find_node(options_.data, "").error());
    for (const std::string& name : options_.nodes)
      if (auto known = find_node(options_.data, name); !known) return fail(std::move(known).error());
    // Where lines are left out for their level or time, the last ones may lie anywhere.
    const bool anywhere = options_.least > LogLevel::debug || options_.since_us || !options_.lines;
    for (const NodeConfig& node : nodes) add(node, anywhere ? UINT64_MAX : *options_.lines * bytes_per_line);
    return {};
  }

  /// What has been written, of which the last `lines` are printed where a number is given. False once nobody reads any
  /// more.
  bool print_written(std::optional<size_t> lines) {
    std::deque<LogEntry> last;
    std::vector<std::pair<LogSource*, std::optional<LogEntry>>> heads;
    for (LogSource& source : sources_) heads.emplace_back(&source, source.next());
    while (true) {
      // Of equal times the first source's, so that what belongs together stays together.
      std::pair<LogSource*, std::optional<LogEntry>>* first = nullptr;
      for (auto& head : heads)
        if (head.second && (!first || head.second->at_us < first->second->at_us)) first = &head;
      if (!first) break;
      LogEntry entry = std::move(*first->second);
      first->second = first->first->next();
      if (!options_.wants(entry)) continue;
      last.push_back(std::move(entry));
      if (lines && last.size() > *lines) last.pop_front();
      if (!lines && last.size() >= flush_entries && !print(std::exchange(last, {}))) return false;
    }
    return print(last);
  }

  bool print_first() { return print_written(options_.lines); }
  bool print_news() {
    if (++looks_ % looks_per_cluster == 0) look_for_nodes();
    return print_written(std::nullopt);
  }

 private:
  static constexpr size_t flush_entries = 1000;

  void add(const NodeConfig& node, uint64_t last_bytes) {
    const bool wanted = options_.nodes.empty() || std::ranges::find(options_.nodes, node.name) != options_.nodes.end();
    if (!wanted || std::ranges::find(sources_, node.name, &LogSource::node) != sources_.end()) return;
    name_width_ = std::max(name_width_, node.name.size());
    sources_.emplace_back(node.name, log_path(node), false, last_bytes);
    sources_.emplace_back(node.name, audit_path(node), true, last_bytes);
  }

  /// Those that joined meanwhile.
  void look_for_nodes() {
    auto nodes = read_cluster(options_.data);
    if (!nodes) return;
    for (const NodeConfig& node : *nodes) add(node, UINT64_MAX);
  }

  bool print(const std::deque<LogEntry>& entries) const {
    std::string text;
    for (const LogEntry& entry : entries) text += format_entry(entry, options_.json, name_width_) + "\n";
    return text.empty() || write_descriptor(1, text).has_value();
  }

  LogsOptions options_;
  std::list<LogSource> sources_;
  size_t name_width_ = 4;
  int looks_ = 0;
};

int run_logs(LogsOptions options) {
  RealCore core;
  for (const LogLevel level : {LogLevel::debug, LogLevel::info, LogLevel::warning, LogLevel::error})
    if (options.level == to_string(level)) options.least = level;
  if (!options.since.empty()) {
    options.since_us = parse_since(options.since, core.clock().wall_now().us);
    if (!options.since_us) {
      print_error(fmt::format("--since takes 90s, 15m, 2h, 3d or a time such as 2026-01-31T12:00: not {}",
                              printable(options.since)));
      return 2;
    }
  } else if (!options.lines) {
    options.lines = lines_standard;
  }
  const bool follow = options.follow;
  Logs logs(std::move(options));
  if (Status opened = logs.open(); !opened) {
    print_error(opened.error().message);
    return 1;
  }
  bool interrupted = false;
  if (follow) core.on_signals({SIGINT, SIGTERM, SIGHUP}, [&](int) { interrupted = true; });
  bool read = logs.print_first();
  while (follow && read && !core.run_until([&] { return interrupted; }, look_every)) read = logs.print_news();
  return 0;
}

}  // namespace

void add_logs(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<LogsOptions>();
  CLI::App* logs = app.add_subcommand("logs", "Show the logs and audit logs of nodes of this machine, merged by time");
  logs->add_option("node", options->nodes, "Only these nodes, such as n1 n2");
  logs->add_option("--data", options->data, "The cluster's folder")->capture_default_str();
  logs->add_flag("-f,--follow", options->follow, "Go on with what is written, until Ctrl-C");
  logs->add_option("-n,--lines", options->lines, "At most so many of the last lines (50; with --since all)")
      ->check(CLI::Range(0, 1'000'000));
  logs->add_option("--level", options->level, "Leave out what is less: debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  logs->add_option("--since", options->since,
                   "Not before: 90s, 15m, 2h or 3d ago, or a time (UTC) as the logs have it");
  logs->add_flag("--json", options->json, "Print one line of JSON per line of the logs");
  logs->callback([options, &chosen] { chosen = [options] { return run_logs(*options); }; });
}

}  // namespace asterism
