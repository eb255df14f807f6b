// What the tests of replicas share: one machine's log, store and replica, and rows to put there.
#pragma once

#include <algorithm>

#include "datastore/replica.h"
#include "storage/test_rig.h"

namespace asterism::datastore::replica_test {

inline constexpr uint32_t table = 20;
inline constexpr ShardId other_owner{5};

inline KeyValueStore::Options store_options(uint64_t memtable_bytes) {
  KeyValueStore::Options options;
  options.background_compaction = false;
  options.memtable_bytes = memtable_bytes;
  options.merge = merge_function();
  options.supersedes = version_supersedes;
  return options;
}

/// One machine's log, store and replica, which can be opened again and again.
struct Rig : TestRig {
  uint64_t segment_bytes = 4 << 20, memtable_bytes = 1 << 20;
  ReplicaOptions options;
  std::unique_ptr<KeyValueStore> store;
  std::unique_ptr<Replica> replica;
  std::unique_ptr<WriteAheadLog> wal;

  explicit Rig(uint64_t seed = 1) : TestRig(seed) {}
  ~Rig() { close(); }

  Task<void> open() {
    store = must(co_await KeyValueStore::open(disk(), store_options(memtable_bytes)));
    replica = std::make_unique<Replica>(options, executor(), *store, Log());
    WriteAheadLog::Options log_options;
    log_options.new_log_id = 7;
    log_options.segment_bytes = segment_bytes;
    wal = must(co_await WriteAheadLog::open(disk(), executor(), log_options, [this](const Record& record) {
      return record.owner == replica_owner ? replica->replay(record) : Status();
    }));
    // Nothing that the store lacks may be missing from the log.
    EXPECT_GE(store->flushed_position(), replica->required_position());
    must(co_await replica->start(*wal));
    wal->release(other_owner, Position::last());
  }
  void close() {
    wal.reset();
    replica.reset();
    store.reset();
  }
  void restart(sim::Crash kind) {
    close();
    crash_and_restart(kind);
    run(open());
  }
  Result<ReadResult> read(const ReadCommand& command) {
    TRY(const Bytes encoded, replica->read(command));
    return ReadResult::decode(encoded);
  }
};

inline Bytes clustering(int i) { return Bytes{static_cast<char>(i >> 8), static_cast<char>(i & 0xff)}; }

inline Row row_of(BytesView value, int64_t at) {
  Row row;
  row.has_marker = true;
  row.marker.timestamp_us = at;
  Cell cell;
  cell.column = 3;
  cell.timestamp_us = at;
  cell.value = value;
  row.cells.push_back(cell);
  return row;
}

inline Bytes mutation_of(BytesView key, int row, BytesView value, int64_t at) {
  Mutation mutation(table, static_cast<int64_t>(key.size()), key);
  mutation.add_row(clustering(row), row_of(value, at));
  return std::move(mutation).take();
}

inline ReadCommand whole(BytesView key) {
  ReadCommand command;
  command.table = table;
  command.token = static_cast<int64_t>(key.size());
  command.partition_key = Bytes(key);
  command.slices = {{Bytes(1, '\0'), {}}};
  return command;
}

inline std::vector<int> rows_of(const ReadResult& result) {
  std::vector<int> rows;
  for (const auto& partition : result.partitions)
    for (const auto& row : partition.rows)
      rows.push_back(static_cast<uint8_t>(row.clustering[0]) << 8 | static_cast<uint8_t>(row.clustering[1]));
  return rows;
}

inline std::vector<int> numbers(int from, int to, bool reversed = false) {
  std::vector<int> all;
  for (int i = from; i < to; ++i) all.push_back(i);
  if (reversed) std::ranges::reverse(all);
  return all;
}

}  // namespace asterism::datastore::replica_test
