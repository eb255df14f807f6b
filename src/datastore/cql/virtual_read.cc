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

/// Columns of one kind as an encoded row; collections are one cell with the whole value. Empty without any.
Bytes make_row(const datastore::Table& table, const VirtualRow& values, ColumnKind kind) {
  Row row;
  row.has_marker = kind == ColumnKind::regular;
  for (size_t i = 0; i < values.size(); ++i) {
    if (table.columns[i].kind != kind || !values[i]) continue;
    Cell cell;
    cell.column = table.columns[i].id;
    cell.value = *values[i];
    row.cells.push_back(cell);
  }
  Bytes encoded;
  if (!row.empty()) encode_row(row, encoded);
  return encoded;
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
  datastore::ReadResultWriter out;
  bool complete = true;
  Bytes next;
  const Entry* open = nullptr;
  uint32_t taken = 0, in_partition = 0;
  for (const Entry& entry : entries) {
    const bool same = open != nullptr && open->key == entry.key;
    if (same && in_partition >= command.per_partition_limit) continue;
    if (taken >= command.row_limit) {
      complete = false;
      next = command.single ? entry.clustering : entry.at;
      if (command.reversed) next.push_back('\0');
      break;
    }
    if (!same) {
      if (open != nullptr) out.end_partition();
      out.begin_partition(entry.token, entry.key, {}, make_row(table, *entry.row, ColumnKind::static_));
      open = &entry;
      in_partition = 0;
    }
    out.add_row(entry.clustering, make_row(table, *entry.row, ColumnKind::regular));
    ++taken;
    ++in_partition;
  }
  if (open != nullptr) out.end_partition();
  return *datastore::live_page(std::move(out).finish(complete, next), command.now_s);
}

}  // namespace asterism::cql
