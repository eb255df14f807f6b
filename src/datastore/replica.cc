#include "datastore/replica.h"

#include <algorithm>

namespace asterism::datastore {

enum class ReplicaRecord : uint8_t {
  mutation = 1,
  own = 2,
  flushed = 3,  // payload u64: records up to this position may leave the log, the store has them
};

constexpr size_t apply_batch_bytes = 1 << 20;
constexpr size_t wal_segments_kept = 3;

Replica::Replica(ReplicaOptions options, Executor& executor, KeyValueStore& store, Log log)
    : options_(options),
      store_(store),
      log_(std::move(log)),
      flushed_at_open_(store.flushed_position()),
      tasks_(executor) {}

Replica::~Replica() = default;

Status Replica::replay(const Record& record) {
  if (record.kind == static_cast<uint8_t>(ReplicaRecord::flushed)) {
    ByteReader in(record.payload);
    required_ = std::max(required_, Position{in.u64_le()});
    return in.failed() ? Status(fail(ErrorCode::corrupt, "a record of a flush is malformed")) : Status();
  }
  if (record.position <= flushed_at_open_) return {};
  Pending& pending = pending_.emplace_back();
  pending.position = record.position;
  pending.kind = record.kind;
  pending.payload = Bytes(record.payload);
  pending_bytes_ += record.payload.size();
  // The store may refuse for want of memory; start() then flushes. Holding all back would hold the log in memory.
  if (pending_bytes_ >= apply_batch_bytes && !full_) apply_durable();
  return failure_ ? Status(fail(*failure_)) : Status();
}

Task<Status> Replica::start(WriteAheadLog& wal) {
  if (options_.defects.has(Defect::forget_replay) && !pending_.empty()) pending_.pop_back();
  while (true) {
    apply_durable();
    if (failure_) co_return fail(*failure_);
    if (!std::exchange(full_, false)) break;
    CO_TRY_STATUS(co_await store_.flush());
  }
  wal_ = &wal;
  tasks_.spawn(keep_short());
  co_return Status{};
}

Task<Status> Replica::write(Bytes mutation) {
  ++counters_.writes;
  co_return co_await append(static_cast<uint8_t>(ReplicaRecord::mutation), std::move(mutation));
}

// Payload of an own record: for each change u8 1 (put) or 0 (remove), key, and value where put.

Task<Status> Replica::write_own(std::vector<Change> changes) {
  Bytes payload;
  ByteWriter out(payload);
  for (const Change& change : changes) {
    out.u8(change.value ? 1 : 0);
    out.sized(change.key);
    if (change.value) out.sized(*change.value);
  }
  co_return co_await append(static_cast<uint8_t>(ReplicaRecord::own), std::move(payload));
}

Task<Status> Replica::append(uint8_t kind, Bytes payload) {
  if (failure_) co_return fail(*failure_);
  if (pending_bytes_ + payload.size() > options_.max_pending_bytes)
    co_return fail(ErrorCode::overloaded, "too many writes wait for the disk");
  CO_TRY(const Position position, wal_->append(replica_owner, kind, payload));
  pending_bytes_ += payload.size();
  OneShot<void> done;
  pending_.push_back({position, kind, std::move(payload), done.sender()});
  if (options_.defects.has(Defect::acknowledge_before_durable)) {
    apply_durable();
  } else {
    expect_durable();
  }
  co_return co_await done.receive();
}

void Replica::expect_durable() {
  if (waiting_ || full_ || pending_.empty() || failure_) return;
  waiting_ = true;
  wal_->when_durable(pending_.back().position, [this](Status durable) {
    waiting_ = false;
    if (!durable) return stop(durable.error());
    apply_durable();
  });
}

/// Applies what is durable, in the log's order, many records with one write of the store.
void Replica::apply_durable() {
  const bool all = wal_ == nullptr || options_.defects.has(Defect::acknowledge_before_durable);
  while (!pending_.empty() && !failure_) {
    size_t taken = 0;
    Position last;
    for (; taken < pending_.size() && batch_.bytes() < apply_batch_bytes; ++taken) {
      const Pending& next = pending_[taken];
      if (!all && next.position >= wal_->durable_end()) break;
      if (Status added = add_to(batch_, next.kind, next.payload); !added) return stop(added.error());
      last = next.position;
    }
    if (taken == 0) break;
    Status applied = store_.apply(batch_, last);
    if (!applied && applied.error().code == ErrorCode::overloaded) {
      batch_.clear();
      full_ = true;
      work_.wake_all();
      return;
    }
    if (!applied) return stop(applied.error());
    ++counters_.applied_batches;
    for (; taken > 0; --taken) {
      pending_bytes_ -= pending_.front().payload.size();
      if (pending_.front().done) pending_.front().done.send({});
      pending_.pop_front();
    }
  }
  if (wal_ == nullptr) return;
  if (wants_flush()) work_.wake_all();
  expect_durable();
}

Status Replica::add_to(KeyValueStore::Batch& batch, uint8_t kind, BytesView payload) {
  if (kind == static_cast<uint8_t>(ReplicaRecord::mutation)) {
    TRY(const MutationView mutation, MutationView::decode(payload));
    Bytes key = partition_prefix(mutation.table, mutation.token, mutation.partition_key);
    const size_t prefix_size = key.size();
    for (const auto& change : mutation.changes) {
      key.resize(prefix_size);
      key.push_back(static_cast<char>(change.place));
      key.append(change.clustering);
      batch.merge(key, change.value);
    }
    return {};
  }
  if (kind != static_cast<uint8_t>(ReplicaRecord::own))
    return fail(ErrorCode::corrupt, "a record of the tables is of unknown kind {}", kind);
  ByteReader in(payload);
  while (!in.at_end()) {
    const bool put = in.u8() != 0;
    const BytesView key = in.sized();
    if (put) {
      batch.put(key, in.sized());
    } else {
      batch.remove(key);
    }
  }
  if (in.failed()) return fail(ErrorCode::corrupt, "a record of the tables is malformed");
  return {};
}

bool Replica::wants_flush() const {
  if (full_ || store_.should_flush()) return true;
  return wal_->segments() > wal_segments_kept && std::ranges::binary_search(wal_->oldest_live().holders, replica_owner);
}

/// Flushes the store when it has collected enough, or when its records alone keep old segments of the log.
Task<void> Replica::keep_short() {
  while (!failure_) {
    if (wants_flush()) {
      if (Status shortened = co_await shorten(); !shortened) {
        stop(shortened.error());
        break;
      }
      if (std::exchange(full_, false)) apply_durable();
    }
    if (store_.should_compact())
      if (Status compacted = co_await store_.compact(); !compacted) stop(compacted.error());
    if (!full_ && !store_.should_flush()) co_await work_.wait();
  }
}

Task<Status> Replica::shorten() {
  const bool nothing_new = pending_.empty() && store_.applied_position() == store_.flushed_position();
  if (!nothing_new) {
    CO_TRY_STATUS(co_await store_.flush());
    ++counters_.flushes;
  }
  // Said before the records go: a store that is found older than this has lost something.
  const Position flushed = store_.flushed_position();
  const bool all_flushed = pending_.empty() && store_.applied_position() == flushed;
  Bytes payload;
  ByteWriter(payload).u64_le(flushed.value);
  auto noted = wal_->append(replica_owner, static_cast<uint8_t>(ReplicaRecord::flushed), payload);
  if (!noted && noted.error().code == ErrorCode::overloaded) co_return Status{};  // the next flush says it
  if (!noted) co_return fail(noted.error());
  CO_TRY_STATUS(co_await wal_->durable(*noted));
  wal_->release(replica_owner, all_flushed ? *noted : Position{flushed.value + 1});
  co_return Status{};
}

void Replica::stop(Error error) {
  if (failure_) return;
  log_.error("this node's tables take no more writes: {}", error.to_string());
  failure_ = error;
  for (Pending& pending : std::exchange(pending_, {}))
    if (pending.done) pending.done.send(fail(error));
  pending_bytes_ = 0;
  batch_.clear();
  work_.wake_all();
}

Status Replica::drop_tables(const std::function<bool(uint32_t)>& wanted) {
  auto it = store_.iterate();
  KeyValueStore::Batch drops;
  for (it.seek_first(); it.valid();) {
    if (it.key().size() < 4) return fail(ErrorCode::corrupt, "a stored key is malformed");
    const uint32_t table = load_big_endian<uint32_t>(it.key().data());
    if (table >= 0xffff0000u) break;
    if (table < Schema::first_table) {
      it.seek(token_key(table + 1, INT64_MIN).substr(0, 4));
      continue;
    }
    const Bytes from = token_key(table, INT64_MIN).substr(0, 4), to = token_key(table + 1, INT64_MIN).substr(0, 4);
    if (!wanted(table)) drops.remove_range(from, to);
    it.seek(to);
  }
  TRY_STATUS(it.status());
  return drops.empty() ? Status() : store_.apply(drops);
}

/// Collects one ReadResult.
class Replica::Reader {
 public:
  Reader(const Replica& replica, const ReadCommand& command) : replica_(replica), command_(command) {}

  Result<ReadResult> single();
  Result<ReadResult> range();

 private:
  Status begin_partition(int64_t token, BytesView key, BytesView prefix);
  void end_partition();
  Status add_row(BytesView clustering, BytesView value);
  /// The bound on bytes waits for the first row or partition: a read must get on.
  bool at_limit() const {
    return live_rows_ >= command_.row_limit || (progress_ && bytes_ >= replica_.options_.max_result_bytes);
  }
  Status scan_slice(KeyValueStore::Iterator& it, const Slice& slice);

  const Replica& replica_;
  const ReadCommand& command_;
  ReadResult result_;
  ReadResult::Partition partition_;
  Bytes prefix_;  // of the partition, with its place byte for rows
  PartitionHead head_;
  Row row_;
  bool static_live_ = false;
  uint32_t live_rows_ = 0, live_in_partition_ = 0;
  uint64_t bytes_ = 0;
  bool progress_ = false;
};

Status Replica::Reader::begin_partition(int64_t token, BytesView key, BytesView prefix) {
  partition_ = {};
  partition_.token = token;
  partition_.key = Bytes(key);
  head_ = {};
  static_live_ = false;
  live_in_partition_ = 0;
  Bytes at(prefix);
  at.push_back(static_cast<char>(Place::head));
  TRY(auto head, replica_.store_.get(at));
  if (head) {
    TRY(head_, decode_head(*head));
    partition_.head = std::move(*head);
  }
  at.back() = static_cast<char>(Place::static_row);
  TRY(auto static_row, replica_.store_.get(at));
  if (static_row) {
    TRY_STATUS(decode_row(*static_row, row_));
    row_.hide(head_.deletion);
    static_live_ = row_.is_live(command_.now_s);
    partition_.static_row = std::move(*static_row);
  }
  bytes_ += partition_.head.size() + partition_.static_row.size() + partition_.key.size();
  prefix_ = Bytes(prefix);
  prefix_.push_back(static_cast<char>(Place::row));
  return {};
}

void Replica::Reader::end_partition() {
  progress_ = true;
  if (partition_.rows.empty() && partition_.head.empty() && partition_.static_row.empty()) return;
  // A partition with live static columns and no row is a row to the client.
  if (live_in_partition_ == 0 && static_live_) ++live_rows_;
  result_.partitions.push_back(std::move(partition_));
}

Status Replica::Reader::add_row(BytesView clustering, BytesView value) {
  TRY_STATUS(decode_row(value, row_));
  row_.hide(head_.deletion_of(clustering));
  if (row_.is_live(command_.now_s)) {
    ++live_rows_;
    ++live_in_partition_;
  }
  bytes_ += clustering.size() + value.size() + 8;
  progress_ = true;
  partition_.rows.push_back({Bytes(clustering), Bytes(value)});
  return {};
}

Status Replica::Reader::scan_slice(KeyValueStore::Iterator& it, const Slice& slice) {
  const Bytes from = prefix_ + slice.from, to = slice.to.empty() ? after_prefix(prefix_) : prefix_ + slice.to;
  if (!slice.to.empty() && slice.from >= slice.to) return {};
  if (command_.reversed) {
    it.seek_for_previous(to);
    if (it.valid() && it.key() == to) it.previous();
  } else {
    it.seek(from);
  }
  while (it.valid() && (command_.reversed ? it.key() >= from : it.key() < to)) {
    const BytesView clustering = it.key().substr(prefix_.size());
    if (at_limit() || live_in_partition_ >= command_.per_partition_limit) {
      result_.complete = false;
      // Reversed, what lies before `next` is missing: the row at hand is the first of it.
      result_.next = Bytes(clustering);
      if (command_.reversed) result_.next.push_back('\0');
      return {};
    }
    TRY_STATUS(add_row(clustering, it.value()));
    command_.reversed ? it.previous() : it.next();
  }
  return it.status();
}

Result<ReadResult> Replica::Reader::single() {
  const Bytes prefix = partition_prefix(command_.table, command_.token, command_.partition_key);
  TRY_STATUS(begin_partition(command_.token, command_.partition_key, prefix));
  const bool whole_key = command_.slices.size() == 1 && command_.slices[0] == Slice{};
  if (whole_key && command_.row_limit >= 1) {
    // The only row of a table without clustering columns, or the first of all rows: try the cheap way first.
    TRY(auto value, replica_.store_.get(prefix_));
    if (value) {
      TRY_STATUS(add_row({}, *value));
      end_partition();
      return std::move(result_);
    }
  }
  if (!command_.slices.empty()) {
    auto it = replica_.store_.iterate({prefix, after_prefix(prefix), true});
    const size_t count = command_.slices.size();
    for (size_t i = 0; i < count && result_.complete; ++i)
      TRY_STATUS(scan_slice(it, command_.slices[command_.reversed ? count - 1 - i : i]));
  }
  end_partition();
  return std::move(result_);
}

Result<ReadResult> Replica::Reader::range() {
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
        result_.complete = false;
        result_.next = Bytes(parts.prefix);
        return std::move(result_);
      }
      prefix = Bytes(parts.prefix);
      TRY_STATUS(begin_partition(parts.token, parts.partition_key, prefix));
      open = true;
    }
    if (parts.place != Place::row) {
      it.next();
    } else if (live_in_partition_ >= command_.per_partition_limit) {
      it.seek(after_prefix(prefix));
    } else if (at_limit()) {
      result_.complete = false;
      result_.next = Bytes(it.key());
      break;
    } else {
      TRY_STATUS(add_row(parts.clustering, it.value()));
      it.next();
    }
  }
  TRY_STATUS(it.status());
  if (open) end_partition();
  return std::move(result_);
}

Result<ReadResult> Replica::read(const ReadCommand& command) const {
  Reader reader(*this, command);
  return command.single ? reader.single() : reader.range();
}

}  // namespace asterism::datastore
