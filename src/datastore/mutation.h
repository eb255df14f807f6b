// Writes and reads of one partition or token range, as coordinators and replicas exchange them. Each is encoded once.
#pragma once

#include <vector>

#include "base/id.h"
#include "datastore/partition.h"

namespace asterism::datastore {

/// Changes of one partition. Encoded: table u32, token u64, partition key, then (place, clustering key, value) each;
/// `value` is what encode_row or encode_head gives. A replica stores the changes as they are: merging makes it right.
class Mutation {
 public:
  static constexpr size_t max_bytes = 16 << 20;

  Mutation(uint32_t table, int64_t token, BytesView partition_key);
  // What a row or head hides of itself is left out: merging it alone changes nothing.
  void add_head(const PartitionHead& head);
  void add_static(const Row& row);
  /// `clustering`: the clustering columns one after the other, as encode_ordered gives them; empty without such
  /// columns.
  void add_row(BytesView clustering, const Row& row);
  void add(Place place, BytesView clustering, BytesView value);

  const Bytes& encoded() const { return bytes_; }
  Bytes take() && { return std::move(bytes_); }
  bool empty() const { return count_ == 0; }

 private:
  Bytes bytes_;
  size_t count_ = 0;
};

/// A mutation as it is read. Views point into what was decoded.
struct MutationView {
  struct Change {
    Place place = Place::row;
    BytesView clustering;
    BytesView value;
  };
  uint32_t table = 0;
  int64_t token = 0;
  BytesView partition_key;
  std::vector<Change> changes;

  /// Checks every value. Errors: corrupt.
  static Result<MutationView> decode(BytesView bytes);
  /// The same without a look into the values, for what was checked before.
  static Result<MutationView> split(BytesView bytes);
  /// Of bytes that a Mutation made.
  static uint32_t table_of(BytesView bytes) { return load_little_endian<uint32_t>(bytes.data()); }
  static int64_t token_of(BytesView bytes) { return load_little_endian<int64_t>(bytes.data() + 4); }
};

/// Rows whose encoded clustering key k has from <= k < to; an empty `to` has no end.
struct Slice {
  Bytes from, to;
  bool operator==(const Slice&) const = default;
};

/// What a replica is asked for: slices of one partition, or everything between two tokens.
struct ReadCommand {
  uint32_t table = 0;
  bool single = true;
  // One partition.
  int64_t token = 0;
  Bytes partition_key;
  std::vector<Slice> slices;  // ascending and disjoint; none: no rows, only head and static row
  bool whole_keys = false;    // each slice is for one row, whose clustering key is its `from`
  bool reversed = false;      // rows in descending order
  // A range: storage keys in [from, to) of this table, whole partitions but for the first. An empty `to`: no end.
  Bytes from, to;

  uint32_t row_limit = UINT32_MAX;  // live rows in all
  uint32_t per_partition_limit = UINT32_MAX;
  int64_t now_s = 0;  // what counts as expired; the coordinator's clock, one for all replicas

  Bytes encode() const;
  static Result<ReadCommand> decode(ByteReader& in);
};

}  // namespace asterism::datastore
