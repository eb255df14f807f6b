#include "base/defects.h"

namespace asterism {

std::string_view to_string(Defect defect) {
  switch (defect) {
    case Defect::skip_sync:
      return "skip_sync";
    case Defect::quorum_off_by_one:
      return "quorum_off_by_one";
    case Defect::drop_hint:
      return "drop_hint";
    case Defect::repair_ignores_tombstones:
      return "repair_ignores_tombstones";
    case Defect::accept_wrong_epoch:
      return "accept_wrong_epoch";
    case Defect::acknowledge_before_durable:
      return "acknowledge_before_durable";
    case Defect::stale_read_repair:
      return "stale_read_repair";
    case Defect::forget_replay:
      return "forget_replay";
    case Defect::read_without_asking:
      return "read_without_asking";
    case Defect::lease_outlives_freeze:
      return "lease_outlives_freeze";
    case Defect::range_tombstones_not_repaired:
      return "range_tombstones_not_repaired";
    case Defect::forget_double_write:
      return "forget_double_write";
    case Defect::keep_epoch:
      return "keep_epoch";
    case Defect::count:
      break;
  }
  return "unknown";
}

std::optional<Defect> parse_defect(std::string_view name) {
  for (size_t i = 0; i < static_cast<size_t>(Defect::count); ++i)
    if (to_string(static_cast<Defect>(i)) == name) return static_cast<Defect>(i);
  return std::nullopt;
}

}  // namespace asterism
