#include <sys/resource.h>
#include <unistd.h>

#include <thread>

#include "runtime/real/log_sink.h"
#include "runtime/real/test_core.h"

namespace asterism {
namespace {

using RealCoreTest = TestCore;

TEST_F(RealCoreTest, TasksSleepOnTheRealClock) {
  const Instant begun = core.clock().now();
  std::vector<int> order;
  auto sleeper = [](std::vector<int>& out, int ms) -> Task<void> {
    co_await sleep_for(std::chrono::milliseconds(ms));
    out.push_back(ms);
  };
  for (int ms : {20, 5, 10}) group.spawn(sleeper(order, ms));
  run([]() -> Task<void> { co_return; }());
  EXPECT_EQ(order, (std::vector<int>{5, 10, 20}));
  EXPECT_GE(core.clock().now() - begun, 20ms);
}

TEST_F(RealCoreTest, EarlierTimerOvertakesOneThatIsArmed) {
  bool late = false, early = false;
  Timer far(core.executor()), near(core.executor());
  far.arm(core.clock().now() + 1h, [&] { late = true; });
  ASSERT_FALSE(core.run_until([] { return false; }, 1ms));
  near.arm(core.clock().now() + 2ms, [&] { early = true; });
  EXPECT_TRUE(core.run_until([&] { return early; }, 10s));
  EXPECT_FALSE(late);
}

TEST_F(RealCoreTest, OtherThreadsWakeTheLoopAndStopIt) {
  bool woken = false;
  std::thread other([&] {
    core.wake_with([&] {
      woken = true;
      core.stop();
    });
  });
  core.run();
  other.join();
  EXPECT_TRUE(woken);
}

TEST_F(RealCoreTest, SignalsArriveInTheLoop) {
  std::vector<int> got;
  core.on_signals({SIGUSR1, SIGUSR2}, [&](int signal) { got.push_back(signal); });
  kill(getpid(), SIGUSR1);
  ASSERT_TRUE(core.run_until([&] { return got.size() == 1; }, 10s));
  kill(getpid(), SIGUSR2);
  ASSERT_TRUE(core.run_until([&] { return got.size() == 2; }, 10s));
  EXPECT_EQ(got, (std::vector<int>{SIGUSR1, SIGUSR2}));
}

TEST_F(RealCoreTest, BusyTasksDoNotStarveTheLoop) {
  bool stop = false;
  auto busy = [](bool& flag) -> Task<void> {
    while (!flag) co_await yield_now();
  };
  group.spawn(busy(stop));
  core.wake_with([&] { stop = true; });
  EXPECT_TRUE(core.run_until([&] { return group.size() == 0; }, 10s));
}

TEST_F(RealCoreTest, IdleLoopSleepsInTheKernel) {
  core.run_until([] { return false; }, 1ms);
  rusage before, after;
  getrusage(RUSAGE_THREAD, &before);
  core.run_until([] { return false; }, 200ms);
  getrusage(RUSAGE_THREAD, &after);
  EXPECT_LE(after.ru_nvcsw - before.ru_nvcsw, 10);
}

TEST(RealRandom, SeedsDiffer) {
  RealRandom a, b;
  EXPECT_NE(a.next(), b.next());
  for (int i = 0; i < 1000; ++i) EXPECT_LT(a.below(10), 10u);
}

TEST(RealLog, LineIsStructuredAndCannotBeForged) {
  EXPECT_EQ(format_log_line(1'769'860'800'123'456, LogLevel::info, "raft", "a\nb\x1b"),
            "2026-01-31T12:00:00.123456Z info raft a\\nb\\x1b\n");
  EXPECT_LE(format_log_line(0, LogLevel::error, "x", std::string(100'000, 'y')).size(), 4096u);
}

struct LogFileTest : TestCore {};
TEST_F(LogFileTest, KeepsTwoFilesAtMost) {
  auto sink = FileLogSink::open(folder + "/log", 1000);
  ASSERT_TRUE(sink);
  for (int i = 0; i < 100; ++i) (*sink)->write(LogLevel::info, "test", "a line of the log");
  EXPECT_LE(std::filesystem::file_size(folder + "/log"), 1000u);
  EXPECT_LE(std::filesystem::file_size(folder + "/log.1"), 1000u);
}

}  // namespace
}  // namespace asterism
