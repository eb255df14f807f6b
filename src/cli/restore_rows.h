// Rows of snapshots as mutations of a cluster's tables: versions of all folders merged, columns found by their names.
// Reads stores and writes nothing.
#pragma once

#include <string>
#include <vector>

#include "datastore/mutation.h"
#include "datastore/schema.h"
#include "storage/key_value_store.h"

namespace asterism {

/// Where the cells of a saved table's columns belong in another table of the same columns.
class ColumnMap {
 public:
  /// Errors: invalid_argument, naming the column that the other table lacks or has in another form.
  static Result<ColumnMap> make(const datastore::Table& saved, const datastore::Table& to);
  /// A row's value for the other table. What belongs to columns that were dropped before is left out; what is left may
  /// be empty(). Heads stay as they are. Errors: corrupt.
  Result<Bytes> map(datastore::Place place, BytesView value) const;
  /// Whether map() changes nothing.
  bool same() const { return same_; }

 private:
  bool same_ = true;
  std::vector<uint32_t> to_;  // by the saved id; 0: dropped
};

/// A table as one folder has it.
struct RestoreSource {
  std::string folder;
  const KeyValueStore* store = nullptr;
  uint32_t table = 0;
  ColumnMap columns;
};

/// Collects mutations, each behind its length, as POST /restore/rows takes them.
class MutationBundle {
 public:
  /// Of what lies under one key. Larger ones are cut into parts, which merge to the same.
  static constexpr size_t piece_bytes_max = 256 << 10;
  static constexpr size_t mutation_bytes = 64 << 10;

  /// Opens a mutation of that partition, unless it is the one that is open.
  void begin(uint32_t table, int64_t token, BytesView partition_key);
  /// Errors: corrupt.
  Status add(datastore::Place place, BytesView clustering, BytesView value);
  size_t bytes() const { return bytes_.size() + (open_ ? open_->encoded().size() : 0); }
  /// What was collected; the bundle is empty then.
  Bytes take();

 private:
  void close();
  void add_alone(datastore::Place place, BytesView clustering, BytesView piece);
  Status add_large_row(datastore::Place place, BytesView clustering, BytesView value);
  Status add_large_head(BytesView value);

  Bytes bytes_;
  std::optional<datastore::Mutation> open_;
  uint32_t table_ = 0;
  int64_t token_ = 0;
  Bytes partition_key_;
};

/// Walks a table through all folders at once, in the order of its keys.
class VersionReader {
 public:
  VersionReader(std::vector<RestoreSource> sources, uint32_t to);

  /// Adds to the bundle until it has so many bytes. False: there is no more. Errors: corrupt and io, naming the folder.
  Result<bool> fill(MutationBundle& bundle, size_t bytes);
  uint64_t rows() const { return rows_; }
  /// How much of the ring it has walked.
  double progress() const { return progress_; }

 private:
  struct Cursor {
    RestoreSource source;
    KeyValueStore::Iterator at;
  };
  Result<Bytes> merged(const std::vector<Cursor*>& holders) const;

  uint32_t to_;
  std::vector<Cursor> cursors_;
  uint64_t rows_ = 0;
  double progress_ = 0;
};

}  // namespace asterism
