// What a node needs to know before it starts, and its form as text (node.toml, which cli reads and writes).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "cluster/feature_level.h"
#include "cluster/ring.h"
#include "ports/network.h"

namespace asterism {

inline constexpr uint32_t least_memory_mib = 64, most_memory_mib = 1 << 20;
inline constexpr const char* admin_role = "admin";
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

/// Files in PEM; a relative path starts in the node's folder.
struct TlsConfig {
  std::string certificate, key;  // empty: no TLS
  std::string ca;                // who may have signed clients' certificates
  std::string client = "off";    // whether clients show one: off, optional, required
  /// Who signed every node's certificate, and nobody else's: nodes then speak TLS with one another and show theirs. The
  /// same on every node. Empty: they speak plainly.
  std::string nodes;

  bool enabled() const { return !certificate.empty(); }
  bool operator==(const TlsConfig&) const = default;
};

bool is_loopback(std::string_view address);

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
  /// What the node may take of the machine's memory, in MiB (NodeTuning::within).
  uint32_t memory_mib = 256;
  /// Clients must log in. The same on every node.
  bool authentication = false;
  /// The password of role `admin_role` in the form of RFC 5803 (gateway/scram.h), for a cluster in which no superuser
  /// can log in yet; afterwards it means nothing.
  std::string admin;

  /// Of the ports for clients, CQL and HTTP, and of the one between nodes.
  TlsConfig tls;
  /// Keeps the cluster's feature level (cluster/feature_level.h) from rising beyond this one, so that the node's
  /// version can be taken back.
  uint32_t most_feature_level = newest_feature_level;
  /// Listens on an address that others reach although something there is not protected.
  bool insecure = false;

  Address cql() const { return {address, cql_port}; }
  /// On 127.0.0.1 where clients must log in and others could reach the address: HTTP knows no login.
  Address http() const;
  Address rpc() const { return {address, rpc_port}; }
  bool operator==(const NodeConfig&) const = default;
};

/// Checks that the names, addresses and members make sense. Errors: invalid_argument naming the setting.
Status check_node_config(const NodeConfig& config);
/// What others could do to the node at its address, and how to prevent it; refused unless `insecure`. Nothing is wrong
/// with loopback addresses. Errors: invalid_argument.
Status check_exposure(const NodeConfig& config);
/// Strict: unknown or missing settings and wrong types are errors (invalid_argument with line and name).
Result<NodeConfig> parse_node_config(std::string_view toml);
/// TOML that parse_node_config reads back to the same configuration.
std::string format_node_config(const NodeConfig& config);

}  // namespace asterism
