#include "raft/log.h"

#include <algorithm>

#include "base/assert.h"

namespace asterism::raft {

RaftLog::RaftLog(const LogView& view) : view_(&view), last_(view.last_index()), durable_(last_), handed_(last_) {
  std::optional<Term> term = view.term(last_);
  ASSERT(term.has_value());
  last_term_ = *term;
}

std::optional<Term> RaftLog::term(LogIndex index) const {
  if (index == last_) return last_term_;
  if (index > last_) return std::nullopt;
  if (!tail_.empty() && index >= tail_.front().index) return tail_[index - tail_.front().index].term;
  if (snapshot_) return index == snapshot_->index ? std::optional(snapshot_->term) : std::nullopt;
  return view_->term(index);
}

std::vector<Entry> RaftLog::entries(LogIndex first, LogIndex last, uint64_t max_bytes) const {
  last = std::min(last, last_);
  std::vector<Entry> found;
  if (first > last || first < first_index()) return found;
  LogIndex tail_first = tail_.empty() ? last_ + 1 : tail_.front().index;
  uint64_t bytes = 0;
  if (first < tail_first) {
    LogIndex stored_last = std::min(last, tail_first - 1);
    found = view_->entries(first, stored_last, max_bytes);
    if (found.size() != stored_last - first + 1) return found;
    for (const Entry& entry : found) bytes += entry.cost();
    first = tail_first;
  }
  for (; first <= last; first = first + 1) {
    const Entry& entry = tail_[first - tail_first];
    bytes += entry.cost();
    if (bytes > max_bytes && !found.empty()) break;
    found.push_back(entry);
  }
  return found;
}

LogIndex RaftLog::last_with_term_at_most(LogIndex index, Term limit) const {
  for (index = std::min(index, last_); index.value > 0; index = index - 1) {
    std::optional<Term> found = term(index);
    if (!found) return {};
    if (*found <= limit) return index;
  }
  return index;
}

void RaftLog::append(Entry entry) {
  ASSERT(entry.index == last_ + 1 && entry.term >= last_term_);
  last_ = entry.index;
  last_term_ = entry.term;
  tail_.push_back(std::move(entry));
}

void RaftLog::truncate(LogIndex from) {
  ASSERT(from.value > 0 && from <= last_ && from >= first_index());
  std::optional<Term> before = term(from - 1);
  ASSERT(before.has_value());
  while (!tail_.empty() && tail_.back().index >= from) tail_.pop_back();
  last_ = from - 1;
  last_term_ = *before;
  durable_ = std::min(durable_, last_);
  handed_ = std::min(handed_, last_);
  for (InFlight& write : in_flight_) write.last = std::min(write.last, last_);
}

void RaftLog::restore(const SnapshotMeta& meta) {
  tail_.clear();
  snapshot_ = std::make_unique<SnapshotMeta>(meta);
  snapshot_unwritten_ = true;
  last_ = handed_ = meta.index;
  last_term_ = meta.term;
  durable_ = {};
  for (InFlight& write : in_flight_) write.last = {};
}

void RaftLog::fill(Write& write) {
  if (snapshot_unwritten_) {
    write.snapshot = *snapshot_;
    snapshot_unwritten_ = false;
    snapshot_write_ = write.id;
  }
  if (handed_ < last_) {
    size_t from = handed_ + 1 - tail_.front().index;
    write.entries.assign(tail_.begin() + static_cast<ptrdiff_t>(from), tail_.end());
    handed_ = last_;
  }
  if (write.snapshot || !write.entries.empty()) in_flight_.push_back({write.id, last_});
}

void RaftLog::persisted(uint64_t id) {
  auto done = in_flight_.begin();
  for (; done != in_flight_.end() && done->id <= id; ++done) durable_ = std::max(durable_, done->last);
  in_flight_.erase(in_flight_.begin(), done);
  if (snapshot_ && !snapshot_unwritten_ && snapshot_write_ <= id) snapshot_.reset();
  ASSERT(durable_ <= last_);
  auto stored = std::ranges::find_if(tail_, [&](const Entry& entry) { return entry.index > durable_; });
  tail_.erase(tail_.begin(), stored);
  if (tail_.empty() && tail_.capacity() > 64) tail_.shrink_to_fit();
}

size_t RaftLog::memory_bytes() const {
  size_t bytes = tail_.capacity() * sizeof(Entry) + in_flight_.capacity() * sizeof(InFlight);
  if (snapshot_) bytes += sizeof(SnapshotMeta);
  for (const Entry& entry : tail_) bytes += entry.bytes().size();
  return bytes;
}

}  // namespace asterism::raft
