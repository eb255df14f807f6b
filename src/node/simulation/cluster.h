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
  uint32_t spares = 0;  // machines of nodes that join later
  uint32_t register_groups = 0;
  NodeTuning tuning;
  sim::DiskOptions disk;
  FeatureLevel founders_level = newest_feature_level;  // that their version supports
  bool skip_sync = false;                              // the planted defect of that name
};

class SimulatedCluster {
 public:
  /// Adds and starts the machines. What it is given must outlive the simulation's machines.
  SimulatedCluster(sim::Simulation& simulation, ClusterShape shape, JournalChecker& checker);
  /// Ends every process first: nothing of a machine runs any more.
  ~SimulatedCluster();

  sim::Simulation& simulation() { return simulation_; }
  /// Machines for nodes: those that founded the cluster, then spare ones.
  size_t nodes() const { return shape_.nodes + shape_.spares; }
  size_t founders() const { return shape_.nodes; }
  /// Whether it takes part: it should serve when all is well.
  bool present(size_t node) const { return present_[node]; }
  void set_present(size_t node, bool present) { present_[node] = present; }
  /// One that takes part.
  size_t some_node(Random& random) const;
  /// The one after it that takes part.
  size_t node_after(size_t node) const;
  size_t clients() const { return shape_.clients; }
  sim::Machine& node_machine(size_t node) { return simulation_.machine(node); }
  sim::Machine& client_machine(size_t client) { return simulation_.machine(nodes() + client); }
  ClientProcess& client(size_t client) { return static_cast<ClientProcess&>(*client_machine(client).process()); }
  std::vector<sim::Machine*> node_machines();

  /// Null where the machine runs no process.
  NodeProcess* process(size_t node);
  /// Null where the node does not serve.
  Node* serving(size_t node);
  bool all_serving();
  const NodeConfig& config(size_t node) const { return configs_[node]; }
  /// Which feature level the node's version supports; in force like its configuration.
  void set_level(size_t node, FeatureLevel level) { levels_[node] = level; }
  /// In force when its machine is started the next time.
  void set_config(size_t node, NodeConfig config) { configs_[node] = std::move(config); }

 private:
  sim::Simulation& simulation_;
  ClusterShape shape_;
  JournalChecker& checker_;
  std::vector<NodeConfig> configs_;
  std::vector<bool> present_;
  std::vector<FeatureLevel> levels_;
};

}  // namespace asterism::simulation
