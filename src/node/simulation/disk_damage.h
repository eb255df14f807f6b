// Disks that flip bits: on one stopped node at a time, so that the others hold everything.
#pragma once

#include "node/simulation/cluster.h"

namespace asterism::simulation {

class DiskDamage {
 public:
  /// About every `mean`, where the rest of the cluster is whole then.
  DiskDamage(SimulatedCluster& cluster, Duration mean);
  ~DiskDamage() { stop(); }

  void start() { arm(); }
  /// No damage follows; a machine that is down for it stays down.
  void stop();
  uint64_t flips() const { return flips_; }

 private:
  void arm();
  void strike();
  bool others_are_whole(size_t victim);

  SimulatedCluster& cluster_;
  Duration mean_;
  sim::SeededRandom random_;
  sim::EventId next_, restart_;
  uint64_t flips_ = 0;
};

}  // namespace asterism::simulation
