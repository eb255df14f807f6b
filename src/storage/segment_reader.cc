#include "storage/segment_reader.h"

#include <algorithm>

namespace asterism {

static constexpr uint64_t chunk_bytes = 1u << 20;

Task<Result<uint64_t>> walk_segment(File& file, SegmentSpan span,
                                    std::move_only_function<Status(const Record&)>& each) {
  uint64_t offset = segment_header_bytes;
  Bytes window;
  uint64_t window_at = offset;
  while (offset < span.size) {
    const BytesView rest = BytesView(window).substr(offset - window_at);
    const Decoded decoded = decode_record(rest, span.log_id, {span.base.value + offset});
    if (decoded.outcome == DecodeOutcome::damaged) break;
    if (decoded.outcome == DecodeOutcome::whole) {
      if (offset + decoded.bytes > span.size) break;
      CO_TRY_STATUS(each(decoded.record));
      offset += decoded.bytes;
      continue;
    }
    if (offset + decoded.bytes > span.size) break;
    CO_TRY(window, co_await read_at(file, offset, std::min(std::max(decoded.bytes, chunk_bytes), span.size - offset)));
    window_at = offset;
    if (window.size() < decoded.bytes) break;
  }
  co_return offset;
}

Task<Result<std::optional<uint64_t>>> find_proof_of_damage(File& file, SegmentSpan span, uint64_t offset) {
  const Position damaged{span.base.value + offset};
  for (uint64_t at = offset + 1; at + mark_bytes <= span.size;) {
    CO_TRY(Bytes window, co_await read_at(file, at, std::min(chunk_bytes, span.size - at)));
    if (window.size() < mark_bytes) break;
    const size_t starts = window.size() - mark_bytes + 1;
    for (size_t i = 0; i < starts; ++i) {
      auto durable = decode_mark(BytesView(window).substr(i), span.log_id, {span.base.value + at + i});
      if (durable && *durable > damaged) co_return std::optional<uint64_t>(at + i);
    }
    at += starts;
  }
  co_return std::optional<uint64_t>();
}

}  // namespace asterism
