// What one node stores of the tables: applies mutations durably and reads them back.
#pragma once

#include <deque>
#include <functional>

#include "base/defects.h"
#include "base/log.h"
#include "datastore/read_result.h"
#include "datastore/row_cache.h"
#include "datastore/schema.h"
#include "datastore/slice_cache.h"
#include "runtime/one_shot.h"
#include "runtime/task_group.h"
#include "storage/key_value_store.h"
#include "storage/write_ahead_log.h"

namespace asterism::datastore {

/// The owner of the replica's records in the write-ahead log: all tables share one store, so they share one owner.
inline constexpr ShardId replica_owner{UINT64_MAX};

/// Tables with a number below Schema's first are the store's own.
inline constexpr uint32_t hints_table = 1, batches_table = 2, facts_table = 3;

/// How a store of tables merges versions of what lies under one key.
MergeFunction merge_function();

struct ReplicaOptions {
  uint64_t max_pending_bytes = 64 << 20;  // appended and not applied yet, or one write; else overloaded
  uint64_t max_result_bytes = 1 << 20;    // of one answer of read()
  uint64_t max_served_bytes = 512 << 10;  // of one to a client (ReplicaRead)
  uint32_t max_served_steps = 4096;
  Duration slice_time = std::chrono::milliseconds(1);  // for which a long read holds the core
  uint64_t row_cache_bytes = 8 << 20;
  uint64_t slice_cache_bytes = 8 << 20;
  Defects defects;
};

/// What is stored of a partition outside of its clustered rows; parts are empty where there is none. `only_row` is the
/// row of a table without clustering columns. Kept in the row cache as one entry, under the partition's prefix.
struct PartitionTop {
  BytesView head, static_row, only_row;

  Bytes encode() const;
  static Result<PartitionTop> decode(BytesView bytes);
};

/// Used by one core. Reads see exactly what is stored as its write asked for: durable, or relaxed.
class Replica {
 public:
  Replica(ReplicaOptions options, Executor& executor, KeyValueStore& store, Log log);
  ~Replica();

  // Start-up: replay() for every record of the log whose owner is replica_owner, then start().
  Status replay(const Record& record);
  /// After the replay: the store must hold every record up to here, because the log may have let them go. A store that
  /// was flushed less far has lost something.
  Position required_position() const { return required_; }
  /// Applies what was replayed and begins to keep the log short. Errors: those of the store.
  ///
  /// From then on the log always holds a record of the replica at or before the store's flushed position, so a log that
  /// begins after that position has lost something.
  Task<Status> start(WriteAheadLog& wal);

  /// Completes when the mutation is durable, or stored as the log does with relaxed ones, and readable. It must have
  /// been checked (MutationView::decode). Errors: overloaded (nothing was done), too_large, or what broke the log.
  Task<Status> write(Bytes mutation, Durability durability = Durability::synced);
  /// The same for several, in their order: completes when all of them are. Errors: likewise; some may have been done.
  Task<Status> write_all(std::vector<Bytes> mutations, Durability durability = Durability::synced);
  /// The same for keys of the store's own tables: puts, or removes where the value is absent.
  struct Change {
    Bytes key;
    std::optional<Bytes> value;
  };
  Task<Status> write_own(std::vector<Change> changes);
  /// Completes when everything that was taken before the call is durable and readable.
  Task<Status> settle();
  /// Removes all rows of a table between two keys, durably and in the order of writes.
  Task<Status> drop_range(Bytes from, Bytes to);

  /// An encoded ReadResult at once, for work in the background; ReplicaRead gives up the core between its slices.
  /// Errors: corrupt (stored bytes are damaged), io.
  Result<Bytes> read(const ReadCommand& command);
  Result<std::optional<Bytes>> get(BytesView key) const { return store_.get(key); }
  KeyValueStore::Iterator iterate(KeyValueStore::Bounds bounds) const { return store_.iterate(std::move(bounds)); }

  uint64_t file_bytes_between(BytesView from, BytesView to) const { return store_.file_bytes_between(from, to); }

  /// Removes all rows of tables whose number is not wanted any more.
  Status drop_tables(const std::function<bool(uint32_t number)>& wanted);

  struct Counters {
    uint64_t writes = 0, applied_batches = 0, reads = 0, flushes = 0;
  };
  const Counters& counters() const { return counters_; }
  const RowCache& cache() const { return cache_; }
  const SliceCache& slices() const { return slices_; }
  uint64_t pending_bytes() const { return pending_bytes_; }
  /// Why the replica stopped, if it did: nothing is written any more.
  const std::optional<Error>& failure() const { return failure_; }

 private:
  struct Pending {
    Position position;
    uint8_t kind = 0;
    Bytes payload;
    OneShot<void>::Sender done;
  };
  friend class ReplicaRead;

  Task<Status> append(uint8_t kind, Bytes payload, Durability durability = Durability::synced);
  void expect_stored();
  void apply_stored();
  Status add_to(KeyValueStore::Batch& batch, uint8_t kind, BytesView payload);
  Status add_change(KeyValueStore::Batch& batch, BytesView key, size_t prefix_size, const MutationView::Change& change);
  /// Both from the cache or, by it, from the store; the views hold until the cache changes.
  Result<PartitionTop> top_of(BytesView prefix);
  Result<BytesView> row_at(BytesView key);
  void clear_caches();
  bool wants_flush() const;
  Task<void> keep_short();
  Task<Status> shorten();
  void stop(Error error);

  ReplicaOptions options_;
  Executor& executor_;
  KeyValueStore& store_;
  Log log_;
  const Position flushed_at_open_;
  WriteAheadLog* wal_ = nullptr;
  RowCache cache_;
  SliceCache slices_;
  Bytes loaded_;  // what was read last past the cache
  std::deque<Pending> pending_;
  uint64_t pending_bytes_ = 0;
  Position required_;
  bool waiting_ = false;  // a callback of the log is due
  bool full_ = false;     // the store takes no more before a flush
  KeyValueStore::Batch batch_;
  Counters counters_;
  std::optional<Error> failure_;
  WaitQueue work_;
  TaskGroup tasks_;
};

}  // namespace asterism::datastore
