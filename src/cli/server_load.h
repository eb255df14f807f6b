// How long the processors of a cluster's nodes have worked, as GET /metrics says.
#pragma once

#include <memory>
#include <vector>

#include "cli/cluster_folder.h"
#include "ports/network.h"
#include "runtime/real/core.h"
#include "runtime/task.h"

namespace asterism {

/// Used by one core, which must outlive it and its tasks.
class ServerLoad {
 public:
  /// Of the cluster in the folder; of none where it holds none.
  ServerLoad(RealCore& core, const std::string& data);

  struct Used {
    Duration time{0};
    size_t nodes = 0;  // that were asked before and after, and have not begun anew
  };
  /// Asks all nodes: time counts from here.
  Task<void> begin();
  Task<Used> end();
  size_t size() const { return nodes_.size(); }

 private:
  struct Node {
    NodeConfig config;
    std::unique_ptr<Network> tls;  // null where it serves plain bytes
    std::optional<double> before_s;
  };
  Task<void> ask(const Node& node, std::optional<double>& seconds);
  Task<std::vector<std::optional<double>>> ask_all();

  RealCore& core_;
  std::vector<Node> nodes_;
};

}  // namespace asterism
