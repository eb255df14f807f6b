// The nodes whose folders are on this machine, as commands that work on snapshots ask them: with what only those know
// who may read those folders.
#pragma once

#include <memory>
#include <vector>

#include "cli/cluster_folder.h"
#include "ports/network.h"
#include "runtime/real/core.h"
#include "runtime/task.h"

namespace asterism {

/// Used by one core, which must outlive it and its tasks.
class BackupNodes {
 public:
  /// Errors: not_found, invalid_argument, saying what to do.
  static Result<std::unique_ptr<BackupNodes>> open(RealCore& core, const std::string& data);

  size_t size() const { return nodes_.size(); }
  const std::string& name(size_t node) const { return nodes_[node].config.name; }

  /// What the node answers. Errors: closed and timeout where it does not; unavailable, overloaded and unauthorized (it
  /// was started anew), where another attempt may succeed; invalid_argument and corrupt where none does. All but the
  /// first two are in the node's own words.
  Task<Result<Bytes>> post(size_t node, std::string target, Bytes body, Duration limit);
  /// Of the first node that can be reached. Errors: unavailable where there is none; else as above.
  Task<Result<Bytes>> post_to_any(std::string target, Bytes body, Duration limit);

 private:
  struct Node {
    NodeConfig config;
    std::unique_ptr<Network> tls;  // null where it serves plain bytes
  };
  explicit BackupNodes(RealCore& core) : core_(core) {}

  RealCore& core_;
  std::vector<Node> nodes_;
};

}  // namespace asterism
