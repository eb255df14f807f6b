// Changing the members of a cluster on this machine: asterism node add, decommission, replace and cancel.
#pragma once

#include <string>

#include <boost/json/object.hpp>

#include "cli/commands.h"

namespace asterism {

void add_member_commands(CLI::App& node, Chosen& chosen);

/// What a node's status says of the change that is under way, in words: "n4 joins: 12 of 60 shards still move".
std::string describe_change(const boost::json::object& change);

}  // namespace asterism
