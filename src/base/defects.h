// Planted bugs: each breaks one rule that the checkers of the simulator must see broken. A product node has none.
#pragma once

#include <bitset>
#include <optional>
#include <string_view>

namespace asterism {

enum class Defect : uint8_t {
  skip_sync,                      // the disk says that it synced and did not
  quorum_off_by_one,              // a coordinator is content with one acknowledgement too few
  drop_hint,                      // a mutation for a replica that was down is forgotten
  repair_ignores_tombstones,      // replicas exchange live cells only
  accept_wrong_epoch,             // a replica serves requests of another epoch
  acknowledge_before_durable,     // a replica answers before its log is synced
  stale_read_repair,              // a read returns the first answer without comparing digests
  forget_replay,                  // a restarted node leaves out its log's last records
  read_without_asking,            // a Raft group is read without asking its leader what is committed
  lease_outlives_freeze,          // a leader that was frozen counts its lease as if no time had passed
  range_tombstones_not_repaired,  // replicas exchange rows without the deletions of ranges and partitions
  forget_double_write,            // writes to a shard that moves go to its old replicas only
  keep_epoch,                     // a shard's epoch, by which alone replicas know, does not rise when it moves
  count
};

/// "skip_sync" and so on; the inverse knows no others.
std::string_view to_string(Defect defect);
std::optional<Defect> parse_defect(std::string_view name);

class Defects {
 public:
  void plant(Defect defect) { planted_.set(static_cast<size_t>(defect)); }
  bool has(Defect defect) const { return planted_.test(static_cast<size_t>(defect)); }

 private:
  std::bitset<static_cast<size_t>(Defect::count)> planted_;
};

}  // namespace asterism
