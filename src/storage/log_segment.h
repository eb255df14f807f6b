// The files of segmented logs as pure functions: segment headers, batches, marks and indexes. README.md draws them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace asterism {

inline constexpr size_t log_segment_header_bytes = 64;
inline constexpr size_t batch_header_bytes = 48;
/// Of one batch. Larger ones are refused when written and taken for damage when read.
inline constexpr size_t max_batch_payload_bytes = 64u << 20;
/// Segments do not grow beyond this by more than one append: places in them are numbers of 32 bits.
inline constexpr uint32_t max_segment_bytes = 1u << 30;
inline constexpr size_t max_index_entries = 1u << 20;

/// The first bytes of every segment file.
struct LogSegmentHeader {
  uint64_t log_id = 0;
  uint64_t base = 0;           // the offset of its first record
  uint64_t previous_base = 0;  // of the segment before; its own base where there was none
  uint32_t previous_end = 0;   // the segment before ends at this place in its file, whatever is behind it
  uint32_t generation = 0;     // how many segments the log had before, ever; tells two with the same base apart
  int64_t created_ms = 0;      // by the wall clock

  /// Enters the checksum of every batch, so that bytes of another log or segment never pass.
  uint64_t seed() const;
  Bytes encode() const;
  /// Errors: corrupt; unsupported for a later version of the format.
  static Result<LogSegmentHeader> decode(BytesView in);
};

/// What stands before the payload of a batch. One without records and payload is a mark, there for what it says of
/// `durable` alone.
struct BatchHeader {
  uint64_t offset = 0;       // of its first record; of the next record where it is a mark
  uint32_t records = 0;      // how many offsets it takes
  int64_t timestamp_ms = 0;  // the latest of its records, as its writer says
  uint32_t position = 0;     // in the file, of this header
  uint32_t durable = 0;      // everything before this place in the file was durable when it was written
  uint32_t payload_bytes = 0;
  uint64_t payload_checksum = 0;

  bool mark() const { return records == 0; }
  uint64_t end_offset() const { return offset + records; }
  uint64_t end_position() const { return uint64_t{position} + batch_header_bytes + payload_bytes; }
};

/// The header of `payload`, whose size and checksum it fills in.
Bytes encode_batch_header(BatchHeader header, uint64_t seed, BytesView payload);
/// The header that `in` begins with; none where it is cut short, damaged or of another place.
std::optional<BatchHeader> decode_batch_header(BytesView in, uint64_t seed, uint32_t position);
bool payload_is_whole(const BatchHeader& header, BytesView payload);

/// The file that says where a log starts, where that is not the first record of its first segment.
Bytes encode_log_start(uint64_t log_id, uint64_t start);
/// Errors: corrupt.
Result<uint64_t> decode_log_start(BytesView in, uint64_t log_id);

/// Finds places in one segment by offset and by time: one entry for every so many bytes.
struct SegmentIndex {
  struct Entry {
    uint64_t offset = 0;
    uint32_t position = 0;
    int64_t latest_before_ms = 0;  // of all batches before this place
  };

  uint64_t log_id = 0;
  uint64_t base = 0;
  uint32_t generation = 0;
  bool sealed = false;        // the segment ends here, whatever is behind it
  uint64_t end_offset = 0;    // the index covers the records before this,
  uint32_t end_position = 0;  // which end here; durable where the index was read from a file
  int64_t latest_ms = INT64_MIN;
  std::vector<Entry> entries;  // ascending

  static SegmentIndex of_empty(const LogSegmentHeader& header);
  /// Takes in the batch at the end.
  void add(const BatchHeader& header, uint32_t interval_bytes);
  /// From here on a walk finds the batch that holds `offset`, or the first one that may reach `timestamp_ms`.
  uint32_t position_before(uint64_t offset) const;
  uint32_t position_before_time(int64_t timestamp_ms) const;

  Bytes encode() const;
  /// Errors: corrupt, unsupported.
  static Result<SegmentIndex> decode(BytesView in);
};

}  // namespace asterism
