// The folder of a cluster whose nodes run on this machine: one folder per node (n1, n2, …), each with
//   node.toml  its settings          node.pid   its process while it runs: "<pid> <start ticks>"
//   node.lock  held while it runs    node.log   its log          data/   everything it stores
//   node.pem, node.key  its certificate, where `up --tls` made one; ca.pem and ca.key of the cluster signed it
//   audit.log  who logged in, and who changed schemas and users
// A node that left the cluster has node.toml.left instead of node.toml, and is not counted any more.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "node/node_config.h"
#include "runtime/real/process.h"

namespace asterism {

struct ClusterOptions {
  std::string data = "./asterism-data";
  std::optional<int> nodes;               // 3 where nothing says otherwise
  std::optional<int> racks, datacenters;  // 1 where nothing says otherwise
  std::optional<int> cql_port, http_port, rpc_port;
  std::optional<int> port_offset;  // added to all ports
  bool authentication = false;     // turns it on; a cluster that has it keeps it
  std::string admin_password_file;
  bool tls = false;                    // likewise
  std::optional<uint32_t> memory_mib;  // of each node
};
inline constexpr int max_local_nodes = 32;

/// node.toml in `folder`, which becomes data_folder. Errors: not_found, invalid_argument, io.
Result<NodeConfig> load_node_config(const std::string& folder);
/// Writes node.toml into data_folder atomically and durably.
Status save_node_config(const NodeConfig& config);

/// The nodes that the folder knows, in order of their ids; empty where it has none. Errors: invalid_argument, io.
Result<std::vector<NodeConfig>> read_cluster(const std::string& data);

/// Errors: not_found, naming what there is.
Result<NodeConfig> find_node(const std::string& data, const std::string& name);
/// The node is no member any more: its settings are kept as node.toml.left, and read_cluster() leaves it out.
Status retire_node(const NodeConfig& config);

/// Reads the cluster or, in a new folder, founds it: node k listens on 127.0.0.k; nodes take turns in datacenters and,
/// in each, in racks. Ports that the options name are written to the settings of a known cluster too. Errors:
/// invalid_argument where `nodes`, `racks` or `datacenters` contradict the folder.
Result<std::vector<NodeConfig>> read_or_found_cluster(const ClusterOptions& options);

/// Writes what of the options is each node's own to the settings. Errors: already_exists where a node runs on others.
Status change_settings(std::vector<NodeConfig>& nodes, const ClusterOptions& options);

/// The node's process, where it is alive.
std::optional<ProcessName> running_process(const NodeConfig& config);
Status write_pid_file(const NodeConfig& config);
void remove_pid_file(const NodeConfig& config);
std::string log_path(const NodeConfig& config);
std::string audit_path(const NodeConfig& config);

}  // namespace asterism
