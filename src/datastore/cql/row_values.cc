#include "datastore/cql/row_values.h"

#include <algorithm>

namespace asterism::cql {

using datastore::Cell;

void RowValues::clear() {
  std::ranges::fill(values_, std::nullopt);
  std::ranges::fill(stamps_, Stamp());
  if (!arena_->empty()) arena_ = std::make_shared<Arena>();
}

void RowValues::clear_row() {
  for (size_t i = partition_columns_; i < values_.size(); ++i) {
    const ColumnKind kind = table_->columns[i].kind;
    if (kind != ColumnKind::clustering && kind != ColumnKind::regular) continue;
    values_[i].reset();
    if (!stamps_.empty()) stamps_[i] = Stamp();
  }
}

void RowValues::set_partition_key(BytesView key) {
  auto parts = split_partition_key(key, partition_columns_);
  for (size_t i = 0; parts && i < parts->size(); ++i) values_[i] = (*parts)[i];
}

Status RowValues::set_clustering(BytesView clustering) {
  ByteReader in(clustering);
  for (size_t i = partition_columns_; i < partition_columns_ + clustering_columns_; ++i) {
    const Column& column = table_->columns[i];
    Bytes& value = clustering_[i - partition_columns_];
    value.clear();
    TRY_STATUS(decode_ordered(column.type, in, column.descending, value));
    values_[i] = value;
  }
  return {};
}

void RowValues::set_cells(const datastore::Row& row, int64_t now_s) {
  for (size_t i = 0; i < row.cells.size();) {
    const Cell& cell = row.cells[i];
    size_t end = i + 1;
    while (end < row.cells.size() && row.cells[end].column == cell.column) ++end;
    const Column* column = table_->find(cell.column);
    if (column != nullptr && cell.has_path) {
      set_collection(*column, {&row.cells[i], end - i}, now_s);
    } else if (column != nullptr && cell.is_live(now_s)) {
      const size_t index = index_of(*column);
      values_[index] = cell.value;
      if (!stamps_.empty()) {
        stamps_[index].timestamp_us = cell.timestamp_us;
        if (cell.kind == Cell::Kind::expiring) stamps_[index].ttl_s = static_cast<int32_t>(cell.local_s - now_s);
      }
    }
    i = end;
  }
}

void RowValues::set_collection(const Column& column, std::span<const Cell> cells, int64_t now_s) {
  std::vector<const Cell*> live;
  for (const Cell& cell : cells) {
    if (cell.is_live(now_s)) live.push_back(&cell);
  }
  if (live.empty()) return;
  const TypeKind kind = column.type.kind();
  if (kind != TypeKind::list) {
    const DataType& by = column.type.arguments()[0];
    std::ranges::sort(live, [&](const Cell* a, const Cell* b) {
      const int order = compare(by, a->path, b->path);
      return order != 0 ? order < 0 : a->path < b->path;
    });
  }
  Bytes value;
  ByteWriter out(value);
  auto put = [&](BytesView item) {
    out.u32_be(static_cast<uint32_t>(item.size()));
    out.raw(item);
  };
  out.u32_be(static_cast<uint32_t>(live.size()));
  for (const Cell* cell : live) {
    if (kind != TypeKind::list) put(cell->path);
    if (kind != TypeKind::set) put(cell->value);
  }
  values_[index_of(column)] = arena_->keep(std::move(value));
}

RowValues RowValues::copy() const {
  RowValues copied(*this);
  copied.arena_ = std::make_shared<Arena>();
  for (MaybeView& value : copied.values_) {
    if (value) value = copied.arena_->keep(Bytes(*value));
  }
  return copied;
}

}  // namespace asterism::cql
