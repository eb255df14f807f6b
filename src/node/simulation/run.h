// One run: a cluster, its load and its faults from one seed.
#pragma once

#include <optional>

#include "base/defects.h"
#include "base/log.h"
#include "base/time.h"

namespace asterism::simulation {

struct RunOptions {
  uint64_t seed = 1;
  std::optional<uint32_t> nodes;  // 3 to 9; the seed decides where there is none
  Duration faults_for = std::chrono::seconds(15);
  Defects defects;
  LogLevel log_level = LogLevel::info;
};

struct RunResult {
  uint64_t seed = 0;
  uint64_t trace = 0;       // equal for equal seeds in one binary
  std::string failure;      // empty where every check passed
  uint64_t operations = 0;  // requests that were answered
  uint64_t refused = 0;     // of those: certainly not done
  uint64_t unknown = 0;     // of those: nobody answered in time
  uint64_t faults = 0;
  std::string fault_summary;
  Duration simulated{0};
  uint32_t nodes = 0;
  std::string story;  // what happened, line by line

  bool ok() const { return failure.empty(); }
};

/// Takes about as much memory as the cluster's data, and no real time but that of computing.
RunResult run_cluster(const RunOptions& options);

}  // namespace asterism::simulation
