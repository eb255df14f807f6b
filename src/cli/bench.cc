#include <CLI/CLI.hpp>
#include <csignal>

#include "cli/bench_run.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace asterism {
namespace {

struct Given {
  BenchOptions options;
  std::string consistency = "LOCAL_QUORUM";
};

int run_bench(Given& given) {
  if (!cql::wire::parse(given.consistency, given.options.consistency)) {
    print_error(
        fmt::format("{} is no consistency level: try ONE, QUORUM or LOCAL_QUORUM", printable(given.consistency)));
    return 2;
  }
  RealCore core;
  BenchRun run(core, given.options);
  core.on_signals({SIGINT, SIGTERM}, [&](int) { run.interrupt(); });
  const auto done = run_task(core, run.run());
  if (!*done) {
    print_error(done->error().message);
    return 1;
  }
  print_line(run.summary());
  return run.operations() > 0 ? 0 : 1;
}

}  // namespace

void add_bench(CLI::App& app, Chosen& chosen) {
  auto given = std::make_shared<Given>();
  BenchOptions& options = given->options;
  CLI::App* bench = app.add_subcommand("bench", "Load a cluster with reads and writes, and measure what it does");
  bench->add_option("what", options.what, "write, read, mixed (half of each) or scan (100 rows each)")
      ->check(CLI::IsMember({"write", "read", "mixed", "scan"}))
      ->capture_default_str();
  bench->add_option("address", options.access.address, "The node to ask first (any of the cluster in --data)");
  bench->add_option("--seconds", options.seconds, "For how long")->check(CLI::Range(1, 86'400))->capture_default_str();
  bench->add_option("--connections", options.connections, "In all (two to each node)")->check(CLI::Range(1, 4096));
  bench->add_option("--concurrency", options.concurrency, "Operations under way at once")
      ->check(CLI::Range(1, 16'384))
      ->capture_default_str();
  bench->add_option("--rate", options.rate, "Operations a second, begun when they are due (as many as it takes)")
      ->check(CLI::Range(1, 10'000'000));
  bench->add_option("--rows", options.rows, "Among which each operation chooses; loaded first, to be read")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 40))
      ->capture_default_str();
  bench->add_option("--value-bytes", options.value_bytes, "Of each row's value")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  bench->add_option("--consistency", given->consistency, "How many replicas acknowledge or agree")
      ->capture_default_str();
  bench->add_option("--replication", options.replication, "Replicas in each datacenter (3, or all nodes)")
      ->check(CLI::Range(1, 64));
  bench->add_flag("--relaxed", options.relaxed,
                  "Writes wait for the nodes' operating systems, not for their disks (durable_writes = false)");
  bench->add_flag("--keep", options.keep, "Leave keyspace asterism_bench there, for the next run");
  bench->add_flag("--json", options.json, "Print the outcome as one line of JSON, and no progress");
  add_access_options(*bench, options.access);
  bench->footer(
      "It makes keyspace asterism_bench and drops it at the end. With --rate, times count from when an operation was\n"
      "due, so that a stall counts for all that it delayed. Ctrl-C ends it with what was measured. Exit status: 0, 1\n"
      "where nothing succeeded or it could not begin, 2 for wrong usage.");
  bench->callback([given, &chosen] { chosen = [given] { return run_bench(*given); }; });
}

}  // namespace asterism
