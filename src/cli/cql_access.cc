#include "cli/cql_access.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

#include "cli/node_tls.h"
#include "cli/output.h"
#include "runtime/real/files.h"
#include "runtime/real/terminal.h"
#include "runtime/real/tls.h"

namespace asterism {
namespace {

using cql::CqlClient;
constexpr uint16_t default_port = 9042;
constexpr size_t password_file_bytes_max = 4096;

Result<std::string> read_password(const CqlAccessOptions& options) {
  if (options.password_file.empty()) {
    if (!is_terminal(0) || !is_terminal(2))
      return fail(ErrorCode::invalid_argument,
                  "--user needs --password-file FILE where there is no terminal to ask on");
    return read_hidden_line(fmt::format("Password of {}: ", printable(options.user)), password_file_bytes_max);
  }
  TRY(const Bytes text, read_file(options.password_file, password_file_bytes_max));
  std::string password = text.substr(0, text.find('\n'));
  if (password.ends_with('\r')) password.pop_back();
  if (password.empty())
    return fail(ErrorCode::invalid_argument, "{} must hold the password in its first line", options.password_file);
  return password;
}

bool is_final(const Error& error) {
  return error.code == ErrorCode::unauthorized || error.code == ErrorCode::invalid_argument;
}

}  // namespace

void add_access_options(CLI::App& command, CqlAccessOptions& options) {
  command.add_option("--data", options.data, "The folder of a local cluster to ask, where no address is given")
      ->capture_default_str();
  command.add_option("--user", options.user, "Log in as this role");
  command.add_option("--password-file", options.password_file,
                     "File with the password in its first line; without it the terminal is asked");
  command.add_flag("--tls", options.tls, "Encrypt; a local cluster's folder says so itself")
      ->needs(command.add_option("--ca", options.ca, "PEM file: who signed the nodes' certificates"));
  CLI::Option* key = command.add_option("--key", options.key, "PEM file: the certificate's private key");
  command.add_option("--certificate", options.certificate, "PEM file: shown to nodes that ask for one")->needs(key);
}

Result<Address> parse_cql_address(const std::string& text) {
  const auto wrong = [&] {
    return fail(ErrorCode::invalid_argument, "'{}' is no address: write 127.0.0.1, 127.0.0.1:9042 or [::1]:9042",
                printable(text));
  };
  std::string host = text, port;
  if (host.starts_with('[')) {
    const size_t end = host.find(']');
    if (end == std::string::npos) return wrong();
    port = host.substr(end + 1);
    host = host.substr(1, end - 1);
    if (!port.empty() && port[0] != ':') return wrong();
  } else if (std::ranges::count(host, ':') == 1) {
    port = host.substr(host.find(':'));
    host.resize(host.find(':'));
  }
  if (host == "localhost") host = "127.0.0.1";
  Address address{host, default_port};
  if (!port.empty()) {
    const char* end = port.data() + port.size();
    const auto [at, error] = std::from_chars(port.data() + 1, end, address.port);
    if (error != std::errc() || at != end || address.port == 0) return wrong();
  }
  if (host.empty() || host.find_first_not_of("0123456789abcdefABCDEF.:%") != std::string::npos) return wrong();
  return address;
}

Result<std::unique_ptr<CqlCluster>> CqlCluster::open(RealCore& core, const CqlAccessOptions& options) {
  std::unique_ptr<CqlCluster> cluster(new CqlCluster(core));
  if (options.address.empty()) {
    TRY_STATUS(cluster->read_folder(options.data));
  } else {
    TRY(Address address, parse_cql_address(options.address));
    cluster->nodes_.push_back(std::move(address));
    cluster->networks_.push_back(&core.network());
  }
  if (options.tls) TRY_STATUS(cluster->use_tls(options));
  cluster->user_ = options.user;
  if (!options.user.empty()) {
    TRY(cluster->password_, read_password(options));
  }
  return cluster;
}

Status CqlCluster::read_folder(const std::string& data) {
  data_ = data;
  TRY(const std::vector<NodeConfig> configs, read_cluster(data));
  if (configs.empty())
    return fail(ErrorCode::not_found,
                "{} holds no cluster: start one with asterism up, or say where there is one (--data, or an address)",
                data);
  for (const NodeConfig& config : configs) {
    TRY(auto tls, asking_tls(core_, config));
    nodes_.push_back(config.cql());
    networks_.push_back(tls ? tls_.emplace_back(std::move(tls)).get() : &core_.network());
  }
  return {};
}

Status CqlCluster::use_tls(const CqlAccessOptions& options) {
  TlsOptions tls;
  tls.authorities = options.ca;
  tls.certificate = options.certificate;
  tls.key = options.key;
  TRY(auto network, make_tls_network(core_.network(), core_.executor(), tls));
  std::ranges::fill(networks_, network.get());
  tls_.push_back(std::move(network));
  return {};
}

Error CqlCluster::explain(const Error& error, const Address& node) const {
  Error out = error;
  out.message = fmt::format("{}: {}", node.to_string(), error.message);
  if (error.code == ErrorCode::unauthorized && user_.empty())
    out.message = fmt::format("{} wants a login: give --user NAME, and --password-file FILE", node.to_string());
  else if (error.code == ErrorCode::unauthorized)
    out.message += ". Check --user and the password, and with --tls the file of --ca";
  else if (error.code == ErrorCode::timeout)
    out.message = fmt::format("{} does not answer", node.to_string());
  else if (tls_.empty() && (error.code == ErrorCode::corrupt || error.code == ErrorCode::closed ||
                            error.code == ErrorCode::unsupported))
    out.message += ". If it serves TLS, give --tls --ca FILE";
  return out;
}

Task<Result<std::unique_ptr<CqlClient>>> CqlCluster::connect_to(Address node, Duration limit,
                                                                cql::wire::Version version) {
  const auto found = std::ranges::find(nodes_, node);
  Network* network = networks_[found == nodes_.end() ? 0 : static_cast<size_t>(found - nodes_.begin())];
  cql::CqlClientOptions options;
  options.version = version;
  options.user = user_;
  options.password = password_;
  const Instant deadline = core_.executor().now() + limit;
  auto client = co_await CqlClient::connect(core_.executor(), *network, node, deadline, options);
  if (!client) co_return fail(explain(client.error(), node));
  co_return std::move(*client);
}

Task<Result<std::unique_ptr<CqlClient>>> CqlCluster::connect(Duration limit, cql::wire::Version version) {
  std::string tried;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const size_t at = (latest_ + i) % nodes_.size();
    auto client = co_await connect_to(nodes_[at], limit, version);
    if (client) {
      latest_ = at;
      co_return std::move(*client);
    }
    if (is_final(client.error()) || nodes_.size() == 1) {
      if (!is_final(client.error()) && !data_.empty()) break;
      co_return client;
    }
    tried += (tried.empty() ? "" : ", ") + nodes_[at].to_string();
  }
  if (tried.empty()) tried = nodes_[0].to_string();
  co_return fail(ErrorCode::unavailable, "no node answers ({}): start the cluster with asterism up --data {}", tried,
                 data_);
}

const char* cql_error_name(cql::wire::CqlErrorCode code) {
  using enum cql::wire::CqlErrorCode;
  switch (code) {
    case syntax_error:
      return "SyntaxException";
    case unauthorized:
      return "Unauthorized";
    case bad_credentials:
      return "AuthenticationFailed";
    case invalid:
      return "InvalidRequest";
    case config_error:
      return "ConfigurationException";
    case already_exists:
      return "AlreadyExists";
    case unavailable:
      return "Unavailable";
    case overloaded:
      return "Overloaded";
    case is_bootstrapping:
      return "Bootstrapping";
    case write_timeout:
      return "WriteTimeout";
    case read_timeout:
      return "ReadTimeout";
    case write_failure:
      return "WriteFailure";
    case read_failure:
      return "ReadFailure";
    case protocol_error:
      return "ProtocolException";
    default:
      return "ServerError";
  }
}

}  // namespace asterism
