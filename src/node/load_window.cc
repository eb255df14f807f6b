#include "node/load_window.h"

namespace asterism {

const LoadWindow::Load& LoadWindow::load(Instant now, const datastore::Coordinator::Counters& requests,
                                         const cql::CqlCounters& cql, const LatencyHistogram& loop_lag,
                                         uint64_t moved_bytes) {
  if (at_ && now - *at_ < least) return load_;
  LatencyHistogram time;
  for (const cql::StatementCounters& statements : cql.statements) time += statements.time;
  if (at_) {
    const double seconds = std::chrono::duration<double>(now - *at_).count();
    const auto rate = [&](uint64_t before, uint64_t after) { return static_cast<double>(after - before) / seconds; };
    const LatencyHistogram lately = time.since(time_);
    load_ = {rate(requests_.reads, requests.reads),
             rate(requests_.writes, requests.writes),
             rate(requests_.failures, requests.failures),
             rate(moved_bytes_, moved_bytes),
             lately.quantile(0.5),
             lately.quantile(0.99),
             loop_lag.since(loop_lag_).quantile(0.99)};
  }
  at_ = now;
  requests_ = requests;
  moved_bytes_ = moved_bytes;
  time_ = time;
  loop_lag_ = loop_lag;
  return load_;
}

}  // namespace asterism
