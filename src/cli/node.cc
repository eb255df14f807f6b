#include <CLI/CLI.hpp>

#include "cli/cluster_folder.h"
#include "cli/commands.h"
#include "cli/launch.h"
#include "cli/members.h"
#include "cli/node_run.h"
#include "cli/output.h"

namespace asterism {
namespace {

struct NodeStartOptions {
  std::string name;
  std::string data = ClusterOptions().data;
  bool insecure = false;
  bool json = false;
};

Status start_node(const NodeStartOptions& options) {
  TRY(NodeConfig config, find_node(options.data, options.name));
  config.insecure |= options.insecure;
  TRY_STATUS(check_exposure(config));
  TRY(const ProcessName process, launch_and_wait(config));
  if (options.json)
    print_line(node_json(config, process.pid));
  else
    print_line(fmt::format("{} serves CQL on {} as process {}", config.name, config.cql().to_string(), process.pid));
  return {};
}

}  // namespace

void add_node(CLI::App& app, Chosen& chosen) {
  CLI::App* node = app.add_subcommand("node", "Work with one node");
  node->require_subcommand(1);

  auto start_options = std::make_shared<NodeStartOptions>();
  CLI::App* start = node->add_subcommand("start", "Start a node of a cluster on this machine again, in the background");
  start->add_option("name", start_options->name, "The node, such as n2")->required();
  start->add_option("--data", start_options->data, "The cluster's folder")->capture_default_str();
  start->add_flag("--insecure", start_options->insecure,
                  "Listen although others could reach what is not protected; as insecure = true in node.toml");
  start->add_flag("--json", start_options->json, "Print one line of JSON");
  start->callback([start_options, &chosen] {
    chosen = [start_options] {
      Status started = start_node(*start_options);
      if (!started) print_error(started.error().message);
      return started ? 0 : 1;
    };
  });

  add_member_commands(*node, chosen);

  auto run_options = std::make_shared<NodeRunOptions>();
  CLI::App* run = node->add_subcommand("run", "Be a node, in the foreground");
  run->group("");
  run->add_option("--name", run_options->name, "The node that the folder must belong to");
  run->add_option("--data", run_options->data, "The node's own folder")->required();
  run->add_flag("--insecure", run_options->insecure, "As insecure = true in node.toml");
  run->add_flag("--report", run_options->report, "Report to descriptor 3; log to node.log");
  run->add_option("--supervised-by", run_options->supervised_by, "End when this parent process ends");
  run->add_option("--supervisor-socket", run_options->supervisor_socket, "Where that process answers questions");
  run->callback([run_options, &chosen] { chosen = [run_options] { return run_node_process(*run_options); }; });
}

}  // namespace asterism
