#include "cli/cluster_folder.h"

#include <algorithm>
#include <charconv>

#include "runtime/real/files.h"

namespace asterism {
namespace {

Result<uint16_t> port_of(const char* name, std::optional<int> chosen, int standard, int offset) {
  const int port = chosen.value_or(standard) + offset;
  if (port >= 1 && port <= UINT16_MAX) return static_cast<uint16_t>(port);
  return fail(ErrorCode::invalid_argument, "the {} port would be {}: choose one from 1 to 65535", name, port);
}

Status apply_ports(NodeConfig& config, const ClusterOptions& options) {
  const NodeConfig standard;
  const int offset = options.port_offset.value_or(0);
  TRY(config.cql_port, port_of("CQL", options.cql_port, standard.cql_port, offset));
  TRY(config.http_port, port_of("HTTP", options.http_port, standard.http_port, offset));
  TRY(config.rpc_port, port_of("RPC", options.rpc_port, standard.rpc_port, offset));
  return {};
}

/// Where node k stands: datacenters take turns, and racks do within each.
NodePlace place_of(size_t k, const ClusterOptions& options) {
  const auto datacenters = static_cast<size_t>(options.datacenters.value_or(1));
  const auto racks = static_cast<size_t>(options.racks.value_or(1));
  return {fmt::format("dc{}", (k - 1) % datacenters + 1), fmt::format("rack{}", (k - 1) / datacenters % racks + 1)};
}

Status check_places(const std::vector<MemberConfig>& known, size_t members, const ClusterOptions& options) {
  if (!options.racks && !options.datacenters) return {};
  const int wanted = options.racks.value_or(1) * options.datacenters.value_or(1);
  if (static_cast<size_t>(wanted) > members)
    return fail(ErrorCode::invalid_argument, "{} nodes are too few for {} racks: choose more with --nodes", members,
                wanted);
  for (size_t k = 1; k <= known.size(); ++k)
    if (known[k - 1].place != place_of(k, options))
      return fail(ErrorCode::invalid_argument,
                  "{} holds a cluster with other racks or datacenters: leave out --racks and --datacenters, or use "
                  "another folder with --data",
                  options.data);
  return {};
}

std::string pid_path(const NodeConfig& config) { return config.data_folder + "/node.pid"; }

}  // namespace

Result<NodeConfig> load_node_config(const std::string& folder) {
  TRY(std::string absolute, absolute_path(folder));
  TRY(Bytes text, read_file(absolute + "/node.toml"));
  auto config = parse_node_config(text);
  if (!config) return fail(config.error().code, "{}: {}", absolute, config.error().message);
  config->data_folder = absolute;
  return config;
}

Status save_node_config(const NodeConfig& config) {
  TRY_STATUS(check_node_config(config));
  TRY_STATUS(make_folders(config.data_folder));
  return write_file(config.data_folder + "/node.toml", format_node_config(config));
}

Result<std::vector<NodeConfig>> read_cluster(const std::string& data) {
  std::vector<NodeConfig> nodes;
  if (!file_exists(data)) return nodes;
  TRY(std::vector<std::string> names, list_folder(data));
  for (const std::string& name : names) {
    const std::string folder = data + "/" + name;
    if (!file_exists(folder + "/node.toml")) continue;
    TRY(NodeConfig config, load_node_config(folder));
    nodes.push_back(std::move(config));
  }
  std::ranges::sort(nodes, {}, &NodeConfig::id);
  return nodes;
}

Result<NodeConfig> find_node(const std::string& data, const std::string& name) {
  TRY(std::vector<NodeConfig> nodes, read_cluster(data));
  if (nodes.empty())
    return fail(ErrorCode::not_found, "{} holds no cluster: start one with asterism up --data {}", data, data);
  std::string names;
  for (NodeConfig& node : nodes) {
    if (node.name == name) return std::move(node);
    names += " " + node.name;
  }
  return fail(ErrorCode::not_found, "{} has no node {}: it has{}", data, name, names);
}

Status retire_node(const NodeConfig& config) {
  const std::string path = config.data_folder + "/node.toml";
  TRY(const Bytes text, read_file(path));
  TRY_STATUS(write_file(path + ".left", text));
  return remove_file(path);
}

/// Members came or went since the cluster was founded: it is complete as it is.
static bool has_changed(const std::string& data, const std::vector<NodeConfig>& nodes) {
  if (std::ranges::any_of(nodes, &NodeConfig::joined)) return true;
  auto names = list_folder(data);
  return names && std::ranges::any_of(*names, [&](const std::string& name) {
           return file_exists(data + "/" + name + "/node.toml.left");
         });
}

/// Gives the nodes of a cluster whose members changed other ports.
static Status change_ports(std::vector<NodeConfig>& nodes, const ClusterOptions& options) {
  for (NodeConfig& node : nodes) {
    if (running_process(node))
      return fail(ErrorCode::already_exists, "{} is running, so that its ports cannot be changed: stop it first",
                  node.name);
    TRY_STATUS(apply_ports(node, options));
    for (MemberConfig& member : node.seeds) member.rpc_port = node.rpc_port;
  }
  for (const NodeConfig& node : nodes) TRY_STATUS(save_node_config(node));
  return {};
}

Result<std::vector<NodeConfig>> read_or_found_cluster(const ClusterOptions& options) {
  TRY(std::string data, absolute_path(options.data));
  TRY(std::vector<NodeConfig> nodes, read_cluster(data));
  const bool known = !nodes.empty();
  const bool new_ports = options.cql_port || options.http_port || options.rpc_port || options.port_offset;
  if (known && has_changed(data, nodes)) {
    if (new_ports && std::ranges::any_of(nodes, [&](const NodeConfig& node) {
          NodeConfig changed = node;
          return !apply_ports(changed, options) || changed != node;
        }))
      TRY_STATUS(change_ports(nodes, options));
    return nodes;
  }
  const auto members = known ? nodes.front().seeds.size() : static_cast<size_t>(options.nodes.value_or(3));
  if (known && options.nodes && static_cast<size_t>(*options.nodes) != members)
    return fail(ErrorCode::invalid_argument,
                "{} holds a cluster of {} nodes, not {}: leave out --nodes, or use another folder with --data",
                options.data, members, *options.nodes);
  TRY_STATUS(check_places(known ? nodes.front().seeds : std::vector<MemberConfig>(), members, options));
  const bool founded_whole = nodes.size() == members;
  if (founded_whole && !new_ports) return nodes;

  // A folder that founding left incomplete is completed: the settings follow from the number of members.
  const std::vector<NodeConfig> before = std::move(nodes);
  nodes.clear();
  for (size_t k = 1; k <= members; ++k) {
    NodeConfig config;
    if (auto same = std::ranges::find(before, static_cast<uint32_t>(k), [](auto& node) { return node.id.value; });
        same != before.end())
      config = *same;
    config.id = NodeId{static_cast<uint32_t>(k)};
    config.name = fmt::format("n{}", k);
    config.address = fmt::format("127.0.0.{}", k);
    config.data_folder = fmt::format("{}/{}", data, config.name);
    config.place = known ? before.front().seeds[k - 1].place : place_of(k, options);
    if (!known || new_ports) TRY_STATUS(apply_ports(config, options));
    if (known && !new_ports) {
      config.cql_port = before.front().cql_port;
      config.http_port = before.front().http_port;
      config.rpc_port = before.front().rpc_port;
    }
    nodes.push_back(std::move(config));
  }
  std::vector<MemberConfig> seeds;
  for (const NodeConfig& node : nodes) seeds.push_back({node.id, node.name, node.address, node.rpc_port, node.place});
  for (NodeConfig& node : nodes) {
    if (running_process(node))
      return fail(ErrorCode::already_exists, "{} is running, so that its ports cannot be changed: stop it first",
                  node.name);
    node.seeds = seeds;
  }
  for (const NodeConfig& node : nodes) TRY_STATUS(save_node_config(node));
  return nodes;
}

Status change_settings(std::vector<NodeConfig>& nodes, const ClusterOptions& options) {
  for (NodeConfig& node : nodes) {
    if (options.memory_mib.value_or(node.memory_mib) == node.memory_mib) continue;
    if (running_process(node))
      return fail(ErrorCode::already_exists, "{} is running, so that its memory cannot be changed: stop it first",
                  node.name);
    node.memory_mib = *options.memory_mib;
    TRY_STATUS(save_node_config(node));
  }
  return {};
}

std::optional<ProcessName> running_process(const NodeConfig& config) {
  auto text = read_file(pid_path(config), 100);
  if (!text) return std::nullopt;
  ProcessName process;
  const char* end = text->data() + text->size();
  auto [next, error] = std::from_chars(text->data(), end, process.pid);
  if (error != std::errc() || next == end) return std::nullopt;
  if (std::from_chars(next + 1, end, process.start_ticks).ec != std::errc()) return std::nullopt;
  if (process.pid <= 0 || !is_alive(process)) return std::nullopt;
  return process;
}

Status write_pid_file(const NodeConfig& config) {
  const ProcessName self = current_process();
  return write_file(pid_path(config), fmt::format("{} {}\n", self.pid, self.start_ticks));
}

void remove_pid_file(const NodeConfig& config) { (void)remove_file(pid_path(config)); }
std::string log_path(const NodeConfig& config) { return config.data_folder + "/node.log"; }
std::string audit_path(const NodeConfig& config) { return config.data_folder + "/audit.log"; }

}  // namespace asterism
