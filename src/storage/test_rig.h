// What the tests of this folder share: one simulated machine, and tasks that are run to their end.
#pragma once

#include <gtest/gtest.h>

#include "runtime/sim/machine.h"
#include "runtime/sim/simulation.h"

namespace asterism {

/// The value, or the end of the test binary with the error's text.
template <class T>
T must(Result<T> result) {
  if (!result) fprintf(stderr, "%s\n", result.error().to_string().c_str());
  ASSERT(result.has_value());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

struct TestRig {
  sim::Simulation simulation;
  sim::Machine& machine;

  explicit TestRig(uint64_t seed = 1) : simulation(seed), machine(simulation.add_machine({})) { machine.start(); }

  Disk& disk() { return machine.disk(); }
  Executor& executor() { return machine.executor(); }
  sim::FileStore& files() { return machine.disk().store(); }

  void start(Task<void> task) { machine.spawn(std::move(task)); }
  /// Runs the task to its end on the machine.
  void run(Task<void> task) {
    bool done = false;
    auto wrapped = [](Task<void> inner, bool& flag) -> Task<void> {
      co_await std::move(inner);
      flag = true;
    };
    machine.spawn(wrapped(std::move(task), done));
    ASSERT(simulation.run_until([&] { return done; }, 600s));
  }
  void crash_and_restart(sim::Crash kind) {
    machine.crash(kind);
    machine.start();
  }
};

}  // namespace asterism
