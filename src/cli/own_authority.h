// TLS for a cluster on this machine without anybody's help: an authority of its own signs a certificate for each node.
#pragma once

#include <vector>

#include "cli/cluster_folder.h"

namespace asterism {

/// What clients must trust.
std::string authority_path(const std::string& data);

/// Where the options ask for TLS, gives each node that has none a certificate and writes it into its settings. The
/// authority (ca.pem, and ca.key, which is a secret) lies in the cluster's folder and is made where it is missing.
/// Errors: already_exists where such a node runs; io.
Status turn_tls_on(const ClusterOptions& options, std::vector<NodeConfig>& nodes);

/// For a node that joins a cluster with TLS: a certificate of the cluster's own authority, in the node's folder.
/// Errors: not_found where the cluster has certificates from elsewhere; io.
Status give_certificate(const std::string& data, NodeConfig& node);

// What a running node knows of the authority that signs nodes.

/// The certificates in the file that tls.nodes names; "" where there is none. Errors: those of read_file.
Result<std::string> read_authority(const NodeConfig& node);
/// Whether ca.key is in the node's folder or the one above it, which is the cluster's.
bool has_authority_key(const NodeConfig& node);
/// A certificate for the key of a request (certificates.h), where ca.key belongs to an authority of tls.nodes. Errors:
/// not_found, invalid_argument, io.
Result<std::string> sign_for(const NodeConfig& node, const std::string& request, const std::string& name,
                             const std::string& address);

}  // namespace asterism
