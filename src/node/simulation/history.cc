#include "node/simulation/history.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"

namespace asterism::simulation {

void RowHistory::begin(int64_t timestamp_us, std::optional<std::string> value) {
  ASSERT(timestamp_us > 0 && !changes_.contains(timestamp_us));
  changes_[timestamp_us].value = std::move(value);
}

void RowHistory::end(int64_t timestamp_us, Ending ending) {
  changes_.at(timestamp_us).ending = ending;
  if (ending == Ending::done) floor_ = std::max(floor_, timestamp_us);
}

std::optional<std::string> RowHistory::check(int64_t floor, const std::optional<std::string>& value, bool strong) {
  const auto at_floor = changes_.find(floor);
  const std::string expected = at_floor == changes_.end() ? std::string("nothing yet")
                               : at_floor->second.value
                                   ? fmt::format("'{}' (timestamp {})", *at_floor->second.value, floor)
                                   : fmt::format("no row (deleted at timestamp {})", floor);
  if (!value) {
    if (floor == 0) return std::nullopt;
    auto deletion = std::find_if(changes_.lower_bound(floor), changes_.end(), [](const auto& entry) {
      return !entry.second.value && entry.second.ending != Ending::refused;
    });
    if (deletion == changes_.end()) return fmt::format("no row where {} or later is due", expected);
    if (strong) floor_ = std::max(floor_, deletion->first);
    return std::nullopt;
  }
  auto seen = std::ranges::find_if(changes_, [&](const auto& entry) { return entry.second.value == value; });
  if (seen == changes_.end()) return fmt::format("'{}', which nobody wrote", *value);
  if (seen->second.ending == Ending::refused)
    return fmt::format("'{}' (timestamp {}), the write of which was refused as not done", *value, seen->first);
  if (seen->first < floor)
    return fmt::format("'{}' (timestamp {}) where {} or later is due", *value, seen->first, expected);
  if (strong) floor_ = std::max(floor_, seen->first);
  return std::nullopt;
}

}  // namespace asterism::simulation
