#include "datastore/row.h"

#include <algorithm>

namespace asterism::datastore {

// Encoding. Row: flags (1 marker, 2 deletion), marker stamp, deletion, count of collections, each column and deletion,
// count of cells, each: column, flags (kind in bits 0-1, bit 2 path), stamp, path, value. Timestamps are zigzag
// varints.

static void put_signed(ByteWriter& out, int64_t value) {
  out.varint((static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63));
}

static int64_t get_signed(ByteReader& in) {
  const uint64_t raw = in.varint();
  return static_cast<int64_t>(raw >> 1) ^ -static_cast<int64_t>(raw & 1);
}

static void put_deletion(ByteWriter& out, const DeletionTime& deletion) {
  put_signed(out, deletion.timestamp_us);
  put_signed(out, deletion.local_s);
}

static DeletionTime get_deletion(ByteReader& in) {
  DeletionTime deletion;
  deletion.timestamp_us = get_signed(in);
  deletion.local_s = get_signed(in);
  return deletion;
}

static void put_stamp(ByteWriter& out, const Cell& cell) {
  put_signed(out, cell.timestamp_us);
  if (cell.kind == Cell::Kind::expiring) out.varint(cell.ttl_s);
  if (cell.kind != Cell::Kind::live) put_signed(out, cell.local_s);
}

static void get_stamp(ByteReader& in, Cell& cell) {
  cell.timestamp_us = get_signed(in);
  if (cell.kind == Cell::Kind::expiring) cell.ttl_s = static_cast<uint32_t>(in.varint());
  if (cell.kind != Cell::Kind::live) cell.local_s = get_signed(in);
}

void encode_row(const Row& row, Bytes& bytes) {
  ByteWriter out(bytes);
  out.u8(static_cast<uint8_t>((row.has_marker ? 1 : 0) | (row.deletion.none() ? 0 : 2)));
  if (row.has_marker) {
    out.u8(static_cast<uint8_t>(row.marker.kind));
    put_stamp(out, row.marker);
  }
  if (!row.deletion.none()) put_deletion(out, row.deletion);
  out.varint(row.collections.size());
  for (const auto& collection : row.collections) {
    out.varint(collection.column);
    put_deletion(out, collection.deletion);
  }
  out.varint(row.cells.size());
  for (const Cell& cell : row.cells) {
    out.varint(cell.column);
    out.u8(static_cast<uint8_t>(static_cast<uint8_t>(cell.kind) | (cell.has_path ? 4 : 0)));
    put_stamp(out, cell);
    if (cell.has_path) out.sized(cell.path);
    if (cell.kind != Cell::Kind::tombstone) out.sized(cell.value);
  }
}

static bool get_kind(uint8_t raw, Cell& cell) {
  if ((raw & 3) > 2) return false;
  cell.kind = static_cast<Cell::Kind>(raw & 3);
  return true;
}

Result<bool> row_is_live(BytesView bytes, const DeletionTime& hidden_by, int64_t now_s) {
  // Most rows have a live marker, which stands at the front.
  ByteReader in(bytes);
  Cell marker;
  if ((in.u8() & 1) && get_kind(in.u8(), marker)) {
    get_stamp(in, marker);
    if (!in.failed() && marker.is_live(now_s) && !hidden_by.hides(marker.timestamp_us)) return true;
  }
  Row row;
  TRY_STATUS(decode_row(bytes, row));
  row.hide(hidden_by);
  return row.is_live(now_s);
}

bool row_is_always_live(BytesView bytes) {
  return bytes.size() > 2 && (bytes[0] & 1) && bytes[1] == static_cast<char>(Cell::Kind::live);
}

bool row_supersedes(BytesView older, BytesView newer) {
  ByteReader old_in(older), new_in(newer);
  const uint8_t old_flags = old_in.u8(), new_flags = new_in.u8();
  if (old_flags > 1 || new_flags > 1 || old_flags > new_flags) return false;
  Cell old_cell, new_cell;
  const auto get = [](ByteReader& in, Cell& cell) {
    const uint8_t kind = in.u8();
    const bool plain = kind <= 2 && get_kind(kind, cell);
    get_stamp(in, cell);
    return plain;
  };
  if (new_flags == 1 && !get(new_in, new_cell)) return false;
  if (old_flags == 1 && (!get(old_in, old_cell) || old_cell.timestamp_us >= new_cell.timestamp_us)) return false;
  const uint64_t old_collections = old_in.varint(), new_collections = new_in.varint();
  if (old_collections > 0 || new_collections > 0) return false;
  uint64_t old_cells = old_in.varint(), new_cells = new_in.varint();
  for (; old_cells > 0; --old_cells) {
    const uint64_t column = old_in.varint();
    if (!get(old_in, old_cell)) return false;
    if (old_cell.kind != Cell::Kind::tombstone) old_in.sized();
    uint64_t new_column = 0;
    do {
      if (new_cells-- == 0) return false;
      new_column = new_in.varint();
      if (!get(new_in, new_cell)) return false;
      if (new_cell.kind != Cell::Kind::tombstone) new_in.sized();
    } while (new_column < column);
    if (new_column != column || old_cell.timestamp_us >= new_cell.timestamp_us) return false;
  }
  return !old_in.failed() && !new_in.failed() && old_in.at_end();
}

Status decode_row(BytesView bytes, Row& row) {
  row.has_marker = false;
  row.marker = {};
  row.deletion = {};
  row.collections.clear();
  row.cells.clear();
  ByteReader in(bytes);
  const uint8_t flags = in.u8();
  bool valid = flags <= 3;
  if (flags & 1) {
    row.has_marker = true;
    valid &= get_kind(in.u8(), row.marker);
    get_stamp(in, row.marker);
  }
  if (flags & 2) row.deletion = get_deletion(in);
  const uint64_t collections = in.varint();
  if (collections > in.remaining()) in.fail();
  for (uint64_t i = 0; i < collections && !in.failed(); ++i) {
    CollectionDeletion collection;
    collection.column = static_cast<uint32_t>(in.varint());
    collection.deletion = get_deletion(in);
    row.collections.push_back(collection);
  }
  const uint64_t cells = in.varint();
  if (cells > in.remaining()) in.fail();
  if (!in.failed()) row.cells.reserve(cells);
  for (uint64_t i = 0; i < cells && !in.failed() && valid; ++i) {
    Cell cell;
    cell.column = static_cast<uint32_t>(in.varint());
    const uint8_t kind = in.u8();
    valid &= kind <= 7 && get_kind(kind, cell);
    cell.has_path = (kind & 4) != 0;
    get_stamp(in, cell);
    if (cell.has_path) cell.path = in.sized();
    if (cell.kind != Cell::Kind::tombstone) cell.value = in.sized();
    valid &= row.cells.empty() || before(row.cells.back(), cell);
    row.cells.push_back(cell);
  }
  if (in.failed() || !in.at_end() || !valid) return fail(ErrorCode::corrupt, "a stored row is malformed");
  return {};
}

bool same_place(const Cell& a, const Cell& b) {
  return a.column == b.column && a.has_path == b.has_path && a.path == b.path;
}

bool before(const Cell& a, const Cell& b) {
  if (a.column != b.column) return a.column < b.column;
  if (a.has_path != b.has_path) return !a.has_path;
  return a.path < b.path;
}

const Cell& reconcile(const Cell& a, const Cell& b) {
  if (a.timestamp_us != b.timestamp_us) return a.timestamp_us > b.timestamp_us ? a : b;
  if (a.kind != b.kind) return a.kind > b.kind ? a : b;
  if (a.local_s != b.local_s) return a.local_s > b.local_s ? a : b;
  if (a.ttl_s != b.ttl_s) return a.ttl_s < b.ttl_s ? a : b;
  return a.value < b.value ? b : a;
}

bool Row::is_live(int64_t now_s) const {
  if (has_marker && marker.is_live(now_s)) return true;
  return std::ranges::any_of(cells, [&](const Cell& cell) { return cell.is_live(now_s); });
}

void Row::hide(const DeletionTime& by) {
  if (by.none()) return;
  if (has_marker && by.hides(marker.timestamp_us)) has_marker = false;
  if (!deletion.none() && by.hides(deletion.timestamp_us)) deletion = {};
  std::erase_if(collections, [&](const auto& entry) { return by.hides(entry.deletion.timestamp_us); });
  std::erase_if(cells, [&](const Cell& cell) { return by.hides(cell.timestamp_us); });
}

static std::vector<CollectionDeletion> merge_collections(const Row& a, const Row& b) {
  std::vector<CollectionDeletion> merged;
  merged.reserve(a.collections.size() + b.collections.size());
  std::ranges::merge(a.collections, b.collections, std::back_inserter(merged), {}, &CollectionDeletion::column,
                     &CollectionDeletion::column);
  size_t kept = 0;
  for (const auto& entry : merged) {
    if (kept > 0 && merged[kept - 1].column == entry.column) {
      merged[kept - 1].deletion = std::max(merged[kept - 1].deletion, entry.deletion);
    } else {
      merged[kept++] = entry;
    }
  }
  merged.resize(kept);
  return merged;
}

static std::vector<Cell> merge_cells(const std::vector<Cell>& a, const std::vector<Cell>& b) {
  std::vector<Cell> merged;
  merged.reserve(a.size() + b.size());
  auto left = a.begin(), right = b.begin();
  while (left != a.end() && right != b.end()) {
    if (before(*left, *right)) {
      merged.push_back(*left++);
    } else if (before(*right, *left)) {
      merged.push_back(*right++);
    } else {
      merged.push_back(reconcile(*left++, *right++));
    }
  }
  merged.insert(merged.end(), left, a.end());
  merged.insert(merged.end(), right, b.end());
  return merged;
}

Row merge_rows(const Row& a, const Row& b) {
  Row merged;
  merged.has_marker = a.has_marker || b.has_marker;
  if (a.has_marker && b.has_marker) {
    merged.marker = reconcile(a.marker, b.marker);
  } else if (merged.has_marker) {
    merged.marker = a.has_marker ? a.marker : b.marker;
  }
  const DeletionTime deletion = std::max(a.deletion, b.deletion);
  merged.collections = merge_collections(a, b);
  merged.cells = merge_cells(a.cells, b.cells);
  merged.hide(deletion);
  merged.deletion = deletion;
  for (const auto& collection : merged.collections)
    std::erase_if(merged.cells, [&](const Cell& cell) {
      return cell.column == collection.column && collection.deletion.hides(cell.timestamp_us);
    });
  return merged;
}

}  // namespace asterism::datastore
