// What a replica answers to a ReadCommand: every version that it has of what it covered, deletions included.
//
// Encoded: for each partition u8 1, token u64, key, head, static row (empty where there is none), then for each row its
// value (never empty) and clustering key, then an empty value; at the end u8 0, u8 1 where complete, `next`. Equal
// content has equal bytes, so replicas compare digests of them.
#pragma once

#include <vector>

#include "datastore/mutation.h"

namespace asterism::datastore {

/// Writes an encoded result piece by piece.
class ReadResultWriter {
 public:
  void begin_partition(int64_t token, BytesView key, BytesView head, BytesView static_row);
  void add_row(BytesView clustering, BytesView row);
  /// Rows that are encoded already, one behind the other.
  void add_rows(BytesView encoded) { bytes_.append(encoded); }
  void end_partition();
  /// Takes the partition that was begun back.
  void drop_partition();
  size_t bytes() const { return bytes_.size(); }
  /// `next`: see ReadResult.
  Bytes finish(bool complete, BytesView next) &&;

 private:
  Bytes bytes_;
  size_t begun_at_ = 0;
};

/// Reads one from the front. Views point into what is read.
class ReadResultReader {
 public:
  struct Partition {
    int64_t token = 0;
    BytesView key, head, static_row;
  };
  struct Row {
    BytesView clustering, row;
  };
  explicit ReadResultReader(BytesView encoded) : in_(encoded) {}

  /// The next partition; false after the last one. All rows of one must be read before the next.
  bool next(Partition& partition);
  /// The next row of the partition; false after the last one.
  bool next(Row& row);
  /// After the last partition. Errors: corrupt, for anything that was malformed.
  Status finish(bool& complete, Bytes& next);

 private:
  ByteReader in_;
};

/// The same as a value, to merge and to compare.
struct ReadResult {
  struct StoredRow {
    Bytes clustering;
    Bytes row;
  };
  struct Partition {
    int64_t token = 0;
    Bytes key;
    Bytes head, static_row;  // empty where there is none
    std::vector<StoredRow> rows;
  };
  std::vector<Partition> partitions;
  /// Everything that was asked for is there. Otherwise a limit was reached, and what lies at or after `next` is
  /// missing: a clustering key of the one partition, or a storage key; where reversed, what lies before `next`.
  bool complete = true;
  Bytes next;

  Bytes encode() const;
  static Result<ReadResult> decode(BytesView bytes);
};

/// A digest of an encoded result: equal replicas give equal digests.
uint64_t digest_of(BytesView encoded_result);

}  // namespace asterism::datastore
