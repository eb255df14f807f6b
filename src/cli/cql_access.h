// Reaching a cluster over CQL: which nodes there are to ask, TLS with them, and logging in. For the commands that speak
// CQL.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/cluster_folder.h"
#include "datastore/cql/client.h"
#include "runtime/real/core.h"
#include "runtime/task_group.h"

namespace CLI {
class App;
}

namespace asterism {

struct CqlAccessOptions {
  std::string address;  // one node, "127.0.0.1" or "127.0.0.1:9042"; empty: the nodes of `data`
  std::string data = ClusterOptions().data;
  std::string user, password_file;  // without a file, the password is asked for on the terminal
  bool tls = false;                 // with `address`; the folder of a local cluster says so itself
  std::string ca;                   // PEM: who signed the nodes' certificates
  std::string certificate, key;     // PEM: shown to nodes that ask for one
};

/// All but the address, which commands place differently.
void add_access_options(CLI::App& command, CqlAccessOptions& options);

/// "127.0.0.1", "127.0.0.1:9042", "[::1]:9042", "localhost". Errors: invalid_argument.
Result<Address> parse_cql_address(const std::string& text);

/// The nodes that can be asked. Used by one core, which must outlive it, and so must the clients' tasks.
class CqlCluster {
 public:
  /// Reads the cluster's folder where no address is given, and the password. Errors: not_found, invalid_argument,
  /// saying what to do.
  static Result<std::unique_ptr<CqlCluster>> open(RealCore& core, const CqlAccessOptions& options);

  const std::vector<Address>& nodes() const { return nodes_; }
  /// To the first node that answers, from the one that answered last. Errors: those of CqlClient::connect with what to
  /// do next; unauthorized and such are final, everything else is tried at the next node.
  Task<Result<std::unique_ptr<cql::CqlClient>>> connect(Duration limit, cql::wire::Version version);
  Task<Result<std::unique_ptr<cql::CqlClient>>> connect_to(Address node, Duration limit, cql::wire::Version version);

 private:
  explicit CqlCluster(RealCore& core) : core_(core) {}
  Status read_folder(const std::string& data);
  Status use_tls(const CqlAccessOptions& options);
  Error explain(const Error& error, const Address& node) const;

  RealCore& core_;
  std::string data_;  // empty where a node was named
  std::vector<Address> nodes_;
  std::vector<Network*> networks_;  // as many as nodes
  std::vector<std::unique_ptr<Network>> tls_;
  std::string user_, password_;
  size_t latest_ = 0;
};

/// Runs the loop until the task is done. Nothing where `*interrupted` becomes true before: the task is then destroyed.
template <class T>
std::optional<T> run_task(RealCore& core, Task<T> task, const bool* interrupted = nullptr) {
  std::optional<T> out;
  TaskGroup tasks(core.executor());
  const auto keep = [](Task<T> from, std::optional<T>& to) -> Task<void> { to.emplace(co_await std::move(from)); };
  tasks.spawn(keep(std::move(task), out));
  core.run_until([&] { return tasks.size() == 0 || (interrupted != nullptr && *interrupted); }, 24h * 365);
  return out;
}

/// "SyntaxException", as Cassandra's tools name the error.
const char* cql_error_name(cql::wire::CqlErrorCode code);

}  // namespace asterism
