// Where the command line meets the node: `asterism node run` starts one of these and stops it on SIGTERM.
#pragma once

#include <memory>

#include "base/log.h"
#include "gateway/audit.h"
#include "node/node_config.h"
#include "runtime/real/core.h"
#include "runtime/task.h"

namespace asterism {

class ServingNode {
 public:
  virtual ~ServingNode() = default;
  /// Ends connections and makes everything durable. Bounded by the caller: it is destroyed after a second at most.
  virtual Task<void> stop() = 0;
};

/// Completes once the node serves clients. `supervisor_socket`: where `asterism up` answers, or empty. `core`, `disk`
/// and the sinks of `log` and `audit` outlive it.
Task<Result<std::unique_ptr<ServingNode>>> start_serving(RealCore& core, Disk& disk, NodeConfig config,
                                                         std::string supervisor_socket, Log log, Audit audit);

}  // namespace asterism
