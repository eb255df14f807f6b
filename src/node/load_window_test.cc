#include "node/load_window.h"

#include <gtest/gtest.h>

namespace asterism {
namespace {

TEST(LoadWindow, RatesAndLatenciesAreOfTheTimeSinceTheLastLook) {
  LoadWindow window;
  datastore::Coordinator::Counters requests;
  cql::CqlCounters cql;
  LatencyHistogram lag;
  requests.reads = 1000;
  EXPECT_EQ(window.load({0}, requests, cql, lag, 0).reads_per_s, 0);

  requests.reads += 50;
  requests.writes += 20;
  for (int i = 0; i < 99; ++i) cql.statements[0].time.record(1ms);
  cql.statements[1].time.record(100ms);
  lag.record(3ms);
  const LoadWindow::Load busy = window.load(Instant{0} + 500ms, requests, cql, lag, 1000);
  EXPECT_DOUBLE_EQ(busy.reads_per_s, 100);
  EXPECT_DOUBLE_EQ(busy.writes_per_s, 40);
  EXPECT_DOUBLE_EQ(busy.moved_bytes_per_s, 2000);
  EXPECT_GE(busy.median, 1ms);
  EXPECT_LT(busy.median, 2ms);
  EXPECT_LT(busy.slow, 2ms);
  EXPECT_GE(busy.lag, 3ms);
  EXPECT_LT(busy.lag, 4ms);

  // Who asks again at once gets the same.
  requests.reads += 1000;
  EXPECT_DOUBLE_EQ(window.load(Instant{0} + 600ms, requests, cql, lag, 1000).reads_per_s, 100);
  requests.reads -= 1000;
  const LoadWindow::Load idle = window.load(Instant{0} + 1s, requests, cql, lag, 1000);
  EXPECT_EQ(idle.reads_per_s, 0);
  EXPECT_EQ(idle.median, 0ns);
  EXPECT_EQ(idle.lag, 0ns);
}

}  // namespace
}  // namespace asterism
