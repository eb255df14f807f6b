#include "datastore/cql/write_builder.h"

#include <algorithm>

namespace asterism::cql {

using datastore::Cell;
using datastore::DeletionTime;
using datastore::Mutation;
using datastore::PartitionHead;
using datastore::Row;
using Kind = ColumnChange::Kind;

namespace {

constexpr int64_t max_ttl_s = 20LL * 365 * 24 * 3600;

void put_in_order(Row& row) {
  std::ranges::sort(row.cells, datastore::before);
  // A statement that writes one place twice has written what merging would leave.
  std::vector<Cell> cells;
  for (const Cell& cell : row.cells) {
    if (!cells.empty() && same_place(cells.back(), cell)) {
      cells.back() = Cell(reconcile(cells.back(), cell));
    } else {
      cells.push_back(cell);
    }
  }
  row.cells = std::move(cells);
  std::ranges::sort(row.collections, {}, &datastore::CollectionDeletion::column);
}

}  // namespace

Mutation& MutationSet::of(const TablePtr& table, const PartitionKey& key) {
  auto found = mutations_.find({table->number, key});
  if (found == mutations_.end()) {
    found = mutations_
                .emplace(std::pair(table->number, key),
                         datastore::TableMutation{table, Mutation(table->number, key.token, key.bytes)})
                .first;
  }
  return found->second.mutation;
}

Answer<std::vector<datastore::TableMutation>> MutationSet::take() {
  std::vector<datastore::TableMutation> taken;
  for (auto& [place, mutation] : mutations_) {
    if (mutation.mutation.empty()) continue;
    const size_t size = mutation.mutation.encoded().size();
    if (size > Mutation::max_bytes) {
      return invalid("Mutation of {} bytes is too large for the maximum size of {}", size, Mutation::max_bytes);
    }
    taken.push_back(std::move(mutation));
  }
  return taken;
}

Answer<void> WriteBuilder::prepare() {
  timestamp_us_ = context_.timestamp_us;
  if (plan_.timestamp) {
    TRY(wire::Value value, plan_.timestamp->evaluate(bindings_));
    if (value.kind == wire::Value::Kind::null) return invalid("Invalid null value of timestamp");
    if (value.kind == wire::Value::Kind::value) {
      if (value.bytes.size() != 8) return invalid("Invalid timestamp value: 0x{}", to_hex(value.bytes));
      timestamp_us_ = load_big_endian<int64_t>(value.bytes.data());
    }
  }
  if (timestamp_us_ == INT64_MIN)
    return invalid("Out of bound timestamp, must be in [{}, {}]", INT64_MIN + 1, INT64_MAX);
  int64_t ttl = plan_.default_ttl_s;
  if (plan_.ttl) {
    TRY(wire::Value value, plan_.ttl->evaluate(bindings_));
    if (value.kind == wire::Value::Kind::null) ttl = 0;
    if (value.kind == wire::Value::Kind::value) {
      if (value.bytes.size() != 4) return invalid("Invalid timestamp value: 0x{}", to_hex(value.bytes));
      ttl = load_big_endian<int32_t>(value.bytes.data());
      if (ttl < 0) return invalid("A TTL must be greater or equal to 0, but was {}", ttl);
      if (ttl > max_ttl_s) return invalid("ttl is too large. requested ({}) maximum ({})", ttl, max_ttl_s);
    }
  }
  ttl_s_ = static_cast<uint32_t>(ttl);
  TRY(keys_, partition_keys(plan_.where, bindings_));
  if (plan_.addresses_rows) {
    TRY(rows_, clustering_keys(plan_.where, bindings_));
    for (const Bytes& row : rows_) {
      if (row.size() > 65'535) return invalid("Key length of {} is longer than maximum of 65535", row.size());
    }
  }
  return {};
}

bool WriteBuilder::touches(bool static_row) const {
  return std::ranges::any_of(plan_.changes, [&](const ColumnChange& change) {
    return (change.column->kind == ColumnKind::static_) == static_row;
  });
}

std::vector<WriteBuilder::Read> WriteBuilder::reads() const {
  bool static_row = false;
  bool rows = false;
  for (const ColumnChange& change : plan_.changes) {
    if (change.reads()) (change.column->kind == ColumnKind::static_ ? static_row : rows) = true;
  }
  std::vector<Read> found;
  for (const PartitionKey& key : keys_) {
    if (static_row) found.push_back({key, std::nullopt});
    for (size_t i = 0; rows && i < rows_.size(); ++i) found.push_back({key, rows_[i]});
  }
  return found;
}

Status WriteBuilder::add_read(const Read& read, const datastore::LivePartition* partition) {
  const Row* row = nullptr;
  if (partition != nullptr && !read.clustering) row = &partition->static_row;
  if (partition != nullptr && read.clustering && !partition->rows.empty()) {
    Row& kept = kept_rows_.emplace_front();
    TRY_STATUS(partition->read(partition->rows[0], kept));
    row = &kept;
  }
  stored_[{read.key, read.clustering}] = row;
  return {};
}

const Row* WriteBuilder::stored_row(const PartitionKey& key, const std::optional<Bytes>& clustering) const {
  auto found = stored_.find({key, clustering});
  return found == stored_.end() ? nullptr : found->second;
}

Answer<void> WriteBuilder::apply(MutationSet& out) {
  for (const PartitionKey& key : keys_) {
    Mutation& mutation = out.of(plan_.table, key);
    if (touches(true)) {
      Target target;
      target.stored = stored_row(key, std::nullopt);
      TRY_STATUS(fill(true, target));
      if (!target.row.empty()) mutation.add_static(target.row);
    }
    if (plan_.addresses_rows) {
      TRY_STATUS(apply_rows(mutation, key));
    } else if (plan_.kind == WritePlan::Kind::delete_ && plan_.changes.empty()) {
      TRY_STATUS(apply_range_deletion(mutation));
    }
  }
  return {};
}

Answer<void> WriteBuilder::fill(bool static_row, Target& target) {
  for (const ColumnChange& change : plan_.changes) {
    if ((change.column->kind == ColumnKind::static_) == static_row) TRY_STATUS(change_column(change, target));
  }
  put_in_order(target.row);
  return {};
}

Answer<void> WriteBuilder::apply_rows(Mutation& mutation, const PartitionKey& key) {
  const bool deletes_rows = plan_.kind == WritePlan::Kind::delete_ && plan_.changes.empty();
  if (deletes_rows && plan_.table->clustering_size() == 0) {
    mutation.add_head(PartitionHead{{timestamp_us_, context_.now_s}, {}});
    return {};
  }
  for (const Bytes& clustering : rows_) {
    Target target;
    target.stored = stored_row(key, clustering);
    if (deletes_rows) target.row.deletion = {timestamp_us_, context_.now_s};
    if (plan_.kind == WritePlan::Kind::insert) {
      target.row.has_marker = true;
      target.row.marker = cell(plan_.table->columns[0]);
      target.row.marker.column = 0;
    }
    TRY_STATUS(fill(false, target));
    if (!target.row.empty()) mutation.add_row(clustering, target.row);
  }
  return {};
}

Answer<void> WriteBuilder::apply_range_deletion(Mutation& mutation) {
  const DeletionTime deletion{timestamp_us_, context_.now_s};
  PartitionHead head;
  if (!plan_.where.restricts_clustering) {
    head.deletion = deletion;
  } else {
    TRY(std::vector<Slice> slices, clustering_slices(plan_.where, bindings_));
    std::vector<datastore::RangeDeletion> ranges;
    for (Slice& slice : slices) ranges.push_back({std::move(slice.from), std::move(slice.to), deletion});
    head.add(std::move(ranges));
  }
  if (!head.empty()) mutation.add_head(head);
  return {};
}

// ---------------------------------------------------------------------------------------------------------- columns

Cell WriteBuilder::cell(const Column& column) const {
  Cell made;
  made.column = column.id;
  made.timestamp_us = timestamp_us_;
  if (ttl_s_ > 0) {
    made.kind = Cell::Kind::expiring;
    made.ttl_s = ttl_s_;
    made.local_s = context_.now_s + ttl_s_;
  }
  return made;
}

Cell WriteBuilder::tombstone(const Column& column) const {
  Cell made;
  made.column = column.id;
  made.kind = Cell::Kind::tombstone;
  made.timestamp_us = timestamp_us_;
  made.local_s = context_.now_s;
  return made;
}

Answer<void> WriteBuilder::change_column(const ColumnChange& change, Target& target) {
  TRY(wire::Value value, change.value.evaluate(bindings_));
  if (value.kind == wire::Value::Kind::unset) return {};
  const Column& column = *change.column;
  if (column.type.is_multi_cell()) {
    if (change.kind == Kind::element) return change_element(change, value, target);
    return change_collection(change, value, target);
  }
  if (value.kind == wire::Value::Kind::null) {
    target.row.cells.push_back(tombstone(column));
    return {};
  }
  Cell made = cell(column);
  made.value = value.bytes;
  target.row.cells.push_back(made);
  return {};
}

Answer<void> WriteBuilder::change_collection(const ColumnChange& change, wire::Value value, Target& target) {
  const Column& column = *change.column;
  const bool null = value.kind == wire::Value::Kind::null;
  if (change.kind == Kind::set) {
    // The deletion is a moment older than the elements that take the place of the old ones.
    const int64_t timestamp_us = null ? timestamp_us_ : timestamp_us_ - 1;
    target.row.collections.push_back({column.id, {timestamp_us, context_.now_s}});
  }
  if (null) return {};
  if (change.kind != Kind::remove) {
    add_items(change, value.bytes, target);
    return {};
  }
  if (column.type.kind() == TypeKind::list) return remove_from_list(change, value.bytes, target);
  for (const MaybeView& item : split_collection(change.value.type, value.bytes)) {
    Cell removed = tombstone(column);
    removed.has_path = true;
    removed.path = item.value_or(BytesView());
    target.row.cells.push_back(removed);
  }
  return {};
}

/// 16 bytes that sort by time, then by the order within the statement; what is left keeps coordinators apart.
BytesView WriteBuilder::list_path(int64_t time_us, uint32_t index) {
  Bytes path;
  ByteWriter out(path);
  out.u64_be(static_cast<uint64_t>(time_us) ^ (uint64_t{1} << 63));
  out.u32_be(index);
  out.u32_be(static_cast<uint32_t>(context_.random->next()));
  return bindings_.arena.keep(std::move(path));
}

void WriteBuilder::add_items(const ColumnChange& change, BytesView value, Target& target) {
  const Column& column = *change.column;
  const auto items = split_collection(column.type, value);
  if (items.empty()) return;
  const TypeKind kind = column.type.kind();
  int64_t time_us = kind == TypeKind::list ? context_.list_time_us() : 0;
  // What is put in front gets negative times: the later, the further in front.
  if (change.kind == Kind::prepend) time_us = -time_us;
  for (size_t i = 0; i < items.size(); ++i) {
    Cell made = cell(column);
    made.has_path = true;
    const BytesView item = items[i].value_or(BytesView());
    if (kind == TypeKind::list) {
      made.path = list_path(time_us, static_cast<uint32_t>(i));
      made.value = item;
    } else {
      made.path = item;
      if (kind == TypeKind::map && ++i < items.size()) made.value = items[i].value_or(BytesView());
    }
    target.row.cells.push_back(made);
  }
}

std::vector<const Cell*> WriteBuilder::list_cells(const Column& column, const Target& target) const {
  std::vector<const Cell*> found;
  if (target.stored == nullptr) return found;
  for (const Cell& stored : target.stored->cells) {
    if (stored.column == column.id && stored.is_live(context_.now_s)) found.push_back(&stored);
  }
  return found;
}

Answer<void> WriteBuilder::remove_from_list(const ColumnChange& change, BytesView value, Target& target) {
  const Column& column = *change.column;
  const auto unwanted = split_collection(column.type, value);
  for (const Cell* stored : list_cells(column, target)) {
    const bool remove = std::ranges::any_of(unwanted, [&](const MaybeView& item) {
      return item && compare(column.type.element(), *item, stored->value) == 0;
    });
    if (!remove) continue;
    Cell removed = tombstone(column);
    removed.has_path = true;
    removed.path = stored->path;
    target.row.cells.push_back(removed);
  }
  return {};
}

Answer<void> WriteBuilder::change_element(const ColumnChange& change, wire::Value value, Target& target) {
  const Column& column = *change.column;
  const bool deletes = value.kind == wire::Value::Kind::null;
  TRY(wire::Value key, change.key->evaluate(bindings_));
  const bool list = column.type.kind() == TypeKind::list;
  if (key.kind == wire::Value::Kind::null) {
    return list ? invalid("Invalid null value for list index") : invalid("Invalid null map key");
  }
  if (key.kind == wire::Value::Kind::unset) {
    return list ? invalid("Invalid unset value for list index") : invalid("Invalid unset map key");
  }
  Cell made = deletes ? tombstone(column) : cell(column);
  made.has_path = true;
  made.path = key.bytes;
  if (!deletes) made.value = value.bytes;
  if (list) {
    const auto stored = list_cells(column, target);
    const char* doing = plan_.kind == WritePlan::Kind::delete_ ? "delete an element from" : "set an element on";
    if (stored.empty()) return invalid("Attempted to {} a list which is null", doing);
    const int32_t index = key.bytes.size() == 4 ? load_big_endian<int32_t>(key.bytes.data()) : -1;
    if (index < 0 || static_cast<size_t>(index) >= stored.size()) {
      return invalid("List index {} out of bound, list has size {}", index, stored.size());
    }
    made.path = stored[static_cast<size_t>(index)]->path;
  }
  target.row.cells.push_back(made);
  return {};
}

}  // namespace asterism::cql
