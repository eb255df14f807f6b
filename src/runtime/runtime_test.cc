#include <gtest/gtest.h>

#include "runtime/channel.h"
#include "runtime/one_shot.h"
#include "runtime/task_group.h"
#include "runtime/timeout.h"

namespace asterism {
namespace {

struct HandClock : Clock {
  Instant at{0};
  Instant now() const override { return at; }
  WallTime wall_now() const override { return {at.ns / 1000}; }
};

struct RuntimeTest : testing::Test {
  HandClock clock;
  Executor executor{clock};
  TaskGroup group{executor};

  void run() { executor.run(1000); }
  void advance(Duration by) {
    clock.at = clock.at + by;
    run();
  }
};

struct Tracker {
  int& destroyed;
  ~Tracker() { ++destroyed; }
};

Task<int> add(int a, int b) { co_return a + b; }

TEST_F(RuntimeTest, TaskReturnsItsValue) {
  int sum = 0;
  group.spawn([](int& out) -> Task<void> { out = co_await add(2, 3); }(sum));
  EXPECT_EQ(sum, 0);
  run();
  EXPECT_EQ(sum, 5);
  EXPECT_EQ(group.size(), 0u);
}

TEST_F(RuntimeTest, SleepWakesAtItsInstantInOrder) {
  std::vector<int> order;
  auto sleeper = [](std::vector<int>& out, int ms) -> Task<void> {
    co_await sleep_for(std::chrono::milliseconds(ms));
    out.push_back(ms);
  };
  for (int ms : {30, 10, 20, 40, 5}) group.spawn(sleeper(order, ms));
  run();
  EXPECT_EQ(executor.next_deadline(), Instant{5'000'000});
  advance(25ms);
  EXPECT_EQ(order, (std::vector<int>{5, 10, 20}));
  group.cancel();
  EXPECT_EQ(executor.next_deadline(), std::nullopt);
}

TEST_F(RuntimeTest, CancellingDestroysTheWholeStackOfFrames) {
  int destroyed = 0;
  auto inner = [](int& count) -> Task<void> {
    Tracker tracker{count};
    co_await sleep_for(1h);
  };
  group.spawn([](auto nested, int& count) -> Task<void> {
    Tracker tracker{count};
    co_await nested(count);
  }(inner, destroyed));
  run();
  EXPECT_EQ(destroyed, 0);
  group.cancel();
  EXPECT_EQ(destroyed, 2);
}

TEST_F(RuntimeTest, CancellingAQueuedTaskTakesItOffTheQueue) {
  bool ran = false;
  group.spawn([](bool& flag) -> Task<void> {
    flag = true;
    co_return;
  }(ran));
  group.cancel();
  run();
  EXPECT_FALSE(ran);
}

TEST_F(RuntimeTest, DeadlineDestroysTheTaskAndYieldsTimeout) {
  int destroyed = 0;
  std::optional<Result<int>> result;
  auto slow = [](int& count) -> Task<Result<int>> {
    Tracker tracker{count};
    co_await sleep_for(1s);
    co_return 1;
  };
  group.spawn([](auto task, std::optional<Result<int>>& out) -> Task<void> {
    out = co_await with_timeout(10ms, std::move(task));
  }(slow(destroyed), result));
  run();
  EXPECT_FALSE(result);
  advance(10ms);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->error().code, ErrorCode::timeout);
  EXPECT_EQ(destroyed, 1);
}

TEST_F(RuntimeTest, DeadlinePassesResultsThatComeInTime) {
  std::optional<Result<int>> result;
  auto quick = []() -> Task<Result<int>> {
    co_await sleep_for(5ms);
    co_return 7;
  };
  group.spawn([](auto task, std::optional<Result<int>>& out) -> Task<void> {
    out = co_await with_timeout(10ms, std::move(task));
  }(quick(), result));
  run();
  advance(5ms);
  ASSERT_TRUE(result && *result);
  EXPECT_EQ(**result, 7);
  EXPECT_EQ(executor.next_deadline(), std::nullopt);
}

TEST_F(RuntimeTest, ChannelHoldsPushersBackAndDrainsAfterClose) {
  Channel<int> channel(2);
  std::vector<int> got;
  bool all_pushed = false;
  group.spawn([](Channel<int>& to, bool& done) -> Task<void> {
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(co_await to.push(i));
    done = true;
    to.close();
  }(channel, all_pushed));
  run();
  EXPECT_FALSE(all_pushed);
  EXPECT_EQ(channel.size(), 2u);
  group.spawn([](Channel<int>& from, std::vector<int>& out) -> Task<void> {
    while (auto value = co_await from.pop()) out.push_back(*value);
  }(channel, got));
  run();
  EXPECT_EQ(got, (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(group.size(), 0u);
}

TEST_F(RuntimeTest, OneShotYieldsClosedWhenItsSenderDies) {
  OneShot<int> one_shot;
  std::optional<Result<int>> result;
  group.spawn([](OneShot<int>& from, std::optional<Result<int>>& out) -> Task<void> { out = co_await from.receive(); }(
                                                                          one_shot, result));
  run();
  {
    auto sender = one_shot.sender();
  }
  run();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->error().code, ErrorCode::closed);
}

TEST_F(RuntimeTest, SemaphorePermitsComeBack) {
  Semaphore semaphore(1);
  int got = 0;
  auto user = [](Semaphore& from, int& count) -> Task<void> {
    auto permit = co_await from.acquire();
    ++count;
    co_await sleep_for(1ms);
  };
  group.spawn(user(semaphore, got));
  group.spawn(user(semaphore, got));
  run();
  EXPECT_EQ(got, 1);
  advance(1ms);
  EXPECT_EQ(got, 2);
  group.cancel();
  EXPECT_EQ(semaphore.available(), 1u);
}

TEST_F(RuntimeTest, EachRunEndsWithOneLongTurn) {
  std::vector<std::string> order;
  group.spawn([](std::vector<std::string>& out) -> Task<void> {
    for (int i = 0; i < 3; ++i) {
      co_await long_turn();
      out.push_back("long");
    }
  }(order));
  const auto yielding = [](std::vector<std::string>& out) -> Task<void> {
    for (int i = 0; i < 2; ++i) {
      co_await yield_now();
      out.push_back("behind");
    }
  };
  group.spawn(yielding(order));
  run();
  EXPECT_EQ(order, (std::vector<std::string>{"behind", "behind", "long"}));
  EXPECT_FALSE(executor.idle());
  order.clear();
  group.spawn([](std::vector<std::string>& out) -> Task<void> {
    out.push_back("short");
    co_return;
  }(order));
  EXPECT_EQ(executor.run(1), 2u);
  EXPECT_EQ(order, (std::vector<std::string>{"short", "long"}));
  group.cancel();
  EXPECT_TRUE(executor.idle());
}

TEST_F(RuntimeTest, JoinWaitsForTheLastTask) {
  TaskGroup workers(executor);
  bool joined = false;
  workers.spawn([]() -> Task<void> { co_await sleep_for(3ms); }());
  group.spawn([](TaskGroup& of, bool& flag) -> Task<void> {
    co_await of.join();
    flag = true;
  }(workers, joined));
  run();
  EXPECT_FALSE(joined);
  advance(3ms);
  EXPECT_TRUE(joined);
}

}  // namespace
}  // namespace asterism
