// Test equipment: three nodes composed by hand, everything between a coordinator and the disks of its replicas.
#pragma once

#include <gtest/gtest.h>

#include <map>

#include "datastore/anti_entropy.h"
#include "datastore/coordinator.h"
#include "datastore/mover.h"
#include "runtime/sim/machine.h"
#include "runtime/sim/sim_network.h"

namespace asterism::datastore {

/// What one machine runs once its disk is open.
struct SimulatedServices {
  sim::Machine& machine;
  NodeId id;
  Rpc rpc;
  raft::Host host;
  MetadataService metadata;
  Liveness liveness;
  ClusterState cluster;
  Schema schema{cluster};
  Replica replica;
  ReplicaService service;
  Hints hints;
  Coordinator coordinator;
  AntiEntropy anti_entropy;
  Mover mover;

  SimulatedServices(sim::Machine& m, KeyValueStore& store, Defects defects);
  /// Handlers may wait in any of the others.
  ~SimulatedServices() { rpc.stop(); }
  Task<Result<Bytes>> on_raft(RpcRequest request);
};

/// Table ks.t (k text PRIMARY KEY, v text), number 16, with a replica on each member.
struct SimulatedReplicas {
  static constexpr uint32_t machines = 3;

  sim::Simulation simulation;
  int64_t clock = 1;  // the timestamp of the next write

  /// The last machines may be no members yet.
  explicit SimulatedReplicas(uint64_t seed = 1, std::optional<Defect> defect = std::nullopt,
                             uint32_t members = machines);
  /// The third machine joins two members.
  void add_third();
  void start_movers();
  /// Moves from the first node to the third.
  std::string key_that_moves();

  sim::Machine& machine(size_t i) { return simulation.machine(i); }
  SimulatedServices& node(size_t i);
  void set_defects(Defects defects);  // for nodes that start from now on
  void settle();
  void down(size_t i);
  void up(size_t i);
  template <class T>
  T run(size_t at, Task<T> task) {
    std::optional<T> out;
    machine(at).spawn([](Task<T> inner, std::optional<T>& into) -> Task<void> {
      into.emplace(co_await std::move(inner));
    }(std::move(task), out));
    EXPECT_TRUE(simulation.run_until([&] { return out.has_value(); }, 120s));
    return std::move(*out);
  }
  void propose(const std::string& section, Bytes command);

  static int64_t token(const std::string& key);
  /// A write of "" deletes the row.
  Served<void> write(size_t at, const std::string& key, const std::string& value, Consistency level,
                     Duration timeout = 2s);
  /// "" where there is no row.
  Served<std::string> read(size_t at, const std::string& key, Consistency level, Duration timeout = 2s);

  /// What one node stores, tombstones included.
  std::map<Bytes, Bytes> stored(size_t at);
  std::map<Bytes, Bytes> rows_of(size_t at, const std::string& key);
  bool stores(size_t at, const std::string& key) { return !rows_of(at, key).empty(); }
  bool equal() { return stored(0) == stored(1) && stored(1) == stored(2); }

 private:
  bool ready(size_t i);
};

/// Replicas that differ: hints are planted to be dropped, so only reads and comparison can repair.
struct DivergedReplicas : SimulatedReplicas {
  explicit DivergedReplicas(std::optional<Defect> more = std::nullopt);
};

}  // namespace asterism::datastore
