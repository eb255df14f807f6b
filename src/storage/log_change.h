// The hold that one change of a segmented log has of it.
#pragma once

#include <utility>

#include "storage/segmented_log.h"

namespace asterism {

/// Others wait meanwhile. A change whose task is destroyed before its end leaves the log broken: nobody knows what of
/// it took place.
class SegmentedLog::Change {
 public:
  explicit Change(SegmentedLog& log) : log_(&log) { log.busy_ = true; }
  Change(Change&& other) noexcept : log_(std::exchange(other.log_, nullptr)) {}
  Change& operator=(Change&&) = delete;
  ~Change() {
    if (!log_) return;
    if (!log_->failure_) log_->failure_ = Error{ErrorCode::closed, "a change of the log was given up half-way"};
    let_go();
  }

  /// The change has come to its end, with this outcome.
  template <class T>
  T end(T outcome) {
    let_go();
    return outcome;
  }

 private:
  void let_go() {
    SegmentedLog& log = *std::exchange(log_, nullptr);
    log.busy_ = log.cutting_ = false;
    log.free_.wake_all();
  }

  SegmentedLog* log_;
};

}  // namespace asterism
