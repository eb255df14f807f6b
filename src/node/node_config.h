// What a node needs to know before it starts, and its form as text (node.toml, which cli reads and writes).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "cluster/ring.h"
#include "ports/network.h"

namespace asterism {

inline const NodePlace default_place{"dc1", "rack1"};

/// A node that this one knows from the start: the cluster was founded with it or, where this one joined later, it was a
/// member then.
struct MemberConfig {
  NodeId id;
  std::string name;
  std::string address;  // a literal IP address
  uint16_t rpc_port = 0;
  NodePlace place = default_place;

  Address rpc() const { return {address, rpc_port}; }
  bool operator==(const MemberConfig&) const = default;
};

struct NodeConfig {
  NodeId id;                // never 0, never changes
  std::string name;         // 1 to 64 of [a-z0-9-]; unique in the cluster
  std::string data_folder;  // absolute; not part of node.toml, because the folder may be moved
  std::string cluster_name = "asterism";
  std::string address = "127.0.0.1";  // a literal IP address: where every port listens and what peers are told
  uint16_t cql_port = 9042;
  uint16_t http_port = 7070;
  uint16_t rpc_port = 7000;  // between nodes
  /// Names of 1 to 64 of [A-Za-z0-9_-]. Replicas are placed by them, so they never change once the cluster is founded.
  NodePlace place = default_place;
  std::vector<MemberConfig> seeds;  // this node included, in order of their ids
  bool joined = false;              // this node came to a cluster that was there; else it is a founding member
  std::string log_level = "info";   // debug, info, warning or error

  Address cql() const { return {address, cql_port}; }
  Address http() const { return {address, http_port}; }
  Address rpc() const { return {address, rpc_port}; }
  bool operator==(const NodeConfig&) const = default;
};

/// Checks that the names, addresses and members make sense. Errors: invalid_argument naming the setting.
Status check_node_config(const NodeConfig& config);
/// Strict: unknown or missing settings and wrong types are errors (invalid_argument with line and name).
Result<NodeConfig> parse_node_config(std::string_view toml);
/// TOML that parse_node_config reads back to the same configuration.
std::string format_node_config(const NodeConfig& config);

}  // namespace asterism
