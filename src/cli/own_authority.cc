#include "cli/own_authority.h"

#include <algorithm>

#include "cli/node_tls.h"
#include "runtime/real/certificates.h"
#include "runtime/real/files.h"

namespace asterism {
namespace {

std::string key_path(const std::string& data) { return data + "/ca.key"; }

Result<Identity> read_or_make_authority(const std::string& data, const std::string& cluster) {
  Identity authority;
  if (!file_exists(authority_path(data))) {
    authority = make_authority(cluster + " authority");
    // The key first: a certificate without it would be taken for whole.
    TRY_STATUS(write_file(key_path(data), authority.key));
    TRY_STATUS(write_file(authority_path(data), authority.certificate));
    return authority;
  }
  TRY(authority.certificate, read_file(authority_path(data)));
  TRY(authority.key, read_file(key_path(data)));
  return authority;
}

/// Writes its certificate, its key and whom it trusts into its folder, and names them in its settings.
Status certify(const Identity& authority, NodeConfig& node) {
  TRY(const Identity issued, issue_certificate(authority, node.name, {node.address}));
  node.tls.certificate = "node.pem";
  node.tls.key = "node.key";
  // It signs nothing but nodes.
  node.tls.nodes = "ca.pem";
  TRY_STATUS(make_folders(node.data_folder));
  TRY_STATUS(write_file(node.data_folder + "/" + node.tls.certificate, issued.certificate));
  TRY_STATUS(write_file(node.data_folder + "/" + node.tls.key, issued.key));
  return write_file(node.data_folder + "/" + node.tls.nodes, authority.certificate);
}

}  // namespace

std::string authority_path(const std::string& data) { return data + "/ca.pem"; }

Status turn_tls_on(const ClusterOptions& options, std::vector<NodeConfig>& nodes) {
  const auto has_tls = [](const NodeConfig& node) { return node.tls.enabled(); };
  if (!options.tls || std::ranges::all_of(nodes, has_tls)) return {};
  TRY(const Identity authority, read_or_make_authority(options.data, nodes.front().cluster_name));
  for (NodeConfig& node : nodes) {
    if (has_tls(node)) continue;
    if (running_process(node))
      return fail(ErrorCode::already_exists, "{} is running: stop it first, so that it gets a certificate", node.name);
    TRY_STATUS(certify(authority, node));
    TRY_STATUS(save_node_config(node));
  }
  return {};
}

Status give_certificate(const std::string& data, NodeConfig& node) {
  if (!file_exists(authority_path(data)) || !file_exists(key_path(data)))
    return fail(ErrorCode::not_found, "no ca.pem and ca.key in {} to sign a certificate for {} with", data, node.name);
  TRY(const Identity authority, read_or_make_authority(data, node.cluster_name));
  return certify(authority, node);
}

Result<std::string> read_authority(const NodeConfig& node) {
  if (node.tls.nodes.empty()) return std::string();
  return read_file(tls_file(node, node.tls.nodes));
}

static std::string authority_key_of(const NodeConfig& node) {
  for (const std::string& path : {key_path(node.data_folder + "/.."), key_path(node.data_folder)})
    if (file_exists(path)) return path;
  return {};
}

bool has_authority_key(const NodeConfig& node) { return !authority_key_of(node).empty(); }

Result<std::string> sign_for(const NodeConfig& node, const std::string& request, const std::string& name,
                             const std::string& address) {
  const std::string path = authority_key_of(node);
  if (path.empty()) return fail(ErrorCode::not_found, "{} does not have the authority's key any more", node.name);
  TRY(const std::string key, read_file(path));
  TRY(const std::string authorities, read_authority(node));
  TRY(const auto certificates, read_certificates(authorities));
  Result<std::string> made = fail(ErrorCode::invalid_argument, "{} trusts no authority", node.name);
  for (const NamedCertificate& one : certificates) {
    made = sign_certificate_request({one.certificate, key}, request, name, {address});
    if (made) break;
  }
  return made;
}

}  // namespace asterism
