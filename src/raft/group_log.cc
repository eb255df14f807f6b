#include "raft/group_log.h"

#include <algorithm>

#include "base/assert.h"
#include "raft/message.h"

namespace asterism::raft {

std::optional<Term> GroupLog::term(LogIndex index) const {
  if (index == snapshot_meta_.index) return snapshot_meta_.term;
  if (index < first_index() || index > last_index()) return std::nullopt;
  return entries_[index - first_index()].term;
}

std::vector<Entry> GroupLog::entries(LogIndex first, LogIndex last, uint64_t max_bytes) const {
  std::vector<Entry> found;
  if (first < first_index()) return found;
  uint64_t bytes = 0;
  for (LogIndex at = first; at <= last && at <= last_index(); at = at + 1) {
    const Entry& entry = entries_[at - first_index()];
    bytes += entry.cost();
    if (!found.empty() && bytes > max_bytes) break;
    found.push_back(entry);
  }
  return found;
}

std::optional<SnapshotMeta> GroupLog::snapshot() const {
  if (!snapshot_data_) return std::nullopt;
  return snapshot_meta_;
}

Status GroupLog::add(const std::vector<Entry>& added) {
  if (added.empty()) return {};
  const LogIndex from = added.front().index;
  if (from < first_index() || from > last_index() + 1) return fail(ErrorCode::corrupt, "a gap in a group's log");
  while (last_index() >= from) {
    entry_bytes_ -= entries_.back().cost();
    entries_.pop_back();
  }
  configurations_.truncate(from);
  for (const Entry& entry : added) {
    TRY_STATUS(configurations_.append(entry));
    entry_bytes_ += entry.cost();
    entries_.push_back(entry);
  }
  return {};
}

Status GroupLog::apply(const Write& write, Payload data) {
  hard_state_ = write.hard_state;
  if (write.snapshot) {
    snapshot_meta_ = *write.snapshot;
    snapshot_data_ = std::move(data);
    entries_.clear();
    entry_bytes_ = 0;
    configurations_.reset(snapshot_meta_.index, snapshot_meta_.configuration);
  }
  return add(write.entries);
}

void GroupLog::compact(SnapshotMeta meta, Payload data) {
  ASSERT(meta.index >= snapshot_meta_.index && meta.index <= last_index());
  while (!entries_.empty() && entries_.front().index <= meta.index) {
    entry_bytes_ -= entries_.front().cost();
    entries_.pop_front();
  }
  configurations_.release(meta.index);
  snapshot_meta_ = std::move(meta);
  snapshot_data_ = std::move(data);
}

static void put_entries(ByteWriter& out, const auto& entries) {
  out.varint(entries.size());
  for (const Entry& entry : entries) encode(entry, out);
}

static Result<std::vector<Entry>> get_entries(ByteReader& in) {
  const uint64_t count = in.varint();
  if (count > in.remaining()) return fail(ErrorCode::corrupt, "a group's record is malformed");
  std::vector<Entry> entries;
  for (uint64_t i = 0; i < count; ++i) {
    TRY(Entry entry, decode_entry(in));
    entries.push_back(std::move(entry));
  }
  return entries;
}

Bytes GroupLog::encode_write(const Write& write) {
  ASSERT(!write.snapshot);
  Bytes bytes;
  ByteWriter out(bytes);
  encode(write.hard_state, out);
  put_entries(out, write.entries);
  return bytes;
}

Bytes GroupLog::encode_base() const {
  Bytes bytes;
  ByteWriter out(bytes);
  encode(hard_state_, out);
  SnapshotMeta meta = snapshot_meta_;
  if (!snapshot_data_) meta.configuration = configurations_.at(meta.index);
  encode(meta, out);
  out.u8(snapshot_data_ ? 1 : 0);
  if (snapshot_data_) out.sized(*snapshot_data_);
  put_entries(out, entries_);
  return bytes;
}

Status GroupLog::replay(GroupRecord kind, BytesView payload) {
  // What was released may still be there, but only in part.
  if (kind == GroupRecord::write && !whole_) return {};
  ByteReader in(payload);
  Write write;
  TRY(write.hard_state, decode_hard_state(in));
  Payload data;
  if (kind == GroupRecord::base) {
    TRY(write.snapshot, decode_snapshot_meta(in));
    if (in.u8() != 0) data = make_payload(Bytes(in.sized()));
    whole_ = true;
  } else if (kind != GroupRecord::write) {
    return fail(ErrorCode::corrupt, "a group's record is of unknown kind {}", static_cast<int>(kind));
  }
  TRY(write.entries, get_entries(in));
  if (in.failed() || !in.at_end()) return fail(ErrorCode::corrupt, "a group's record is malformed");
  return apply(write, std::move(data));
}

}  // namespace asterism::raft
