// The change of members that is under way, as GET /status and the console tell it.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <optional>

#include "cluster/cluster_state.h"

namespace asterism {

/// The node, what becomes of it ("add", "replace", "decommission", "remove"), and how many shards move: "shards" when
/// it began, "moving" still, of these "copying" and "settling". Nothing where no change is under way.
std::optional<boost::json::object> change_report(const ClusterState& cluster);

/// Between which nodes shards move: {"from", "to"} by id, with how many are "copying" and "settling". A shard that only
/// gains a replica comes from its first one. Ascending by from and to.
boost::json::array moves_between_nodes(const ClusterState& cluster);

/// "n4 joins", "n1 leaves", "n5 takes the place of n2": how a change is told as an event.
std::string describe_change(const ClusterState& cluster, const MemberChange& change);

}  // namespace asterism
