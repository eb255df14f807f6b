// Changing the members of a cluster on this machine: asterism node add, decommission, remove, replace and
// cancel.
#pragma once

#include <string>

#include <boost/json/object.hpp>

#include "base/result.h"
#include "cli/commands.h"
#include "node/node_config.h"

namespace asterism {

void add_member_commands(CLI::App& node, Chosen& chosen);

/// Waits until the node, which runs and whose change has begun, is a member. Errors: closed where the change was
/// cancelled; unavailable where no node in the folder answers any more.
Status wait_until_member(const std::string& data, const std::string& name, bool quiet);

/// How a change that was waited for ended.
struct ChangeEnd {
  uint64_t shards = 0;  // that had to move
  bool cancelled = false;
};
/// Waits until the change of that node is over, with a bar on the terminal unless `quiet`. Errors: unavailable where no
/// node in the folder answers any more.
Result<ChangeEnd> wait_for_change(const std::string& data, const std::string& name, bool quiet);

/// What a node that is to join says of itself: the body of POST /members/add, and a part of that of /join/begin.
boost::json::object introduction(const NodeConfig& config);

/// What a node's status says of the change that is under way, in words: "n4 joins: 12 of 60 shards still move".
std::string describe_change(const boost::json::object& change);

}  // namespace asterism
