#include "cli/members.h"

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "cli/ask_nodes.h"
#include "cli/commands.h"
#include "cli/launch.h"
#include "cli/look_until.h"
#include "cli/output.h"
#include "cli/own_authority.h"
#include "cli/progress_bar.h"
#include "runtime/real/files.h"

namespace asterism {
namespace {

constexpr int silent_looks_most = 300;  // without any node that answers
constexpr Duration any_time = std::chrono::hours(24 * 365);

struct MemberOptions {
  std::string data = ClusterOptions().data;
  std::string name;
  std::string datacenter, rack;
  bool json = false, cancel = false;
};

/// What is known of the change that a command waits for.
struct Watched {
  std::string name;
  uint64_t shards = 0;
  bool cancelled = false;
  bool member = false;  // once it is over
};

std::string text_at(const boost::json::object& object, std::string_view path) {
  const boost::json::value* value = find_member(object, path);
  return value && value->is_string() ? printable(std::string_view(value->get_string())) : std::string();
}

uint64_t number_at(const boost::json::object& object, std::string_view path) {
  const boost::json::value* value = find_member(object, path);
  return value && value->is_int64() && value->get_int64() > 0 ? static_cast<uint64_t>(value->get_int64()) : 0;
}

bool flag_at(const boost::json::object& object, std::string_view path) {
  const boost::json::value* value = find_member(object, path);
  return value && value->is_bool() && value->get_bool();
}

bool is_member(const boost::json::object& status, const std::string& name) {
  return std::ranges::any_of(array_member(status, "nodes"), [&](const boost::json::value& node) {
    return node.is_object() && text_member(node.get_object(), "name") == name;
  });
}

void show(ProgressBar& bar, const boost::json::object& change) {
  const uint64_t total = std::max<uint64_t>(number_at(change, "shards"), 1);
  const uint64_t moving = std::min(total, number_at(change, "moving"));
  bar.show(static_cast<double>(total - moving) / static_cast<double>(total), describe_change(change));
}

Result<boost::json::object> status_of(const std::string& data) {
  TRY(const auto answers, ask_status(data));
  const boost::json::object* fresh = freshest(answers);
  if (!fresh) return fail(ErrorCode::unavailable, "no node answers: start the cluster with asterism up");
  return *fresh;
}

/// Until the change of that node is over, however long that takes.
Status wait_for(const MemberOptions& options, Watched& watched) {
  ProgressBar bar(!options.json);
  int silent = 0;
  const auto outcome = look_until(any_time, [&]() -> std::optional<Status> {
    const auto answers = ask_status(options.data);
    const boost::json::object* fresh = answers ? freshest(*answers) : nullptr;
    silent = fresh ? 0 : silent + 1;
    if (silent > silent_looks_most)
      return fail(ErrorCode::unavailable, "no node answers any more; the change goes on when the cluster does");
    if (!fresh) return std::nullopt;
    const auto change = change_under_way(*answers);
    if (!change || text_at(*change, "node") != watched.name) {
      watched.member = is_member(*fresh, watched.name);
      return Status();
    }
    watched.shards = std::max(watched.shards, number_at(*change, "shards"));
    watched.cancelled |= flag_at(*change, "cancelled");
    show(bar, *change);
    return std::nullopt;
  });
  return outcome.value_or(fail(ErrorCode::timeout, "the change has not ended"));
}

/// Takes a node that is no member any more out of the folder, and ends its process.
Status put_away(const NodeConfig& config) {
  // First the settings, so that `up` does not take its end for a failure.
  TRY_STATUS(retire_node(config));
  return stop_process(config);
}

void print_outcome(const MemberOptions& options, const char* event, const NodeConfig& config, const Watched& watched,
                   const std::string& words) {
  if (!options.json) return print_line(words);
  JsonLine line;
  line.text("event", event).text("name", config.name);
  if (const auto process = running_process(config)) line.number("pid", process->pid);
  line.text("address", config.address).number("cql", config.cql_port).number("http", config.http_port);
  print_line(line.number("shards_moved", static_cast<int64_t>(watched.shards)).str());
}

/// The settings of the node that comes: those of the others, the next id and address, and everybody as contacts.
Result<NodeConfig> new_node(const MemberOptions& options, const boost::json::object& status,
                            const std::vector<NodeConfig>& nodes, const NodeConfig* replaced) {
  const auto id = static_cast<uint32_t>(std::max<uint64_t>(number_at(status, "next_node"), nodes.back().id.value + 1));
  if (id > 250) return fail(ErrorCode::invalid_argument, "this machine has no address left for node {}", id);
  TRY(const std::string data, absolute_path(options.data));
  NodeConfig config = replaced ? *replaced : nodes.front();
  config.id = NodeId{id};
  config.name = fmt::format("n{}", id);
  config.address = fmt::format("127.0.0.{}", id);
  config.data_folder = data + "/" + config.name;
  config.joined = true;
  if (!options.datacenter.empty()) config.place.datacenter = options.datacenter;
  if (!options.rack.empty()) config.place.rack = options.rack;
  config.seeds.clear();
  for (const NodeConfig& node : nodes)
    config.seeds.push_back({node.id, node.name, node.address, node.rpc_port, node.place});
  config.seeds.push_back({config.id, config.name, config.address, config.rpc_port, config.place});
  TRY_STATUS(check_node_config(config));
  return config;
}

Status begin_joining(const MemberOptions& options, NodeConfig& config, const std::string& replaced) {
  boost::json::object body = introduction(config);
  if (!replaced.empty()) body["replaces"] = replaced;
  RealCore core;
  TRY_STATUS(check_ports_free(core, config));
  if (config.tls.enabled()) TRY_STATUS(give_certificate(options.data, config));
  TRY_STATUS(save_node_config(config));
  Status begun = post_to_cluster(options.data, "/members/add", body);
  // A refusal is certain; anything else may have begun, and is found again by the next attempt.
  if (!begun && begun.error().code == ErrorCode::already_exists) (void)remove_file(config.data_folder + "/node.toml");
  return begun;
}

/// Adds a node or, with a name in the options, replaces that one. A change that an earlier command began goes on.
Status join_node(const MemberOptions& options) {
  TRY(const std::vector<NodeConfig> nodes, read_cluster(options.data));
  if (nodes.empty())
    return fail(ErrorCode::not_found, "{} holds no cluster: start one with asterism up --data {}", options.data,
                options.data);
  TRY(const boost::json::object status, status_of(options.data));
  const bool replacing = !options.name.empty();
  std::optional<NodeConfig> replaced;
  if (replacing) {
    TRY(replaced, find_node(options.data, options.name));
    if (auto process = running_process(*replaced))
      return fail(ErrorCode::invalid_argument,
                  "{} runs as process {}: only a dead node can be replaced. Decommission it, or stop it first",
                  replaced->name, process->pid);
  }
  Watched watched{text_at(status, "change.node")};
  const bool resumes = text_at(status, "change.what") == (replacing ? "replace" : "add") &&
                       text_at(status, "change.replaces") == options.name && !flag_at(status, "change.cancelled");
  NodeConfig config;
  if (resumes) {
    TRY(config, find_node(options.data, watched.name));
  } else {
    TRY(config, new_node(options, status, nodes, replaced ? &*replaced : nullptr));
    TRY_STATUS(begin_joining(options, config, options.name));
    watched.name = config.name;
  }
  if (!running_process(config)) {
    auto launched = launch_and_wait(config);
    if (!launched)
      return fail(launched.error().code, "{}\n  Try again, or turn the change back with asterism node cancel {}",
                  launched.error().message, config.name);
  }
  TRY_STATUS(wait_for(options, watched));
  if (!watched.member) {
    TRY_STATUS(put_away(config));
    return fail(ErrorCode::closed, "the change was cancelled: {} is gone again", config.name);
  }
  if (replaced && file_exists(replaced->data_folder + "/node.toml")) TRY_STATUS(put_away(*replaced));
  const std::string words = replacing ? fmt::format("{} has taken the place of {}: {} shards moved", config.name,
                                                    options.name, watched.shards)
                                      : fmt::format("{} is a member and serves CQL on {}: {} shards moved", config.name,
                                                    config.cql().to_string(), watched.shards);
  print_outcome(options, replacing ? "node_replaced" : "node_added", config, watched, words);
  return {};
}

Status cancel(const MemberOptions& options) {
  TRY(const NodeConfig config, find_node(options.data, options.name));
  Watched watched{options.name};
  TRY_STATUS(post_to_cluster(options.data, "/members/cancel", {{"name", options.name}}));
  TRY_STATUS(wait_for(options, watched));
  if (!watched.member && file_exists(config.data_folder + "/node.toml")) TRY_STATUS(put_away(config));
  print_outcome(options, "change_cancelled", config, watched,
                fmt::format("everything is back where it was: {} is {}", config.name,
                            watched.member ? "a member as before" : "gone again"));
  return {};
}

/// A node leaves: by itself or, where it is dead, without being asked.
Status leave(const MemberOptions& options, bool dead) {
  if (options.cancel) return cancel(options);
  TRY(const NodeConfig config, find_node(options.data, options.name));
  if (const auto process = running_process(config); dead && process)
    return fail(ErrorCode::invalid_argument,
                "{} runs as process {}: only a dead node can be removed. Decommission it, or stop it first",
                config.name, process->pid);
  TRY(const boost::json::object status, status_of(options.data));
  Watched watched{options.name};
  const bool resumes = text_at(status, "change.what") == (dead ? "remove" : "decommission") &&
                       text_at(status, "change.node") == options.name && !flag_at(status, "change.cancelled");
  if (!resumes)
    TRY_STATUS(
        post_to_cluster(options.data, dead ? "/members/remove_dead" : "/members/remove", {{"name", options.name}}));
  TRY_STATUS(wait_for(options, watched));
  if (watched.member) return fail(ErrorCode::closed, "the change was cancelled: {} is a member as before", config.name);
  TRY_STATUS(put_away(config));
  print_outcome(options, "node_removed", config, watched,
                fmt::format("{} has left the cluster: {} shards moved. Its folder {} can be deleted", config.name,
                            watched.shards, config.data_folder));
  return {};
}

Status decommission(const MemberOptions& options) { return leave(options, false); }
Status remove_dead(const MemberOptions& options) { return leave(options, true); }

void add_command(CLI::App& node, Chosen& chosen, const char* name, const char* help,
                 Status (*run)(const MemberOptions&), const char* name_help) {
  auto options = std::make_shared<MemberOptions>();
  CLI::App* command = node.add_subcommand(name, help);
  if (name_help) command->add_option("name", options->name, name_help)->required();
  command->add_option("--data", options->data, "The cluster's folder")->capture_default_str();
  command->add_flag("--json", options->json, "Print one line of JSON");
  if (run == decommission) command->add_flag("--cancel", options->cancel, "Move its shards back: it stays");
  if (!name_help) {
    command->add_option("--datacenter", options->datacenter, "Where it stands (where n1 does)");
    command->add_option("--rack", options->rack, "In which rack it stands (in that of n1)");
  }
  when_chosen(*command, chosen, [options, run] { return run(*options); });
}

}  // namespace

boost::json::object introduction(const NodeConfig& config) {
  return {{"id", config.id.value},
          {"name", config.name},
          {"address", config.address},
          {"rpc", config.rpc_port},
          {"cql", config.cql_port},
          {"http", config.http_port},
          {"datacenter", config.place.datacenter},
          {"rack", config.place.rack}};
}

Status wait_until_member(const std::string& data, const std::string& name, bool quiet) {
  MemberOptions options;
  options.data = data;
  options.json = quiet;
  Watched watched{name};
  TRY_STATUS(wait_for(options, watched));
  if (watched.member) return {};
  return fail(ErrorCode::closed, "the change was cancelled: {} is no member", name);
}

Result<ChangeEnd> wait_for_change(const std::string& data, const std::string& name, bool quiet) {
  MemberOptions options;
  options.data = data;
  options.json = quiet;
  Watched watched{name};
  TRY_STATUS(wait_for(options, watched));
  return ChangeEnd{watched.shards, watched.cancelled};
}

std::string describe_change(const boost::json::object& change) {
  const std::string name = text_at(change, "node"), what = text_at(change, "what");
  const bool back = flag_at(change, "cancelled");
  std::string words = what == "decommission" ? name + " leaves"
                      : what == "remove"     ? name + ", which is dead, is removed"
                      : what == "rebalance"  ? name + " gets other tokens"
                      : what == "replace" ? fmt::format("{} takes the place of {}", name, text_at(change, "replaces"))
                                          : name + " joins";
  if (back) words = name + " goes back to what it was";
  const uint64_t moving = number_at(change, "moving");
  if (moving == 0) return words + ": all shards are where they should be";
  words += fmt::format(": {} of {} shards still move", moving, number_at(change, "shards"));
  const boost::json::value* rate = change.if_contains("moved_mib_s");
  const uint64_t most = number_at(change, "mib_per_second");
  if (!rate || !rate->is_number() || most == 0) return words;
  return words + fmt::format(", {:.1f} MiB/s (each node {} at most)", rate->to_number<double>(), most);
}

void add_member_commands(CLI::App& node, Chosen& chosen) {
  add_command(node, chosen, "add", "Start one more node and have it join the running cluster", join_node, nullptr);
  add_command(node, chosen, "decommission", "Move a node's shards away, then take it out of the cluster and stop it",
              decommission, "The node, such as n2");
  add_command(node, chosen, "remove", "Take a dead node out of the cluster: its shards come from those that stay",
              remove_dead, "The dead node, such as n2");
  add_command(node, chosen, "replace", "Have a new node take the place of a dead one", join_node,
              "The dead node, such as n2");
  add_command(node, chosen, "cancel", "Turn the change back by which a node joins, leaves or is rebalanced", cancel,
              "The node that joins, leaves or is rebalanced");
}

}  // namespace asterism
