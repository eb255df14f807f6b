#include "gateway/admission.h"

#include <gtest/gtest.h>

namespace asterism {
namespace {

struct ManualClock final : Clock {
  Instant at{0};
  Instant now() const override { return at; }
  WallTime wall_now() const override { return {}; }
};

struct Fixture {
  ManualClock clock;
  Executor executor{clock};
  Admission admission{{.most = 10'000, .least = 100, .wait_wanted = 15ms}, executor};

  int admit(int wanted) {
    int taken = 0;
    for (int i = 0; i < wanted; ++i) taken += admission.admit(1000);
    return taken;
  }
  /// The probe's time comes; what is ready before it takes so long.
  void busy(Duration time) {
    struct Work final : Ready {
      ManualClock& clock;
      Duration takes;
      Work(ManualClock& of, Duration takes_time) : clock(of), takes(takes_time) {}
      void run() override { clock.at = clock.at + takes; }
    } work(clock, time);
    clock.at = clock.at + 10ms;
    executor.post(work);
    executor.run(1000);
  }
};

TEST(Admission, TakesUpToItsBoundWhileTheCoreKeepsUp) {
  Fixture f;
  EXPECT_EQ(f.admit(20'000), 10'000);
  EXPECT_EQ(f.admission.refused(), 10'000u);
  for (int i = 0; i < 100; ++i) f.busy(10ms);
  EXPECT_EQ(f.admission.limit(), 10'000u) << "waiting for disks and nodes is not being late";
}

TEST(Admission, ABusyCoreTakesFewerInProportion) {
  Fixture f;
  f.admit(8'000);
  f.busy(60ms);
  EXPECT_EQ(f.admission.limit(), 2'000u);
  EXPECT_EQ(f.admit(1), 0);
  for (int i = 0; i < 7'000; ++i) f.admission.done();
  EXPECT_EQ(f.admit(5'000), 1'000);
}

TEST(Admission, WhoAsksLittleDoesNotSufferForWhoAsksMuch) {
  Fixture f;
  EXPECT_EQ(f.admit(20'000), 10'000);
  EXPECT_FALSE(f.admission.admit(2));
  for (int i = 0; i < 1024; ++i) EXPECT_TRUE(f.admission.admit(i % 2));
  EXPECT_FALSE(f.admission.admit(0)) << "there is an end to that, too";
}

TEST(Admission, TheLeastIsAlwaysTaken) {
  Fixture f;
  f.admit(5'000);
  for (int i = 0; i < 10; ++i) f.busy(1s);
  EXPECT_EQ(f.admission.limit(), 100u);
  for (int i = 0; i < 5'000; ++i) f.admission.done();
  EXPECT_EQ(f.admit(5'000), 100);
}

TEST(Admission, TheBoundRisesAgainAndTheProbeRests) {
  Fixture f;
  f.admit(5'000);
  f.busy(1s);
  for (int i = 0; i < 5'000; ++i) f.admission.done();
  int looks = 0;
  for (; f.executor.next_deadline() && looks < 1'000; ++looks) f.busy(1ms);
  EXPECT_EQ(f.admission.limit(), 10'000u);
  EXPECT_LT(looks, 200) << "back within two seconds";
  EXPECT_FALSE(f.executor.next_deadline()) << "an idle core is not woken";
}

TEST(Admission, FewRequestsAreNotWatched) {
  Fixture f;
  f.admit(50);
  EXPECT_FALSE(f.executor.next_deadline());
}

}  // namespace
}  // namespace asterism
