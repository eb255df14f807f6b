#include "cluster/failure_detector.h"

#include <algorithm>
#include <cmath>

namespace asterism {

static double seconds(Duration duration) { return static_cast<double>(duration.count()) * 1e-9; }

void FailureDetector::heard(NodeId node, Instant now) {
  auto [it, first] = nodes_.try_emplace(node);
  History& history = it->second;
  // Silence long enough to be suspected was an outage, not a sample of the network's rhythm.
  const Duration silence = now - history.last;
  if (!first && !history.refused && silence < options_.silence_most)
    history.intervals_s[history.count++ % window] = static_cast<float>(seconds(silence));
  history.last = now;
  history.refused = false;
}

void FailureDetector::refused(NodeId node) {
  if (auto it = nodes_.find(node); it != nodes_.end()) it->second.refused = true;
}

double FailureDetector::phi(NodeId node, Instant now) const {
  auto it = nodes_.find(node);
  if (it == nodes_.end() || it->second.refused) return HUGE_VAL;
  const History& history = it->second;
  const Duration silence = now - history.last;
  if (silence >= options_.silence_most) return HUGE_VAL;
  const size_t count = std::min(history.count, window);
  // Before there is a history, half of what is always suspect is taken for normal.
  double mean = seconds(options_.silence_most) / 4, variance = 0;
  if (count >= 3) {
    mean = 0;
    for (size_t i = 0; i < count; ++i) mean += history.intervals_s[i];
    mean /= static_cast<double>(count);
    for (size_t i = 0; i < count; ++i) variance += std::pow(history.intervals_s[i] - mean, 2);
    variance /= static_cast<double>(count);
  }
  const double deviation = std::max(std::sqrt(variance), seconds(options_.deviation_least));
  const double chance = 0.5 * std::erfc((seconds(silence) - mean) / (deviation * std::sqrt(2.0)));
  return chance > 0 ? -std::log10(chance) : HUGE_VAL;
}

bool FailureDetector::alive(NodeId node, Instant now) const { return phi(node, now) < options_.phi_threshold; }

}  // namespace asterism
