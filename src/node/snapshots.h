// Snapshots of the whole cluster: each node copies its store under a name (snapshot_manifest.h), all or none.
#pragma once

#include <boost/json/object.hpp>

#include <set>

#include "cluster/liveness.h"
#include "cluster/metadata_service.h"
#include "datastore/replica.h"
#include "node/node.h"
#include "node/snapshot_manifest.h"
#include "runtime/channel.h"

namespace asterism {

/// Any node does it for all. Registers its RPC handler, through which the nodes ask one another. Used by one core; what
/// it is given outlives it.
class Snapshots {
 public:
  static constexpr Duration take_limit = std::chrono::minutes(9);

  Snapshots(const NodeConfig& config, NodePorts ports, Rpc& rpc, MetadataService& metadata, const ClusterState& cluster,
            const datastore::Schema& schema, Liveness& liveness, KeyValueStore& store, datastore::Replica& replica,
            Log log);

  /// Everything acknowledged before the call, on all nodes, is in it, durably. Otherwise nothing is kept, but on nodes
  /// that the error names. Errors: invalid_argument (the name), already_exists, unavailable (a node is down, or shards
  /// move), io, no_space, timeout.
  Task<Result<boost::json::object>> create(std::string name);
  /// Of all nodes that are up: {"snapshots":[{"name","id","taken_us","bytes","nodes","missing"}],"down":[names]}.
  Task<Result<boost::json::object>> list();
  /// Removes it from all nodes. Errors: not_found; unavailable, naming those that still keep a part.
  Task<Status> remove(std::string name);

 private:
  struct Asked;
  Task<Result<Bytes>> serve(RpcRequest request);
  Task<Result<boost::json::object>> carry_out(const boost::json::object& request, Instant deadline);
  Task<Result<boost::json::object>> take(const boost::json::object& request, Instant deadline);
  Task<Result<boost::json::object>> make(SnapshotManifest manifest);
  Task<Status> keep(const std::string& name, const std::string& id);
  Task<Result<bool>> drop(const std::string& name, const std::string& id);
  Task<Result<boost::json::object>> list_own();
  Task<Result<SnapshotManifest>> read_manifest(const std::string& path);
  Task<Result<bool>> there(const std::string& folder);

  Task<std::vector<Asked>> ask_all(const std::vector<NodeId>& nodes, boost::json::object request, Instant deadline);
  Task<void> ask(Asked& asked, Bytes request, Instant deadline);
  Task<Status> undo(const std::vector<NodeId>& nodes, const std::string& name, const std::string& id, Error why);
  Status check_still(const std::vector<NodeId>& nodes) const;
  std::vector<NodeId> members() const;
  std::string name_of(NodeId node) const;
  std::string down_words(const std::vector<NodeId>& nodes) const;

  const NodeConfig& config_;
  NodePorts ports_;
  Rpc& rpc_;
  MetadataService& metadata_;
  const ClusterState& cluster_;
  const datastore::Schema& schema_;
  Liveness& liveness_;
  KeyValueStore& store_;
  datastore::Replica& replica_;
  Log log_;
  WaitQueue news_;              // a node answered, or went up or down
  bool creating_ = false;       // for all nodes
  std::set<std::string> busy_;  // names of which this node works on its own part
};

}  // namespace asterism
