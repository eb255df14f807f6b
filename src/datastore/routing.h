// Who has to answer for a consistency level to be reached.
#pragma once

#include <vector>

#include "cluster/cluster_state.h"
#include "cluster/liveness.h"
#include "datastore/table_service.h"

namespace asterism::datastore {

/// Which replicas count, and how many of them must answer. Where a shard moves, as many as the level wants of the
/// replicas that it will have must answer as well.
struct Requirement {
  std::vector<NodeId> counted;  // replicas whose answers count
  std::vector<NodeId> others;   // replicas that get writes, but do not count (other datacenters)
  uint32_t required = 0;
  std::vector<NodeId> next;  // future replicas whose answers count; a node may be in both
  uint32_t next_required = 0;

  /// Whether that node is the only replica.
  bool only(NodeId node) const { return others.empty() && next.empty() && counted.size() == 1 && counted[0] == node; }
  /// Whether that node's answer alone is enough.
  bool enough(NodeId node) const;
  /// Everybody whose answer counts, each once; those that count twice first.
  std::vector<NodeId> all_counted() const;
};

/// Errors: invalid_argument for levels that make no sense here (SERIAL, ANY for reads).
Result<Requirement> require(Consistency consistency, const std::vector<NodeId>& replicas, const ClusterState& cluster,
                            const std::string& local_datacenter);

/// The same for a shard. `write`: else a read, which asks future replicas only while the shard settles.
Result<Requirement> require(Consistency consistency, const Shard& shard, bool write, const ClusterState& cluster,
                            const std::string& local_datacenter);

/// How many of `nodes` are up.
uint32_t count_up(const std::vector<NodeId>& nodes, const Liveness& liveness);

}  // namespace asterism::datastore
