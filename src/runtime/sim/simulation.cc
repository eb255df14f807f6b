#include "runtime/sim/simulation.h"

#include <algorithm>

#include "base/hash.h"
#include "runtime/sim/machine.h"
#include "runtime/sim/sim_network.h"

namespace asterism::sim {

const char* to_string(Fault fault) {
  static constexpr const char* names[] = {
      "crash_kill",
      "crash_power",
      "restart",
      "freeze",
      "partition",
      "heal",
      "clog",
      "retransmission",
      "connection_reset",
      "connection_refused",
      "connection_timeout",
      "half_open",
      "bytes_lost",
      "torn_write",
      "name_undone",
      "corruption",
      "full_disk",
      "no_space",
      "disk_error",
      "slow_disk",
      "clock_step",
      "clock_drift",
  };
  static_assert(std::size(names) == static_cast<size_t>(Fault::count_));
  return names[static_cast<size_t>(fault)];
}

Simulation::Simulation(uint64_t seed, Options options)
    : seed_(seed), options_(options), random_(stream(1)), ties_(stream(2)), trace_hash_(hash_combine(0, seed)) {
  const bool coin = ties_.chance(0.5);
  shuffled_ = options_.ties == Options::Ties::shuffled || (options_.ties == Options::Ties::by_seed && coin);
  network_ = std::make_unique<NetworkFabric>(*this);
}

Simulation::~Simulation() {
  // Processes may still call their machine's ports while they are destroyed.
  for (auto& machine : machines_)
    if (machine->powered()) machine->crash(Crash::kill);
  machines_.clear();
}

SeededRandom Simulation::stream(uint64_t name) const {
  return SeededRandom(hash_combine(hash_combine(17, seed_), name));
}

Machine& Simulation::add_machine(MachineOptions options) {
  const auto index = static_cast<uint32_t>(machines_.size());
  if (options.name.empty()) options.name = fmt::format("m{}", index);
  if (options.host.empty()) options.host = fmt::format("10.0.{}.{}", index / 250, index % 250 + 1);
  machines_.push_back(std::make_unique<Machine>(*this, index, std::move(options)));
  network_->attach(*machines_.back());
  return *machines_.back();
}

EventId Simulation::schedule(Instant when, EventKind kind, uint32_t machine, std::move_only_function<void()> function) {
  uint32_t slot;
  if (free_slots_.empty()) {
    slot = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  Slot& taken = slots_[slot];
  taken.function = std::move(function);
  taken.machine = machine;
  taken.kind = kind;
  const uint64_t shuffle = shuffled_ ? ties_.next() : 0;
  heap_.push_back({std::max(when, now_), shuffle, next_sequence_++, slot, taken.generation});
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  return {slot, taken.generation};
}

void Simulation::release(uint32_t slot) {
  ++slots_[slot].generation;
  free_slots_.push_back(slot);
}

void Simulation::cancel(EventId id) {
  if (!id || slots_[id.slot].generation != id.generation) return;
  // Destroyed last: it may own what schedules or cancels.
  auto function = std::move(slots_[id.slot].function);
  release(id.slot);
}

/// Takes cancelled events off the front. False where none is left at all.
bool Simulation::drop_cancelled() {
  while (!heap_.empty() && slots_[heap_.front().slot].generation != heap_.front().generation) {
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.pop_back();
  }
  return !heap_.empty();
}

bool Simulation::step() {
  if (!drop_cancelled()) return false;
  const Entry next = heap_.front();
  std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
  heap_.pop_back();
  Slot& slot = slots_[next.slot];
  now_ = next.at;
  ++events_run_;
  trace(slot.kind, slot.machine, 0);
  auto function = std::move(slot.function);
  release(next.slot);
  function();
  return true;
}

void Simulation::run_until(Instant when) {
  while (drop_cancelled() && heap_.front().at <= when) step();
  now_ = std::max(now_, when);
}

bool Simulation::run_until(const std::function<bool()>& condition, Duration limit) {
  const Instant end = now_ + limit;
  while (!condition()) {
    if (!drop_cancelled() || heap_.front().at > end) {
      now_ = end;
      return condition();
    }
    step();
  }
  return true;
}

void Simulation::trace(EventKind kind, uint32_t machine, uint64_t a, uint64_t b) {
  // One multiply-and-fold for each word: cheap, and no word can be lost.
  auto mix = [this](uint64_t value) {
    const auto product = static_cast<unsigned __int128>(trace_hash_ ^ value) * 0x9e3779b97f4a7c15;
    trace_hash_ = static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64) ^ 0x2545f4914f6cdd1d;
  };
  mix(static_cast<uint64_t>(now_.ns));
  mix(static_cast<uint64_t>(kind) << 32 | machine);
  if ((a | b) != 0) {
    mix(a);
    mix(b);
  }
}

void Simulation::tell(uint32_t machine, std::string_view line) {
  const size_t first_max = options_.story_lines_max / 4;
  const size_t latest_max = options_.story_lines_max - first_max;
  if (first_lines_.size() < first_max) {
    first_lines_.push_back({now_, machine, std::string(line)});
  } else if (latest_lines_.size() < latest_max) {
    latest_lines_.push_back({now_, machine, std::string(line)});
  } else if (latest_max > 0) {
    latest_lines_[latest_start_] = {now_, machine, std::string(line)};
    latest_start_ = (latest_start_ + 1) % latest_max;
    ++lines_dropped_;
  }
}

std::string Simulation::story() const {
  std::string text = fmt::format("seed {}, {} events, faults: {}\n", seed_, events_run_, fault_summary());
  auto add = [&](const Line& line) {
    const char* name = line.machine == no_machine ? "*" : machines_[line.machine]->name().c_str();
    text += fmt::format("{:12.6f} {:8} {}\n", static_cast<double>(line.at.ns) / 1e9, name, line.text);
  };
  for (const Line& line : first_lines_) add(line);
  if (lines_dropped_ > 0) text += fmt::format("… {} lines left out\n", lines_dropped_);
  for (size_t i = 0; i < latest_lines_.size(); ++i) add(latest_lines_[(latest_start_ + i) % latest_lines_.size()]);
  return text;
}

std::string Simulation::fault_summary() const {
  std::string text;
  for (size_t i = 0; i < faults_.size(); ++i)
    if (faults_[i] > 0)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", to_string(static_cast<Fault>(i)), faults_[i]);
  return text;
}

}  // namespace asterism::sim
