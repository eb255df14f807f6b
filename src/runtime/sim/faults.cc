#include "runtime/sim/faults.h"

#include <algorithm>

namespace asterism::sim {

namespace {

struct Kind {
  const char* name;
  Duration FaultPlan::* mean;
  int rarity;  // how much rarer than the typical fault
};
constexpr Kind kinds[] = {
    {"crash_kill", &FaultPlan::crash_kill, 1},
    {"crash_power", &FaultPlan::crash_power, 1},
    {"crash_all", &FaultPlan::crash_all, 4},
    {"freeze", &FaultPlan::freeze, 1},
    {"cut_one", &FaultPlan::cut_one, 1},
    {"cut_halves", &FaultPlan::cut_halves, 2},
    {"cut_one_way", &FaultPlan::cut_one_way, 1},
    {"clog", &FaultPlan::clog, 1},
    {"reset", &FaultPlan::reset, 1},
    {"slow_disk", &FaultPlan::slow_disk, 1},
    {"full_disk", &FaultPlan::full_disk, 1},
    {"clock_step", &FaultPlan::clock_step, 1},
    {"clock_drift", &FaultPlan::clock_drift, 1},
};

}  // namespace

FaultPlan FaultPlan::from(Random& random, Duration scale) {
  FaultPlan plan;
  for (const Kind& kind : kinds) {
    const bool on = random.chance(0.4);
    const double factor = 0.3 + 2.7 * random.unit();
    if (on) plan.*kind.mean = Duration(static_cast<int64_t>(static_cast<double>(scale.count()) * factor)) * kind.rarity;
  }
  plan.lasts_max = random_between(random, scale / 10, scale * 2);
  plan.restart_after_max = random_between(random, scale / 50, scale);
  if (random.chance(0.3)) plan.loss = 0.05 * random.unit();
  if (random.chance(0.3)) plan.delay_tail = random_between(random, 1us, scale / 100);
  if (random.chance(0.3)) plan.segment_bytes_max = 1 + random.below(2000);
  return plan;
}

std::string FaultPlan::describe() const {
  std::string text;
  for (const Kind& kind : kinds)
    if (this->*kind.mean > 0ns)
      text +=
          fmt::format("{}{} every {} ms", text.empty() ? "" : ", ", kind.name, (this->*kind.mean).count() / 1'000'000);
  if (text.empty()) text = "none at a time";
  text += fmt::format(", loss {:.3f}", loss);
  if (delay_tail > 0ns) text += fmt::format(", delays of {} us", delay_tail.count() / 1000);
  if (segment_bytes_max > 0) text += fmt::format(", segments of at most {} bytes", segment_bytes_max);
  return text;
}

Nemesis::Nemesis(Simulation& simulation, std::vector<Machine*> machines, FaultPlan plan, size_t down_max)
    : simulation_(simulation),
      machines_(std::move(machines)),
      plan_(plan),
      down_max_(down_max),
      random_(simulation.random().next()),
      down_until_(machines_.size(), Instant{0}) {}

Nemesis::~Nemesis() {
  for (EventId event : events_) simulation_.cancel(event);
}

void Nemesis::start() {
  ASSERT(!active_ && !machines_.empty());
  active_ = true;
  NetworkOptions& network = simulation_.network().options();
  normal_network_ = network;
  if (plan_.loss > 0) network.link.loss = plan_.loss;
  if (plan_.delay_tail > 0ns) network.link.delay_tail = plan_.delay_tail;
  if (plan_.segment_bytes_max > 0) network.segment_bytes_max = plan_.segment_bytes_max;
  simulation_.tell(Simulation::no_machine, "faults: " + plan_.describe());
  arm(plan_.crash_kill, &Nemesis::crash_kill);
  arm(plan_.crash_power, &Nemesis::crash_power);
  arm(plan_.crash_all, &Nemesis::crash_all);
  arm(plan_.freeze, &Nemesis::freeze);
  arm(plan_.cut_one, &Nemesis::cut_one);
  arm(plan_.cut_halves, &Nemesis::cut_halves);
  arm(plan_.cut_one_way, &Nemesis::cut_one_way);
  arm(plan_.clog, &Nemesis::clog);
  arm(plan_.reset, &Nemesis::reset);
  arm(plan_.slow_disk, &Nemesis::slow_disk);
  arm(plan_.full_disk, &Nemesis::full_disk);
  arm(plan_.clock_step, &Nemesis::clock_step);
  arm(plan_.clock_drift, &Nemesis::clock_drift);
}

/// Remembers what is scheduled, so that heal() can take it back.
void Nemesis::later(Duration wait, std::move_only_function<void()> function) {
  const Instant when = simulation_.now() + wait;
  events_.push_back(simulation_.schedule(when, EventKind::fault, Simulation::no_machine, std::move(function)));
}

void Nemesis::arm(Duration mean, Action action) {
  if (mean <= 0ns) return;
  later(random_exponential(random_, mean), [this, mean, action] {
    (this->*action)();
    arm(mean, action);
  });
}

Duration Nemesis::some(Duration most) { return random_between(random_, most / 100, most); }

size_t Nemesis::down() const {
  const auto now = simulation_.now();
  return static_cast<size_t>(std::ranges::count_if(down_until_, [now](Instant until) { return until > now; }));
}

/// A machine that may go down now, or null where as many are as may be.
Machine* Nemesis::pick_healthy() {
  if (down() >= down_max_) return nullptr;
  std::vector<size_t> healthy;
  for (size_t i = 0; i < machines_.size(); ++i)
    if (down_until_[i] <= simulation_.now() && machines_[i]->running()) healthy.push_back(i);
  return healthy.empty() ? nullptr : machines_[healthy[random_.below(healthy.size())]];
}

void Nemesis::mark_down(const Machine& machine, Duration time) {
  const auto place = static_cast<size_t>(std::ranges::find(machines_, &machine) - machines_.begin());
  down_until_[place] = std::max(down_until_[place], simulation_.now() + time);
}

void Nemesis::crash(Machine& machine, Crash kind) {
  if (!machine.running()) return;
  const Duration away = some(plan_.restart_after_max);
  mark_down(machine, away);
  machine.crash(kind);
  later(away, [&machine] {
    if (!machine.running()) machine.start();
  });
}

void Nemesis::crash_kill() {
  if (Machine* machine = pick_healthy()) crash(*machine, Crash::kill);
}

void Nemesis::crash_power() {
  if (Machine* machine = pick_healthy()) crash(*machine, Crash::power);
}

void Nemesis::crash_all() {
  simulation_.tell(Simulation::no_machine, "all machines lose power");
  for (Machine* machine : machines_) crash(*machine, Crash::power);
}

void Nemesis::freeze() {
  Machine* machine = pick_healthy();
  if (machine == nullptr) return;
  const Duration time = some(plan_.lasts_max);
  mark_down(*machine, time);
  machine->freeze(time);
}

/// Blocks everything from one side to the other, and back unless `one_way`, for a while.
void Nemesis::cut(const std::vector<uint32_t>& side, const std::vector<uint32_t>& other, bool one_way, Duration time) {
  std::vector<std::pair<uint32_t, uint32_t>> links;
  for (uint32_t a : side)
    for (uint32_t b : other) {
      links.emplace_back(a, b);
      if (!one_way) links.emplace_back(b, a);
    }
  for (auto [from, to] : links) simulation_.network().block(from, to);
  simulation_.tell(Simulation::no_machine,
                   fmt::format("{} {} and {} for {} ms", one_way ? "nothing passes from" : "nothing passes between",
                               fmt::join(side, "+"), fmt::join(other, "+"), time.count() / 1'000'000));
  later(time, [this, links = std::move(links)] {
    for (auto [from, to] : links) simulation_.network().unblock(from, to);
    simulation_.tell(Simulation::no_machine, "a cut heals");
  });
}

std::vector<uint32_t> Nemesis::all_but(const Machine& machine) const {
  std::vector<uint32_t> others;
  for (const Machine* each : machines_)
    if (each != &machine) others.push_back(each->index());
  return others;
}

void Nemesis::cut_one() {
  Machine* machine = pick_healthy();
  if (machine == nullptr || machines_.size() < 2) return;
  const Duration time = some(plan_.lasts_max);
  mark_down(*machine, time);
  cut({machine->index()}, all_but(*machine), false, time);
}

void Nemesis::cut_halves() {
  if (machines_.size() < 2) return;
  std::vector<uint32_t> side, other;
  for (const Machine* each : machines_) (random_.chance(0.5) ? side : other).push_back(each->index());
  if (side.empty() || other.empty()) return;
  cut(side, other, false, some(plan_.lasts_max));
}

void Nemesis::cut_one_way() {
  Machine* machine = pick_healthy();
  if (machine == nullptr || machines_.size() < 2) return;
  const Duration time = some(plan_.lasts_max);
  mark_down(*machine, time);
  const std::vector<uint32_t> one{machine->index()}, others = all_but(*machine);
  if (random_.chance(0.5))
    cut(one, others, true, time);
  else
    cut(others, one, true, time);
}

void Nemesis::clog() {
  const uint32_t from = any().index(), to = any().index();
  if (from != to) simulation_.network().clog(from, to, some(plan_.lasts_max));
}

void Nemesis::reset() {
  const size_t count = simulation_.network().reset_some(random_, random_.unit() * 0.5);
  simulation_.tell(Simulation::no_machine, fmt::format("{} connections are reset", count));
}

void Nemesis::slow_disk() {
  Machine& machine = any();
  machine.disk().set_slowness(2 + static_cast<double>(random_.below(200)));
  machine.tell("its disk is slow");
  later(some(plan_.lasts_max), [&machine] { machine.disk().set_slowness(1); });
}

void Nemesis::full_disk() {
  // Now and then all of them: disks that are used alike fill up together.
  const Duration time = some(plan_.lasts_max);
  if (random_.chance(0.1)) {
    for (Machine* machine : machines_) fill(*machine, time);
  } else if (Machine* machine = pick_healthy()) {
    mark_down(*machine, time);
    fill(*machine, time);
  }
}

void Nemesis::fill(Machine& machine, Duration time) {
  FileStore& store = machine.disk().store();
  const uint64_t left = random_.below(random_.chance(0.7) ? 1 << 10 : 64 << 10);
  store.set_capacity(store.used_bytes() + left);
  simulation_.count(Fault::full_disk);
  machine.tell(fmt::format("its disk is full but for {} bytes, for {} ms", left, time.count() / 1'000'000));
  later(time, [&machine, &store] {
    store.set_capacity(machine.normal_capacity());
    machine.tell("its disk has room");
  });
}

void Nemesis::clock_step() {
  Machine& machine = any();
  const Duration by = random_between(random_, -plan_.clock_step_max, plan_.clock_step_max);
  machine.clock().step_wall(by);
  simulation_.count(Fault::clock_step);
  machine.tell(fmt::format("its wall clock steps by {} ms", by.count() / 1'000'000));
}

void Nemesis::clock_drift() {
  Machine& machine = any();
  machine.set_drift(random_.between(-plan_.drift_ppm_max, plan_.drift_ppm_max));
  simulation_.count(Fault::clock_drift);
}

void Nemesis::heal() {
  if (active_) simulation_.network().options() = normal_network_;
  active_ = false;
  auto events = std::move(events_);
  events_.clear();
  for (EventId event : events) simulation_.cancel(event);
  simulation_.tell(Simulation::no_machine, "everything heals");
  simulation_.network().heal();
  for (Machine* machine : machines_) {
    machine->disk().set_slowness(1);
    machine->disk().store().set_capacity(machine->normal_capacity());
    machine->disk().store().set_error_rates(0, 0, 0);
    machine->set_drift(0);
    machine->thaw();
    if (!machine->running()) machine->start();
  }
  std::ranges::fill(down_until_, Instant{0});
}

}  // namespace asterism::sim
