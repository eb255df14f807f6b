#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/output.h"
#include "node/simulation/run.h"

namespace asterism {
namespace {

using simulation::RunOptions;
using simulation::RunResult;

struct SimOptions {
  uint64_t seed = 1, seeds = 1;
  std::optional<uint32_t> nodes;
  uint32_t seconds = 15;
  std::vector<std::string> plant;
  bool story = false, json = false;
};

std::string json_of(const RunResult& result) {
  JsonLine line;
  line.number("seed", static_cast<int64_t>(result.seed))
      .text("trace", fmt::format("{:016x}", result.trace))
      .boolean("ok", result.ok())
      .number("ops", static_cast<int64_t>(result.operations))
      .number("faults", static_cast<int64_t>(result.faults))
      .number("nodes", result.nodes)
      .number("refused", static_cast<int64_t>(result.refused))
      .number("unknown", static_cast<int64_t>(result.unknown))
      .raw("simulated_s", fmt::format("{:.3f}", static_cast<double>(result.simulated.count()) / 1e9))
      .raw("real_s", fmt::format("{:.3f}", static_cast<double>(result.real.count()) / 1e9));
  if (!result.ok()) line.text("failure", result.failure);
  return line.str();
}

int run(const SimOptions& options) {
  bool all_ok = true;
  for (uint64_t i = 0; i < options.seeds; ++i) {
    RunOptions one;
    one.seed = options.seed + i;
    one.nodes = options.nodes;
    one.faults_for = std::chrono::seconds(options.seconds);
    for (const std::string& name : options.plant) one.defects.plant(*parse_defect(name));
    const RunResult result = simulation::run_cluster(one);
    all_ok &= result.ok();
    print_line(json_of(result));
    if (options.story || (!result.ok() && !options.json)) print_line(result.story);
  }
  return all_ok ? 0 : 1;
}

}  // namespace

void add_sim(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<SimOptions>();
  CLI::App* sim = app.add_subcommand("sim", "Run whole clusters on virtual time, network and disk, with faults");
  sim->add_option("--seed", options->seed, "The first seed")->capture_default_str();
  sim->add_option("--seeds", options->seeds, "How many seeds, one after the other")->capture_default_str();
  sim->add_option("--nodes", options->nodes, "Nodes of the cluster (the seed decides)")->check(CLI::Range(3, 9));
  sim->add_option("--seconds", options->seconds, "Virtual seconds of faults")->capture_default_str();
  std::string defects;
  for (size_t i = 0; i < static_cast<size_t>(Defect::count); ++i)
    defects += fmt::format("{}{}", i == 0 ? "" : ", ", to_string(static_cast<Defect>(i)));
  sim->add_option("--plant", options->plant, "Plant a bug that the checks must find: " + defects)
      ->check([](const std::string& name) { return parse_defect(name) ? "" : "no such defect: " + name; });
  sim->add_flag("--story", options->story, "Print all that happened");
  sim->add_flag("--json", options->json, "One line of JSON for each seed");
  sim->callback([options, &chosen] { chosen = [options] { return run(*options); }; });
}

}  // namespace asterism
