// What the process around a node offers it. Absent in the simulator.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "runtime/task.h"

namespace asterism {

/// Used by the node's core. Outlives the node.
class NodeHost {
 public:
  virtual ~NodeHost() = default;
  /// Physical memory that the process uses.
  virtual std::optional<uint64_t> resident_bytes() const = 0;
  /// How long processors have worked for the process, all its threads together.
  virtual Duration processor_time() const = 0;
  /// Whether `asterism up` runs this node and can be asked.
  virtual bool is_supervised() const = 0;
  /// Sends one line of JSON to the supervisor and gives its answer, likewise. Errors: unavailable, closed, timeout.
  virtual Task<Result<std::string>> ask_supervisor(std::string question) = 0;
};

}  // namespace asterism
