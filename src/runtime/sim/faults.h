// What goes wrong in a run, chosen by its seed.
#pragma once

#include <string>
#include <vector>

#include "runtime/sim/machine.h"
#include "runtime/sim/sim_network.h"

namespace asterism::sim {

/// Swarm testing: each run has its own mix of faults. A rate is the mean time between two faults of a kind over the
/// whole cluster; zero switches the kind off.
struct FaultPlan {
  Duration crash_kill{0}, crash_power{0}, crash_all{0};
  Duration freeze{0};
  Duration cut_one{0}, cut_halves{0}, cut_one_way{0};
  Duration clog{0};
  Duration reset{0};
  Duration slow_disk{0}, full_disk{0};
  Duration clock_step{0}, clock_drift{0};
  /// How long faults that end by themselves last, at most.
  Duration lasts_max = 5s;
  Duration restart_after_max = 3s;
  Duration clock_step_max = 2s;
  int64_t drift_ppm_max = 500;
  /// For all links from start to heal(): see LinkOptions and NetworkOptions. Zero leaves them as they are.
  double loss = 0;
  Duration delay_tail{0};
  size_t segment_bytes_max = 0;

  /// A random subset of the kinds with random rates. `scale` is the typical mean time between faults.
  static FaultPlan from(Random& random, Duration scale = 5s);
  /// The kinds that are on, for the story.
  std::string describe() const;
};

/// Carries out a plan on machines until heal().
class Nemesis {
 public:
  /// At most `down_max` machines are down, frozen or cut off at once, but for crash_all, cut_halves and disks that fill
  /// up together. The machines must have a process to start again.
  Nemesis(Simulation& simulation, std::vector<Machine*> machines, FaultPlan plan, size_t down_max);
  Nemesis(const Nemesis&) = delete;
  ~Nemesis();

  void start();
  /// Ends all faults: machines run, links are whole, disks are fast and have room, clocks drift no more. Wall clocks
  /// keep their steps. No fault follows.
  void heal();
  const FaultPlan& plan() const { return plan_; }

 private:
  using Action = void (Nemesis::*)();
  void arm(Duration mean, Action action);
  void later(Duration wait, std::move_only_function<void()> function);
  Machine& any() { return *machines_[random_.below(machines_.size())]; }
  Machine* pick_healthy();
  void mark_down(const Machine& machine, Duration time);
  size_t down() const;
  Duration some(Duration most);
  std::vector<uint32_t> all_but(const Machine& machine) const;
  void crash(Machine& machine, Crash kind);
  void cut(const std::vector<uint32_t>& side, const std::vector<uint32_t>& other, bool one_way, Duration time);

  void crash_kill();
  void crash_power();
  void crash_all();
  void freeze();
  void cut_one();
  void cut_halves();
  void cut_one_way();
  void clog();
  void reset();
  void slow_disk();
  void full_disk();
  void fill(Machine& machine, Duration time);
  void clock_step();
  void clock_drift();

  Simulation& simulation_;
  std::vector<Machine*> machines_;
  FaultPlan plan_;
  size_t down_max_;
  SeededRandom random_;
  std::vector<Instant> down_until_;
  std::vector<EventId> events_;
  NetworkOptions normal_network_;
  bool active_ = false;
};

}  // namespace asterism::sim
