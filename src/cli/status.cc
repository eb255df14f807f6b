#include <CLI/CLI.hpp>

#include "cli/cluster_folder.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "runtime/io.h"
#include "runtime/real/core.h"
#include "runtime/task_group.h"
#include "runtime/timeout.h"

namespace asterism {
namespace {

constexpr Duration answer_limit = 1s;

struct NodeStatus {
  NodeConfig config;
  std::optional<ProcessName> process;
  bool serves = false;  // takes CQL connections

  const char* word() const { return serves ? "up" : process ? "not serving" : "down"; }
};

Task<Result<std::unique_ptr<Stream>>> try_connect(RealCore& core, Address address) {
  co_return co_await connect(core.network(), address);
}

Task<void> ask(RealCore& core, NodeStatus& node) {
  auto stream = co_await with_timeout(answer_limit, try_connect(core, node.config.cql()));
  node.serves = stream.has_value();
}

Result<std::vector<NodeStatus>> collect(const std::string& data) {
  TRY(std::vector<NodeConfig> configs, read_cluster(data));
  if (configs.empty())
    return fail(ErrorCode::not_found, "{} holds no cluster: start one with asterism up --data {}", data, data);
  std::vector<NodeStatus> nodes;
  for (NodeConfig& config : configs) nodes.push_back({.config = config, .process = running_process(config)});
  RealCore core;
  TaskGroup tasks(core.executor());
  for (NodeStatus& node : nodes)
    if (node.process) tasks.spawn(ask(core, node));
  core.run_until([&] { return tasks.size() == 0; }, answer_limit * 2);
  return nodes;
}

void print_json(const std::vector<NodeStatus>& nodes) {
  std::string list;
  for (const NodeStatus& node : nodes) {
    JsonLine line;
    line.text("name", node.config.name).text("state", node.word());
    if (node.process) line.number("pid", node.process->pid);
    line.text("address", node.config.address).number("cql", node.config.cql_port).number("http", node.config.http_port);
    list += (list.empty() ? "" : ",") + line.str();
  }
  print_line(JsonLine().raw("nodes", "[" + list + "]").str());
}

int run_status(const std::string& data, bool json) {
  auto nodes = collect(data);
  if (!nodes) {
    print_error(nodes.error().message);
    return 1;
  }
  bool all = true;
  for (const NodeStatus& node : *nodes) all &= node.serves;
  if (json) {
    print_json(*nodes);
    return all ? 0 : 1;
  }
  print_line(dim(fmt::format("  {:6}{:13}{:22}{:30}{}", "node", "state", "CQL", "HTTP", "process")));
  for (const NodeStatus& node : *nodes)
    print_line(fmt::format("  {:6}{:13}{:22}{:30}{}", node.config.name, node.word(), node.config.cql().to_string(),
                           "http://" + node.config.http().to_string(),
                           node.process ? std::to_string(node.process->pid) : "-"));
  return all ? 0 : 1;
}

}  // namespace

void add_status(CLI::App& app, Chosen& chosen) {
  struct Options {
    std::string data = ClusterOptions().data;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* status =
      app.add_subcommand("status", "Show the nodes of a cluster on this machine; exit 1 unless all serve");
  status->add_option("--data", options->data, "The cluster's folder")->capture_default_str();
  status->add_flag("--json", options->json, "Print one line of JSON");
  status->callback([options, &chosen] { chosen = [options] { return run_status(options->data, options->json); }; });
}

}  // namespace asterism
