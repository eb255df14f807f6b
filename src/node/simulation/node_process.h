// What a simulated machine of the cluster runs: the real node, started again when it fails.
#pragma once

#include <memory>

#include "node/node.h"
#include "node/simulation/journal.h"
#include "node/simulation/register_machine.h"
#include "runtime/sim/machine.h"

namespace asterism::simulation {

class NodeProcess final : public sim::Process {
 public:
  NodeProcess(sim::Machine& machine, NodeConfig config, NodeTuning tuning, uint32_t register_groups,
              JournalChecker& checker);
  ~NodeProcess() override;
  Task<void> stop() override;

  /// Null while it starts or has failed.
  Node* serving() { return ready_ ? node_.get() : nullptr; }
  Journal& journal() { return *journal_; }
  const RegisterMachine& registers(ShardId group) const { return registers_.at(group); }
  sim::Machine& machine() { return machine_; }
  /// Runs a task that uses serving(); it is destroyed before the node is.
  void spawn(Task<void> task) { requests_.spawn(std::move(task)); }

 private:
  Task<void> run();

  sim::Machine& machine_;
  NodeConfig config_;
  NodeTuning tuning_;
  uint32_t register_groups_;
  JournalChecker& checker_;
  Log log_;
  std::unique_ptr<Journal> journal_;
  std::map<ShardId, RegisterMachine> registers_;
  std::unique_ptr<Node> node_;
  bool ready_ = false;
  TaskGroup requests_, tasks_;
};

/// A hash of nodes, shards, keyspaces and tables: equal for nodes that applied the same metadata.
uint64_t hash_of_facts(ClusterState& cluster, const datastore::Schema& schema);

}  // namespace asterism::simulation
