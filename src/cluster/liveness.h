// Pings the other nodes and tells who is up.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "cluster/failure_detector.h"
#include "cluster/feature_level.h"
#include "cluster/rpc.h"

namespace asterism {

/// What a node believes of the others. Used by one core.
class Liveness {
 public:
  static constexpr Duration ping_every = 200ms;
  /// Nodes that are down are asked more often: coming back should be noticed soon.
  static constexpr Duration ping_down_every = 50ms;
  static constexpr Duration ping_timeout = 1s;

  /// Registers its RPC handler. The arguments must outlive it.
  Liveness(NodeId self, Executor& executor, Rpc& rpc, Log log);

  /// What this node tells the others with each ping: the feature level that it supports.
  void announce(FeatureLevel level) { own_level_ = level; }
  /// What a node that is up has told; nothing before it has.
  std::optional<FeatureLevel> level_of(NodeId node) const;

  /// Starts to watch a node; again: nothing happens.
  void watch(NodeId node);
  void forget(NodeId node);
  /// Oneself is always up.
  bool up(NodeId node) const;
  /// Nodes of which `is_gone` says so are told that they are no members any more; `told` is called where this node is.
  void on_removal(std::function<bool(NodeId)> is_gone, std::function<void()> told) {
    is_gone_ = std::move(is_gone);
    told_gone_ = std::move(told);
  }
  /// Called when a node that is watched goes up or down.
  void on_change(std::function<void(NodeId, bool up)> listener) { listeners_.push_back(std::move(listener)); }

 private:
  struct Watched {
    bool up = false;
    uint32_t silent_pings = 0;
    TaskGroup tasks;
    explicit Watched(Executor& executor) : tasks(executor) {}
  };
  Task<void> ping_loop(NodeId node, Watched& watched);
  void judge(NodeId node, Watched& watched);

  NodeId self_;
  Executor& executor_;
  Rpc& rpc_;
  Log log_;
  FailureDetector detector_;
  std::map<NodeId, Watched> watched_;
  FeatureLevel own_level_ = first_feature_level;
  std::map<NodeId, FeatureLevel> levels_;
  std::vector<std::function<void(NodeId, bool)>> listeners_;
  std::function<bool(NodeId)> is_gone_;
  std::function<void()> told_gone_;
};

}  // namespace asterism
