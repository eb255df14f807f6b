#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/cql_shell.h"
#include "cli/output.h"
#include "runtime/real/files.h"
#include "runtime/real/terminal.h"

namespace asterism {
namespace {

constexpr uint64_t text_bytes_max = 256 << 20;
constexpr size_t piece_bytes = 64 << 10;

struct CqlOptions {
  CqlAccessOptions access;
  std::string statements, file, consistency = "LOCAL_QUORUM";
  int timeout_s = 15;
  bool json = false;
};

/// Statements are run as they arrive, so that another program can wait for their answers.
bool run_input(CqlShell& shell) {
  StatementSplitter splitter;
  for (bool last = false; !last;) {
    auto piece = read_descriptor(0, piece_bytes);
    if (!piece) {
      print_error(piece.error().message);
      return false;
    }
    last = piece->empty();
    splitter.feed(*piece);
    if (splitter.rest().size() > text_bytes_max) {
      print_error("a statement has no end: every statement ends with a semicolon");
      return false;
    }
    while (const auto statement = splitter.next(last)) {
      if (shell.leaving()) return true;
      if (!shell.run(*statement, "<stdin>")) return false;
    }
  }
  return true;
}

int run_cql(const CqlOptions& options) {
  CqlShellOptions shell_options;
  if (!cql::wire::parse(options.consistency, shell_options.consistency)) {
    print_error(fmt::format("{} is no consistency level: try ONE, QUORUM, LOCAL_QUORUM or ALL", options.consistency));
    return 2;
  }
  const bool text_given = !options.statements.empty() || !options.file.empty();
  shell_options.json = options.json;
  shell_options.interactive = !text_given && is_terminal(0) && is_terminal(1);
  shell_options.timeout = std::chrono::seconds(options.timeout_s);
  RealCore core;
  auto cluster = CqlCluster::open(core, options.access);
  if (!cluster) {
    print_error(cluster.error().message);
    return 1;
  }
  CqlShell shell(core, **cluster, shell_options);
  if (Status connected = shell.connect(); !connected) {
    print_error(connected.error().message);
    return 1;
  }
  if (shell_options.interactive) return run_prompt(shell);
  if (!options.file.empty()) {
    auto text = read_file(options.file, text_bytes_max);
    if (!text) {
      print_error(text.error().message);
      return 1;
    }
    if (!shell.run_all(*text, options.file)) return 1;
  }
  if (!options.statements.empty() && !shell.run_all(options.statements, "-e")) return 1;
  return text_given || run_input(shell) ? 0 : 1;
}

}  // namespace

void add_cql(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<CqlOptions>();
  CLI::App* cql = app.add_subcommand(
      "cql", "Ask in CQL: a prompt on a terminal; otherwise statements from -e, -f or standard input");
  cql->add_option("address", options->access.address,
                  "The node to ask: 127.0.0.1, 127.0.0.1:9042, [::1]:9042 (any of the cluster in --data)");
  cql->add_option("-e,--execute", options->statements, "Run these statements, then end");
  cql->add_option("-f,--file", options->file, "Run the statements of this file, then end");
  cql->add_option("--consistency", options->consistency, "ONE, TWO, THREE, QUORUM, ALL, LOCAL_ONE, LOCAL_QUORUM, …")
      ->capture_default_str();
  cql->add_flag("--json", options->json, "Print each row as a line of JSON");
  cql->add_option("--timeout", options->timeout_s, "Seconds that an answer may take")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
  add_access_options(*cql, options->access);
  cql->footer("Exit status: 0, 1 at the first statement that fails, 2 for wrong usage.");
  cql->callback([options, &chosen] { chosen = [options] { return run_cql(*options); }; });
}

}  // namespace asterism
