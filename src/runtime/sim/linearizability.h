// Whether a history of reads and writes of registers could have happened one operation at a time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/time.h"

namespace asterism::sim {

/// One operation as its client saw it. Times are of one clock for all clients: the simulation's.
struct RegisterOperation {
  std::string key;
  bool write = false;
  std::string value;  // written, or read
  Instant start;
  /// never(): the client does not know the outcome. Such a write may take effect at any time after its start, or never;
  /// such a read says nothing, and a compare-and-set takes effect only where the register holds what it expects.
  Instant end = Instant::never();
  /// Of a write that took effect only where the register held this (compare-and-set). One that found something else is
  /// a read of that.
  std::optional<std::string> expected = {};
};

/// Looks for an order of the operations on each key that respects real time and in which every read sees the write
/// before it (Wing and Gong, "Testing and Verifying Concurrent Objects", 1993; with memory of the states tried, as Lowe
/// has it). Registers hold `initial` at first. The answer tells what cannot be explained; none where all can.
std::optional<std::string> find_violation(const std::vector<RegisterOperation>& history,
                                          const std::string& initial = "");

}  // namespace asterism::sim
