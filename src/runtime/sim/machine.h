// One simulated machine: its clocks, core, disk and network, and the process that it runs.
#pragma once

#include <deque>
#include <optional>

#include "ports/disk.h"
#include "ports/network.h"
#include "runtime/executor.h"
#include "runtime/sim/sim_disk.h"
#include "runtime/sim/simulation.h"
#include "runtime/task_group.h"

namespace asterism::sim {

class MachineNetwork;

/// What a machine runs: made by a factory at start, destroyed at stop or crash with everything that belongs to it.
class Process {
 public:
  virtual ~Process() = default;
  /// A clean end; the process is destroyed when it returns.
  virtual Task<void> stop() { co_return; }
};
using ProcessFactory = std::function<std::unique_ptr<Process>(Machine&)>;

/// Virtual CPU time: what one turn of the event loop takes, plus what each thing run in it takes, both stretched by up
/// to `jitter`.
struct CpuCost {
  Duration turn = 1us;
  Duration item = 300ns;
  double jitter = 0.5;
  /// Things run in one turn before the clock moves on.
  size_t items_max = 64;
};

struct MachineOptions {
  std::string name{};
  std::string host{};  // "" for one made from the machine's number
  CpuCost cpu{};
  DiskOptions disk{};
  /// How fast its oscillator runs, and what its wall clock is off by at the start.
  int64_t drift_ppm = 0;
  Duration wall_offset{0};
};

/// Monotonic time that drifts and restarts near zero with the machine's number as an offset; wall time that drifts and
/// steps.
class MachineClock final : public Clock {
 public:
  MachineClock(const Simulation& simulation, Duration offset, int64_t drift_ppm, Duration wall_offset);
  Instant now() const override;
  WallTime wall_now() const override;
  /// When, in the simulation's time, now() first shows `local` or later.
  Instant when(Instant local) const;
  void set_drift(int64_t drift_ppm);
  void step_wall(Duration by) { wall_offset_ += by; }
  Duration wall_offset() const { return wall_offset_; }

 private:
  const Simulation& simulation_;
  Instant since_{0};  // of the latest change of drift, in the simulation's time
  Instant base_;      // what now() showed then
  int64_t drift_ppm_;
  Duration wall_offset_;
};

enum class Crash : uint8_t {
  kill,   // kill -9: written bytes survive in the kernel, peers see resets
  power,  // unsynced bytes may be lost or torn, peers see silence until the machine is started again
};

class Machine {
 public:
  Machine(Simulation& simulation, uint32_t index, MachineOptions options);
  Machine(const Machine&) = delete;
  ~Machine();

  uint32_t index() const { return index_; }
  const std::string& name() const { return options_.name; }
  const std::string& host() const { return options_.host; }
  Address address(uint16_t port) const { return {options_.host, port}; }
  Simulation& simulation() { return simulation_; }

  // The ports, as the process gets them. They and the executor live as long as the machine.
  MachineClock& clock() { return clock_; }
  Random& random() { return random_; }
  Executor& executor() { return executor_; }
  Network& network();
  SimDisk& disk() { return *disk_; }
  uint64_t normal_capacity() const { return options_.disk.store.capacity_bytes; }
  LogSink& log_sink() { return log_sink_; }
  Log log(std::string component) { return Log(log_sink_, std::move(component), simulation_.options().log_level); }

  /// Used by the next start().
  void set_process(ProcessFactory factory) { factory_ = std::move(factory); }
  /// Switches the machine on and makes its process, where it has a factory. It must not be running.
  void start();
  /// Ends the process cleanly; `running()` turns false when it is done. Nothing lost, connections are closed.
  void stop();
  /// Ends it at once, from outside of the machine's own turns: every frame and callback of it is destroyed and none
  /// runs again. Asserts that the process left nothing behind in the executor.
  void crash(Crash kind);
  /// SIGSTOP for a while: nothing of it runs, timers are late, network buffers fill.
  void freeze(Duration time);
  void thaw();
  void set_drift(int64_t drift_ppm);

  bool running() const { return running_; }
  bool powered() const { return powered_; }
  bool frozen() const { return simulation_.now() < frozen_until_; }
  /// How often it was started; tells processes of one machine apart.
  uint64_t incarnation() const { return incarnation_; }
  Process* process() { return process_.get(); }
  /// Runs a task beside the process; it is destroyed with the process. For tests and clients without a class.
  void spawn(Task<void> task) { tasks_->spawn(std::move(task)); }

  // For the simulated ports.

  /// Runs `completion` in the machine's next turn; dropped at a crash.
  void complete(std::move_only_function<void()> completion);
  /// Adds to the virtual time that the current turn takes.
  void charge(Duration time) { charged_ += time; }
  MachineNetwork& network_port() { return *network_; }
  void trace(EventKind kind, uint64_t a, uint64_t b = 0) { simulation_.trace(kind, index_, a, b); }
  void tell(std::string_view line) { simulation_.tell(index_, line); }
  SeededRandom& luck() { return luck_; }
  /// When work that stops with a frozen process may go on.
  Instant thawed_at() const { return std::max(simulation_.now(), frozen_until_); }

 private:
  struct Sink final : LogSink {
    explicit Sink(Machine& of) : machine(of) {}
    void write(LogLevel level, std::string_view component, std::string_view message) override;
    Machine& machine;
  };

  void schedule_turn();
  void turn();
  void arm_timer();
  void end_process();

  Simulation& simulation_;
  uint32_t index_;
  MachineOptions options_;
  ProcessFactory factory_;
  SeededRandom random_;  // the process's
  SeededRandom luck_;    // the simulated hardware's
  MachineClock clock_;
  Sink log_sink_;
  Executor executor_;
  std::unique_ptr<SimDisk> disk_;
  std::unique_ptr<MachineNetwork> network_;
  std::deque<std::move_only_function<void()>> completions_;
  std::unique_ptr<Process> process_;
  std::unique_ptr<TaskGroup> tasks_;
  bool running_ = false, powered_ = false, in_turn_ = false, stopping_ = false;
  uint64_t incarnation_ = 0;
  Instant busy_until_{0}, frozen_until_{0};
  Duration charged_{0};
  EventId turn_event_, timer_event_;
  Instant turn_at_{0}, timer_at_{0};
};

}  // namespace asterism::sim
