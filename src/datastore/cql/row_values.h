// One CQL row as SELECT sees it: a value for each column of the table.
#pragma once

#include <vector>

#include "datastore/cql/where.h"
#include "datastore/table_service.h"

namespace asterism::cql {

/// When a cell was written, for writetime() and ttl().
struct Stamp {
  std::optional<int64_t> timestamp_us;
  std::optional<int32_t> ttl_s;  // what is left
};

/// Views point into the partition that the row came from, or into what the row holds itself.
class RowValues final : public ColumnValues {
 public:
  /// Of the table that the plan reads, which must outlive it.
  explicit RowValues(const WherePlan& where)
      : table_(where.table.get()),
        partition_columns_(where.partition_columns),
        clustering_columns_(where.clustering_columns),
        clustering_(where.clustering_columns),
        values_(where.table->columns.size()) {}

  RowValues(RowValues&&) = default;  // of a copy() only: it has all values in its arena
  RowValues& operator=(RowValues&&) = default;
  MaybeView value_of(const Column& column) const override { return values_[index_of(column)]; }
  Stamp stamp_of(const Column& column) const { return stamps_.empty() ? Stamp() : stamps_[index_of(column)]; }
  void set(const Column& column, MaybeView value) { values_[index_of(column)] = value; }
  void keep_stamps() { stamps_.resize(values_.size()); }

  /// Forgets all values of columns that are not part of the partition key or static.
  void clear_row();
  void clear();
  void set_partition_key(BytesView key);
  /// Views of the values before end here. Errors: corrupt.
  Status set_clustering(BytesView clustering);
  /// Takes the live cells of `row`, assembling collections.
  void set_cells(const datastore::Row& row, int64_t now_s);

  /// Values and stamps in memory of its own.
  RowValues copy() const;

 private:
  RowValues(const RowValues&) = default;
  size_t index_of(const Column& column) const { return static_cast<size_t>(&column - table_->columns.data()); }
  void set_collection(const Column& column, std::span<const datastore::Cell> cells, int64_t now_s);

  const Table* table_;
  size_t partition_columns_, clustering_columns_;
  std::vector<Bytes> clustering_;  // decoded; their memory serves row after row
  std::vector<MaybeView> values_;
  std::vector<Stamp> stamps_;
  std::shared_ptr<Arena> arena_ = std::make_shared<Arena>();
};

}  // namespace asterism::cql
