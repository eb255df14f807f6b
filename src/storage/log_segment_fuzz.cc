// Feeds arbitrary bytes to the decoders of segmented logs.
#include "base/assert.h"
#include "base/hash.h"
#include "storage/log_segment.h"

using namespace asterism;

namespace {

void check_index(const SegmentIndex& index, BytesView in) {
  ASSERT(index.encode() == in);
  for (const SegmentIndex::Entry& entry : index.entries) {
    ASSERT(index.position_before(entry.offset) == entry.position);
    ASSERT(index.position_before(entry.offset - 1) < entry.position);
    ASSERT(index.position_before_time(entry.latest_before_ms) < entry.position);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteReader reader({reinterpret_cast<const char*>(data), size});
  const uint64_t seed = reader.u64_le();
  const uint32_t position = reader.u32_le();
  const BytesView in = reader.rest();
  if (auto header = decode_batch_header(in, seed, position)) {
    const BytesView payload = in.substr(batch_header_bytes, header->payload_bytes);
    if (payload_is_whole(*header, payload))
      ASSERT(encode_batch_header(*header, seed, payload) == in.substr(0, batch_header_bytes));
  }
  if (auto header = LogSegmentHeader::decode(in)) ASSERT(header->encode() == in.substr(0, log_segment_header_bytes));
  if (auto index = SegmentIndex::decode(in)) check_index(*index, in);

  (void)decode_log_start(in, seed);

  // Bytes with a right checksum reach further.
  Bytes sealed(in);
  ByteWriter(sealed).u64_le(xxh3(in));
  if (auto index = SegmentIndex::decode(sealed)) check_index(*index, sealed);
  if (auto header = LogSegmentHeader::decode(sealed)) ASSERT(header->encode() == sealed);
  if (auto start = decode_log_start(sealed, seed)) ASSERT(encode_log_start(seed, *start) == sealed);
  if (in.size() >= batch_header_bytes - 8) {
    Bytes batch;
    ByteWriter(batch).u64_le(xxh3(in.substr(0, batch_header_bytes - 8), seed));
    batch += in;
    auto header = decode_batch_header(batch, seed, load_little_endian<uint32_t>(batch.data() + 40));
    if (header) ASSERT(header->end_position() <= UINT32_MAX && header->end_offset() >= header->offset);
  }
  return 0;
}
