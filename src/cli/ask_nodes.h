// Asking the running nodes of a cluster on this machine over HTTP.
#pragma once

#include <boost/json/object.hpp>

#include "base/time.h"
#include "cli/cluster_folder.h"

namespace asterism {

struct NodeAnswer {
  NodeConfig config;
  std::optional<ProcessName> process;
  /// What GET /status said, or why there is no answer.
  Result<boost::json::object> status;
};

/// Asks all nodes in the folder at once, each for a second at most. Errors: not_found where the folder holds no
/// cluster; what read_cluster() says.
Result<std::vector<NodeAnswer>> ask_status(const std::string& data);

/// Posts to one node. Errors: those of http_call(); corrupt where the answer is no JSON object; internal with what the
/// node said where its status is not 200.
/// 409 is already_exists with the node's words alone.
Result<boost::json::object> post_to_node(const NodeConfig& config, const std::string& target, Duration limit,
                                         const std::string& body = "");

/// The status of the node that has applied most of the metadata log; null where none answers.
const boost::json::object* freshest(const std::vector<NodeAnswer>& answers);

/// The member where it is there and a string, else "". Control characters are left out, because it is printed.
std::string text_member(const boost::json::object& object, std::string_view name);
/// The member at "a.b", or null.
const boost::json::value* find_member(const boost::json::object& object, std::string_view path);

}  // namespace asterism
