// Registers on Raft groups of their own, beside the tables: what clients read, write and compare-and-set through the
// nodes' Raft hosts must be linearizable.
#pragma once

#include "node/simulation/cluster.h"
#include "runtime/sim/linearizability.h"

namespace asterism::simulation {

/// Which registers a run has, and how busy they are.
struct RegisterPlan {
  uint32_t groups = 2;
  uint32_t workers = 3;
  Duration think_most = 50ms;
  Duration patience = 1s;

  static RegisterPlan from(Random& random);
  std::string describe() const;
};

class RegisterLoad {
 public:
  RegisterLoad(SimulatedCluster& cluster, Verdict& verdict, RegisterPlan plan);

  void start();
  /// Workers end after their current request.
  void stop() { stopping_ = true; }
  bool ended() const { return working_ == 0; }
  /// On a cluster that is whole again: every node reads the same, and the whole history is linearizable.
  Task<void> final_check();
  uint64_t operations() const { return history_.size(); }

 private:
  struct Request {
    ShardId group;
    size_t node = 0;
    sim::RegisterOperation operation;
  };

  Task<void> work(sim::SeededRandom random);
  Request choose(sim::SeededRandom& random);
  Task<Result<Bytes>> ask(const Request& request, Duration limit);
  Task<void> one(Request request);
  Task<bool> read_surely(ShardId group, size_t node, const std::string& key);
  Task<bool> compare_nodes(ShardId group);

  SimulatedCluster& cluster_;
  Verdict& verdict_;
  RegisterPlan plan_;
  sim::SeededRandom random_;
  std::map<ShardId, uint64_t> requests_;      // of each group so far
  std::map<std::string, std::string> known_;  // by register: the value that was last heard of
  std::vector<sim::RegisterOperation> history_;
  uint64_t next_value_ = 1;
  bool stopping_ = false;
  size_t working_ = 0;
};

}  // namespace asterism::simulation
