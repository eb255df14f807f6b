#include "storage/log_segment_reader.h"

#include <algorithm>

namespace asterism {

namespace {

constexpr uint64_t chunk_bytes = 256u << 10;

/// A piece of the file in memory.
struct Window {
  File& file;
  uint64_t end;
  Bytes bytes;
  uint64_t begin = 0;

  /// At least `size` bytes from `position`, or fewer where the file has no more.
  Task<Result<BytesView>> at(uint64_t position, uint64_t size) {
    if (position >= begin && position + size <= begin + bytes.size())
      co_return BytesView(bytes).substr(position - begin);
    const uint64_t most = std::min(std::max(size, chunk_bytes), end - position);
    CO_TRY(bytes, co_await read_at(file, position, most));
    begin = position;
    co_return BytesView(bytes);
  }
};

}  // namespace

Task<Result<WalkEnd>> walk_batches(File& file, BatchSpan span, BatchVisitor visit) {
  Window window{file, span.end_position, {}};
  uint32_t position = span.position;
  uint64_t offset = span.offset;
  while (position < span.end_position) {
    CO_TRY(BytesView in, co_await window.at(position, batch_header_bytes));
    const auto header = decode_batch_header(in, span.seed, position);
    if (!header || header->offset != offset || header->end_position() > span.end_position)
      co_return WalkEnd{position, true};
    BytesView payload;
    if (span.with_payloads) {
      CO_TRY(in, co_await window.at(position, batch_header_bytes + header->payload_bytes));
      if (in.size() < batch_header_bytes) co_return WalkEnd{position, true};
      payload = in.substr(batch_header_bytes, header->payload_bytes);
      if (!payload_is_whole(*header, payload)) co_return WalkEnd{position, true};
    }
    if (!visit(*header, payload)) co_return WalkEnd{position, false};
    position = static_cast<uint32_t>(header->end_position());
    offset = header->end_offset();
  }
  co_return WalkEnd{position, false};
}

Task<Result<std::optional<uint32_t>>> find_proof_of_batch(File& file, uint64_t seed, uint32_t position) {
  const uint64_t end = std::min<uint64_t>(file.size(), UINT32_MAX);
  for (uint64_t at = uint64_t{position} + 1; at + batch_header_bytes <= end;) {
    CO_TRY(const Bytes bytes, co_await read_at(file, at, std::min(chunk_bytes, end - at)));
    if (bytes.size() < batch_header_bytes) break;
    const size_t starts = bytes.size() - batch_header_bytes + 1;
    for (size_t i = 0; i < starts; ++i) {
      const auto place = static_cast<uint32_t>(at + i);
      const auto header = decode_batch_header(BytesView(bytes).substr(i), seed, place);
      if (header && header->durable > position) co_return std::optional(place);
    }
    at += starts;
  }
  co_return std::optional<uint32_t>();
}

}  // namespace asterism
