// Whatever decodes must encode to bytes that decode to the same message.
#include "base/assert.h"
#include "raft/message.h"

using namespace asterism;
using namespace asterism::raft;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  BytesView input(reinterpret_cast<const char*>(data), size);
  MessageLimits limits{.max_entries = 256, .max_bulk_bytes = 1 << 16};
  ByteReader in(input);
  if (Result<Message> message = decode(in, NodeId{1}, NodeId{2}, limits)) {
    Bytes once, twice;
    ByteWriter first(once), second(twice);
    encode(*message, first);
    ByteReader again(once);
    Result<Message> copy = decode(again, NodeId{1}, NodeId{2}, limits);
    ASSERT(copy.has_value() && again.at_end());
    encode(*copy, second);
    ASSERT(once == twice);
  }
  ByteReader state(input), meta(input), entry(input);
  (void)decode_hard_state(state);
  (void)decode_snapshot_meta(meta);
  (void)decode_entry(entry);
  return 0;
}
