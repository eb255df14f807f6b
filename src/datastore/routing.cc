#include "datastore/routing.h"

#include <algorithm>

namespace asterism::datastore {

static uint32_t majority(size_t replicas) { return static_cast<uint32_t>(replicas / 2 + 1); }

Result<Requirement> require(Consistency consistency, const std::vector<NodeId>& replicas, const ClusterState& cluster,
                            const std::string& local_datacenter) {
  Requirement result;
  const bool local = consistency == Consistency::local_one || consistency == Consistency::local_quorum;
  bool spans_datacenters = false;
  for (NodeId replica : replicas) {
    const NodeInfo* node = cluster.node(replica);
    const bool here = node != nullptr && node->place.datacenter == local_datacenter;
    spans_datacenters |= !here;
    (local && !here ? result.others : result.counted).push_back(replica);
  }
  switch (consistency) {
    case Consistency::any:
      result.required = 0;
      break;
    case Consistency::one:
    case Consistency::local_one:
      result.required = 1;
      break;
    case Consistency::two:
      result.required = 2;
      break;
    case Consistency::three:
      result.required = 3;
      break;
    case Consistency::quorum:
    case Consistency::local_quorum:
      result.required = majority(result.counted.size());
      break;
    case Consistency::each_quorum:
      if (spans_datacenters)
        return fail(ErrorCode::unsupported, "EACH_QUORUM over several datacenters is not supported yet");
      result.required = majority(result.counted.size());
      break;
    case Consistency::all:
      result.required = static_cast<uint32_t>(result.counted.size());
      break;
    case Consistency::serial:
    case Consistency::local_serial:
      return fail(ErrorCode::invalid_argument, "{} is not supported for this request", to_string(consistency));
  }
  return result;
}

static bool contains(const std::vector<NodeId>& nodes, NodeId node) {
  return std::ranges::find(nodes, node) != nodes.end();
}

Result<Requirement> require(Consistency consistency, const Shard& shard, bool write, const ClusterState& cluster,
                            const std::string& local_datacenter) {
  TRY(Requirement now, require(consistency, shard.replicas, cluster, local_datacenter));
  if (!shard.moving() || !(write || shard.settling)) return now;
  TRY(Requirement next, require(consistency, shard.target, cluster, local_datacenter));
  now.next = std::move(next.counted);
  now.next_required = next.required;
  for (NodeId node : next.others)
    if (!contains(now.others, node)) now.others.push_back(node);
  return now;
}

bool Requirement::enough(NodeId node) const {
  const bool now_reached = required == 0 || (required == 1 && contains(counted, node));
  return now_reached && (next_required == 0 || (next_required == 1 && contains(next, node)));
}

std::vector<NodeId> Requirement::all_counted() const {
  std::vector<NodeId> all;
  for (const bool both : {true, false})
    for (NodeId node : counted)
      if (contains(next, node) == both) all.push_back(node);
  for (NodeId node : next)
    if (!contains(counted, node)) all.push_back(node);
  return all;
}

uint32_t count_up(const std::vector<NodeId>& nodes, const Liveness& liveness) {
  return static_cast<uint32_t>(std::ranges::count_if(nodes, [&](NodeId node) { return liveness.up(node); }));
}

}  // namespace asterism::datastore
