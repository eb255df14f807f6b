// The write-ahead log's format as pure functions: positions, records, marks and segment headers. README.md draws it.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/id.h"
#include "base/result.h"

namespace asterism {

/// Where a record begins in a log: the base of its segment plus the offset in that segment's file. Positions grow with
/// every append and are never used twice, not even for records that a crash took away. 0 comes before every record.
struct Position {
  uint64_t value = 0;
  constexpr auto operator<=>(const Position&) const = default;
  static constexpr Position last() { return {UINT64_MAX}; }
};

/// One record as it is replayed or read. `payload` is a view of the reader's buffer.
struct Record {
  Position position;
  ShardId owner;
  uint8_t kind = 0;
  BytesView payload;
};

/// The kind of marks, the log's own records: the payload says up to where the log was durable when it was written.
inline constexpr uint8_t mark_kind = 0xff;
inline constexpr size_t record_header_bytes = 21;
inline constexpr size_t mark_bytes = record_header_bytes + 8;
inline constexpr size_t segment_header_bytes = 64;
/// Larger payloads are refused when written and taken for damage when read.
inline constexpr size_t max_payload_bytes = 64u << 20;

/// The bytes that a record of this payload takes.
constexpr uint64_t record_bytes(uint64_t payload_bytes) { return record_header_bytes + payload_bytes; }

/// Appends the record that starts at `position` of log `log_id`. Payload: at most max_payload_bytes in all.
void encode_record(Bytes& out, uint64_t log_id, Position position, ShardId owner, uint8_t kind,
                   std::span<const BytesView> payload);
/// Overwrites the mark_bytes bytes at `out` with a mark.
void encode_mark(char* out, uint64_t log_id, Position position, Position durable);

enum class DecodeOutcome : uint8_t { whole, incomplete, damaged };
struct Decoded {
  DecodeOutcome outcome = DecodeOutcome::damaged;
  Record record;       // where whole
  uint64_t bytes = 0;  // whole: what the record took; incomplete: what must be there to decide
};
/// Reads the record that should start at `position` from the first bytes of `in`. Never reads past `in`.
Decoded decode_record(BytesView in, uint64_t log_id, Position position);
/// What a mark says, where `in` begins with a valid mark of this position.
std::optional<Position> decode_mark(BytesView in, uint64_t log_id, Position position);

/// The first bytes of every segment file.
struct SegmentHeader {
  uint64_t log_id = 0;
  uint64_t sequence = 0;   // 1, 2, 3, … without gaps
  Position base;           // of the first byte of the file
  Position previous_base;  // of the segment before, and where it ends; 0 in the first segment ever
  Position previous_end;

  Bytes encode() const;
  /// Errors: corrupt; unsupported for a later version of the format.
  static Result<SegmentHeader> decode(BytesView in);
};

}  // namespace asterism
