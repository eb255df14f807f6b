#include "datastore/replica.h"

#include <algorithm>

namespace asterism::datastore {

enum class ReplicaRecord : uint8_t {
  mutation = 1,
  own = 2,
  flushed = 3,  // payload u64: records up to this position may leave the log, the store has them
  drop = 4,     // payload: two keys; what lies in [from, to) goes
};

constexpr size_t apply_batch_bytes = 1 << 20;
constexpr size_t wal_segments_kept = 3;

MergeFunction merge_function() {
  return
      [](BytesView key, const std::optional<BytesView>& existing, std::span<const BytesView> operands, Bytes& merged) {
        std::vector<BytesView> versions;
        versions.reserve(operands.size() + 1);
        if (existing) versions.push_back(*existing);
        versions.insert(versions.end(), operands.begin(), operands.end());
        return merge_versions(key, versions, merged).has_value();
      };
}

Replica::Replica(ReplicaOptions options, Executor& executor, KeyValueStore& store, Log log)
    : options_(options),
      executor_(executor),
      store_(store),
      log_(std::move(log)),
      flushed_at_open_(store.flushed_position()),
      cache_(options.row_cache_bytes),
      slices_(options.slice_cache_bytes),
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
  if (pending_bytes_ >= apply_batch_bytes && !full_) apply_stored();
  return failure_ ? Status(fail(*failure_)) : Status();
}

Task<Status> Replica::start(WriteAheadLog& wal) {
  if (options_.defects.has(Defect::forget_replay) && !pending_.empty()) pending_.pop_back();
  while (true) {
    apply_stored();
    if (failure_) co_return fail(*failure_);
    if (!std::exchange(full_, false)) break;
    CO_TRY_STATUS(co_await store_.flush());
  }
  wal_ = &wal;
  tasks_.spawn(keep_short());
  co_return Status{};
}

Task<Status> Replica::write(Bytes mutation, Durability durability) {
  ++counters_.writes;
  co_return co_await append(static_cast<uint8_t>(ReplicaRecord::mutation), std::move(mutation), durability);
}

Task<Status> Replica::write_all(std::vector<Bytes> mutations, Durability durability) {
  if (mutations.empty()) co_return failure_ ? Status(fail(*failure_)) : Status();
  if (failure_) co_return fail(*failure_);
  uint64_t bytes = 0;
  for (const Bytes& mutation : mutations) bytes += mutation.size();
  if (pending_bytes_ > 0 && pending_bytes_ + bytes > options_.max_pending_bytes)
    co_return fail(ErrorCode::overloaded, "too many writes wait for the disk");
  counters_.writes += mutations.size();
  Status appended;
  for (Bytes& mutation : mutations) {
    const auto position =
        wal_->append(replica_owner, static_cast<uint8_t>(ReplicaRecord::mutation), mutation, durability);
    if (!position) {
      appended = fail(position.error());
      break;
    }
    pending_bytes_ += mutation.size();
    pending_.push_back({*position, static_cast<uint8_t>(ReplicaRecord::mutation), std::move(mutation), {}});
  }
  OneShot<void> done;
  if (appended) pending_.back().done = done.sender();
  expect_stored();
  if (!appended) co_return appended;
  co_return co_await done.receive();
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

Task<Status> Replica::settle() {
  if (failure_) co_return fail(*failure_);
  if (pending_.empty() && wal_->durable_end() == wal_->stored_end()) co_return Status();
  co_return co_await write_own({});
}

Task<Status> Replica::drop_range(Bytes from, Bytes to) {
  Bytes payload;
  ByteWriter out(payload);
  out.sized(from);
  out.sized(to);
  co_return co_await append(static_cast<uint8_t>(ReplicaRecord::drop), std::move(payload));
}

Task<Status> Replica::append(uint8_t kind, Bytes payload, Durability durability) {
  if (failure_) co_return fail(*failure_);
  if (pending_bytes_ > 0 && pending_bytes_ + payload.size() > options_.max_pending_bytes)
    co_return fail(ErrorCode::overloaded, "too many writes wait for the disk");
  CO_TRY(const Position position, wal_->append(replica_owner, kind, payload, durability));
  pending_bytes_ += payload.size();
  OneShot<void> done;
  pending_.push_back({position, kind, std::move(payload), done.sender()});
  if (options_.defects.has(Defect::acknowledge_before_durable)) {
    apply_stored();
  } else {
    expect_stored();
  }
  co_return co_await done.receive();
}

void Replica::expect_stored() {
  if (waiting_ || full_ || pending_.empty() || failure_) return;
  waiting_ = true;
  wal_->when_stored(pending_.back().position, [this](Status stored) {
    waiting_ = false;
    if (!stored) return stop(stored.error());
    apply_stored();
  });
}

/// Applies what the log has stored, in its order, many records with one write of the store.
void Replica::apply_stored() {
  const bool all = wal_ == nullptr || options_.defects.has(Defect::acknowledge_before_durable);
  while (!pending_.empty() && !failure_) {
    size_t taken = 0;
    Position last;
    for (; taken < pending_.size() && batch_.bytes() < apply_batch_bytes; ++taken) {
      const Pending& next = pending_[taken];
      if (!all && next.position >= wal_->stored_end()) break;
      if (Status added = add_to(batch_, next.kind, next.payload); !added) return stop(added.error());
      last = next.position;
    }
    if (taken == 0) break;
    Status applied = store_.apply(batch_, last);
    if (!applied && applied.error().code == ErrorCode::overloaded) {
      batch_.clear();
      clear_caches();  // they are ahead of the store now
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
  expect_stored();
}

Status Replica::add_to(KeyValueStore::Batch& batch, uint8_t kind, BytesView payload) {
  if (kind == static_cast<uint8_t>(ReplicaRecord::mutation)) {
    TRY(const MutationView mutation, MutationView::split(payload));
    Bytes key = partition_prefix(mutation.table, mutation.token, mutation.partition_key);
    const size_t prefix_size = key.size();
    for (const auto& change : mutation.changes) {
      key.resize(prefix_size);
      key.push_back(static_cast<char>(change.place));
      key.append(change.clustering);
      TRY_STATUS(add_change(batch, key, prefix_size, change));
    }
    return {};
  }
  if (kind == static_cast<uint8_t>(ReplicaRecord::drop)) {
    ByteReader in(payload);
    const BytesView from = in.sized(), to = in.sized();
    if (in.failed()) return fail(ErrorCode::corrupt, "a record of the tables is malformed");
    batch.remove_range(from, to);
    clear_caches();
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

/// Where a cache knows what is stored, it gets the merged value, and so does the store: then nobody has to merge there
/// again. Otherwise the store collects versions.
Status Replica::add_change(KeyValueStore::Batch& batch, BytesView key, size_t prefix_size,
                           const MutationView::Change& change) {
  const bool in_top = change.place != Place::row || change.clustering.empty();
  const BytesView cached_under = in_top ? key.substr(0, prefix_size) : key;
  const auto cached = cache_.find(cached_under);
  const auto known_row = cached || in_top ? cached : slices_.find(key, prefix_size + 1);
  if (!known_row) {
    batch.merge(key, change.value);
    return {};
  }
  std::optional<PartitionTop> top;
  if (in_top) {
    TRY(top, PartitionTop::decode(*cached));
  }
  BytesView* part = !in_top                             ? nullptr
                    : change.place == Place::head       ? &top->head
                    : change.place == Place::static_row ? &top->static_row
                                                        : &top->only_row;
  const BytesView known = part != nullptr ? *part : *known_row;
  Bytes merged;
  if (known.empty()) {
    merged = change.value;
  } else {
    TRY_STATUS(merge_versions(key, {known, change.value}, merged));
  }
  if (part == nullptr) {
    if (cached) cache_.put(key, merged);
    slices_.update(key, prefix_size + 1, merged);
  } else {
    *part = merged;
    cache_.put(cached_under, top->encode());
  }
  // A value that outgrows what was written would multiply the bytes of a wide row that is written in pieces.
  if (merged.size() <= 2 * change.value.size())
    batch.put(key, merged);
  else
    batch.merge(key, change.value);
  return {};
}

void Replica::clear_caches() {
  cache_.clear();
  slices_.clear();
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
      if (std::exchange(full_, false)) apply_stored();
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
  clear_caches();
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
  clear_caches();
  return drops.empty() ? Status() : store_.apply(drops);
}

}  // namespace asterism::datastore
