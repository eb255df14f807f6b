// A whole cluster in one thread, on virtual time, from one seed.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/time.h"
#include "runtime/sim/seeded_random.h"

namespace asterism::sim {

class Machine;
class NetworkFabric;
struct MachineOptions;

/// What an event or a traced fact is about; part of the trace hash.
enum class EventKind : uint8_t { turn, timer, network, disk, blocking, fault, harness, log, file_operation };

/// Names a scheduled event until it has run.
struct EventId {
  uint32_t slot = UINT32_MAX;
  uint32_t generation = 0;
  explicit operator bool() const { return slot != UINT32_MAX; }
};

/// Everything that goes wrong in a run is counted, so that a test can demand that its faults happened.
enum class Fault : uint8_t {
  crash_kill,
  crash_power,
  restart,
  freeze,
  partition,
  heal,
  clog,
  retransmission,
  connection_reset,
  connection_refused,
  connection_timeout,
  half_open,
  bytes_lost,
  torn_write,
  name_undone,
  corruption,
  full_disk,
  no_space,
  disk_error,
  slow_disk,
  clock_step,
  clock_drift,
  count_,
};
const char* to_string(Fault fault);

struct SimulationOptions {
  /// Events at the same instant run in a random order. Unset: the seed decides.
  enum class Ties : uint8_t { by_seed, in_order, shuffled } ties = Ties::by_seed;
  /// The story keeps the first quarter and the latest three quarters of this many lines.
  size_t story_lines_max = 20'000;
  LogLevel log_level = LogLevel::info;
  /// What the machines' wall clocks show at the start.
  WallTime epoch{1'767'225'600'000'000};
};

/// Virtual time, the queue of events, the trace hash and the story of one run. One thread drives it; nothing in it
/// depends on addresses, real clocks or the order of unordered containers, so the same seed and the same calls give
/// the same run. Machines are destroyed with it.
class Simulation {
 public:
  using Options = SimulationOptions;
  static constexpr uint32_t no_machine = UINT32_MAX;

  explicit Simulation(uint64_t seed, Options options = {});
  Simulation(const Simulation&) = delete;
  ~Simulation();

  uint64_t seed() const { return seed_; }
  const Options& options() const { return options_; }
  Instant now() const { return now_; }
  /// For decisions of tests and fault plans. Machines have their own streams.
  Random& random() { return random_; }
  /// A new stream that depends on the seed and `name` alone.
  SeededRandom stream(uint64_t name) const;

  /// Adds a machine that is switched off until start(). Machine n has the address 10.0.(n / 250).(n % 250 + 1) unless
  /// the options say otherwise.
  Machine& add_machine(MachineOptions options);
  Machine& machine(size_t index) { return *machines_[index]; }
  size_t machine_count() const { return machines_.size(); }
  NetworkFabric& network() { return *network_; }

  /// Runs `function` at the instant (now where that is past), outside of any machine.
  EventId at(Instant when, std::move_only_function<void()> function) {
    return schedule(when, EventKind::harness, no_machine, std::move(function));
  }
  EventId after(Duration wait, std::move_only_function<void()> function) {
    return at(now_ + wait, std::move(function));
  }
  EventId schedule(Instant when, EventKind kind, uint32_t machine, std::move_only_function<void()> function);
  /// Nothing happens where it has run.
  void cancel(EventId id);

  /// Runs the next event. False where none is left.
  bool step();
  /// Runs all events up to and at `when`, where the clock then stands.
  void run_until(Instant when);
  void run_for(Duration time) { run_until(now_ + time); }
  /// Runs until `condition` holds, which is checked after every event; false where `limit` passed first.
  bool run_until(const std::function<bool()>& condition, Duration limit);

  /// Mixes a fact into the trace hash: never addresses or contents of RocksDB files, which hold random ids.
  void trace(EventKind kind, uint32_t machine, uint64_t a, uint64_t b = 0);
  uint64_t trace_hash() const { return trace_hash_; }
  uint64_t events_run() const { return events_run_; }

  /// Adds a line to the story.
  void tell(uint32_t machine, std::string_view line);
  /// The readable timeline, one line each, with the seed on top.
  std::string story() const;

  void count(Fault fault) { ++faults_[static_cast<size_t>(fault)]; }
  uint64_t counted(Fault fault) const { return faults_[static_cast<size_t>(fault)]; }
  /// "crash_kill 3, freeze 1", only what happened.
  std::string fault_summary() const;

 private:
  struct Slot {
    std::move_only_function<void()> function;
    uint32_t generation = 0;
    uint32_t machine = 0;
    EventKind kind{};
  };
  struct Entry {
    Instant at;
    uint64_t shuffle;
    uint64_t sequence;
    uint32_t slot;
    uint32_t generation;
    bool operator>(const Entry& other) const {
      if (at != other.at) return at > other.at;
      if (shuffle != other.shuffle) return shuffle > other.shuffle;
      return sequence > other.sequence;
    }
  };
  struct Line {
    Instant at;
    uint32_t machine;
    std::string text;
  };

  void release(uint32_t slot);
  bool drop_cancelled();

  uint64_t seed_;
  Options options_;
  Instant now_{0};
  SeededRandom random_;
  SeededRandom ties_;
  bool shuffled_ = false;
  uint64_t next_sequence_ = 0;
  uint64_t events_run_ = 0;
  uint64_t trace_hash_;
  std::vector<Entry> heap_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  std::vector<Line> first_lines_, latest_lines_;
  size_t latest_start_ = 0;
  uint64_t lines_dropped_ = 0;
  std::array<uint64_t, static_cast<size_t>(Fault::count_)> faults_{};
  std::unique_ptr<NetworkFabric> network_;
  std::vector<std::unique_ptr<Machine>> machines_;
};

}  // namespace asterism::sim
