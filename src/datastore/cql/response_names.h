// The words by which responses name changes; indexed by the enumerations of response.h.
#pragma once

#include <string_view>

namespace asterism::cql::wire {

inline constexpr std::string_view schema_change_names[] = {"CREATED", "UPDATED", "DROPPED"};
inline constexpr std::string_view schema_target_names[] = {"KEYSPACE", "TABLE", "TYPE", "FUNCTION", "AGGREGATE"};
inline constexpr std::string_view topology_change_names[] = {"NEW_NODE", "REMOVED_NODE", "MOVED_NODE"};
inline constexpr std::string_view status_change_names[] = {"UP", "DOWN"};

}  // namespace asterism::cql::wire
