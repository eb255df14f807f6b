#include <CLI/CLI.hpp>
#include <csignal>

#include "cli/commands.h"
#include "cli/import_run.h"
#include "cli/output.h"
#include "runtime/real/files.h"

namespace asterism {
namespace {

struct Given {
  ImportOptions options;
  std::string format, delimiter = ",", consistency = "LOCAL_QUORUM";
};

bool is_json_name(const std::string& file) { return file.ends_with(".jsonl") || file.ends_with(".ndjson"); }

/// Errors: invalid_argument.
Status settle(Given& given) {
  ImportOptions& options = given.options;
  options.jsonl = given.format.empty() ? is_json_name(options.file) : given.format == "jsonl";
  if (given.delimiter == "\\t") given.delimiter = "\t";
  if (given.delimiter.size() != 1 || given.delimiter == "\"" || given.delimiter == "\n" || given.delimiter == "\r")
    return fail(ErrorCode::invalid_argument, "--delimiter takes one character, such as ; or \\t");
  options.delimiter = given.delimiter[0];
  if (!cql::wire::parse(given.consistency, options.consistency))
    return fail(ErrorCode::invalid_argument, "{} is no consistency level: try ONE, QUORUM or LOCAL_QUORUM",
                given.consistency);
  if (options.resume && options.from_stdin())
    return fail(ErrorCode::invalid_argument, "--resume needs a file: standard input cannot be read again");
  return {};
}

int run_import(Given& given) {
  if (Status right = settle(given); !right) {
    print_error(right.error().message);
    return 2;
  }
  RealCore core;
  ImportRun run(core, given.options);
  core.on_signals({SIGINT, SIGTERM}, [&](int) { run.interrupt(); });
  const auto done = run_task(core, run.run());
  if (*done || (given.options.json && run.begun())) print_line(run.summary());
  if (*done) return 0;
  print_error(done->error().message);
  if (file_exists(given.options.progress_path()) && done->error().code != ErrorCode::already_exists)
    print_error("how far it came is kept: go on with --resume");
  return 1;
}

}  // namespace

void add_import(CLI::App& app, Chosen& chosen) {
  auto given = std::make_shared<Given>();
  ImportOptions& options = given->options;
  CLI::App* import = app.add_subcommand("import", "Load rows from a file of CSV or JSON lines into a table");
  import->add_option("table", options.table, "KEYSPACE.TABLE")->required();
  import->add_option("file", options.file, "The file; - for standard input")->required();
  import->add_option("address", options.access.address, "The node to ask first (any of the cluster in --data)");
  import->add_option("--format", given->format, "csv or jsonl (by the file's name; else csv)")
      ->check(CLI::IsMember({"csv", "jsonl"}));
  import->add_flag("--header", options.header, "The first record of the CSV names the columns");
  import->add_option("--columns", options.columns,
                     "a,b,c: the columns of the fields (the header's; else all, key first, then by name)");
  import->add_option("--delimiter", given->delimiter, "Between the fields of CSV; \\t for tabs")->capture_default_str();
  import->add_option("--null", options.null_text, "The unquoted CSV field that leaves its column as it is")
      ->capture_default_str();
  import->add_flag("--resume", options.resume, "Go on with an import of this file that did not end");
  import->add_option("--max-errors", options.errors_max, "Rows that may be rejected before the import stops")
      ->capture_default_str();
  import->add_option("--rejects", options.rejects,
                     "Where rejected rows go, with line and reason, as JSON lines (FILE.rejects)");
  import->add_option("--concurrency", options.concurrency, "Batches of 100 rows under way at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  import->add_option("--rate", options.rows_per_s, "Rows per second at most (as many as the cluster takes)")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000'000}));
  import->add_option("--consistency", given->consistency, "How many replicas acknowledge each row")
      ->capture_default_str();
  import->add_flag("--json", options.json, "Print the outcome as one line of JSON, and no progress");
  add_access_options(*import, options.access);
  import->footer(
      "How far it is stands in FILE.asterism-import until it ends. All rows get the same timestamp, also after "
      "--resume,\n"
      "so a row that is sent twice is written once; of a key that is in the file twice, the greater values stay.\n"
      "Exit status: 0, 1 after an error, 2 for wrong usage.");
  import->callback([given, &chosen] { chosen = [given] { return run_import(*given); }; });
}

}  // namespace asterism
