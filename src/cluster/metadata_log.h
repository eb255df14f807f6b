// The metadata log: the one Raft group whose log holds every cluster-wide fact. Every node follows it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace asterism {

/// One part of the metadata: the cluster's own (cluster/cluster_state.h), or a service's. Applied in the same order on
/// every node, so it must depend on nothing but its commands: no clock, no randomness, no iteration in hash order.
class MetadataSection {
 public:
  virtual ~MetadataSection() = default;
  /// An error is an outcome like any other: every node computes the same one and the proposer receives it. A command
  /// that fails must change nothing. `index` is the entry's place in the log.
  virtual Result<Bytes> apply(uint64_t index, BytesView command) = 0;
  virtual Bytes snapshot() const = 0;
  /// Replaces everything. Errors: corrupt.
  virtual Status restore(BytesView snapshot) = 0;
};

/// The sections together: what the Raft group applies. Sections are registered at start, by name, and outlive it.
class MetadataState {
 public:
  void add_section(const std::string& name, MetadataSection& section);

  /// Asked before each record: where it fails, this node cannot apply what follows, and nothing changes any more.
  void set_guard(std::function<Status()> guard) { guard_ = std::move(guard); }

  /// Applies one record (metadata.proto). Errors are outcomes, as above.
  Result<Bytes> apply(uint64_t index, BytesView record);
  Bytes snapshot() const;
  Status restore(BytesView snapshot);

  uint64_t applied_index() const { return applied_; }
  /// Called after every record or snapshot, on the core that applies.
  void on_change(std::function<void()> listener) { listeners_.push_back(std::move(listener)); }

  static Bytes encode_record(const std::string& section, BytesView command);
  /// With a second command that is applied in the same step where the first one succeeds. Its own outcome is nobody's.
  static Bytes encode_records(const std::string& section, BytesView command, const std::string& then_section,
                              BytesView then_command);

 private:
  Result<Bytes> apply_one(uint64_t index, const std::string& section, BytesView command);
  void changed();

  std::map<std::string, MetadataSection*> sections_;
  std::vector<std::function<void()>> listeners_;
  std::function<Status()> guard_;
  uint64_t applied_ = 0;
};

}  // namespace asterism
