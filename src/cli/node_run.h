// The foreground process of one node.
#pragma once

#include <optional>
#include <string>

namespace asterism {

struct NodeRunOptions {
  std::string name;
  std::string data;                  // the node's own folder
  bool report = false;               // write launch_report() to descriptor `child_pipe`; log to node.log
  bool insecure = false;             // as in node.toml
  std::optional<int> supervised_by;  // end when that process, which must be the parent, ends
  std::string supervisor_socket;     // where that process answers; empty: nowhere
};

/// Serves until SIGTERM or SIGINT.
int run_node_process(const NodeRunOptions& options);

}  // namespace asterism
