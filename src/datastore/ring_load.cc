#include "datastore/ring_load.h"

#include <algorithm>
#include <cmath>

namespace asterism::datastore {

constexpr Duration least_interval = std::chrono::seconds(1);
constexpr size_t cells_of_a_range = 64;          // at most, that one range is noted in
constexpr uint32_t most_table_number = 1 << 20;  // that is found without a look into the schema
constexpr float idle = 1e-3f;                    // work a second that nobody misses

RingLoad::Grid* RingLoad::find_grid(uint32_t table) {
  const Keyspace* keyspace = schema_.keyspace_of(table);
  if (keyspace == nullptr) return nullptr;
  const PlacementRule rule = keyspace->rule();
  auto found = std::ranges::find_if(grids_, [&](const auto& grid) { return grid->rule == rule; });
  if (found == grids_.end() && grids_.size() < most_rules) {
    grids_.push_back(std::make_unique<Grid>(rule));
    found = grids_.end() - 1;
  }
  const bool counted = found != grids_.end();
  if (table < most_table_number) {
    if (table >= grid_of_table_.size()) grid_of_table_.resize(table + 1, unknown);
    grid_of_table_[table] = counted ? static_cast<uint8_t>(1 + (found - grids_.begin())) : uncounted;
  }
  return counted ? found->get() : nullptr;
}

void RingLoad::add_between(uint32_t table, int64_t first, int64_t last, uint32_t work) {
  Grid* grid = grid_of(table);
  if (grid == nullptr) return;
  const size_t from = cell_of(first), to = std::max(from, cell_of(last));
  const size_t stride = (to - from) / cells_of_a_range + 1;
  const size_t noted = (to - from) / stride + 1;
  for (size_t cell = from; cell <= to; cell += stride) grid->lately[cell] += work / static_cast<uint32_t>(noted);
}

void RingLoad::advance(Instant now) {
  if (schema_.version_index() != schema_index_) {
    schema_index_ = schema_.version_index();
    grid_of_table_.clear();
  }
  if (!advanced_) {
    // Nobody knows in which time it was done.
    for (const auto& grid : grids_) grid->lately.fill(0);
    advanced_ = now;
    return;
  }
  const Duration passed = now - *advanced_;
  if (passed < least_interval) return;
  advanced_ = now;
  const double kept = std::exp2(-std::chrono::duration<double>(passed) / std::chrono::duration<double>(half_life));
  const double by_second = (1 - kept) / std::chrono::duration<double>(passed).count();
  weight_ = weight_ * kept + (1 - kept);
  for (const auto& grid : grids_)
    for (size_t cell = 0; cell < cells; ++cell)
      grid->smoothed[cell] =
          static_cast<float>(grid->smoothed[cell] * kept + std::exchange(grid->lately[cell], 0) * by_second);
  forget_idle_rules();
}

/// Those that no keyspace has any more, or whose keyspaces rest.
void RingLoad::forget_idle_rules() {
  const size_t forgotten = std::erase_if(grids_, [](const auto& grid) {
    return std::ranges::all_of(grid->smoothed, [](float rate) { return rate < idle; });
  });
  if (forgotten > 0) grid_of_table_.clear();
}

/// From what is smoothed to reads a second.
double RingLoad::scale() const {
  constexpr auto times = std::chrono::duration<double>(least_time) / std::chrono::duration<double>(half_life);
  return 1 / (std::max(weight_, 1 - std::exp2(-times)) * unit);
}

RingLoad::Rates RingLoad::rates() const {
  Rates rates;
  for (const auto& grid : grids_) {
    std::vector<double>& out = rates[grid->rule];
    out.reserve(cells);
    for (const float rate : grid->smoothed) out.push_back(rate * scale());
  }
  return rates;
}

double RingLoad::total() const {
  double sum = 0;
  for (const auto& grid : grids_)
    for (const float rate : grid->smoothed) sum += rate;
  return sum * scale();
}

}  // namespace asterism::datastore
