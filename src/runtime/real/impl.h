// What the sources of this folder share. Includes Boost.Asio, so no other folder may include it.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <optional>

#include "runtime/real/core.h"
#include "runtime/real/thread_pool.h"

namespace asterism {

Error error_from_errno(int number, const std::string& what);
std::unique_ptr<Network> make_real_network(RealCore::Impl& core);
Result<std::unique_ptr<Disk>> make_real_disk(RealCore::Impl& core, const std::string& folder);

struct RealCore::Impl {
  Impl();
  ~Impl();
  /// Sleeps until there is something to do, then does it.
  void turn();
  void arm_timer();

  static constexpr size_t scratch_bytes = 256 << 10;

  RealClock clock;
  RealRandom random;
  boost::asio::io_context io{1};
  // Without it the loop would count as stopped for good once nothing was left to do.
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> keep_going{io.get_executor()};
  boost::asio::steady_timer timer{io};
  std::optional<Instant> timer_at;
  std::optional<boost::asio::signal_set> signals;
  std::function<void(int)> on_signal;
  Executor executor{clock};
  std::atomic<bool> stopped{false};
  std::unique_ptr<char[]> scratch;  // where streams read into before they know how much there is
  std::unique_ptr<Network> network;
  ThreadPool pool{4};

  void wait_for_signal();
};

}  // namespace asterism
