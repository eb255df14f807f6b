// What a client may see of a read: pages of live rows.
#pragma once

#include <memory>
#include <vector>

#include "datastore/read_result.h"

namespace asterism::datastore {

/// One partition of a page. Views point into the page's storage.
struct LivePartition {
  int64_t token = 0;
  BytesView key;
  PartitionHead head;
  Row static_row;  // without what deletions hide; its cells may have expired
  struct StoredRow {
    BytesView clustering, row;
  };
  std::vector<StoredRow> rows;  // each live, in the order asked for

  /// One of `rows`, without what deletions hide; cells may have expired: check Cell::is_live. Errors: corrupt.
  Status read(const StoredRow& stored, Row& row) const;
};

/// A page of a read. `next` continues it: pass it to resume() for the following page.
struct ReadPage {
  std::vector<LivePartition> partitions;  // those with anything live
  bool complete = true;
  Bytes next;
  std::unique_ptr<const Bytes> storage;
};

/// What a client may see at `now_s` of an encoded ReadResult. Errors: corrupt; damage within a row may show only when
/// it is read.
Result<ReadPage> live_page(Bytes encoded_result, int64_t now_s);

/// Cuts a page back to the command's row_limit: answers of several replicas may hold more rows together than each.
void limit_page(const ReadCommand& command, ReadPage& page);

/// The command for what follows a page that was not complete. Limits are the caller's to lower.
ReadCommand resume(ReadCommand command, const Bytes& next);

}  // namespace asterism::datastore
