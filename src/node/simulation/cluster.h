// The machines of one run: nodes and clients.
#pragma once

#include <vector>

#include "node/simulation/node_process.h"
#include "runtime/sim/sim_network.h"
#include "runtime/sim/simulation.h"

namespace asterism::simulation {

/// What a client machine runs: nothing but what its tasks need, which goes after them.
class ClientProcess final : public sim::Process {
 public:
  void keep(std::shared_ptr<void> thing) { kept_.push_back(std::move(thing)); }

 private:
  std::vector<std::shared_ptr<void>> kept_;
};

struct ClusterShape {
  uint32_t nodes = 3;
  uint32_t clients = 2;
  uint32_t register_groups = 0;
  NodeTuning tuning;
  sim::DiskOptions disk;
  bool skip_sync = false;  // the planted defect of that name
};

class SimulatedCluster {
 public:
  /// Adds and starts the machines. What it is given must outlive the simulation's machines.
  SimulatedCluster(sim::Simulation& simulation, ClusterShape shape, JournalChecker& checker);
  /// Ends every process first: nothing of a machine runs any more.
  ~SimulatedCluster();

  sim::Simulation& simulation() { return simulation_; }
  size_t nodes() const { return shape_.nodes; }
  size_t clients() const { return shape_.clients; }
  sim::Machine& node_machine(size_t node) { return simulation_.machine(node); }
  sim::Machine& client_machine(size_t client) { return simulation_.machine(shape_.nodes + client); }
  ClientProcess& client(size_t client) { return static_cast<ClientProcess&>(*client_machine(client).process()); }
  std::vector<sim::Machine*> node_machines();

  /// Null where the machine runs no process.
  NodeProcess* process(size_t node);
  /// Null where the node does not serve.
  Node* serving(size_t node);
  bool all_serving();
  const NodeConfig& config(size_t node) const { return configs_[node]; }

 private:
  sim::Simulation& simulation_;
  ClusterShape shape_;
  JournalChecker& checker_;
  std::vector<NodeConfig> configs_;
};

}  // namespace asterism::simulation
