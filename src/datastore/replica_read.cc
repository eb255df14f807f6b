#include "datastore/replica.h"

namespace asterism::datastore {

Bytes PartitionTop::encode() const {
  Bytes bytes;
  bytes.reserve(head.size() + static_row.size() + only_row.size() + 6);
  ByteWriter out(bytes);
  out.sized(head);
  out.sized(static_row);
  out.sized(only_row);
  return bytes;
}

Result<PartitionTop> PartitionTop::decode(BytesView bytes) {
  ByteReader in(bytes);
  PartitionTop top;
  top.head = in.sized();
  top.static_row = in.sized();
  top.only_row = in.sized();
  if (in.failed() || !in.at_end()) return fail(ErrorCode::internal, "a cached partition is malformed");
  return top;
}

Result<PartitionTop> Replica::top_of(BytesView prefix) {
  if (auto cached = cache_.find(prefix)) return PartitionTop::decode(*cached);
  Bytes keys[3];
  BytesView views[3];
  for (size_t i = 0; i < 3; ++i) {
    keys[i].reserve(prefix.size() + 1);
    keys[i].append(prefix);
    keys[i].push_back(static_cast<char>(i));
    views[i] = keys[i];
  }
  Bytes values[3];
  auto stored = store_.multi_get(views);
  for (size_t i = 0; i < 3; ++i) {
    TRY(auto value, std::move(stored[i]));
    if (value) values[i] = std::move(*value);
  }
  loaded_ = PartitionTop{values[0], values[1], values[2]}.encode();
  cache_.put(prefix, loaded_);
  return PartitionTop::decode(loaded_);
}

Result<BytesView> Replica::row_at(BytesView key) {
  if (auto cached = cache_.find(key)) return *cached;
  TRY(auto stored, store_.get(key));
  loaded_ = stored ? std::move(*stored) : Bytes();
  cache_.put(key, loaded_);
  return BytesView(loaded_);
}

/// Collects one answer.
class Replica::Reader {
 public:
  Reader(Replica& replica, const ReadCommand& command) : replica_(replica), command_(command) {}

  Result<Bytes> single();
  Result<Bytes> range();

 private:
  Status begin_partition(int64_t token, BytesView key, BytesView head, BytesView static_row);
  void end_partition();
  Status add_row(BytesView clustering, BytesView value);
  /// The bound on bytes waits for the first row or partition: a read must get on.
  bool at_limit() const {
    return live_rows_ >= command_.row_limit || (progress_ && out_.bytes() >= replica_.options_.max_result_bytes);
  }
  bool partition_full() const { return live_in_partition_ >= command_.per_partition_limit; }
  void stop_before(BytesView clustering);
  Status read_keys(const Bytes& prefix);
  Status read_slice(const Bytes& row_prefix, const Slice& slice);
  Status read_cached(const SliceCache::Stretch& stretch, BytesView from, BytesView to);
  /// [from, to) from the store; the cache learns it.
  Status read_store(const Bytes& from, const Bytes& to);
  Status read_top_from(KeyValueStore::Iterator& it, const KeyParts& parts);

  Replica& replica_;
  const ReadCommand& command_;
  ReadResultWriter out_;
  bool complete_ = true;
  Bytes next_;
  std::optional<KeyValueStore::Iterator> rows_;
  size_t row_prefix_bytes_ = 0;
  PartitionHead head_;
  bool has_head_ = false, empty_ = true, static_live_ = false;  // of the partition
  uint32_t live_rows_ = 0, live_in_partition_ = 0;
  bool progress_ = false;
};

Status Replica::Reader::begin_partition(int64_t token, BytesView key, BytesView head, BytesView static_row) {
  has_head_ = !head.empty();
  empty_ = head.empty() && static_row.empty();
  static_live_ = false;
  live_in_partition_ = 0;
  if (has_head_) {
    TRY(head_, decode_head(head));
  }
  if (!static_row.empty()) {
    TRY(static_live_, row_is_live(static_row, has_head_ ? head_.deletion : DeletionTime(), command_.now_s));
  }
  out_.begin_partition(token, key, head, static_row);
  return {};
}

void Replica::Reader::end_partition() {
  progress_ = true;
  if (empty_) return out_.drop_partition();
  // A partition with live static columns and no row is a row to the client.
  if (live_in_partition_ == 0 && static_live_) ++live_rows_;
  out_.end_partition();
}

Status Replica::Reader::add_row(BytesView clustering, BytesView value) {
  TRY(const bool live, row_is_live(value, has_head_ ? head_.deletion_of(clustering) : DeletionTime(), command_.now_s));
  if (live) {
    ++live_rows_;
    ++live_in_partition_;
  }
  progress_ = true;
  empty_ = false;
  out_.add_row(clustering, value);
  return {};
}

void Replica::Reader::stop_before(BytesView clustering) {
  complete_ = false;
  // Reversed, what lies before `next` is missing: the row at hand is the first of it.
  next_ = Bytes(clustering);
  if (command_.reversed) next_.push_back('\0');
}

Status Replica::Reader::read_keys(const Bytes& prefix) {
  Bytes key = prefix;
  key.push_back(static_cast<char>(Place::row));
  const size_t prefix_size = key.size();
  const size_t count = command_.slices.size();
  for (size_t i = 0; i < count; ++i) {
    const Bytes& clustering = command_.slices[command_.reversed ? count - 1 - i : i].from;
    key.resize(prefix_size);
    key.append(clustering);
    TRY(const BytesView row, replica_.row_at(key));
    if (row.empty()) continue;
    if (at_limit() || partition_full()) {
      stop_before(clustering);
      break;
    }
    TRY_STATUS(add_row(clustering, row));
  }
  return {};
}

Status Replica::Reader::read_slice(const Bytes& row_prefix, const Slice& slice) {
  Bytes from = row_prefix + slice.from, to = slice.to.empty() ? after_prefix(row_prefix) : row_prefix + slice.to;
  row_prefix_bytes_ = row_prefix.size();
  SliceCache& cache = replica_.slices_;
  while (complete_ && from < to) {
    const SliceCache::Stretch* known = command_.reversed ? cache.before(to) : cache.at(from);
    // What was done of the slice is cut off from it.
    if (command_.reversed) {
      const Bytes at(known != nullptr ? std::max(BytesView(from), BytesView(known->from))
                                      : cache.previous_known(to, from));
      TRY_STATUS(known != nullptr ? read_cached(*known, at, to) : read_store(at, to));
      to = at;
    } else {
      const Bytes at(known != nullptr ? std::min(BytesView(to), BytesView(known->to)) : cache.next_known(from, to));
      TRY_STATUS(known != nullptr ? read_cached(*known, from, at) : read_store(from, at));
      from = at;
    }
  }
  return {};
}

Status Replica::Reader::read_cached(const SliceCache::Stretch& stretch, BytesView from, BytesView to) {
  const RowRun& run = stretch.run;
  const size_t begin = from <= stretch.from ? 0 : run.lower_bound(from.substr(row_prefix_bytes_));
  const size_t end = to >= stretch.to ? run.size() : run.lower_bound(to.substr(row_prefix_bytes_));
  const bool far_from_bytes = out_.bytes() + run.bytes() < replica_.options_.max_result_bytes;
  size_t done = 0;
  if (!command_.reversed && !has_head_ && run.all_live() && far_from_bytes && begin < end) {
    const uint32_t room = std::min(command_.row_limit - std::min(command_.row_limit, live_rows_),
                                   command_.per_partition_limit - live_in_partition_);
    done = std::min<size_t>(end - begin, room);
    out_.add_rows(run.encoded(begin, begin + done));
    live_rows_ += static_cast<uint32_t>(done);
    live_in_partition_ += static_cast<uint32_t>(done);
    if (done > 0) {
      progress_ = true;
      empty_ = false;
    }
  }
  for (; done < end - begin; ++done) {
    const RowRun::Row row = run.row(command_.reversed ? end - 1 - done : begin + done);
    if (at_limit() || partition_full()) {
      stop_before(row.clustering);
      break;
    }
    TRY_STATUS(add_row(row.clustering, row.value));
  }
  return {};
}

Status Replica::Reader::read_store(const Bytes& from, const Bytes& to) {
  if (!rows_) {
    const Bytes row_prefix = from.substr(0, row_prefix_bytes_);
    rows_.emplace(replica_.store_.iterate({row_prefix, after_prefix(row_prefix), true}));
  }
  KeyValueStore::Iterator& it = *rows_;
  RowRun run;
  bool keeps = replica_.slices_.enabled();
  Bytes begin = from, end = to;
  if (command_.reversed) {
    it.seek_for_previous(to);
    if (it.valid() && it.key() == to) it.previous();
  } else {
    it.seek(from);
  }
  for (; it.valid() && (command_.reversed ? it.key() >= from : it.key() < to);
       command_.reversed ? it.previous() : it.next()) {
    const BytesView clustering = it.key().substr(row_prefix_bytes_);
    if (at_limit() || partition_full()) {
      stop_before(clustering);
      (command_.reversed ? begin : end) = it.key();
      if (command_.reversed) begin.push_back('\0');
      break;
    }
    TRY_STATUS(add_row(clustering, it.value()));
    keeps = keeps && run.bytes() <= SliceCache::run_bytes_max;
    if (keeps) run.add(clustering, it.value());
  }
  TRY_STATUS(it.status());
  if (keeps) {
    if (command_.reversed) run.reverse();
    replica_.slices_.put(begin, end, row_prefix_bytes_, run);
  }
  return {};
}

Result<Bytes> Replica::Reader::single() {
  const Bytes prefix = partition_prefix(command_.table, command_.token, command_.partition_key);
  TRY(const PartitionTop top, replica_.top_of(prefix));
  TRY_STATUS(begin_partition(command_.token, command_.partition_key, top.head, top.static_row));
  const auto& slices = command_.slices;
  if (!slices.empty() && slices[0].from.empty() && (command_.whole_keys || !top.only_row.empty())) {
    if (!top.only_row.empty()) TRY_STATUS(add_row({}, top.only_row));
  } else if (command_.whole_keys) {
    TRY_STATUS(read_keys(prefix));
  } else if (!slices.empty()) {
    Bytes row_prefix = prefix;
    row_prefix.push_back(static_cast<char>(Place::row));
    const size_t count = slices.size();
    for (size_t i = 0; i < count && complete_; ++i)
      TRY_STATUS(read_slice(row_prefix, slices[command_.reversed ? count - 1 - i : i]));
  }
  end_partition();
  return std::move(out_).finish(complete_, next_);
}

/// Begins the partition at which `it` stands; leaves `it` at its first row, or behind it.
Status Replica::Reader::read_top_from(KeyValueStore::Iterator& it, const KeyParts& parts) {
  Bytes values[2];
  const bool resumed = command_.from.size() > parts.prefix.size() && command_.from.starts_with(parts.prefix);
  if (resumed) {
    TRY(const PartitionTop top, replica_.top_of(parts.prefix));
    return begin_partition(parts.token, parts.partition_key, top.head, top.static_row);
  }
  const Bytes prefix(parts.prefix);
  const size_t key_at = prefix.size() - parts.partition_key.size();
  const int64_t token = parts.token;
  for (size_t i = 0; i < 2; ++i) {
    const bool there = it.valid() && it.key().size() == prefix.size() + 1 && it.key().starts_with(prefix) &&
                       static_cast<size_t>(it.key().back()) == i;
    if (!there) continue;
    values[i] = Bytes(it.value());
    it.next();
  }
  return begin_partition(token, BytesView(prefix).substr(key_at), values[0], values[1]);
}

Result<Bytes> Replica::Reader::range() {
  Bytes end = token_key(command_.table + 1, INT64_MIN).substr(0, 4);
  if (!command_.to.empty() && command_.to < end) end = command_.to;
  auto it = replica_.store_.iterate({token_key(command_.table, INT64_MIN).substr(0, 4), end, false});
  it.seek(command_.from);
  bool open = false;
  Bytes prefix;
  while (it.valid()) {
    TRY(const KeyParts parts, split_key(it.key()));
    if (!open || parts.prefix != prefix) {
      if (open) end_partition();
      open = false;
      if (at_limit()) {
        complete_ = false;
        next_ = Bytes(parts.prefix);
        break;
      }
      prefix = Bytes(parts.prefix);
      TRY_STATUS(read_top_from(it, parts));
      open = true;
      continue;
    }
    if (parts.place != Place::row) {
      it.next();
    } else if (partition_full()) {
      it.seek(after_prefix(prefix));
    } else if (at_limit()) {
      complete_ = false;
      next_ = Bytes(it.key());
      break;
    } else {
      TRY_STATUS(add_row(parts.clustering, it.value()));
      it.next();
    }
  }
  TRY_STATUS(it.status());
  if (open) end_partition();
  return std::move(out_).finish(complete_, next_);
}

Result<Bytes> Replica::read(const ReadCommand& command) {
  ++counters_.reads;
  Reader reader(*this, command);
  return command.single ? reader.single() : reader.range();
}

}  // namespace asterism::datastore
