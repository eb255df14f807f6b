// What a node did lately, as it shows it to people: rates and latencies over the last moments.
#pragma once

#include "datastore/coordinator.h"
#include "datastore/cql/server.h"

namespace asterism {

/// Made anew from counters when somebody asks, and at most twice a second, so that any number may ask.
class LoadWindow {
 public:
  static constexpr Duration least = 400ms;

  struct Load {
    double reads_per_s = 0, writes_per_s = 0, failures_per_s = 0;
    double moved_bytes_per_s = 0;  // of rows of shards that move to this node
    /// Of statements that CQL clients sent to this node; zero where there were none.
    Duration median{0}, slow{0};  // slow: 99 of 100 took less
    Duration lag{0};              // how late the event loop was; 99 of 100 times it was less
  };
  const Load& load(Instant now, const datastore::Coordinator::Counters& requests, const cql::CqlCounters& cql,
                   const LatencyHistogram& loop_lag, uint64_t moved_bytes);

 private:
  Load load_;
  std::optional<Instant> at_;
  datastore::Coordinator::Counters requests_;
  uint64_t moved_bytes_ = 0;
  LatencyHistogram time_, loop_lag_;
};

}  // namespace asterism
