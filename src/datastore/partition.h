// Where rows lie in the key-value store, and the head that each partition may have: its own deletion and the deletions
// of ranges of its rows.
//
// Key: table number (u32), token (u64, sign bit flipped), partition key length (u16), partition key, place (u8),
// and for rows the clustering key in its order-preserving encoding; integers big-endian. So a table's partitions lie in
// ring order, and a partition's rows in clustering order.
#pragma once

#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "datastore/row.h"

namespace asterism::datastore {

/// What a key of a partition leads to.
enum class Place : uint8_t { head = 0, static_row = 1, row = 2 };

/// The part of a key up to the token: what a scan of a token range starts from.
Bytes token_key(uint32_t table, int64_t token);
/// The part of a key that all keys of a partition share; `partition_key` is at most 65,535 bytes.
Bytes partition_prefix(uint32_t table, int64_t token, BytesView partition_key);

struct KeyParts {
  uint32_t table = 0;
  int64_t token = 0;
  BytesView partition_key;
  Place place = Place::row;
  BytesView clustering;
  BytesView prefix;  // up to and without the place
};
/// Views point into `key`. Errors: corrupt.
Result<KeyParts> split_key(BytesView key);

/// The smallest byte string greater than every string that starts with `prefix`; empty where there is none.
Bytes after_prefix(BytesView prefix);

/// Deletes the rows whose encoded clustering key k has from <= k < to; an empty `to` has no end.
struct RangeDeletion {
  Bytes from, to;
  DeletionTime deletion;
  auto operator<=>(const RangeDeletion&) const = default;
};

struct PartitionHead {
  DeletionTime deletion;
  std::vector<RangeDeletion> ranges;  // ascending, disjoint, neighbours differ: canonical

  bool empty() const { return deletion.none() && ranges.empty(); }
  /// The deletion that applies to the row with that clustering key; to the static row where it is none.
  DeletionTime deletion_of(std::optional<BytesView> clustering) const;
  /// Adds ranges in any order and makes the list canonical.
  void add(std::vector<RangeDeletion> more);
};

void encode_head(const PartitionHead& head, Bytes& out);
Result<PartitionHead> decode_head(BytesView bytes);
PartitionHead merge_heads(const PartitionHead& a, const PartitionHead& b);

/// The key-value store's merge function: `versions` are values of the one key, oldest first. Values that cannot be read
/// make it fail. The result does not depend on their order or grouping.
Status merge_versions(BytesView key, const std::vector<BytesView>& versions, Bytes& out);
/// Whether merge_versions() of both gives `newer`: yes only where that is cheap to see.
bool version_supersedes(BytesView key, BytesView older, BytesView newer);

}  // namespace asterism::datastore
