// TLS of a node, from its settings: with its clients, with other nodes, and with commands on its machine.
#pragma once

#include <memory>

#include "node/node_config.h"
#include "runtime/real/core.h"

namespace asterism {

/// Where a file that [tls] names is; "" for none.
std::string tls_file(const NodeConfig& config, const std::string& name);

/// Null where the settings ask for none. Errors: invalid_argument naming the file.
Result<std::unique_ptr<Network>> listening_tls(RealCore& core, const NodeConfig& config);
/// For the port between nodes: both ends show certificates that name their address. Null and errors likewise.
Result<std::unique_ptr<Network>> nodes_tls(RealCore& core, const NodeConfig& config);
/// For commands that ask a node of this machine: trusts the certificate that the node's settings name, and its
/// authority. Null where the node serves plain bytes.
Result<std::unique_ptr<Network>> asking_tls(RealCore& core, const NodeConfig& config);

}  // namespace asterism
