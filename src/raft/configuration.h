// How configurations change (chapter 4) and how they are found again when the log is cut.
#pragma once

#include "raft/types.h"

namespace asterism::raft {

/// No list of a configuration may be longer.
inline constexpr size_t max_members = 64;

/// What somebody wants the group to become. Lists need not be sorted.
struct ConfigurationTarget {
  std::vector<NodeId> voters{};
  std::vector<NodeId> learners{};
  std::vector<Priority> priorities{};
};

/// Sorted, free of duplicates and of zero ids, disjoint where the roles exclude each other, with at least one voter.
Status validate(const Configuration& configuration);

/// The configuration to append next on the way from `now` to the target: the target itself where at most one voter
/// differs (4.1), else the joint one (4.3). invalid_argument: the target is malformed. unavailable: `now` is joint.
Result<Configuration> plan_change(const Configuration& now, ConfigurationTarget target);

/// The configuration that follows a joint one: outgoing voters go, learners_next become learners.
Configuration leave_joint(const Configuration& joint);

/// The configurations of a log, each in force from its index on (4.1: "a server always uses the latest configuration in
/// its log"). A host that replays its log feeds the same class and hands it to Raft when it restarts.
class ConfigurationHistory {
 public:
  struct At {
    LogIndex index;
    Configuration configuration;
  };

  ConfigurationHistory() = default;
  /// Starts from a snapshot, or from the group's first configuration with index 0.
  ConfigurationHistory(LogIndex index, Configuration configuration) { reset(index, std::move(configuration)); }

  void reset(LogIndex index, Configuration configuration);
  /// Records a config_change entry and ignores other kinds. corrupt: its payload does not decode.
  Status append(const Entry& entry);
  void add(LogIndex index, Configuration configuration);
  /// Forgets those at or past `from`; true where the latest one changed. The oldest always stays.
  bool truncate(LogIndex from);
  /// Forgets those that `at(index)` and later indexes do not need.
  void release(LogIndex index);

  const At& latest() const { return items_.back(); }
  const Configuration& at(LogIndex index) const;
  bool empty() const { return items_.empty(); }

 private:
  std::vector<At> items_;
};

}  // namespace asterism::raft
