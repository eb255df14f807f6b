// Reads segment files of the write-ahead log from end to end.
#pragma once

#include <memory>

#include "runtime/io.h"
#include "storage/record.h"

namespace asterism {

/// The place of a segment: which log, where its file begins in it, and how many bytes of the file to look at.
struct SegmentSpan {
  uint64_t log_id = 0;
  Position base;
  uint64_t size = 0;
};

/// Calls `each` for the records after the header, marks included, until it fails or a whole record does not follow.
/// Returns the offset after the last whole record: `span.size` where all is whole. Holds at most one record or 1 MiB.
Task<Result<uint64_t>> walk_segment(File& file, SegmentSpan span, std::move_only_function<Status(const Record&)>& each);

/// Looks behind `offset`, where a record should have begun and does not, for a mark that says that this offset was
/// durable when the mark was written. Returns where that mark is: then the bytes at `offset` were once whole.
Task<Result<std::optional<uint64_t>>> find_proof_of_damage(File& file, SegmentSpan span, uint64_t offset);

}  // namespace asterism
