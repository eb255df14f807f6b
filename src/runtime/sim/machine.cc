#include "runtime/sim/machine.h"

#include "base/hash.h"
#include "runtime/sim/sim_network.h"

namespace asterism::sim {

namespace {

constexpr int64_t million = 1'000'000;

int64_t scale(int64_t value, int64_t numerator, int64_t denominator, bool up) {
  __int128 product = static_cast<__int128>(value) * numerator;
  if (up) product += denominator - 1;
  return static_cast<int64_t>(product / denominator);
}

}  // namespace

MachineClock::MachineClock(const Simulation& simulation, Duration offset, int64_t drift_ppm, Duration wall_offset)
    : simulation_(simulation), base_{offset.count()}, drift_ppm_(drift_ppm), wall_offset_(wall_offset - offset) {}

Instant MachineClock::now() const {
  return base_ + Duration(scale((simulation_.now() - since_).count(), million + drift_ppm_, million, false));
}

WallTime MachineClock::wall_now() const {
  return {simulation_.options().epoch.us + (now().ns + wall_offset_.count()) / 1000};
}

Instant MachineClock::when(Instant local) const {
  if (local <= base_) return since_;
  // What is centuries away is never.
  if (local.ns > INT64_MAX / 2) return Instant::never();
  return since_ + Duration(scale((local - base_).count(), million, million + drift_ppm_, true));
}

void MachineClock::set_drift(int64_t drift_ppm) {
  base_ = now();
  since_ = simulation_.now();
  drift_ppm_ = drift_ppm;
}

void Machine::Sink::write(LogLevel level, std::string_view component, std::string_view message) {
  machine.trace(EventKind::log, static_cast<uint64_t>(level), message.size());
  machine.tell(fmt::format("{} {}: {}", asterism::to_string(level), component, message));
}

Machine::Machine(Simulation& simulation, uint32_t index, MachineOptions options)
    : simulation_(simulation),
      index_(index),
      options_(std::move(options)),
      random_(simulation.stream(1000 + 2ull * index)),
      luck_(simulation.stream(1001 + 2ull * index)),
      // Monotonic clocks of different machines have nothing to do with one another.
      clock_(simulation, Duration(static_cast<int64_t>(luck_.below(1'000'000'000'000))), options_.drift_ppm,
             options_.wall_offset),
      log_sink_(*this),
      executor_(clock_) {
  disk_ = std::make_unique<SimDisk>(*this, options_.disk);
  network_ = std::make_unique<MachineNetwork>(*this, simulation_.network());
  tasks_ = std::make_unique<TaskGroup>(executor_);
  executor_.on_work([this] {
    if (in_turn_) return;
    if (!executor_.idle())
      schedule_turn();
    else
      arm_timer();
  });
}

Machine::~Machine() { end_process(); }

Network& Machine::network() { return *network_; }

void Machine::start() {
  ASSERT(!running_);
  if (incarnation_ > 0) simulation_.count(Fault::restart);
  ++incarnation_;
  const bool was_off = !powered_;
  powered_ = running_ = true;
  stopping_ = false;
  frozen_until_ = busy_until_ = simulation_.now();
  trace(EventKind::fault, incarnation_);
  disk_->start();
  if (was_off) simulation_.network().started(*this);
  tell("starts");
  if (factory_) process_ = factory_(*this);
  schedule_turn();
}

void Machine::stop() {
  ASSERT(running_);
  if (stopping_) return;
  stopping_ = true;
  tell("stops");
  spawn([](Machine& self) -> Task<void> {
    if (self.process_) co_await self.process_->stop();
    // The frame that runs this belongs to what is destroyed: another event does it.
    self.simulation_.schedule(self.simulation_.now(), EventKind::harness, self.index_,
                              [&self, incarnation = self.incarnation_] {
                                if (!self.running_ || self.incarnation_ != incarnation) return;
                                self.disk_->finish();
                                self.end_process();
                                self.simulation_.network().crashed(self, false);
                                self.disk_->settle();
                              });
  }(*this));
}

void Machine::crash(Crash kind) {
  ASSERT(!in_turn_);
  const bool power = kind == Crash::power;
  if (!powered_ || (!power && !running_)) return;
  simulation_.count(power ? Fault::crash_power : Fault::crash_kill);
  tell(power ? "loses power" : "is killed");
  trace(EventKind::fault, static_cast<uint64_t>(kind), incarnation_);
  simulation_.network().crashed(*this, power);
  disk_->crash(power);
  end_process();
  if (power) powered_ = false;
}

/// Destroys everything of the process, in an order in which nothing is called back.
void Machine::end_process() {
  running_ = stopping_ = false;
  simulation_.cancel(turn_event_);
  simulation_.cancel(timer_event_);
  turn_event_ = timer_event_ = {};
  in_turn_ = true;  // destructors that post wake nobody
  tasks_->cancel();
  process_.reset();
  disk_->drop_pending();
  network_->drop_pending();
  completions_.clear();
  in_turn_ = false;
  ASSERT(executor_.idle() && !executor_.next_deadline());
}

void Machine::freeze(Duration time) {
  if (!running_) return;
  simulation_.count(Fault::freeze);
  tell(fmt::format("freezes for {} ms", time.count() / 1'000'000));
  frozen_until_ = simulation_.now() + time;
  trace(EventKind::fault, static_cast<uint64_t>(time.count()));
  if (turn_event_) {
    simulation_.cancel(turn_event_);
    turn_event_ = {};
  }
  schedule_turn();
}

void Machine::thaw() {
  if (!running_ || !frozen()) return;
  frozen_until_ = simulation_.now();
  simulation_.cancel(turn_event_);
  turn_event_ = {};
  schedule_turn();
}

void Machine::set_drift(int64_t drift_ppm) {
  clock_.set_drift(drift_ppm);
  if (running_) arm_timer();
}

void Machine::complete(std::move_only_function<void()> completion) {
  if (!running_) return;
  completions_.push_back(std::move(completion));
  schedule_turn();
}

void Machine::schedule_turn() {
  if (turn_event_ || in_turn_ || !running_) return;
  turn_event_ = simulation_.schedule(std::max({simulation_.now(), busy_until_, frozen_until_}), EventKind::turn, index_,
                                     [this] { turn(); });
}

void Machine::arm_timer() {
  const auto deadline = executor_.next_deadline();
  const Instant at = deadline ? std::max(clock_.when(*deadline), simulation_.now()) : Instant::never();
  if (timer_event_ && timer_at_ == at) return;
  simulation_.cancel(timer_event_);
  timer_event_ = {};
  timer_at_ = at;
  if (at == Instant::never()) return;
  timer_event_ = simulation_.schedule(at, EventKind::timer, index_, [this] {
    timer_event_ = {};
    schedule_turn();
  });
}

void Machine::turn() {
  turn_event_ = {};
  in_turn_ = true;
  charged_ = options_.cpu.turn;
  size_t ran = 0;
  for (; !completions_.empty() && ran < options_.cpu.items_max; ++ran) {
    auto completion = std::move(completions_.front());
    completions_.pop_front();
    completion();
  }
  ran += executor_.run(options_.cpu.items_max);
  disk_->settle();
  in_turn_ = false;
  charged_ += options_.cpu.item * static_cast<int64_t>(ran);
  const auto stretch = static_cast<uint64_t>(options_.cpu.jitter * static_cast<double>(charged_.count()));
  busy_until_ = simulation_.now() + charged_ + Duration(static_cast<int64_t>(luck_.below(stretch + 1)));
  trace(EventKind::turn, ran);
  if (!executor_.idle() || !completions_.empty()) schedule_turn();
  arm_timer();
}

}  // namespace asterism::sim
