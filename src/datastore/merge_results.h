// Makes the answers of several replicas one, and finds what each of them lacks.
#pragma once

#include "datastore/mutation.h"
#include "datastore/table_service.h"

namespace asterism::datastore {

struct MergedResults {
  ReadResult merged;
  /// For each answer, in order: encoded mutations that bring that replica up to date.
  std::vector<std::vector<Bytes>> repairs;
};

/// `answers` come from the same command. Covers only what all of them cover. Errors: corrupt.
Result<MergedResults> merge_results(const ReadCommand& command, std::vector<ReadResult> answers);

/// What a client may see of a result: without what deletions hide and rows that are not live at `now_s`.
/// Errors: corrupt.
Result<ReadPage> live_page(ReadResult result, int64_t now_s);

/// Cuts a page back to the command's row_limit: answers of several replicas may hold more rows together than each.
void limit_page(const ReadCommand& command, ReadPage& page);

}  // namespace asterism::datastore
