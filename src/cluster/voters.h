// Who takes part in the metadata log's Raft group, as the members change.
#pragma once

#include <functional>
#include <optional>

#include "cluster/cluster_state.h"
#include "raft/configuration.h"

namespace asterism {

inline constexpr size_t max_voters = 5;

struct VoterFacts {
  /// Has (almost) all of the log, so it may vote.
  std::function<bool(NodeId)> caught_up;
  /// Was a member, and has heard that it is none any more or will not hear it.
  std::function<bool(NodeId)> may_go;
};

/// What the group should become next; nothing where it is as it should be, or on its way. Every member takes part, and
/// so does a node that comes; members vote, up to max_voters. A voter stays one while it is a member.
std::optional<raft::ConfigurationTarget> next_configuration(const raft::Configuration& now, const ClusterState& cluster,
                                                            const VoterFacts& facts);

}  // namespace asterism
