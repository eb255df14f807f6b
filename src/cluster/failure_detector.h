// Suspects nodes that have fallen silent. It only suspects: who is a member is decided by the metadata log.
#pragma once

#include <array>
#include <map>

#include "base/id.h"
#include "base/time.h"

namespace asterism {

struct FailureDetectorOptions {
  /// Suspicion level at which a node counts as down (Hayashibara et al., "The φ accrual failure detector", 2004):
  /// a wrong suspicion is expected once in 10^threshold heartbeats if their spacing is normally distributed.
  double phi_threshold = 8;
  /// Spread assumed at least, so that a very regular network is not suspected for one late heartbeat.
  Duration deviation_least = 80ms;
  /// Silence that is always suspect, however irregular the past was.
  Duration silence_most = 2s;
};

/// Pure: time comes in with every call. A node never heard of is down.
class FailureDetector {
 public:
  explicit FailureDetector(FailureDetectorOptions options = {}) : options_(options) {}

  /// A heartbeat, or any other sign of life that comes regularly, arrived.
  void heard(NodeId node, Instant now);
  /// The node's address refuses connections: its process is gone.
  void refused(NodeId node);
  void forget(NodeId node) { nodes_.erase(node); }

  /// φ: minus the decimal logarithm of the chance that a live node is silent for so long.
  double phi(NodeId node, Instant now) const;
  bool alive(NodeId node, Instant now) const;

 private:
  static constexpr size_t window = 64;
  struct History {
    std::array<float, window> intervals_s{};
    size_t count = 0;
    Instant last;
    bool refused = false;
  };

  FailureDetectorOptions options_;
  std::map<NodeId, History> nodes_;
};

}  // namespace asterism
