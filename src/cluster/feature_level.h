// Which commands of the metadata log and RPCs nodes may use: those that every member understands.
//
// Each version of the program supports all levels up to its own. The cluster's active level is in the metadata log
// (cluster_state.h) and rises by one when every member supports the next; it never falls. What a level adds is used by
// nobody before it is active, so a command of the log never meets a node that cannot apply it.
#pragma once

#include <cstdint>

namespace asterism {

using FeatureLevel = uint32_t;

inline constexpr FeatureLevel first_feature_level = 1;
/// Section cluster's commands `set` and `move_tokens`; RPCs `shard_sizes`, `write_all` and `node_snapshot`.
inline constexpr FeatureLevel balance_feature_level = 2;
inline constexpr FeatureLevel newest_feature_level = balance_feature_level;

}  // namespace asterism
