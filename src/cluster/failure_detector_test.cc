#include "cluster/failure_detector.h"

#include <gtest/gtest.h>

namespace asterism {
namespace {

constexpr NodeId node{2};

TEST(FailureDetector, UnknownNodesAreDown) { EXPECT_FALSE(FailureDetector().alive(node, Instant{0})); }

TEST(FailureDetector, SuspectsSilenceThatIsLongForThisNetwork) {
  FailureDetector steady, irregular;
  Instant now{0};
  for (int i = 0; i < 100; ++i) {
    now = now + 200ms;
    steady.heard(node, now);
    irregular.heard(node, now + (i % 4 == 0 ? 150ms : 0ms));
  }
  EXPECT_TRUE(steady.alive(node, now + 400ms));
  EXPECT_FALSE(steady.alive(node, now + 1s));
  EXPECT_GT(steady.phi(node, now + 700ms), irregular.phi(node, now + 700ms));
}

TEST(FailureDetector, SilenceMostIsAlwaysSuspect) {
  FailureDetector detector;
  Instant now{0};
  for (int i = 0; i < 100; ++i) detector.heard(node, now = now + (i % 2 ? 100ms : 1900ms));
  EXPECT_FALSE(detector.alive(node, now + 2s));
}

TEST(FailureDetector, RefusalIsSuspectAtOnceAndOneHeartbeatForgives) {
  FailureDetector detector;
  detector.heard(node, Instant{0});
  EXPECT_TRUE(detector.alive(node, Instant{0}));
  detector.refused(node);
  EXPECT_FALSE(detector.alive(node, Instant{0}));
  detector.heard(node, Instant{1});
  EXPECT_TRUE(detector.alive(node, Instant{1}));
}

}  // namespace
}  // namespace asterism
