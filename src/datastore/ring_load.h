// How much work this node does for clients, and where on the ring: what load is balanced by.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "base/time.h"
#include "datastore/schema.h"

namespace asterism::datastore {

/// The ring is cut into cells of one width, whatever the shards are, so that what is known of a cell outlives their
/// moves, and what it says does not depend on who serves it. Keyspaces whose replicas are placed by the same rule are
/// counted together. Used by one core. The schema must outlive it.
class RingLoad {
 public:
  static constexpr size_t cell_bits = 11, cells = 1 << cell_bits;
  static constexpr size_t most_rules = 64;  // work of keyspaces with further ones is not counted
  /// What was done so long ago counts half.
  static constexpr Duration half_life = std::chrono::minutes(3);
  /// A node that counts for less long is taken to have been idle before, so that a moment's work is no load.
  static constexpr Duration least_time = std::chrono::minutes(1);

  /// Work of reading one small row: the unit, in which a small write is three, and a hundred rows of one partition are
  /// seven. What they cost a node in processor time (bench/README.md).
  static constexpr uint32_t unit = 256;
  static constexpr uint32_t work_of_write(size_t bytes) { return 3 * unit + static_cast<uint32_t>(bytes / 8); }
  /// `steps` as ReplicaRead counts them.
  static constexpr uint32_t work_of_read(uint32_t steps, size_t bytes) {
    return unit - 32 + 16 * steps + static_cast<uint32_t>(bytes / 32);
  }

  explicit RingLoad(const Schema& schema) : schema_(schema) {}

  void add(uint32_t table, int64_t token, uint32_t work) {
    if (Grid* grid = grid_of(table)) grid->lately[cell_of(token)] += work;
  }
  /// Work that was spread between two tokens, the first of which is not behind the second.
  void add_between(uint32_t table, int64_t first, int64_t last, uint32_t work);

  /// Takes what was counted into the means. Called at least every half minute or so by somebody; no timer of its own.
  void advance(Instant now);

  /// Work a second in each cell, ascending by token, in reads of a small row; as of advance().
  using Rates = std::map<PlacementRule, std::vector<double>>;
  Rates rates() const;
  /// Their sum.
  double total() const;

  static size_t cell_of(int64_t token) {
    return (static_cast<uint64_t>(token) ^ (uint64_t{1} << 63)) >> (64 - cell_bits);
  }
  /// The last token of a cell.
  static int64_t end_of(size_t cell) {
    return static_cast<int64_t>((((static_cast<uint64_t>(cell) + 1) << (64 - cell_bits)) - 1) ^ (uint64_t{1} << 63));
  }

 private:
  struct Grid {
    PlacementRule rule;
    std::array<uint32_t, cells> lately{};  // since the last advance()
    std::array<float, cells> smoothed{};   // work a second
  };
  static constexpr uint8_t unknown = 0, uncounted = 255;

  Grid* grid_of(uint32_t table) {
    const uint8_t number = table < grid_of_table_.size() ? grid_of_table_[table] : unknown;
    if (number == unknown) return find_grid(table);
    return number == uncounted ? nullptr : grids_[number - 1].get();
  }
  Grid* find_grid(uint32_t table);
  void forget_idle_rules();
  double scale() const;

  const Schema& schema_;
  uint64_t schema_index_ = 0;
  std::vector<uint8_t> grid_of_table_;  // by number: 1 + where its grid is
  std::vector<std::unique_ptr<Grid>> grids_;
  std::optional<Instant> advanced_;
  double weight_ = 0;  // of the time since it began to count: 1 after very long
};

}  // namespace asterism::datastore
