// How a node opens its log and its store, and what it does when a disk fails.
#include "node/node_parts.h"

#include <algorithm>

#include "cluster/rpc_methods.h"
#include "runtime/io.h"

namespace asterism {

constexpr const char* store_folder = "store";
constexpr const char* log_folder = "wal";
constexpr const char* damaged_log_mark = "log-damaged";  // the log, not set aside yet
constexpr Duration room_poll = 500ms;

Task<Status> Node::Parts::set_aside(const char* folder, const Error& why) {
  CO_TRY_STATUS(co_await mark(rebuilding_mark));
  CO_TRY(const std::string to, co_await KeyValueStore::quarantine(ports.disk, folder));
  log.error("{} is damaged ({}); it is kept in {} and its content comes from the other replicas", folder, why.message,
            to);
  co_return Status{};
}

/// Sets aside what is marked as damaged. Files move one by one, so a crash in between must find the mark again: half a
/// log may look like a whole one.
Task<Status> Node::Parts::set_aside_marked(const Error& why) {
  CO_TRY(const bool log_damaged, co_await is_marked(damaged_log_mark));
  CO_TRY(const bool store_damaged, co_await is_marked(damaged_mark));
  if (!log_damaged && !store_damaged) co_return Status{};
  // Positions of a new log begin anew, so the store that counts in the old ones goes as well.
  CO_TRY_STATUS(co_await set_aside(store_folder, why));
  hole_accepted = true;
  if (log_damaged) {
    log_lost = true;
    CO_TRY_STATUS(co_await mark(recovering_mark));
    CO_TRY_STATUS(co_await set_aside(log_folder, why));
    CO_TRY_STATUS(co_await unmark(damaged_log_mark));
  }
  if (store_damaged) CO_TRY_STATUS(co_await unmark(damaged_mark));
  co_return Status{};
}

Task<Status> Node::Parts::mark(const char* name) {
  CO_TRY(const bool already, co_await is_marked(name));
  if (already) co_return Status{};
  CO_TRY(auto file, co_await open(ports.disk, name, OpenMode::create));
  CO_TRY_STATUS(co_await sync(*file));
  co_return co_await sync_directory(ports.disk, "");
}

Task<Status> Node::Parts::unmark(const char* name) {
  CO_TRY_STATUS(co_await remove(ports.disk, name));
  co_return co_await sync_directory(ports.disk, "");
}

Task<Result<bool>> Node::Parts::is_marked(const char* name) {
  CO_TRY(const auto entries, co_await list(ports.disk, ""));
  co_return std::ranges::any_of(entries, [&](const auto& entry) { return entry.name == name; });
}

Task<Status> Node::Parts::open_storage() {
  for (const char* folder : {store_folder, log_folder}) CO_TRY_STATUS(co_await make_directory(ports.disk, folder));
  CO_TRY_STATUS(co_await sync_directory(ports.disk, ""));
  // At most the log and the store are set aside, one after the other.
  Error why{ErrorCode::corrupt, "an earlier start or a read found damage"};
  for (int attempt = 0;; ++attempt) {
    bool retry = false;
    CO_TRY_STATUS(co_await set_aside_marked(why));
    Status opened = co_await open_once(retry);
    if (!opened) why = opened.error();
    if (opened || !retry || attempt == 3) co_return opened;
  }
}

raft::HostOptions Node::Parts::host_options() const {
  raft::HostOptions options;
  options.self = config.id;
  options.tick = tuning.raft_tick;
  options.snapshot_after_bytes = tuning.snapshot_after_bytes;
  options.recovering = log_lost;
  options.defects = tuning.defects;
  return options;
}

Task<Status> Node::Parts::open_once(bool& retry) {
  wal.reset();
  replica.reset();
  host.reset();
  store.reset();

  KeyValueStore::Options store_options;
  store_options.path = store_folder;
  store_options.memtable_bytes = tuning.memtable_bytes;
  store_options.block_cache_bytes = tuning.block_cache_bytes;
  store_options.background_compaction = tuning.background_compaction;
  store_options.merge = datastore::merge_function();
  store_options.supersedes = datastore::version_supersedes;
  auto opened = co_await KeyValueStore::open(ports.disk, store_options);
  if (!opened) {
    retry = opened.error().code == ErrorCode::corrupt;
    if (retry) CO_TRY_STATUS(co_await mark(damaged_mark));
    co_return fail(opened.error());
  }
  store = std::move(*opened);

  host = std::make_unique<raft::Host>(
      host_options(), ports.executor, ports.clock, ports.random,
      [this](NodeId to, Bytes batch) { rpc->send(to, rpc_method::raft, std::move(batch)); }, log.child("raft"));
  datastore::ReplicaOptions replica_options;
  replica_options.defects = tuning.defects;
  replica_options.row_cache_bytes = tuning.row_cache_bytes;
  replica_options.slice_cache_bytes = tuning.slice_cache_bytes;
  replica_options.max_pending_bytes = tuning.pending_bytes;
  replica = std::make_unique<datastore::Replica>(replica_options, ports.executor, *store, log.child("replica"));

  WriteAheadLog::Options log_options;
  log_options.directory = log_folder;
  log_options.new_log_id = ports.random.next() | 1;
  log_options.segment_bytes = tuning.wal_segment_bytes;
  log_options.max_pending_bytes = tuning.pending_bytes;
  auto log_opened = co_await WriteAheadLog::open(ports.disk, ports.executor, log_options, [this](const Record& record) {
    return record.owner == datastore::replica_owner ? replica->replay(record) : host->replay(record);
  });
  if (!log_opened) {
    retry = log_opened.error().code == ErrorCode::corrupt;
    if (retry) {
      replica.reset();
      store.reset();
      CO_TRY_STATUS(co_await mark(damaged_log_mark));
    }
    co_return fail(log_opened.error());
  }
  wal = std::move(*log_opened);

  if (!hole_accepted && store->flushed_position() < replica->required_position()) {
    const Error hole{ErrorCode::corrupt, "the store is older than its last flush"};
    wal.reset();
    replica.reset();
    store.reset();
    retry = true;
    CO_TRY_STATUS(co_await mark(damaged_mark));
    hole_accepted = true;
    co_return fail(hole);
  }
  host->start(*wal);
  co_return co_await replica->start(*wal);
}

std::optional<Error> Node::Parts::find_failure() const {
  if (wal->failure()) return wal->failure();
  if (Status supported = cluster.check_level(); !supported) return supported.error();
  return store->damage() ? store->damage() : replica->failure();
}

Task<void> Node::Parts::watch_for_failure() {
  constexpr Duration look_every = 100ms;
  while (!(failure = find_failure())) {
    const Instant due = ports.executor.now() + look_every;
    co_await sleep_for(look_every);
    loop_lag.record(ports.executor.now() - due);
  }
  if (failure->code == ErrorCode::no_space) co_await wait_for_room();
  // The next start must not come upon the same file again.
  if (failure->code == ErrorCode::corrupt && !wal->failure()) co_await mark(damaged_mark);
  failed.set();
}

/// Log and store stay as they are, so what was acknowledged can be read, and are opened again when that can succeed: it
/// copies a segment of the log, begins another and flushes what was replayed.
Task<void> Node::Parts::wait_for_room() {
  const uint64_t needed = 2 * (tuning.wal_segment_bytes + tuning.memtable_bytes);
  full = true;
  log.error("the disk is full: reads go on, writes are refused until {} MiB are free", (needed + (1 << 20) - 1) >> 20);
  while (true) {
    const auto free = co_await free_space(ports.disk);
    if (!free || *free >= needed) break;
    co_await sleep_for(room_poll);
  }
  log.info("the disk has room again");
}

}  // namespace asterism
