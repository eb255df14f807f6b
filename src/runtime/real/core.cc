#include "runtime/real/core.h"

#include <sys/random.h>
#include <time.h>

#include <bit>
#include <cstdlib>

#include "runtime/real/impl.h"

namespace asterism {

static int64_t read_clock_ns(clockid_t id) {
  timespec time;
  clock_gettime(id, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

Instant RealClock::now() const { return {read_clock_ns(CLOCK_MONOTONIC)}; }
WallTime RealClock::wall_now() const { return {read_clock_ns(CLOCK_REALTIME) / 1000}; }

RealRandom::RealRandom() {
  size_t got = 0;
  while (got < sizeof state_) {
    const ssize_t more = getrandom(reinterpret_cast<char*>(state_) + got, sizeof state_ - got, 0);
    if (more > 0) got += static_cast<size_t>(more);
    ASSERT(more > 0 || errno == EINTR);
  }
}

uint64_t RealRandom::next() {
  uint64_t* s = state_;
  const uint64_t result = std::rotl(s[0] + s[3], 23) + s[0];
  const uint64_t shifted = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= shifted;
  s[3] = std::rotl(s[3], 45);
  return result;
}

RealCore::Impl::Impl() : scratch(new char[scratch_bytes]) {
  // A reader that went away is an error of the write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  network = make_real_network(*this);
}

RealCore::Impl::~Impl() = default;

void RealCore::Impl::arm_timer() {
  const std::optional<Instant> next = executor.next_deadline();
  // A timer that fires early costs one empty turn; setting it back each time would cost a system call each time.
  if (!next || (timer_at && *timer_at <= *next)) return;
  timer_at = next;
  timer.expires_at(std::chrono::steady_clock::time_point(std::chrono::nanoseconds(next->ns)));
  timer.async_wait([this](const boost::system::error_code& error) {
    if (!error) timer_at.reset();
  });
}

void RealCore::Impl::turn() {
  constexpr size_t most_steps = 256, most_handlers = 256;
  if (executor.idle()) {
    arm_timer();
    io.run_one();
  }
  for (size_t i = 0; i < most_handlers && io.poll_one() != 0; ++i) {
  }
  // Last, so that whoever drives the turns sees what it did before the loop sleeps.
  executor.run(most_steps);
}

void RealCore::Impl::wait_for_signal() {
  signals->async_wait([this](const boost::system::error_code& error, int signal) {
    if (error) return;
    wait_for_signal();
    on_signal(signal);
  });
}

RealCore::RealCore() : impl_(std::make_unique<Impl>()) {}
RealCore::~RealCore() = default;

Executor& RealCore::executor() const { return impl_->executor; }
const Clock& RealCore::clock() const { return impl_->clock; }
Random& RealCore::random() const { return impl_->random; }
Network& RealCore::network() const { return *impl_->network; }
Result<std::unique_ptr<Disk>> RealCore::open_disk(const std::string& folder) const {
  return make_real_disk(*impl_, folder);
}

void RealCore::run() {
  while (!impl_->stopped.load(std::memory_order_acquire)) impl_->turn();
  impl_->stopped.store(false, std::memory_order_release);
}

void RealCore::stop() {
  boost::asio::post(impl_->io, [this] { impl_->stopped.store(true, std::memory_order_release); });
}

bool RealCore::run_until(const std::function<bool()>& done, Duration limit) {
  const Instant end = impl_->clock.now() + limit;
  Timer alarm(impl_->executor);
  alarm.arm(end, [] {});
  while (!done()) {
    if (impl_->clock.now() >= end) return false;
    impl_->turn();
  }
  return true;
}

void RealCore::wake_with(std::move_only_function<void()> function) const {
  boost::asio::post(impl_->io, std::move(function));
}

void RealCore::on_signals(const std::vector<int>& signals, std::function<void(int)> handler) {
  impl_->signals.emplace(impl_->io);
  for (int signal : signals) impl_->signals->add(signal);
  impl_->on_signal = std::move(handler);
  impl_->wait_for_signal();
}

}  // namespace asterism
