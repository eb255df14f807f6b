// Numbers that name things, each with a type of its own so that they cannot be confused.
#pragma once

#include <fmt/format.h>

#include <compare>
#include <cstdint>
#include <functional>

namespace asterism {

template <class Tag, class Rep>
struct StrongId {
  Rep value{};
  constexpr auto operator<=>(const StrongId&) const = default;
  constexpr explicit operator bool() const { return value != Rep{}; }
};

/// A node of the cluster. 0 is nobody; ids are never used again.
using NodeId = StrongId<struct NodeIdTag, uint32_t>;

/// A shard: the unit of placement. A shard in consensus mode is a Raft group of the same number. 0 is the metadata log.
using ShardId = StrongId<struct ShardIdTag, uint64_t>;

/// How often the replica set of a shard has changed. A request names the epoch that its sender believes in.
using Epoch = StrongId<struct EpochTag, uint64_t>;

}  // namespace asterism

template <class Tag, class Rep>
struct std::hash<asterism::StrongId<Tag, Rep>> {
  size_t operator()(asterism::StrongId<Tag, Rep> id) const noexcept { return std::hash<Rep>{}(id.value); }
};

template <class Tag, class Rep>
struct fmt::formatter<asterism::StrongId<Tag, Rep>> : fmt::formatter<Rep> {
  auto format(asterism::StrongId<Tag, Rep> id, fmt::format_context& context) const {
    return fmt::formatter<Rep>::format(id.value, context);
  }
};
