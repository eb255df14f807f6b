#include "cluster/voters.h"

#include <algorithm>
#include <set>

namespace asterism {

std::optional<raft::ConfigurationTarget> next_configuration(const raft::Configuration& now, const ClusterState& cluster,
                                                            const VoterFacts& facts) {
  if (now.joint() || cluster.nodes().empty()) return std::nullopt;
  std::set<NodeId> voters, learners;
  for (NodeId node : now.members()) {
    if (cluster.node(node) == nullptr && facts.may_go(node)) continue;
    (now.is_voter(node) ? voters : learners).insert(node);
  }
  if (cluster.change() && cluster.change()->comes && !now.contains(cluster.change()->comes->id))
    learners.insert(cluster.change()->comes->id);
  for (const auto& [id, node] : cluster.nodes())
    if (!now.contains(id)) learners.insert(id);
  size_t members =
      static_cast<size_t>(std::ranges::count_if(voters, [&](NodeId node) { return cluster.nodes().contains(node); }));
  for (auto it = learners.begin(); it != learners.end() && members < max_voters;) {
    const bool able = cluster.nodes().contains(*it) && now.contains(*it) && facts.caught_up(*it);
    if (!able) {
      ++it;
      continue;
    }
    voters.insert(*it);
    it = learners.erase(it);
    ++members;
  }
  raft::ConfigurationTarget target;
  target.voters.assign(voters.begin(), voters.end());
  target.learners.assign(learners.begin(), learners.end());
  target.priorities = now.priorities;
  if (voters.empty() || (target.voters == now.voters && target.learners == now.learners)) return std::nullopt;
  return target;
}

}  // namespace asterism
