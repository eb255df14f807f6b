#include "node/simulation/disk_damage.h"

namespace asterism::simulation {

constexpr Duration down_most = 2s;

DiskDamage::DiskDamage(SimulatedCluster& cluster, Duration mean)
    : cluster_(cluster), mean_(mean), random_(cluster.simulation().stream(78)) {}

void DiskDamage::arm() {
  next_ = cluster_.simulation().after(sim::random_exponential(random_, mean_), [this] {
    strike();
    arm();
  });
}

void DiskDamage::stop() {
  cluster_.simulation().cancel(next_);
  cluster_.simulation().cancel(restart_);
}

/// Also the victim's own earlier loss must have been made good: what it holds may be all that another lost since. And
/// nobody else may have damage that was not found yet: once it is, what lies around it is lost too.
bool DiskDamage::others_are_whole(size_t victim) {
  for (size_t i = 0; i < cluster_.nodes(); ++i) {
    if (!cluster_.present(i)) continue;
    Node* node = cluster_.serving(i);
    if (node == nullptr || node->state() != NodeState::serving) return false;
    if (i == victim) continue;
    sim::FileStore& files = cluster_.node_machine(i).disk().store();
    if (node->raft_host().recovering() || files.is_damaged("store/") || files.is_damaged("wal/")) return false;
  }
  return true;
}

void DiskDamage::strike() {
  const size_t victim = cluster_.some_node(random_);
  if (!others_are_whole(victim)) return;
  sim::Machine& machine = cluster_.node_machine(victim);
  machine.crash(random_.chance(0.5) ? sim::Crash::kill : sim::Crash::power);
  const std::string place = machine.disk().store().flip_random_byte(random_, random_.chance(0.5) ? "store/" : "wal/");
  if (!place.empty()) ++flips_;
  machine.tell("its disk flips a bit of " + place);
  restart_ = cluster_.simulation().after(sim::random_between(random_, 1ms, down_most), [&machine] {
    if (!machine.running()) machine.start();
  });
}

}  // namespace asterism::simulation
