#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>

#include "cli/ask_nodes.h"
#include "cli/commands.h"
#include "cli/members.h"
#include "cli/output.h"

namespace asterism {
namespace {

std::string metadata_leader(const boost::json::object* status) {
  const boost::json::value* metadata = status ? status->if_contains("metadata") : nullptr;
  return metadata && metadata->is_object() ? text_member(metadata->get_object(), "leader") : "";
}

std::optional<uint64_t> resident(const NodeAnswer& answer) {
  return answer.process ? resident_bytes(*answer.process) : std::nullopt;
}

boost::json::object node_object(const NodeAnswer& answer, const boost::json::object* fresh) {
  const NodeConfig& config = answer.config;
  boost::json::object node{{"name", config.name},
                           {"id", config.id.value},
                           {"address", config.address},
                           {"datacenter", config.place.datacenter},
                           {"rack", config.place.rack},
                           {"state", state_word(answer, fresh)},
                           {"pid", nullptr},
                           {"cql", config.cql_port},
                           {"http", config.http_port}};
  if (answer.process) node["pid"] = answer.process->pid;
  if (auto bytes = resident(answer)) node["resident_bytes"] = *bytes;
  if (!answer.status) {
    node["error"] = answer.status.error().message;
    return node;
  }
  node["phase"] = text_member(*answer.status, "state");
  for (const char* name : {"uptime_s", "memory_bytes"})
    if (const boost::json::value* value = answer.status->if_contains(name)) node[name] = *value;
  for (const char* name : {"store_bytes", "work_s"})
    if (const boost::json::value* value = find_member(*answer.status, fmt::format("load.{}", name)))
      node[name] = *value;
  return node;
}

void print_json(const std::vector<NodeAnswer>& answers) {
  const boost::json::object* fresh = freshest(answers);
  boost::json::object status;
  status["cluster"] = answers.front().config.cluster_name;
  boost::json::array nodes;
  for (const NodeAnswer& answer : answers) nodes.push_back(node_object(answer, fresh));
  status["nodes"] = std::move(nodes);
  const boost::json::value* shards = fresh ? fresh->if_contains("shards") : nullptr;
  status["shards"] = shards ? *shards : boost::json::value(nullptr);
  if (const auto change = change_under_way(answers)) status["change"] = *change;
  if (const boost::json::value* level = fresh ? fresh->if_contains("feature_level") : nullptr)
    status["feature_level"] = *level;
  if (const boost::json::value* settings = fresh ? fresh->if_contains("settings") : nullptr)
    status["settings"] = *settings;
  const std::string leader = metadata_leader(fresh);
  status["leaders"] = {{"metadata", leader.empty() ? boost::json::value(nullptr) : boost::json::value(leader)}};
  print_line(boost::json::serialize(status));
}

std::optional<double> number_member(const NodeAnswer& answer, const char* name) {
  const boost::json::value* value = answer.status ? answer.status->if_contains(name) : nullptr;
  if (!value || !value->is_number()) return std::nullopt;
  return value->to_number<double>();
}

std::string age(std::optional<double> seconds) {
  if (!seconds) return "-";
  if (*seconds < 120) return fmt::format("{:.0f} s", *seconds);
  if (*seconds < 7200) return fmt::format("{:.0f} min", *seconds / 60);
  return *seconds < 172'800 ? fmt::format("{:.0f} h", *seconds / 3600) : fmt::format("{:.0f} d", *seconds / 86'400);
}

std::string memory(std::optional<uint64_t> bytes) { return bytes ? fmt::format("{} MiB", *bytes >> 20) : "-"; }

int64_t level_at(const boost::json::object& status, std::string_view which) {
  const boost::json::value* level = find_member(status, fmt::format("feature_level.{}", which));
  return level && level->is_int64() ? level->get_int64() : 1;
}

/// While the nodes are of different versions, which of them support more than what is active.
std::string feature_level(const std::vector<NodeAnswer>& answers, const boost::json::object& fresh) {
  const int64_t active = level_at(fresh, "active");
  std::string words = std::to_string(active), newer;
  for (const NodeAnswer& answer : answers)
    if (answer.status && level_at(*answer.status, "supported") > active) newer += " " + answer.config.name;
  return newer.empty() ? words : fmt::format("{};{} can do more", words, newer);
}

void print_table(const std::vector<NodeAnswer>& answers) {
  // Where all stand at one place, nobody needs to be told.
  const bool places = std::ranges::any_of(
      answers, [&](const NodeAnswer& answer) { return answer.config.place != answers.front().config.place; });
  const auto place_column = [&](const std::string& text) { return places ? fmt::format("{:16}", text) : ""; };
  constexpr const char* row = "  {:8}{}{}{:22}{:30}{:9}{:9}{}";
  print_line(dim(fmt::format(fmt::runtime(row), "node", fmt::format("{:12}", "state"), place_column("place"), "CQL",
                             "HTTP", "process", "up for", "memory")));
  const boost::json::object* fresh = freshest(answers);
  for (const NodeAnswer& answer : answers) {
    const std::string_view state = state_word(answer, fresh);
    const std::string phase = answer.status ? text_member(*answer.status, "state") : "";
    const std::string word = fmt::format("{:12}", phase == "rebuilding" || phase == "full" ? phase : state);
    const Colour colour = state == "up" ? Colour::green : state == "down" ? Colour::red : Colour::yellow;
    print_line(fmt::format(fmt::runtime(row), answer.config.name, coloured(word, colour),
                           place_column(answer.config.place.datacenter + "/" + answer.config.place.rack),
                           answer.config.cql().to_string(),
                           (answer.config.tls.enabled() ? "https://" : "http://") + answer.config.http().to_string(),
                           answer.process ? std::to_string(answer.process->pid) : "-",
                           age(number_member(answer, "uptime_s")), memory(resident(answer))));
  }
  if (!fresh) return;
  if (const auto change = change_under_way(answers))
    print_line(fmt::format("  {} {}", dim("members"), describe_change(*change)));
  const std::string leader = metadata_leader(fresh);
  print_line(fmt::format("  {} {}", dim("metadata leader"), leader.empty() ? "none" : leader));
  print_line(fmt::format("  {} {}", dim("feature level"), feature_level(answers, *fresh)));
  std::string shards;
  if (const boost::json::value* total = find_member(*fresh, "shards.total")) shards = boost::json::serialize(*total);
  const boost::json::value* keyspaces = find_member(*fresh, "shards.keyspaces");
  if (keyspaces && keyspaces->is_object())
    for (const auto& [name, count] : keyspaces->get_object())
      shards += fmt::format("; {} {}", printable({name.data(), name.size()}), boost::json::serialize(count));
  if (!shards.empty()) print_line(fmt::format("  {} {}", dim("shards"), shards));
}

int run_status(const std::string& data, bool json) {
  auto answers = ask_status(data);
  if (!answers) {
    print_error(answers.error().message);
    return 1;
  }
  json ? print_json(*answers) : print_table(*answers);
  return 0;
}

}  // namespace

void add_status(CLI::App& app, Chosen& chosen) {
  struct Options {
    std::string data = ClusterOptions().data;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* status = app.add_subcommand("status", "Show the nodes, shards and leaders of a cluster on this machine");
  status->add_option("--data", options->data, "The cluster's folder")->capture_default_str();
  status->add_flag("--json", options->json, "Print one line of JSON");
  status->callback([options, &chosen] { chosen = [options] { return run_status(options->data, options->json); }; });
}

}  // namespace asterism
