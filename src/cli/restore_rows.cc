#include "cli/restore_rows.h"

#include <algorithm>

namespace asterism {

using namespace datastore;

namespace {

/// What a cell takes beside its value and path, at most.
constexpr size_t cell_overhead_bytes = 40;

std::string place_words(const Column& column) {
  switch (column.kind) {
    case ColumnKind::partition_key:
      return fmt::format("part {} of the partition key", column.position + 1);
    case ColumnKind::clustering:
      return fmt::format("clustering column {}{}", column.position + 1, column.descending ? ", descending" : "");
    case ColumnKind::static_:
      return "static";
    case ColumnKind::regular:
      break;
  }
  return "regular";
}

std::string words_of(const Column& column) {
  return fmt::format("{} ({})", column.type.to_string(), place_words(column));
}

}  // namespace

Result<ColumnMap> ColumnMap::make(const Table& saved, const Table& to) {
  ColumnMap map;
  map.to_.assign(saved.next_column, 0);
  map.same_ = saved.dropped.empty();
  for (const Column& column : saved.columns) {
    const Column* found = to.find(column.name);
    if (found == nullptr)
      return fail(ErrorCode::invalid_argument, "{}.{} has no column {}, which the snapshot's has: ALTER TABLE adds it",
                  to.keyspace, to.name, column.name);
    const bool alike =
        column.type == found->type && column.kind == found->kind &&
        (!column.is_key() || (column.position == found->position && column.descending == found->descending));
    if (!alike)
      return fail(
          ErrorCode::invalid_argument,
          "column {} of {}.{} is {}, and {} in the snapshot: restore it to another cluster, or DROP TABLE first",
          column.name, to.keyspace, to.name, words_of(*found), words_of(column));
    if (column.id >= map.to_.size()) return fail(ErrorCode::corrupt, "the snapshot's schema is malformed");
    map.to_[column.id] = found->id;
    map.same_ &= column.id == found->id;
  }
  if (saved.partition_key_size() != to.partition_key_size() || saved.clustering_size() != to.clustering_size())
    return fail(ErrorCode::invalid_argument, "{}.{} has another primary key than in the snapshot: DROP TABLE first",
                to.keyspace, to.name);
  return map;
}

Result<Bytes> ColumnMap::map(Place place, BytesView value) const {
  if (same_ || place == Place::head) return Bytes(value);
  Row row;
  TRY_STATUS(decode_row(value, row));
  const auto gone = [&](auto& each) {
    each.column = each.column < to_.size() ? to_[each.column] : 0;
    return each.column == 0;
  };
  std::erase_if(row.cells, gone);
  std::erase_if(row.collections, gone);
  std::ranges::sort(row.cells, before);
  std::ranges::sort(row.collections, {}, &CollectionDeletion::column);
  Bytes mapped;
  if (!row.empty()) encode_row(row, mapped);
  return mapped;
}

// MutationBundle.

void MutationBundle::begin(uint32_t table, int64_t token, BytesView partition_key) {
  const bool same = open_ && table == table_ && token == token_ && partition_key == partition_key_;
  if (same && open_->encoded().size() < mutation_bytes) return;
  close();
  table_ = table;
  token_ = token;
  if (!same) partition_key_ = Bytes(partition_key);
  open_.emplace(table_, token_, partition_key_);
}

void MutationBundle::close() {
  if (open_ && !open_->empty()) ByteWriter(bytes_).sized(open_->encoded());
  open_.reset();
}

Bytes MutationBundle::take() {
  close();
  return std::exchange(bytes_, {});
}

Status MutationBundle::add(Place place, BytesView clustering, BytesView value) {
  if (value.size() > piece_bytes_max)
    return place == Place::head ? add_large_head(value) : add_large_row(place, clustering, value);
  open_->add(place, clustering, value);
  return {};
}

void MutationBundle::add_alone(Place place, BytesView clustering, BytesView piece) {
  close();
  open_.emplace(table_, token_, partition_key_);
  open_->add(place, clustering, piece);
}

/// Every part but the first has cells alone; none of them is hidden by what the first deletes.
Status MutationBundle::add_large_row(Place place, BytesView clustering, BytesView value) {
  Row row;
  TRY_STATUS(decode_row(value, row));
  std::vector<Cell> cells = std::move(row.cells);
  row.cells.clear();
  size_t bytes = 0;
  const auto put = [&] {
    Bytes piece;
    encode_row(row, piece);
    add_alone(place, clustering, piece);
    row = {};
    bytes = 0;
  };
  for (const Cell& cell : cells) {
    const size_t size = cell.value.size() + cell.path.size() + cell_overhead_bytes;
    if (bytes > 0 && bytes + size > piece_bytes_max) put();
    row.cells.push_back(cell);
    bytes += size;
  }
  if (!row.empty()) put();
  return {};
}

Status MutationBundle::add_large_head(BytesView value) {
  TRY(PartitionHead head, decode_head(value));
  std::vector<RangeDeletion> ranges = std::move(head.ranges);
  head.ranges.clear();
  size_t bytes = 0;
  const auto put = [&] {
    Bytes piece;
    encode_head(head, piece);
    add_alone(Place::head, {}, piece);
    head = {};
    bytes = 0;
  };
  for (RangeDeletion& range : ranges) {
    const size_t size = range.from.size() + range.to.size() + cell_overhead_bytes;
    if (bytes > 0 && bytes + size > piece_bytes_max) put();
    head.ranges.push_back(std::move(range));
    bytes += size;
  }
  if (!head.empty()) put();
  return {};
}

// VersionReader.

namespace {

constexpr size_t table_bytes = 4;  // with which keys begin; they differ between folders

Bytes table_begin(uint32_t table) { return token_key(table, INT64_MIN).substr(0, table_bytes); }

Error named(const RestoreSource& source, const Error& error) {
  return {error.code, fmt::format("{}: {}", source.folder, error.message)};
}

}  // namespace

VersionReader::VersionReader(std::vector<RestoreSource> sources, uint32_t to) : to_(to) {
  for (RestoreSource& source : sources) {
    auto at = source.store->iterate({table_begin(source.table), table_begin(source.table + 1), false});
    at.seek_first();
    cursors_.push_back({std::move(source), std::move(at)});
  }
}

Result<Bytes> VersionReader::merged(const std::vector<Cursor*>& holders) const {
  const BytesView key = holders.front()->at.key();
  TRY(const KeyParts parts, split_key(key));
  std::vector<Bytes> values;
  for (const Cursor* holder : holders) {
    // Replicas that agree, as most do, hold the same bytes.
    if (values.size() == 1 && holder->source.columns.same() && holder->at.value() == values.front()) continue;
    auto mapped = holder->source.columns.map(parts.place, holder->at.value());
    if (!mapped) return fail(named(holder->source, mapped.error()));
    if (!mapped->empty()) values.push_back(std::move(*mapped));
  }
  if (values.empty()) return Bytes();
  if (std::ranges::all_of(values, [&](const Bytes& value) { return value == values.front(); }))
    return std::move(values.front());
  Bytes out;
  TRY_STATUS(merge_versions(key, {values.begin(), values.end()}, out));
  return out;
}

Result<bool> VersionReader::fill(MutationBundle& bundle, size_t bytes) {
  std::vector<Cursor*> holders;
  while (bundle.bytes() < bytes) {
    holders.clear();
    for (Cursor& cursor : cursors_) {
      if (!cursor.at.valid()) {
        if (Status status = cursor.at.status(); !status) return fail(named(cursor.source, status.error()));
        continue;
      }
      const BytesView key = cursor.at.key().substr(table_bytes);
      const auto order =
          holders.empty() ? std::strong_ordering::less : key <=> holders.front()->at.key().substr(table_bytes);
      if (order < 0) holders.clear();
      if (order <= 0) holders.push_back(&cursor);
    }
    if (holders.empty()) {
      progress_ = 1;
      return false;
    }
    auto parts = split_key(holders.front()->at.key());
    if (!parts) return fail(named(holders.front()->source, parts.error()));
    TRY(const Bytes value, merged(holders));
    if (!value.empty()) {
      bundle.begin(to_, parts->token, parts->partition_key);
      TRY_STATUS(bundle.add(parts->place, parts->clustering, value));
      rows_ += parts->place == Place::row;
    }
    progress_ = static_cast<double>(parts->token) / 0x1p64 + 0.5;
    for (Cursor* holder : holders) holder->at.next();
  }
  return true;
}

}  // namespace asterism
