// From a planned write and its values to mutations.
#pragma once

#include <forward_list>
#include <functional>
#include <map>

#include "datastore/cql/plan_write.h"
#include "datastore/mutation.h"
#include "datastore/table_service.h"

namespace asterism::cql {

/// What all writes of a statement share.
struct WriteContext {
  int64_t timestamp_us = 0;  // where the statement says none
  int64_t now_s = 0;
  std::function<int64_t()> list_time_us;  // strictly increasing: places of list elements
  Random* random = nullptr;
};

/// The mutations of a statement or batch: one for each partition.
class MutationSet {
 public:
  datastore::Mutation& of(const TablePtr& table, const PartitionKey& key);
  /// Those that change something. Errors: a mutation above the limit.
  Answer<std::vector<datastore::TableMutation>> take();

 private:
  std::map<std::pair<uint32_t, PartitionKey>, datastore::TableMutation> mutations_;
};

/// The stored elements of a list column of one row.
using ListCells = std::vector<datastore::Cell>;

/// Builds the changes of one write.
class WriteBuilder {
 public:
  WriteBuilder(const WritePlan& plan, const Bindings& bindings, const WriteContext& context)
      : plan_(plan), bindings_(bindings), context_(context) {}

  /// Evaluates keys, timestamp and TTL.
  Answer<void> prepare();

  /// The rows whose lists must be known before apply(): none for most writes.
  struct Read {
    PartitionKey key;
    std::optional<Bytes> clustering;  // none: the static row
  };
  std::vector<Read> reads() const;
  /// What reads()[i] found; the partition must outlive apply().
  /// Errors: corrupt.
  Status add_read(const Read& read, const datastore::LivePartition* partition);

  Answer<void> apply(MutationSet& out);

 private:
  /// A row being built; its cells' views point into the arena of the bindings.
  struct Target {
    datastore::Row row;
    const datastore::Row* stored = nullptr;
  };
  Answer<void> change_column(const ColumnChange& change, Target& target);
  Answer<void> change_collection(const ColumnChange& change, wire::Value value, Target& target);
  Answer<void> change_element(const ColumnChange& change, wire::Value value, Target& target);
  Answer<void> remove_from_list(const ColumnChange& change, BytesView value, Target& target);
  void add_items(const ColumnChange& change, BytesView value, Target& target);
  datastore::Cell cell(const Column& column) const;
  datastore::Cell tombstone(const Column& column) const;
  BytesView list_path(int64_t time_us, uint32_t index);
  std::vector<const datastore::Cell*> list_cells(const Column& column, const Target& target) const;
  Answer<void> fill(bool static_row, Target& target);
  Answer<void> apply_rows(datastore::Mutation& mutation, const PartitionKey& key);
  Answer<void> apply_range_deletion(datastore::Mutation& mutation);
  bool touches(bool static_row) const;
  const datastore::Row* stored_row(const PartitionKey& key, const std::optional<Bytes>& clustering) const;

  const WritePlan& plan_;
  const Bindings& bindings_;
  const WriteContext& context_;
  std::vector<PartitionKey> keys_;
  std::vector<Bytes> rows_;  // clustering keys
  int64_t timestamp_us_ = 0;
  uint32_t ttl_s_ = 0;
  std::forward_list<datastore::Row> kept_rows_;
  std::map<std::pair<PartitionKey, std::optional<Bytes>>, const datastore::Row*> stored_;
};

}  // namespace asterism::cql
