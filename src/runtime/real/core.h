// RealCore: one event loop on the operating system, with the ports that belong to it.
#pragma once

#include <csignal>
#include <functional>
#include <memory>
#include <vector>

#include "ports/clock.h"
#include "ports/disk.h"
#include "ports/network.h"
#include "ports/random.h"
#include "runtime/executor.h"

namespace asterism {

/// Monotonic time is CLOCK_MONOTONIC, wall time CLOCK_REALTIME. Usable from any thread.
class RealClock final : public Clock {
 public:
  Instant now() const override;
  WallTime wall_now() const override;
};

/// xoshiro256++, seeded from the kernel. One per core.
class RealRandom final : public Random {
 public:
  RealRandom();
  uint64_t next() override;

 private:
  uint64_t state_[4];
};

/// Drives one Executor from one thread: the thread that calls run(). Everything but wake_with() and stop() belongs to
/// that thread. Streams, listeners, files, disks, watches, tasks and timers must be destroyed before their core.
class RealCore {
 public:
  RealCore();
  RealCore(const RealCore&) = delete;
  RealCore& operator=(const RealCore&) = delete;
  /// Waits for file work that was started.
  ~RealCore();

  Executor& executor() const;
  const Clock& clock() const;
  Random& random() const;
  /// TCP without delay (Nagle off). Listeners bind with SO_REUSEADDR. Hosts are literal addresses.
  Network& network() const;
  /// A disk whose relative paths start in `folder`, which is made where it is missing. Files are worked on by the
  /// core's own few threads; a sync is an fdatasync, and syncs that wait in a row share one.
  Result<std::unique_ptr<Disk>> open_disk(const std::string& folder) const;

  /// Runs until stop(). Sleeps in the kernel while there is nothing to do.
  void run();
  /// Makes run() return after the current turn; a run() that comes later returns at once. From any thread.
  void stop();
  /// Runs until `done()`, which is asked after every turn, or until `limit` has passed: then false.
  bool run_until(const std::function<bool()>& done, Duration limit);
  /// Runs the function in the loop's thread, later. From any thread.
  void wake_with(std::move_only_function<void()> function) const;
  /// Calls `handler` in the loop each time one of the signals arrives, from now until the core is destroyed.
  void on_signals(const std::vector<int>& signals, std::function<void(int)> handler);

  struct Impl;  // for this folder only
  Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace asterism
