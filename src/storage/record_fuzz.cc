// Feeds arbitrary bytes to the decoders of the write-ahead log.
#include "base/assert.h"
#include "storage/record.h"

using namespace asterism;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteReader reader({reinterpret_cast<const char*>(data), size});
  const uint64_t log_id = reader.u64_le();
  const Position position{reader.u64_le()};
  const BytesView in = reader.rest();
  const Decoded decoded = decode_record(in, log_id, position);
  if (decoded.outcome == DecodeOutcome::whole) {
    Bytes again;
    encode_record(again, log_id, position, decoded.record.owner, decoded.record.kind, {&decoded.record.payload, 1});
    ASSERT(again == in.substr(0, decoded.bytes));
  }
  if (decoded.outcome == DecodeOutcome::incomplete) ASSERT(decoded.bytes > in.size());
  (void)decode_mark(in, log_id, position);
  if (auto header = SegmentHeader::decode(in)) ASSERT(header->encode() == in.substr(0, segment_header_bytes));

  // Bytes with a right checksum reach further: the input as a payload must come back, and nothing when it is cut.
  Bytes out;
  encode_record(out, log_id, position, ShardId{size}, 1, {&in, 1});
  const Decoded whole = decode_record(out, log_id, position);
  ASSERT(whole.outcome == DecodeOutcome::whole && whole.record.payload == in && whole.bytes == out.size());
  for (size_t cut = 0; cut < out.size() && cut < 64; ++cut)
    ASSERT(decode_record(BytesView(out).substr(0, cut), log_id, position).outcome != DecodeOutcome::whole);
  return 0;
}
