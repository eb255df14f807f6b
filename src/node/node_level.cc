// How the feature level of the cluster rises, and what keeps a node of too old a version out.
#include "node/node_parts.h"

namespace asterism {

constexpr Duration look_every = 200ms;
constexpr Duration raise_limit = 5s;
constexpr Duration level_patience = 3s;

/// There is one for each level that this node has seen active, so that an older version need not join to be refused.
static std::string level_mark(FeatureLevel level) { return fmt::format("feature_level_{}", level); }

Task<Status> Node::Parts::check_level_marks() {
  CO_TRY(const bool beyond, co_await is_marked(level_mark(supported_level() + 1).c_str()));
  if (!beyond) co_return Status{};
  co_return fail(ErrorCode::unsupported,
                 "{} has been at feature level {} or above, and supports no more than {} now: it needs a newer version "
                 "of asterism, or most_feature_level in its node.toml is too low",
                 config.name, supported_level() + 1, supported_level());
}

/// The leader of the metadata log raises the level when all that take part are up and support the next.
Task<void> Node::Parts::tend_level() {
  while (true) {
    while (level_marked < cluster.level() && cluster.check_level()) {
      if (!co_await mark(level_mark(level_marked + 1).c_str())) break;
      ++level_marked;
    }
    const FeatureLevel next = cluster.level() + 1;
    const auto supports = [&](NodeId node) { return liveness->level_of(node).value_or(0) >= next; };
    const auto& change = cluster.change();
    const bool all = !cluster.nodes().empty() &&
                     std::ranges::all_of(cluster.nodes(), [&](const auto& entry) { return supports(entry.first); }) &&
                     (!change || !change->comes || supports(change->comes->id));
    if (all && supported_level() >= next && host->is_leader(metadata_shard)) {
      auto raised = co_await metadata->propose(ClusterState::section_name, ClusterState::raise_level_command(next),
                                               ports.executor.now() + raise_limit);
      if (raised) log.info("the cluster is at feature level {} now", next);
    }
    co_await sleep_for(look_every);
  }
}

/// A cluster that has just started is there in a moment.
Task<Status> Node::Parts::wait_for_level(FeatureLevel level) {
  const Instant until = ports.executor.now() + level_patience;
  while (cluster.level() < level && ports.executor.now() < until) co_await sleep_for(node_poll);
  co_return cluster.check_active(level);
}

}  // namespace asterism
