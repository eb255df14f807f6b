#include "cli/drain.h"

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "cli/ask_nodes.h"
#include "cli/commands.h"
#include "cli/launch.h"
#include "cli/look_until.h"
#include "cli/output.h"
#include "runtime/real/files.h"

namespace asterism {
namespace {

constexpr Duration post_limit = 5s, drain_limit = 120s;

struct DrainOptions {
  std::string name;
  std::string data = ClusterOptions().data;
  bool force = false;
  bool json = false;
};

/// What the node says of itself.
Result<boost::json::object> status_of(const std::string& data, const std::string& name) {
  TRY(const auto answers, ask_status(data));
  for (const NodeAnswer& answer : answers)
    if (answer.config.name == name) return answer.status;
  return fail(ErrorCode::not_found, "{} has no node {}", data, name);
}

Status wait_until_drained(const DrainOptions& options) {
  Error last{ErrorCode::timeout, "it does not answer"};
  const auto outcome = look_until(drain_limit, [&]() -> std::optional<Status> {
    const auto status = status_of(options.data, options.name);
    if (!status) {
      last = status.error();
      return std::nullopt;
    }
    const std::string state = text_member(*status, "state");
    if (state == "drained") return Status();
    const std::string given_up = text_member(*status, "drain_error");
    if (state == "serving" && text_member(*status, "drain") != "waiting")
      return fail(ErrorCode::unavailable, "{}", given_up.empty() ? "it serves again" : given_up);
    last = {ErrorCode::timeout, "it is " + state};
    return std::nullopt;
  });
  if (outcome) return *outcome;
  return fail(ErrorCode::timeout, "{} is not drained yet: {}", options.name, last.message);
}

Status drain(const DrainOptions& options, const NodeConfig& config) {
  if (!running_process(config)) return fail(ErrorCode::not_found, "{} does not run", config.name);
  TRY_STATUS(post_to_node(config, options.force ? "/drain?force=true" : "/drain", post_limit));
  return wait_until_drained(options);
}

void print_outcome(const DrainOptions& options, const char* event, const NodeConfig& config, const char* words) {
  if (options.json) return print_line(JsonLine().text("event", event).text("name", config.name).str());
  print_line(as_typed(fmt::format(fmt::runtime(words), config.name, options.data)));
}

Status run_drain(const DrainOptions& options) {
  TRY(const NodeConfig config, find_node(options.data, options.name));
  const auto status = status_of(options.data, options.name);
  if (!status || text_member(*status, "state") != "drained") TRY_STATUS(drain(options, config));
  print_outcome(options, "node_drained", config,
                "{0} serves no clients any more and may be stopped; asterism node start {0} --data {1} brings it back");
  return {};
}

Status run_stop(const DrainOptions& options) {
  TRY(const NodeConfig config, find_node(options.data, options.name));
  if (!running_process(config)) return fail(ErrorCode::not_found, "{} does not run", config.name);
  const auto status = status_of(options.data, options.name);
  if (!status || text_member(*status, "state") != "drained") TRY_STATUS(drain(options, config));
  TRY_STATUS(stop_process(config));
  print_outcome(options, "node_stopped", config, "{0} has stopped; asterism node start {0} --data {1} brings it back");
  return {};
}

void add_command(CLI::App& node, Chosen& chosen, const char* name, const char* help,
                 Status (*run)(const DrainOptions&)) {
  auto options = std::make_shared<DrainOptions>();
  CLI::App* command = node.add_subcommand(name, help);
  command->add_option("name", options->name, "The node, such as n2")->required();
  command->add_option("--data", options->data, "The cluster's folder")->capture_default_str();
  command->add_flag("--force", options->force, "Although another node is down, so that requests may fail");
  command->add_flag("--json", options->json, "Print one line of JSON");
  when_chosen(*command, chosen, [options, run] { return run(*options); });
}

}  // namespace

Status stop_drained(const NodeConfig& config) {
  if (!running_process(config)) return {};
  TRY(const std::string folder, absolute_path(config.data_folder + "/.."));
  const auto status = status_of(folder, config.name);
  if (!status || text_member(*status, "state") != "drained") return {};
  return stop_process(config);
}

void add_drain_commands(CLI::App& node, Chosen& chosen) {
  add_command(node, chosen, "drain", "Get a node ready to be stopped: no request fails, and clients go elsewhere",
              run_drain);
  add_command(node, chosen, "stop", "Drain a node, then stop it", run_stop);
}

}  // namespace asterism
