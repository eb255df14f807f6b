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

  /// What only those know who may read the node's folder.
  virtual const std::string& folder_secret() const = 0;
  /// Who signs nodes, in PEM. Empty where nodes speak plainly with one another.
  virtual Result<std::string> authority() const = 0;
  /// Whether the authority's key is on this machine, where this node finds it.
  virtual bool can_sign() const = 0;
  /// A certificate, in PEM, of a node of that name and address for the key of a request (PKCS #10, PEM). Errors:
  /// invalid_argument, not_found, io.
  virtual Result<std::string> sign(const std::string& request, const std::string& name, const std::string& address) = 0;
};

}  // namespace asterism
