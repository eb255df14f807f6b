#include "node/simulation/cluster.h"

#include <algorithm>

namespace asterism::simulation {

SimulatedCluster::SimulatedCluster(sim::Simulation& simulation, ClusterShape shape, JournalChecker& checker)
    : simulation_(simulation), shape_(std::move(shape)), checker_(checker) {
  std::vector<MemberConfig> seeds;
  for (uint32_t i = 0; i < nodes(); ++i) {
    sim::MachineOptions options;
    options.name = fmt::format("n{}", i + 1);
    options.disk = shape_.disk;
    sim::Machine& machine = simulation_.add_machine(std::move(options));
    if (i < shape_.nodes) seeds.push_back({NodeId{i + 1}, machine.name(), machine.host(), 7000});
  }
  for (uint32_t i = 0; i < shape_.clients; ++i) {
    sim::MachineOptions options;
    options.name = fmt::format("client{}", i + 1);
    simulation_.add_machine(std::move(options));
  }
  for (uint32_t i = 0; i < nodes(); ++i) {
    sim::Machine& machine = simulation_.machine(i);
    NodeConfig config;
    config.id = NodeId{i + 1};
    config.name = machine.name();
    config.address = machine.host();
    config.data_folder = "/";
    config.seeds = seeds;
    config.joined = i >= shape_.nodes;
    if (config.joined) config.seeds.push_back({config.id, config.name, config.address, config.rpc_port});
    configs_.push_back(config);
    present_.push_back(!config.joined);
    levels_.push_back(config.joined ? newest_feature_level : shape_.founders_level);
    if (shape_.skip_sync) machine.disk().store().set_sync_skipped("");
    machine.set_process([this, i](sim::Machine& on) -> std::unique_ptr<sim::Process> {
      NodeTuning tuning = shape_.tuning;
      tuning.feature_level = levels_[i];
      return std::make_unique<NodeProcess>(on, configs_[i], std::move(tuning), shape_.register_groups, checker_);
    });
    if (!config.joined) machine.start();
  }
  for (uint32_t i = 0; i < shape_.clients; ++i) {
    client_machine(i).set_process([](sim::Machine&) { return std::make_unique<ClientProcess>(); });
    client_machine(i).start();
  }
}

SimulatedCluster::~SimulatedCluster() {
  for (size_t i = simulation_.machine_count(); i-- > 0;)
    if (simulation_.machine(i).running()) simulation_.machine(i).crash(sim::Crash::kill);
}

std::vector<sim::Machine*> SimulatedCluster::node_machines() {
  std::vector<sim::Machine*> machines;
  for (size_t i = 0; i < nodes(); ++i) machines.push_back(&node_machine(i));
  return machines;
}

size_t SimulatedCluster::some_node(Random& random) const {
  uint64_t left = random.below(static_cast<uint64_t>(std::ranges::count(present_, true)));
  size_t node = 0;
  while (!present(node) || left-- > 0) ++node;
  return node;
}

size_t SimulatedCluster::node_after(size_t node) const {
  do node = (node + 1) % nodes();
  while (!present(node));
  return node;
}

NodeProcess* SimulatedCluster::process(size_t node) { return static_cast<NodeProcess*>(node_machine(node).process()); }

Node* SimulatedCluster::serving(size_t node) {
  NodeProcess* running = process(node);
  return running == nullptr ? nullptr : running->serving();
}

bool SimulatedCluster::all_serving() {
  for (size_t i = 0; i < nodes(); ++i) {
    if (!present(i)) continue;
    Node* node = serving(i);
    if (node == nullptr || node->state() != NodeState::serving) return false;
  }
  return true;
}

}  // namespace asterism::simulation
