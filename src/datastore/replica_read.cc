#include "datastore/replica_read.h"

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

ReplicaRead::ReplicaRead(Replica& replica, const ReadCommand& command)
    : ReplicaRead(replica, command, {replica.options_.max_served_bytes, replica.options_.max_served_steps}) {}

std::pair<int64_t, int64_t> ReplicaRead::tokens() const {
  if (command_.single) return {command_.token, command_.token};
  const auto token_of = [&](BytesView key, int64_t otherwise) {
    if (key.size() < 12 || load_big_endian<uint32_t>(key.data()) != command_.table) return otherwise;
    return static_cast<int64_t>(load_big_endian<uint64_t>(key.data() + 4) ^ (uint64_t{1} << 63));
  };
  return {token_of(command_.from, INT64_MIN), token_of(complete_ ? BytesView(command_.to) : next_, INT64_MAX)};
}

Status ReplicaRead::begin_partition(int64_t token, BytesView key, BytesView head, BytesView static_row) {
  has_head_ = !head.empty();
  empty_ = head.empty() && static_row.empty();
  static_live_ = false;
  live_in_partition_ = 0;
  ++steps_;
  if (has_head_) {
    TRY(head_, decode_head(head));
  }
  if (!static_row.empty()) {
    TRY(static_live_, row_is_live(static_row, has_head_ ? head_.deletion : DeletionTime(), command_.now_s));
  }
  out_.begin_partition(token, key, head, static_row);
  return {};
}

void ReplicaRead::end_partition() {
  progress_ = true;
  if (empty_) return out_.drop_partition();
  // A partition with live static columns and no row is a row to the client.
  if (live_in_partition_ == 0 && static_live_) ++live_rows_;
  out_.end_partition();
}

Status ReplicaRead::add_row(BytesView clustering, BytesView value) {
  TRY(const bool live, row_is_live(value, has_head_ ? head_.deletion_of(clustering) : DeletionTime(), command_.now_s));
  if (live) {
    ++live_rows_;
    ++live_in_partition_;
  }
  ++steps_;
  progress_ = true;
  empty_ = false;
  out_.add_row(clustering, value);
  return {};
}

void ReplicaRead::stop_before(BytesView clustering) {
  complete_ = false;
  // Reversed, what lies before `next` is missing: the row at hand is the first of it.
  next_ = Bytes(clustering);
  if (command_.reversed) next_.push_back('\0');
}

const Slice& ReplicaRead::slice(size_t n) const {
  return command_.slices[command_.reversed ? command_.slices.size() - 1 - n : n];
}

/// Off the fast way: looks at the clock now and then where this is not the first slice.
bool ReplicaRead::time_is_up() {
  if (until_ == Instant::never() || replica_.executor_.now() >= until_) {
    paused_ = true;
    return true;
  }
  look_at_steps_ = steps_ + steps_between_looks;
  return false;
}

Result<bool> ReplicaRead::read_keys() {
  Bytes key = prefix_;
  key.push_back(static_cast<char>(Place::row));
  const size_t prefix_size = key.size();
  for (; slices_read_ < command_.slices.size(); ++slices_read_) {
    if (slice_over()) return false;
    const Bytes& clustering = slice(slices_read_).from;
    if (at_bounds()) {
      stop_before(clustering);
      break;
    }
    key.resize(prefix_size);
    key.append(clustering);
    TRY(const BytesView row, replica_.row_at(key));
    steps_ += steps_of_a_lookup;
    if (row.empty()) {
      progress_ = true;
      continue;
    }
    if (at_limit() || partition_full()) {
      stop_before(clustering);
      break;
    }
    TRY_STATUS(add_row(clustering, row));
  }
  return true;
}

Result<bool> ReplicaRead::read_slices() {
  for (; complete_ && slices_read_ < command_.slices.size(); ++slices_read_) {
    if (from_.empty()) {
      if (slice_over()) return false;
      const Slice& next = slice(slices_read_);
      if (at_bounds()) {
        complete_ = false;
        next_ = command_.reversed ? next.to : next.from;
        break;
      }
      from_ = prefix_ + next.from;
      to_ = next.to.empty() ? after_prefix(prefix_) : prefix_ + next.to;
      steps_ += steps_of_a_lookup;
    }
    TRY(const bool done, read_slice());
    if (!done) return false;
    from_.clear();
    progress_ = true;
  }
  return true;
}

/// What is done of the slice is cut off from it.
Result<bool> ReplicaRead::read_slice() {
  SliceCache& cache = replica_.slices_;
  while (complete_ && from_ < to_) {
    const SliceCache::Stretch* known = command_.reversed ? cache.before(to_) : cache.at(from_);
    if (command_.reversed) {
      const Bytes at(known != nullptr ? std::max(BytesView(from_), BytesView(known->from))
                                      : cache.previous_known(to_, from_));
      TRY_STATUS(known != nullptr ? read_cached(*known, at, to_) : read_store(at, to_));
      if (paused_) return false;
      to_ = at;
    } else {
      const Bytes at(known != nullptr ? std::min(BytesView(to_), BytesView(known->to)) : cache.next_known(from_, to_));
      TRY_STATUS(known != nullptr ? read_cached(*known, from_, at) : read_store(from_, at));
      if (paused_) return false;
      from_ = at;
    }
  }
  return true;
}

/// The row with this key is the first that the next slice reads.
void ReplicaRead::leave_off_at(BytesView key) {
  if (command_.reversed) {
    to_ = key;
    to_.push_back('\0');
  } else {
    from_ = key;
  }
}

Status ReplicaRead::read_cached(const SliceCache::Stretch& stretch, BytesView from, BytesView to) {
  const RowRun& run = stretch.run;
  const size_t begin = from <= stretch.from ? 0 : run.lower_bound(from.substr(prefix_.size()));
  const size_t end = to >= stretch.to ? run.size() : run.lower_bound(to.substr(prefix_.size()));
  const bool far_from_bytes = out_.bytes() + run.bytes() < bounds_.bytes;
  size_t done = 0;
  if (!command_.reversed && !has_head_ && run.all_live() && far_from_bytes && begin < end) {
    const uint32_t room = std::min(command_.row_limit - std::min(command_.row_limit, live_rows_),
                                   command_.per_partition_limit - live_in_partition_);
    done = std::min<size_t>({end - begin, room, bounds_.steps - std::min(bounds_.steps, steps_)});
    out_.add_rows(run.encoded(begin, begin + done));
    live_rows_ += static_cast<uint32_t>(done);
    live_in_partition_ += static_cast<uint32_t>(done);
    steps_ += static_cast<uint32_t>(done);
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
    if (slice_over()) {
      leave_off_at(prefix_ + Bytes(row.clustering));
      break;
    }
    TRY_STATUS(add_row(row.clustering, row.value));
  }
  return {};
}

Status ReplicaRead::read_store(const Bytes& from, const Bytes& to) {
  if (!rows_) rows_.emplace(replica_.store_.iterate({prefix_, after_prefix(prefix_), true}));
  KeyValueStore::Iterator& it = *rows_;
  RowRun run;
  // What takes several slices would push out what short reads keep asking for.
  bool keeps = replica_.slices_.enabled() && until_ == Instant::never();
  Bytes begin = from, end = to;
  if (command_.reversed) {
    it.seek_for_previous(to);
    if (it.valid() && it.key() == to) it.previous();
  } else {
    it.seek(from);
  }
  for (; it.valid() && (command_.reversed ? it.key() >= from : it.key() < to);
       command_.reversed ? it.previous() : it.next()) {
    const BytesView clustering = it.key().substr(prefix_.size());
    const bool stops = at_limit() || partition_full();
    if (stops || slice_over()) {
      stops ? stop_before(clustering) : leave_off_at(it.key());
      (command_.reversed ? begin : end) = it.key();
      if (command_.reversed) begin.push_back('\0');
      keeps = keeps && stops;
      break;
    }
    TRY_STATUS(add_row(clustering, it.value()));
    keeps = keeps && run.bytes() <= SliceCache::run_bytes_max;
    if (keeps) run.add(clustering, it.value());
  }
  TRY_STATUS(it.status());
  if (keeps) {
    if (command_.reversed) run.reverse();
    replica_.slices_.put(begin, end, prefix_.size(), run);
  }
  return {};
}

Result<bool> ReplicaRead::single() {
  const auto& slices = command_.slices;
  if (!begun_) {
    prefix_ = partition_prefix(command_.table, command_.token, command_.partition_key);
    TRY(const PartitionTop top, replica_.top_of(prefix_));
    TRY_STATUS(begin_partition(command_.token, command_.partition_key, top.head, top.static_row));
    begun_ = true;
    const bool only_row = !slices.empty() && slices[0].from.empty() && (command_.whole_keys || !top.only_row.empty());
    if (only_row && !top.only_row.empty()) TRY_STATUS(add_row({}, top.only_row));
    if (only_row || slices.empty()) {
      end_partition();
      return true;
    }
    if (!command_.whole_keys) prefix_.push_back(static_cast<char>(Place::row));
  }
  TRY(const bool done, command_.whole_keys ? read_keys() : read_slices());
  if (done) end_partition();
  return done;
}

/// Begins the partition at which `it` stands; leaves `it` at its first row, or behind it.
Status ReplicaRead::read_top_from(KeyValueStore::Iterator& it, const KeyParts& parts) {
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

Result<bool> ReplicaRead::range() {
  Bytes end = token_key(command_.table + 1, INT64_MIN).substr(0, 4);
  if (!command_.to.empty() && command_.to < end) end = command_.to;
  auto it = replica_.store_.iterate({token_key(command_.table, INT64_MIN).substr(0, 4), end, false});
  it.seek(begun_ ? from_ : command_.from);
  begun_ = true;
  while (it.valid()) {
    TRY(const KeyParts parts, split_key(it.key()));
    const bool next_partition = !open_ || parts.prefix != prefix_;
    if (slice_over()) {
      // The next partition from its top on, which may be written until then.
      from_ = next_partition ? std::max(parts.prefix, BytesView(command_.from)) : it.key();
      return false;
    }
    if (next_partition) {
      if (open_) end_partition();
      open_ = false;
      if (at_limit()) {
        complete_ = false;
        next_ = Bytes(parts.prefix);
        break;
      }
      prefix_ = Bytes(parts.prefix);
      TRY_STATUS(read_top_from(it, parts));
      open_ = true;
      continue;
    }
    if (parts.place != Place::row) {
      ++steps_;
      it.next();
    } else if (partition_full()) {
      steps_ += steps_of_a_lookup;
      it.seek(after_prefix(prefix_));
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
  if (open_) end_partition();
  return true;
}

Result<bool> ReplicaRead::run() {
  paused_ = false;
  Result<bool> done = command_.single ? single() : range();
  // What it saw of the store may have changed when the next slice runs.
  rows_.reset();
  return done;
}

Result<bool> ReplicaRead::begin() {
  ++replica_.counters_.reads;
  look_at_steps_ = first_slice_steps;
  look_at_bytes_ = first_slice_bytes;
  return run();
}

Result<bool> ReplicaRead::go_on() {
  until_ = replica_.executor_.now() + replica_.options_.slice_time;
  look_at_steps_ = steps_ + steps_between_looks;
  look_at_bytes_ = UINT64_MAX;
  return run();
}

Result<bool> ReplicaRead::run_through() {
  ++replica_.counters_.reads;
  look_at_steps_ = UINT32_MAX;
  look_at_bytes_ = UINT64_MAX;
  return run();
}

Result<Bytes> Replica::read(const ReadCommand& command) {
  ReplicaRead read(*this, command, {options_.max_result_bytes});
  TRY(const bool done, read.run_through());
  ASSERT(done);
  return std::move(read).take();
}

}  // namespace asterism::datastore
