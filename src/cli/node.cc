#include <CLI/CLI.hpp>

#include "cli/cluster_folder.h"
#include "cli/commands.h"
#include "cli/drain.h"
#include "cli/join.h"
#include "cli/launch.h"
#include "cli/members.h"
#include "cli/node_run.h"
#include "cli/output.h"
#include "cli/token.h"

namespace asterism {
namespace {

/// Of a node that this machine has, or with a member to ask of one that it shall have.
struct NodeStartOptions {
  std::string name;
  JoinOptions join;
};

Status start_node(const NodeStartOptions& options) {
  const JoinOptions& join = options.join;
  if (!join.member.empty() || !join.token_file.empty()) {
    if (join.member.empty() || join.token_file.empty() || !options.name.empty())
      return fail(ErrorCode::invalid_argument,
                  "joining needs --join and --token, and takes the name of the node with --name");
    return join_cluster(join);
  }
  if (options.name.empty()) return fail(ErrorCode::invalid_argument, "name the node to start, such as n2");
  TRY(NodeConfig config, find_node(join.data, options.name));
  config.insecure |= join.insecure;
  TRY_STATUS(check_exposure(config));
  TRY_STATUS(stop_drained(config));
  TRY(const ProcessName process, launch_and_wait(config));
  if (join.json)
    print_line(node_json(config, process.pid));
  else
    print_line(fmt::format("{} serves CQL on {} as process {}", config.name, config.cql().to_string(), process.pid));
  return {};
}

void add_start(CLI::App& node, Chosen& chosen) {
  auto options = std::make_shared<NodeStartOptions>();
  JoinOptions& join = options->join;
  join.data = ClusterOptions().data;
  CLI::App* start = node.add_subcommand(
      "start", "Start a node of this machine again, or make this machine a node of a cluster elsewhere");
  start->add_option("name", options->name, "The node, such as n2");
  start->add_option("--data", join.data, "The cluster's folder")->capture_default_str();
  start->add_flag("--insecure", join.insecure,
                  "Listen although others could reach what is not protected; as insecure = true in node.toml");
  start->add_flag("--json", join.json, "Print one line of JSON");
  start->add_option("--join", join.member, "Join the cluster of the node at ADDRESS[:PORT], where its HTTP listens");
  start->add_option("--token", join.token_file, "The file with what asterism node token printed there; - reads it");
  start->add_option("--name", join.name, "The name of the new node (made of its address)");
  start->add_option("--address", join.address, "Where it listens (from where this machine reaches the other one)");
  start->add_option("--datacenter", join.datacenter, "Where it stands (where the other one does)");
  start->add_option("--rack", join.rack, "In which rack it stands (in that of the other one)");
  when_chosen(*start, chosen, [options] { return start_node(*options); });
}

}  // namespace

void add_node(CLI::App& app, Chosen& chosen) {
  CLI::App* node = app.add_subcommand("node", "Work with one node");
  node->require_subcommand(1);

  add_start(*node, chosen);
  add_drain_commands(*node, chosen);
  add_token_command(*node, chosen);
  add_member_commands(*node, chosen);
  add_rebalance(*node, chosen);

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
