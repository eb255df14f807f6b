// Nodes that join, leave, are replaced, are removed, get other tokens and get a newer version during a run.
#pragma once

#include "node/simulation/cluster.h"

namespace asterism::simulation {

enum class MemberStep : uint8_t {
  add,
  decommission,
  replace,
  remove,
  rebalance,  // a member gets other tokens, at random
  upgrade,    // every node gets the newer version in turn; where a plan has it, they begin with the older one
};

/// Which changes of members a run has, one after the other.
struct MemberPlan {
  struct Step {
    MemberStep what = MemberStep::add;
    std::optional<Duration> cancelled_after = {};
  };
  std::vector<Step> steps;

  static MemberPlan from(Random& random);
  size_t spares() const;  // machines that steps need
  /// A node that is replaced or removed takes what only it stored with it.
  bool loses_disks() const;
  bool upgrades() const;
  std::string describe() const;
};

class MemberLoad {
 public:
  MemberLoad(SimulatedCluster& cluster, Verdict& verdict, MemberPlan plan);

  void start();
  /// No further change begins; the one under way goes on until it is done.
  void stop() { stopping_ = true; }
  bool ended() const { return !working_; }

 private:
  Task<void> work();
  Task<void> carry_out(MemberPlan::Step step);
  Task<void> upgrade();
  Task<void> rebalance(MemberPlan::Step step);
  std::vector<int64_t> other_tokens(const std::vector<int64_t>& tokens);
  Task<bool> reaches_level(FeatureLevel level);
  Task<bool> begin(MemberStep what, size_t subject, size_t replaced);
  Task<bool> ask(std::function<Task<Status>(Node&, Instant)> request);
  Task<void> finish(MemberPlan::Step step, size_t subject);
  void delay_news(size_t subject);
  const ClusterState* freshest();
  NodeConfig joining_config(size_t machine);

  SimulatedCluster& cluster_;
  Verdict& verdict_;
  MemberPlan plan_;
  sim::SeededRandom random_;
  size_t used_ = 0;  // spare machines
  std::string refusal_;
  bool stopping_ = false, working_ = false;
};

}  // namespace asterism::simulation
