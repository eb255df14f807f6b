#include "raft/progress.h"

#include <algorithm>

namespace asterism::raft {

const char* to_string(ProgressState state) {
  switch (state) {
    case ProgressState::probe:
      return "probe";
    case ProgressState::replicate:
      return "replicate";
    case ProgressState::snapshot:
      return "snapshot";
  }
  return "?";
}

void Progress::clear_in_flight() {
  in_flight.clear();
  in_flight_bytes = 0;
}

void Progress::to_probe() {
  state = ProgressState::probe;
  next = match + 1;
  probe_sent = false;
  snapshot.reset();
  clear_in_flight();
}

void Progress::to_replicate() {
  state = ProgressState::replicate;
  next = match + 1;
  probe_sent = false;
  snapshot.reset();
  clear_in_flight();
}

void Progress::to_snapshot(SnapshotMeta meta) {
  state = ProgressState::snapshot;
  snapshot = std::make_shared<const SnapshotMeta>(std::move(meta));
  snapshot_offset = 0;
  snapshot_stalled_ticks = 0;
  snapshot_unreadable = snapshot_sent = false;
  clear_in_flight();
}

void Progress::forget(LogIndex next_index) {
  match = {};
  commit_sent = {};
  acked_round = 0;
  to_probe();
  next = next_index;
}

void Progress::sent(LogIndex last, uint64_t bytes) {
  in_flight.push_back({last, bytes});
  in_flight_bytes += bytes;
  next = last + 1;
}

bool Progress::acknowledged(LogIndex index) {
  auto done = in_flight.begin();
  for (; done != in_flight.end() && done->last <= index; ++done) in_flight_bytes -= done->bytes;
  in_flight.erase(in_flight.begin(), done);
  if (in_flight.empty() && in_flight.capacity() > 8) in_flight.shrink_to_fit();
  next = std::max(next, index + 1);
  if (index <= match) return false;
  match = index;
  return true;
}

}  // namespace asterism::raft
