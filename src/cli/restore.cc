#include <CLI/CLI.hpp>
#include <csignal>

#include "cli/commands.h"
#include "cli/cql_access.h"
#include "cli/output.h"
#include "cli/restore_run.h"

namespace asterism {
namespace {

struct Given {
  RestoreOptions options;
  std::string consistency = "QUORUM";
};

/// Errors: invalid_argument.
Status settle(Given& given) {
  RestoreOptions& options = given.options;
  if (!cql::wire::parse(given.consistency, options.consistency))
    return fail(ErrorCode::invalid_argument, "{} is no consistency level: try ONE, QUORUM or ALL", given.consistency);
  if (const size_t dot = options.table.find('.'); dot != std::string::npos && options.keyspace.empty()) {
    options.keyspace = options.table.substr(0, dot);
    options.table = options.table.substr(dot + 1);
  }
  if (!options.table.empty() && options.keyspace.empty())
    return fail(ErrorCode::invalid_argument, "--table needs its keyspace: --table KEYSPACE.TABLE");
  return {};
}

int run_restore(Given& given) {
  if (Status right = settle(given); !right) {
    print_error(right.error().message);
    return 2;
  }
  RealCore core;
  RestoreRun run(core, given.options);
  bool interrupted = false;
  core.on_signals({SIGINT, SIGTERM}, [&](int) { interrupted = true; });
  const auto done = run_task(core, run.run(), &interrupted);
  if (done && *done) {
    print_line(run.summary());
    return 0;
  }
  print_error(done ? done->error().message : "interrupted");
  if (run.begun()) print_error("what was written stays; the same command again is safe and writes it all");
  return 1;
}

}  // namespace

void add_restore(CLI::App& app, Chosen& chosen) {
  auto given = std::make_shared<Given>();
  RestoreOptions& options = given->options;
  CLI::App* restore = app.add_subcommand("restore", "Bring what a snapshot holds into a running cluster of any size");
  restore->add_option("folder", options.folders, "data/snapshots/NAME of each node, or copies of them")->required();
  restore->add_option("--data", options.data, "The folder of the cluster to restore into")->capture_default_str();
  restore->add_option("--keyspace", options.keyspace, "Only this keyspace");
  restore->add_option("--table", options.table, "KEYSPACE.TABLE: only this table");
  restore->add_option("--consistency", given->consistency, "How many replicas acknowledge each row")
      ->capture_default_str();
  restore
      ->add_option("--replicas", options.replicas,
                   "In each datacenter, of keyspaces that are missing (as many as they had)")
      ->check(CLI::Range(1, 64));
  restore->add_flag("--schema-only", options.schema_only, "Make keyspaces and tables that are missing, and no rows");
  restore->add_option("--concurrency", options.concurrency, "Bundles of 256 KiB under way at once")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  restore->add_flag("--json", options.json, "Print the outcome as one line of JSON, and no progress");
  restore->footer(
      "Folders are only read, and checked before anything is written. Every cell keeps its timestamp, so that newer\n"
      "data stays and restoring again changes nothing. Rows that are not in the snapshot stay as well; users and "
      "their\n"
      "rights are not part of it. Exit status: 0, 1 after an error, 2 for wrong usage.");
  restore->callback([given, &chosen] { chosen = [given] { return run_restore(*given); }; });
}

}  // namespace asterism
