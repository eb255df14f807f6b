#include "storage/key_value_store.h"

#include <rocksdb/convenience.h>

#include <algorithm>

#include "runtime/io.h"
#include "storage/rocksdb_adapters.h"

namespace asterism {

/// What an entry takes in a memtable beside its key and value: its place in the tree and its sequence number.
constexpr uint64_t entry_overhead_bytes = 48;

KeyValueStore::Engine::~Engine() {
  if (database) rocksdb::CancelAllBackgroundWork(database.get(), true);
}

Status KeyValueStore::Engine::open(Purpose purpose) {
  rocksdb::DB* opened = nullptr;
  rocksdb_options.create_if_missing = purpose == Purpose::use;
  const rocksdb::Status status = purpose == Purpose::use ? rocksdb::DB::Open(rocksdb_options, path, &opened)
                                                         : rocksdb::DB::OpenForReadOnly(rocksdb_options, path, &opened);
  // A file that others name and that is not there: one of them is damaged.
  if (status.IsPathNotFound() || status.IsNotFound())
    return fail(ErrorCode::corrupt, "store {}: {}", options.path, status.ToString());
  TRY_STATUS(to_status(status, options.path));
  database.reset(opened);
  TRY(flushed, stored_position(rocksdb::kReadAllTier));
  return {};
}

Result<Position> KeyValueStore::Engine::stored_position(rocksdb::ReadTier tier) const {
  rocksdb::ReadOptions read;
  read.read_tier = tier;
  std::string value;
  const auto status = database->Get(read, slice(position_key), &value);
  if (status.IsNotFound()) return Position{};
  TRY_STATUS(to_status(status, options.path));
  return decode_position(value);
}

KeyValueStore::KeyValueStore(Disk& disk, std::shared_ptr<Engine> engine, Position applied)
    : disk_(disk), engine_(std::move(engine)), applied_(applied) {}

KeyValueStore::~KeyValueStore() = default;

Task<Result<std::unique_ptr<KeyValueStore>>> KeyValueStore::open(Disk& disk, Options options) {
  const size_t slash = options.path.rfind('/');
  CO_TRY_STATUS(co_await make_directory(disk, options.path));
  CO_TRY_STATUS(co_await sync_directory(disk, slash == std::string::npos ? "" : options.path.substr(0, slash)));
  co_return co_await open(disk, std::move(options), Purpose::use);
}

Task<Result<std::unique_ptr<KeyValueStore>>> KeyValueStore::open_copy(Disk& disk, Options options) {
  return open(disk, std::move(options), Purpose::read_copy);
}

Task<Result<std::unique_ptr<KeyValueStore>>> KeyValueStore::open(Disk& disk, Options options, Purpose purpose) {
  auto engine = std::make_shared<Engine>();
  engine->path = disk.rocksdb_path(options.path);
  engine->rocksdb_options = make_options(disk.rocksdb_env(), options, engine->reuse);
  engine->options = std::move(options);
  CO_TRY_STATUS(co_await run_blocking(disk, [engine, purpose] { return engine->open(purpose); }));
  const Position flushed = engine->flushed;
  co_return std::unique_ptr<KeyValueStore>(new KeyValueStore(disk, std::move(engine), flushed));
}

Task<Result<std::string>> KeyValueStore::quarantine(Disk& disk, const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "" : path.substr(0, slash);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  CO_TRY(const auto entries, co_await list(disk, parent));
  std::string aside;
  for (uint64_t number = 1;; ++number) {
    aside = fmt::format("{}.damaged-{}", name, number);
    if (std::ranges::find(entries, aside, &DirectoryEntry::name) == entries.end()) break;
  }
  if (!parent.empty()) aside = parent + "/" + aside;
  CO_TRY(auto files, co_await list(disk, path));
  CO_TRY_STATUS(co_await make_directory(disk, aside));
  // CURRENT first: without it what is left of the folder is no store, so a crash in between leaves an empty one.
  std::ranges::sort(files, {}, [](const DirectoryEntry& file) { return std::pair(file.name != "CURRENT", file.name); });
  for (const DirectoryEntry& file : files) {
    if (!file.directory) CO_TRY_STATUS(co_await rename(disk, path + "/" + file.name, aside + "/" + file.name));
  }
  CO_TRY_STATUS(co_await sync_directory(disk, aside));
  CO_TRY_STATUS(co_await sync_directory(disk, path));
  CO_TRY_STATUS(co_await sync_directory(disk, parent));
  co_return aside;
}

KeyValueStore::Batch::Batch() : changes_(std::make_unique<Changes>()) {}
KeyValueStore::Batch::Batch(Batch&&) noexcept = default;
KeyValueStore::Batch& KeyValueStore::Batch::operator=(Batch&&) noexcept = default;
KeyValueStore::Batch::~Batch() = default;

void KeyValueStore::Batch::put(BytesView key, BytesView value) {
  changes_->reserved |= key >= reserved_keys;
  changes_->writes.Put(slice(key), slice(value));
}

void KeyValueStore::Batch::remove(BytesView key) {
  changes_->reserved |= key >= reserved_keys;
  changes_->writes.Delete(slice(key));
}

void KeyValueStore::Batch::merge(BytesView key, BytesView operand) {
  changes_->reserved |= key >= reserved_keys;
  changes_->merges = true;
  changes_->writes.Merge(slice(key), slice(operand));
}

void KeyValueStore::Batch::remove_range(BytesView from, BytesView to) {
  if (from >= to) return;
  changes_->reserved |= to > reserved_keys;
  changes_->writes.DeleteRange(slice(from), slice(to));
}

void KeyValueStore::Batch::clear() {
  changes_->writes.Clear();
  changes_->reserved = changes_->merges = false;
}

bool KeyValueStore::Batch::empty() const { return changes_->writes.Count() == 0; }
size_t KeyValueStore::Batch::bytes() const { return changes_->writes.GetDataSize(); }

Status KeyValueStore::apply(Batch& batch, Position through) {
  ASSERT(through >= applied_);
  rocksdb::WriteBatch& writes = batch.changes_->writes;
  writes.SetSavePoint();
  if (through > applied_) writes.Put(slice(position_key), slice(encode_position(through)));
  auto status = apply(batch);
  if (status)
    applied_ = through;
  else
    writes.RollbackToSavePoint();
  return status;
}

Status KeyValueStore::apply(Batch& batch) {
  Batch::Changes& changes = *batch.changes_;
  if (changes.reserved) return fail(ErrorCode::invalid_argument, "keys that begin with ff ff are the store's own");
  if (changes.merges && !engine_->options.merge)
    return fail(ErrorCode::invalid_argument, "the store was opened without a merge function");
  const uint64_t memtables = engine_->active_bytes + engine_->sealed_bytes;
  if (memtables > engine_->options.memtable_bytes * 5 / 2)
    return fail(ErrorCode::overloaded, "{} bytes wait for a flush of store {}", memtables, engine_->options.path);
  rocksdb::WriteOptions write;
  write.disableWAL = true;
  write.no_slowdown = true;
  TRY_STATUS(to_status(engine_->database->Write(write, &changes.writes), engine_->options.path));
  engine_->count_applied(changes.writes);
  batch.clear();
  return {};
}

void KeyValueStore::Engine::count_applied(const rocksdb::WriteBatch& writes) {
  active_bytes += writes.GetDataSize() + writes.Count() * entry_overhead_bytes;
  const auto [entries, bytes] = std::exchange(reuse, {});
  active_bytes -= std::min(active_bytes, bytes + entries * entry_overhead_bytes);
}

Status KeyValueStore::Engine::read_status(const rocksdb::Status& status) {
  Status read = to_status(status, options.path);
  if (!read && read.error().code == ErrorCode::corrupt && !damage) damage = read.error();
  return read;
}

const std::optional<Error>& KeyValueStore::damage() const { return engine_->damage; }

Result<std::optional<Bytes>> KeyValueStore::get(BytesView key) const {
  if (key >= reserved_keys) return std::nullopt;
  std::string value;
  const auto status = engine_->database->Get(rocksdb::ReadOptions(), slice(key), &value);
  if (status.IsNotFound()) return std::nullopt;
  TRY_STATUS(engine_->read_status(status));
  return std::optional<Bytes>(std::move(value));
}

std::vector<Result<std::optional<Bytes>>> KeyValueStore::multi_get(std::span<const BytesView> keys) const {
  std::vector<rocksdb::Slice> slices;
  slices.reserve(keys.size());
  for (BytesView key : keys) slices.push_back(slice(key));
  std::vector<rocksdb::PinnableSlice> values(keys.size());
  std::vector<rocksdb::Status> statuses(keys.size());
  engine_->database->MultiGet(rocksdb::ReadOptions(), engine_->database->DefaultColumnFamily(), keys.size(),
                              slices.data(), values.data(), statuses.data());
  std::vector<Result<std::optional<Bytes>>> out;
  out.reserve(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    if (statuses[i].IsNotFound() || keys[i] >= reserved_keys)
      out.emplace_back(std::nullopt);
    else if (Status read = engine_->read_status(statuses[i]); read)
      out.emplace_back(values[i].ToString());
    else
      out.emplace_back(fail(read.error()));
  }
  return out;
}

Task<Status> KeyValueStore::flush() {
  const std::shared_ptr<Engine> engine = engine_;
  engine->sealed_bytes += std::exchange(engine->active_bytes, 0);
  const uint64_t sealed = engine->sealed_bytes;
  CO_TRY_STATUS(co_await run_blocking(disk_, [engine] {
    rocksdb::FlushOptions options;
    options.wait = true;
    // Where compaction lags it waits here, not the core in its next write; what does not fit meanwhile is refused.
    options.allow_write_stall = false;
    return to_status(engine->database->Flush(options), engine->options.path);
  }));
  engine->sealed_bytes -= std::min(sealed, engine->sealed_bytes);
  co_return Status{};
}

Task<Status> KeyValueStore::compact() {
  co_return co_await run_blocking(disk_, [engine = engine_] {
    rocksdb::CompactRangeOptions options;
    options.exclusive_manual_compaction = false;
    options.allow_write_stall = true;
    options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
    return to_status(engine->database->CompactRange(options, nullptr, nullptr), engine->options.path);
  });
}

Position KeyValueStore::flushed_position() const {
  // An unreadable file must not lead to a shorter replay.
  return engine_->stored_position(rocksdb::kPersistedTier).value_or(engine_->flushed);
}

uint64_t KeyValueStore::approximate_memory() const {
  using Properties = rocksdb::DB::Properties;
  uint64_t total = 0;
  for (const auto& property :
       {Properties::kSizeAllMemTables, Properties::kEstimateTableReadersMem, Properties::kBlockCacheUsage}) {
    uint64_t bytes = 0;
    if (engine_->database->GetIntProperty(property, &bytes)) total += bytes;
  }
  return total;
}

uint64_t KeyValueStore::file_bytes() const {
  uint64_t bytes = 0;
  (void)engine_->database->GetIntProperty(rocksdb::DB::Properties::kTotalSstFilesSize, &bytes);
  return bytes;
}

uint64_t KeyValueStore::file_bytes_between(BytesView from, BytesView to) const {
  if (from >= to) return 0;
  rocksdb::SizeApproximationOptions options;
  options.include_files = true;
  options.include_memtables = false;
  const rocksdb::Range range({from.data(), from.size()}, {to.data(), to.size()});
  uint64_t bytes = 0;
  const rocksdb::Status done =
      engine_->database->GetApproximateSizes(options, engine_->database->DefaultColumnFamily(), &range, 1, &bytes);
  return done.ok() ? bytes : 0;
}

bool KeyValueStore::should_flush() const { return engine_->active_bytes > engine_->options.memtable_bytes; }

bool KeyValueStore::should_compact() const {
  std::string files;
  engine_->database->GetProperty(rocksdb::DB::Properties::kNumFilesAtLevelPrefix + "0", &files);
  return std::strtoul(files.c_str(), nullptr, 10) >= 8;
}

Task<Result<std::vector<KeyValueStore::BadFile>>> KeyValueStore::verify() const {
  auto found = std::make_shared<Result<std::vector<BadFile>>>();
  CO_TRY_STATUS(co_await run_blocking(disk_, [engine = engine_, found]() -> Status {
    *found = engine->verify();
    return {};
  }));
  co_return std::move(*found);
}

}  // namespace asterism
