#include "base/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace asterism {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(LatencyHistogram, QuantilesAreAtMostASixteenthAbove) {
  for (uint64_t ns : {1ull, 2ull, 15ull, 16ull, 17ull, 32ull, 33ull, 1'000ull, 65'536ull, 65'537ull, 999'999'999ull}) {
    LatencyHistogram histogram;
    histogram.record(Duration(ns));
    const auto found = static_cast<uint64_t>(histogram.quantile(0.5).count());
    EXPECT_GE(found, ns);
    EXPECT_LE(found, ns + ns / 16 + 1) << ns;
  }
}

TEST(LatencyHistogram, QuantilesOfManyMatchTheSortedValues) {
  LatencyHistogram histogram;
  std::vector<int64_t> values;
  uint64_t state = 1;
  for (int i = 0; i < 100'000; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    values.push_back(static_cast<int64_t>(1000 + (state >> 40)));
    histogram.record(Duration(values.back()));
  }
  std::ranges::sort(values);
  for (double q : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    const auto exact = static_cast<double>(values[static_cast<size_t>(q * 100'000) - 1]);
    const auto found = static_cast<double>(histogram.quantile(q).count());
    EXPECT_GE(found, exact) << q;
    EXPECT_LE(found, exact * 1.0626) << q;
  }
}

TEST(LatencyHistogram, EdgesAreExactAndExtremesAreKept) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.quantile(0.99), 0ns);
  histogram.record(Duration(1 << 16));
  histogram.record(Duration((1 << 16) + 1));
  histogram.record(-5s);
  histogram.record(Duration::max());
  EXPECT_EQ(histogram.count(), 4u);
  EXPECT_EQ(histogram.count_up_to(16), 2u);
  EXPECT_EQ(histogram.count_up_to(17), 3u);
  EXPECT_EQ(histogram.quantile(0), 1ns);
  EXPECT_GT(histogram.quantile(1), 1h);
}

TEST(LatencyHistogram, DifferencesAndSums) {
  LatencyHistogram histogram;
  histogram.record(1ms);
  const LatencyHistogram before = histogram;
  for (int i = 0; i < 10; ++i) histogram.record(1s);
  const LatencyHistogram recent = histogram.since(before);
  EXPECT_EQ(recent.count(), 10u);
  EXPECT_EQ(recent.sum(), 10s);
  EXPECT_GE(recent.quantile(0), 1s);
  LatencyHistogram all = before;
  all += recent;
  EXPECT_EQ(all.count(), histogram.count());
  EXPECT_EQ(all.sum(), histogram.sum());
}

TEST(Metrics, FamiliesAreGroupedWithOneHelpAndType) {
  MetricsRegistry registry;
  auto report = [](std::string table, uint64_t value) {
    return [=](MetricsPage& page) {
      page.counter("asterism_reads_total", "Reads.", value, {{"table", table}});
      page.gauge("asterism_memory_bytes", "Memory.", 1.5);
    };
  };
  auto a = registry.add([](MetricsPage& page) { page.counter("asterism_reads_total", "Reads.", 1); });
  auto b = registry.add(report("t", 18446744073709551615u));
  EXPECT_EQ(registry.text(),
            "# HELP asterism_memory_bytes Memory.\n"
            "# TYPE asterism_memory_bytes gauge\n"
            "asterism_memory_bytes 1.5\n"
            "# HELP asterism_reads_total Reads.\n"
            "# TYPE asterism_reads_total counter\n"
            "asterism_reads_total 1\n"
            "asterism_reads_total{table=\"t\"} 18446744073709551615\n");
  b.release();
  EXPECT_THAT(registry.text(), Not(HasSubstr("memory")));
  a = MetricsRegistry::Registration();
  EXPECT_EQ(registry.text(), "");
}

TEST(Metrics, CountersOfTimeAreInSeconds) {
  MetricsPage page;
  page.counter("asterism_work_seconds_total", "Work.", 1500ms);
  EXPECT_THAT(page.text(), HasSubstr("# TYPE asterism_work_seconds_total counter\nasterism_work_seconds_total 1.5\n"));
  EXPECT_DEATH(page.counter("asterism_work_total", "Work.", 1s), "_seconds_total");
}

TEST(Metrics, LabelsAndHelpAreEscaped) {
  MetricsPage page;
  page.gauge("asterism_x", "a \\ \"b\"\nc", 0, {{"name", "a\"b\\c\nd"}, {"other", ""}});
  EXPECT_EQ(page.text(),
            "# HELP asterism_x a \\\\ \"b\"\\nc\n"
            "# TYPE asterism_x gauge\n"
            "asterism_x{name=\"a\\\"b\\\\c\\nd\",other=\"\"} 0\n");
}

TEST(Metrics, HistogramsAreCumulativeAndEndWithInf) {
  LatencyHistogram histogram;
  histogram.record(1ms);
  histogram.record(1s);
  histogram.record(100s);
  MetricsPage page;
  page.histogram("asterism_wait_seconds", "Waiting.", histogram, {{"kind", "read"}});
  const std::string text = page.text();
  EXPECT_THAT(text, HasSubstr("# TYPE asterism_wait_seconds histogram\n"));
  EXPECT_THAT(text, HasSubstr("asterism_wait_seconds_bucket{kind=\"read\",le=\"6.5536e-05\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("asterism_wait_seconds_bucket{kind=\"read\",le=\"0.001048576\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("asterism_wait_seconds_bucket{kind=\"read\",le=\"34.359738368\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("asterism_wait_seconds_bucket{kind=\"read\",le=\"+Inf\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("asterism_wait_seconds_sum{kind=\"read\"} 101.001\n"));
  EXPECT_THAT(text, HasSubstr("asterism_wait_seconds_count{kind=\"read\"} 3\n"));
}

TEST(MetricsDeathTest, NamesFollowTheConvention) {
  MetricsPage page;
  EXPECT_DEATH(page.counter("asterism_reads", "", 1), "_total");
  EXPECT_DEATH(page.gauge("asterism reads", "", 1), "is_name");
  page.gauge("asterism_x_seconds", "", 1);
  EXPECT_DEATH(page.histogram("asterism_x_seconds", "", {}), "type");
}

}  // namespace
}  // namespace asterism
