#include "cli/node_tls.h"

#include "runtime/real/tls.h"

namespace asterism {

std::string tls_file(const NodeConfig& config, const std::string& name) {
  return name.empty() || name.starts_with('/') ? name : config.data_folder + "/" + name;
}

namespace {

TlsOptions options_of(const NodeConfig& config) {
  TlsOptions options;
  options.certificate = tls_file(config, config.tls.certificate);
  options.key = tls_file(config, config.tls.key);
  options.authorities = tls_file(config, config.tls.ca);
  if (config.tls.client == "optional") options.clients = TlsOptions::Clients::optional;
  if (config.tls.client == "required") options.clients = TlsOptions::Clients::required;
  return options;
}

}  // namespace

Result<std::unique_ptr<Network>> listening_tls(RealCore& core, const NodeConfig& config) {
  if (!config.tls.enabled()) return std::unique_ptr<Network>();
  return make_tls_network(core.network(), core.executor(), options_of(config));
}

Result<std::unique_ptr<Network>> nodes_tls(RealCore& core, const NodeConfig& config) {
  if (config.tls.nodes.empty()) return std::unique_ptr<Network>();
  TlsOptions options = options_of(config);
  options.authorities = tls_file(config, config.tls.nodes);
  options.clients = TlsOptions::Clients::required;
  return make_tls_network(core.network(), core.executor(), options);
}

Result<std::unique_ptr<Network>> asking_tls(RealCore& core, const NodeConfig& config) {
  if (!config.tls.enabled()) return std::unique_ptr<Network>();
  TlsOptions options = options_of(config);
  options.authorities = options.certificate;
  options.clients = TlsOptions::Clients::off;
  options.check_address = false;
  return make_tls_network(core.network(), core.executor(), options);
}

}  // namespace asterism
