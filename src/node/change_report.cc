#include "node/change_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>

namespace asterism {
namespace {

std::string name_of(const ClusterState& cluster, NodeId id) {
  const NodeInfo* node = cluster.node(id);
  return node != nullptr ? node->name : fmt::format("node {}", id);
}

const char* kind_of(const MemberChange& change) {
  if (change.replaces()) return "replace";
  if (change.comes) return "add";
  if (change.moves) return "rebalance";
  return change.dead ? "remove" : "decommission";
}

struct Phases {
  uint64_t copying = 0, settling = 0;
  void count(const Shard& shard) { ++(shard.settling ? settling : copying); }
};

/// Those of `some` that `others` lack.
std::vector<NodeId> missing(const std::vector<NodeId>& some, const std::vector<NodeId>& others) {
  std::vector<NodeId> found;
  for (const NodeId node : some)
    if (std::ranges::find(others, node) == others.end()) found.push_back(node);
  return found;
}

}  // namespace

std::optional<boost::json::object> change_report(const ClusterState& cluster) {
  const auto& change = cluster.change();
  if (!change) return std::nullopt;
  Phases phases;
  for (const auto& [id, shard] : cluster.shards())
    if (shard.moving()) phases.count(shard);
  boost::json::object out{{"node", name_of(cluster, change->subject())},
                          {"id", change->subject().value},
                          {"what", kind_of(*change)},
                          {"cancelled", change->cancelled},
                          {"ready", change->ready},
                          {"shards", change->shards},
                          {"moving", cluster.moving()},
                          {"copying", phases.copying},
                          {"settling", phases.settling},
                          {"mib_per_second", cluster.settings().move_mib_per_second}};
  if (change->replaces()) out["replaces"] = name_of(cluster, change->leaves);
  if (change->comes) out["address"] = change->comes->host;
  return out;
}

boost::json::array moves_between_nodes(const ClusterState& cluster) {
  std::map<std::pair<NodeId, NodeId>, Phases> moves;
  for (const auto& [id, shard] : cluster.shards()) {
    if (!shard.moving()) continue;
    const std::vector<NodeId> gains = missing(shard.target, shard.replicas);
    const std::vector<NodeId> loses = missing(shard.replicas, shard.target);
    for (size_t i = 0; i < gains.size(); ++i) {
      const NodeId from = i < loses.size() ? loses[i] : shard.replicas.empty() ? NodeId{} : shard.replicas.front();
      moves[{from, gains[i]}].count(shard);
    }
  }
  boost::json::array out;
  for (const auto& [ends, phases] : moves)
    out.push_back({{"from", ends.first.value},
                   {"to", ends.second.value},
                   {"copying", phases.copying},
                   {"settling", phases.settling}});
  return out;
}

std::string describe_change(const ClusterState& cluster, const MemberChange& change) {
  const std::string name = name_of(cluster, change.subject());
  if (change.replaces()) return fmt::format("{} takes the place of {}", name, name_of(cluster, change.leaves));
  if (change.comes) return name + " joins";
  if (change.moves) return name + " gets other tokens";
  return change.dead ? name + ", which is dead, is removed" : name + " leaves";
}

}  // namespace asterism
