// Rows as they are stored: cells with timestamps, and the rule by which two versions of a row become one. The rule is
// commutative, associative and idempotent, so replicas that saw the same writes in any order hold the same bytes.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace asterism::datastore {

/// When something was deleted. timestamp_us decides what it hides; local_s (seconds since the epoch, on the
/// coordinator's clock) decides when the tombstone itself may be forgotten.
struct DeletionTime {
  int64_t timestamp_us = std::numeric_limits<int64_t>::min();
  int64_t local_s = 0;

  bool none() const { return timestamp_us == std::numeric_limits<int64_t>::min(); }
  bool hides(int64_t written_us) const { return written_us <= timestamp_us; }
  auto operator<=>(const DeletionTime&) const = default;
};

/// One value of one column, or of one element of a multi-cell collection. Views point into the bytes it was read from.
struct Cell {
  enum class Kind : uint8_t { live, expiring, tombstone };

  uint32_t column = 0;  // Column::id: never reused within a table
  Kind kind = Kind::live;
  bool has_path = false;
  BytesView path;  // set: the element; map: the key; list: a timeuuid that orders the elements
  int64_t timestamp_us = 0;
  uint32_t ttl_s = 0;   // expiring only
  int64_t local_s = 0;  // expiring: when it expires; tombstone: when it was made
  BytesView value;      // empty for tombstones

  bool is_live(int64_t now_s) const { return kind == Kind::live || (kind == Kind::expiring && local_s > now_s); }
};

/// Order within a row: by column, then path.
bool same_place(const Cell& a, const Cell& b);
bool before(const Cell& a, const Cell& b);

/// Which of two cells in the same place holds (Cassandra's Cells.reconcile): the later timestamp; at equal timestamps
/// a cell that is or becomes a tombstone before one that is not, a tombstone before an expiring one, the one that goes
/// later, the larger value.
const Cell& reconcile(const Cell& a, const Cell& b);

/// The deletion of a whole multi-cell collection, as an assignment of a new one makes it.
struct CollectionDeletion {
  uint32_t column = 0;
  DeletionTime deletion;
};

/// A version of a row, of the static row, or of a part of either.
struct Row {
  bool has_marker = false;  // INSERT makes a row exist even where every regular column is null
  Cell marker;              // timestamp, ttl and expiry; no column, path or value
  DeletionTime deletion;
  std::vector<CollectionDeletion> collections;  // ascending by column
  std::vector<Cell> cells;                      // ascending by before(), one for each place

  bool empty() const { return !has_marker && deletion.none() && collections.empty() && cells.empty(); }
  /// Whether a reader sees the row at all.
  bool is_live(int64_t now_s) const;
  /// Takes out what `by` hides.
  void hide(const DeletionTime& by);
};

/// Cells must be in order, each place once. The encoding of equal rows is equal.
void encode_row(const Row& row, Bytes& out);
/// Views in `row` point into `bytes`. Errors: corrupt.
Status decode_row(BytesView bytes, Row& row);
/// Whether anything in it is live that `hidden_by` leaves. Errors: corrupt; it reads no further than it must.
Result<bool> row_is_live(BytesView bytes, const DeletionTime& hidden_by, int64_t now_s);
/// Whether it is live at any time, as long as nothing outside of it deletes it: true only where that is cheap to see.
bool row_is_always_live(BytesView bytes);

/// Whether merging both gives `newer`: yes only where that is cheap to see, as it is for plain rows with later times.
bool row_supersedes(BytesView older, BytesView newer);

/// What results when both versions have been written. Also drops what deletions of either hide in the other.
Row merge_rows(const Row& a, const Row& b);

}  // namespace asterism::datastore
