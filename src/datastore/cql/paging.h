// Where a page of a SELECT ended. Opaque to clients, who hand it back; checked as any input.
#pragma once

#include <optional>

#include "datastore/cql/where.h"

namespace asterism::cql {

struct PagingState {
  uint64_t fingerprint = 0;  // of the query and its values
  uint32_t stage = 0;        // which of the query's reads
  Bytes next;                // as ReadPage::next, without the table's number in ranges; empty: from the start
  std::optional<PartitionKey> partition;  // the one that was being read
  uint32_t partition_rows = 0;            // rows or groups of it that were given already
  bool partition_seen = false;            // it had rows
  uint32_t remaining = UINT32_MAX;        // of LIMIT

  Bytes encode() const;
  /// Errors: corrupt.
  static Result<PagingState> decode(BytesView bytes);
};

}  // namespace asterism::cql
