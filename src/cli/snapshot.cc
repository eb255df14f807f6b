// asterism snapshot: copies of all that a cluster stores, beside its data.
#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "cli/ask_nodes.h"
#include "cli/backup_nodes.h"
#include "cli/commands.h"
#include "cli/cql_access.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "datastore/calendar.h"
#include "node/snapshots.h"

namespace asterism {
namespace {

constexpr Duration margin = 30s, list_limit = 60s, delete_limit = 180s;

struct SnapshotOptions {
  std::string data = ClusterOptions().data;
  std::string name;
  bool json = false;
};

/// "n1 n2"
std::string words_in(const boost::json::object& object, const char* name, const char* between = " ") {
  std::string words;
  for (const boost::json::value& each : array_member(object, name))
    if (each.is_string()) words += (words.empty() ? "" : between) + printable(std::string_view(each.get_string()));
  return words;
}

std::string time_text(int64_t us) {
  std::string text = datastore::print_timestamp(us / 1000);
  return text.substr(0, 19) + "Z";
}

Result<boost::json::object> ask(const SnapshotOptions& options, const char* target, Duration limit) {
  RealCore core;
  TRY(const auto nodes, BackupNodes::open(core, options.data));
  const std::string body = boost::json::serialize(boost::json::object{{"name", options.name}});
  auto answer = run_task(core, nodes->post_to_any(target, body, limit));
  if (!*answer) return fail(answer->error());
  boost::json::error_code bad;
  boost::json::value value = boost::json::parse(**answer, bad);
  if (bad || !value.is_object()) return fail(ErrorCode::corrupt, "the node's answer is no JSON object");
  return std::move(value.get_object());
}

Status create(const SnapshotOptions& options) {
  if (!is_snapshot_name(options.name))
    return fail(ErrorCode::invalid_argument,
                "a name has 1 to 64 letters, digits, '.', '_' and '-', and begins with a letter or digit");
  ProgressBar bar(!options.json);
  bar.show(-1, fmt::format("all nodes make snapshot {} …", options.name));
  auto made = ask(options, "/snapshots/create", Snapshots::take_limit + std::chrono::minutes(1) + margin);
  bar.clear();
  if (!made) return fail(made.error());
  if (options.json) {
    (*made)["event"] = "snapshot_made";
    print_line(boost::json::serialize(*made));
    return {};
  }
  print_line(fmt::format("Snapshot {} of {} nodes, {}", options.name, array_member(*made, "nodes").size(),
                         time_text(integer_member(*made, "taken_us"))));
  print_line(dim(fmt::format("  {:8}{:>7}{:>12}{:>10}   {}", "node", "files", "bytes", "time", "folder")));
  for (const boost::json::value& value : array_member(*made, "nodes")) {
    if (!value.is_object()) continue;
    const boost::json::object& node = value.get_object();
    print_line(fmt::format("  {:8}{:>7}{:>12}{:>10}   {}", text_member(node, "node"), integer_member(node, "files"),
                           size_text(static_cast<uint64_t>(integer_member(node, "bytes"))),
                           fmt::format("{} ms", integer_member(node, "ms")), text_member(node, "folder")));
  }
  return {};
}

Status list(const SnapshotOptions& options) {
  TRY(const boost::json::object found, ask(options, "/snapshots/list", list_limit));
  if (options.json) {
    print_line(boost::json::serialize(found));
    return {};
  }
  print_line(dim(fmt::format("  {:24}{:23}{:>10}   {}", "snapshot", "taken", "bytes", "nodes")));
  std::string notes;
  for (const boost::json::value& value : array_member(found, "snapshots")) {
    if (!value.is_object()) continue;
    const boost::json::object& each = value.get_object();
    const std::string name = text_member(each, "name"), missing = words_in(each, "missing", " and ");
    const int64_t taken_us = integer_member(each, "taken_us");
    std::string nodes = words_in(each, "nodes");
    if (!missing.empty()) nodes += fmt::format("  (not found: {})", missing);
    print_line(fmt::format("  {:24}{:23}{:>10}   {}", name, taken_us > 0 ? time_text(taken_us) : "-",
                           size_text(static_cast<uint64_t>(integer_member(each, "bytes"))),
                           nodes.empty() ? "-" : nodes));
    if (const std::string error = text_member(each, "error"); !error.empty())
      notes += fmt::format("{}: {}; asterism snapshot delete {} removes it\n", name, error, name);
  }
  if (const std::string down = words_in(found, "down", " and "); !down.empty())
    notes += fmt::format("{} did not answer, and may have more\n", down);
  if (!notes.empty()) (void)write_descriptor(2, notes);
  return {};
}

Status remove(const SnapshotOptions& options) {
  TRY_STATUS(ask(options, "/snapshots/delete", delete_limit + margin));
  print_line(options.json ? JsonLine().text("event", "snapshot_deleted").text("name", options.name).str()
                          : fmt::format("snapshot {} is deleted", options.name));
  return {};
}

CLI::App* add_command(CLI::App& snapshot, Chosen& chosen, const char* name, const char* help,
                      Status (*run)(const SnapshotOptions&), bool named) {
  auto options = std::make_shared<SnapshotOptions>();
  CLI::App* command = snapshot.add_subcommand(name, help);
  if (named) command->add_option("name", options->name, "Its name, such as monday")->required();
  command->add_option("--data", options->data, "The cluster's folder")->capture_default_str();
  command->add_flag("--json", options->json, "Print one line of JSON");
  when_chosen(*command, chosen, [options, run] { return run(*options); });
  return command;
}

}  // namespace

void add_snapshot(CLI::App& app, Chosen& chosen) {
  CLI::App* snapshot = app.add_subcommand("snapshot", "Make, list and delete snapshots of all that a cluster stores");
  snapshot->require_subcommand(1);
  add_command(*snapshot, chosen, "create", "Make a snapshot on all nodes, beside their data", create, true)
      ->footer(
          "All that was acknowledged before is in it. It costs no space but for what changes later: files are shared.\n"
          "It lies in data/snapshots/NAME of each node's folder. Copy these folders elsewhere to have a backup;\n"
          "asterism restore reads them.");
  add_command(*snapshot, chosen, "list", "Show the snapshots there are, and on which nodes", list, false);
  add_command(*snapshot, chosen, "delete", "Delete a snapshot from all nodes", remove, true);
}

}  // namespace asterism
