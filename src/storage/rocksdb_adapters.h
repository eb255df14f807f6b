// Private to key_value_store*.cc: what RocksDB is given, and how its words are turned into ours.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_checksum.h>
#include <rocksdb/merge_operator.h>
#include <rocksdb/write_batch.h>

#include "storage/key_value_store.h"
#include "storage/memtable.h"

namespace asterism {

inline BytesView view(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }
inline rocksdb::Slice slice(BytesView bytes) { return {bytes.data(), bytes.size()}; }

/// Keys from here on are the store's own.
inline constexpr BytesView reserved_keys{"\xff\xff", 2};
inline constexpr BytesView position_key{"\xff\xffposition", 10};

std::unexpected<Error> to_error(const rocksdb::Status& status, const std::string& path);
inline Status to_status(const rocksdb::Status& status, const std::string& path) {
  if (status.ok()) return {};
  return to_error(status, path);
}

Bytes encode_position(Position position);
Result<Position> decode_position(BytesView bytes);

/// What the bytes of a file give.
rocksdb::Status checksum_of(rocksdb::Env* env, const std::string& path, rocksdb::FileChecksumGenerator& generator);

std::shared_ptr<rocksdb::MergeOperator> make_merge_operator(MergeFunction function);
rocksdb::Options make_options(rocksdb::Env* env, const KeyValueStore::Options& options, MemtableReuse& reuse);

/// The open database, shared by the store and by work that is away from the core.
struct KeyValueStore::Engine {
  Options options;
  std::string path;  // RocksDB's name of the folder
  MemtableReuse reuse;
  rocksdb::Options rocksdb_options;
  std::unique_ptr<rocksdb::DB> database;
  Position flushed;             // as of the opening
  std::optional<Error> damage;  // that a read met; set on the core only
  // Written since the last flush began, and before that and not flushed yet. RocksDB's own figure counts whole blocks
  // of memory, as chance fills them.
  uint64_t active_bytes = 0, sealed_bytes = 0;

  ~Engine();
  Status open(Purpose purpose);
  void count_applied(const rocksdb::WriteBatch& writes);
  /// The status of a read; remembers damage.
  Status read_status(const rocksdb::Status& status);
  Result<Position> stored_position(rocksdb::ReadTier tier) const;
  Result<std::vector<BadFile>> verify() const;
  Result<std::vector<CopiedFile>> copy_to(const std::string& to) const;
};

struct KeyValueStore::Batch::Changes {
  rocksdb::WriteBatch writes;
  bool reserved = false;  // a key that is not the caller's
  bool merges = false;
};

}  // namespace asterism
