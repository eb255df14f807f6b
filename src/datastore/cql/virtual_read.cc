#include "datastore/cql/virtual_read.h"

#include <algorithm>

#include "base/assert.h"
#include "base/hash.h"
#include "datastore/cql/function.h"
#include "datastore/partition.h"

namespace asterism::cql {

using datastore::Cell;
using datastore::Column;
using datastore::ColumnKind;
using datastore::LivePartition;
using datastore::ReadCommand;
using datastore::ReadPage;
using datastore::Row;

namespace {

struct Entry {
  int64_t token = 0;
  Bytes key, clustering;
  Bytes at;  // the storage key that a stored row would have
  const VirtualRow* row = nullptr;
};

Entry make_entry(const datastore::Table& table, const VirtualRow& row) {
  ASSERT(row.size() == table.columns.size());
  Entry entry;
  entry.row = &row;
  std::vector<BytesView> key;
  for (size_t i = 0; i < table.columns.size() && table.columns[i].is_key(); ++i) {
    const Column& column = table.columns[i];
    ASSERT(row[i].has_value());
    if (column.kind == ColumnKind::partition_key) {
      key.push_back(*row[i]);
    } else {
      encode_ordered(column.type, *row[i], column.descending, entry.clustering);
    }
  }
  entry.key = make_partition_key(key);
  entry.token = murmur3_token(entry.key);
  entry.at = datastore::partition_prefix(table.number, entry.token, entry.key);
  entry.at.push_back(static_cast<char>(datastore::Place::row));
  entry.at += entry.clustering;
  return entry;
}

bool is_wanted(const Entry& entry, const ReadCommand& command) {
  if (!command.single) return entry.at >= command.from && (command.to.empty() || entry.at < command.to);
  if (entry.token != command.token || entry.key != command.partition_key) return false;
  return std::ranges::any_of(command.slices, [&](const datastore::Slice& slice) {
    return entry.clustering >= slice.from && (slice.to.empty() || entry.clustering < slice.to);
  });
}

/// Columns of one kind as cells; collections are one cell with the whole value.
void add_cells(const datastore::Table& table, const VirtualRow& values, ColumnKind kind, LivePartition& partition,
               Row& row) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (table.columns[i].kind != kind || !values[i]) continue;
    Cell cell;
    cell.column = table.columns[i].id;
    cell.value = partition.storage.emplace_back(*values[i]);
    row.cells.push_back(cell);
  }
}

}  // namespace

ReadPage read_virtual(const VirtualTable& virtual_table, const ReadCommand& command) {
  const datastore::Table& table = *virtual_table.table();
  const std::vector<VirtualRow> rows = virtual_table.rows();
  std::vector<Entry> entries;
  for (const VirtualRow& row : rows) {
    Entry entry = make_entry(table, row);
    if (is_wanted(entry, command)) entries.push_back(std::move(entry));
  }
  std::ranges::sort(entries, {}, &Entry::at);
  if (command.reversed) std::ranges::reverse(entries);
  ReadPage page;
  // Rows point into their partition's storage, so the partitions must stay where they are.
  page.partitions.reserve(entries.size());
  uint32_t taken = 0;
  for (const Entry& entry : entries) {
    const bool same = !page.partitions.empty() && page.partitions.back().key == entry.key;
    if (same && page.partitions.back().rows.size() >= command.per_partition_limit) continue;
    if (taken >= command.row_limit) {
      page.complete = false;
      page.next = command.single ? entry.clustering : entry.at;
      if (command.reversed) page.next.push_back('\0');
      break;
    }
    if (!same) {
      LivePartition& fresh = page.partitions.emplace_back();
      fresh.token = entry.token;
      fresh.key = entry.key;
      add_cells(table, *entry.row, ColumnKind::static_, fresh, fresh.static_row);
    }
    LivePartition& partition = page.partitions.back();
    LivePartition::LiveRow live;
    live.clustering = entry.clustering;
    live.row.has_marker = true;
    add_cells(table, *entry.row, ColumnKind::regular, partition, live.row);
    partition.rows.push_back(std::move(live));
    ++taken;
  }
  return page;
}

}  // namespace asterism::cql
