// Who has to answer for a consistency level to be reached.
#pragma once

#include <vector>

#include "cluster/cluster_state.h"
#include "cluster/liveness.h"
#include "datastore/table_service.h"

namespace asterism::datastore {

/// Which replicas count, and how many of them must answer.
struct Requirement {
  std::vector<NodeId> counted;  // replicas whose answers count
  std::vector<NodeId> others;   // replicas that get writes, but do not count (other datacenters)
  uint32_t required = 0;

  /// Whether that node is the only replica.
  bool only(NodeId node) const { return others.empty() && counted.size() == 1 && counted[0] == node; }
};

/// Errors: invalid_argument for levels that make no sense here (SERIAL, ANY for reads).
Result<Requirement> require(Consistency consistency, const std::vector<NodeId>& replicas, const ClusterState& cluster,
                            const std::string& local_datacenter);

/// How many of `nodes` are up.
uint32_t count_up(const std::vector<NodeId>& nodes, const Liveness& liveness);

const char* to_string(Consistency consistency);

}  // namespace asterism::datastore
