#include "datastore/cql/paging.h"

namespace asterism::cql {

// Encoding: format (u8), the fields as varints and sized bytes, then the XXH3 of all of it (u64).

constexpr uint8_t format_version = 1;

Bytes PagingState::encode() const {
  Bytes bytes;
  ByteWriter out(bytes);
  out.u8(format_version);
  out.u64_be(fingerprint);
  out.varint(stage);
  out.sized(next);
  out.u8(static_cast<uint8_t>((partition ? 1 : 0) | (partition_seen ? 2 : 0)));
  if (partition) {
    out.u64_be(static_cast<uint64_t>(partition->token));
    out.sized(partition->bytes);
  }
  out.varint(partition_rows);
  out.varint(remaining);
  out.u64_be(xxh3(bytes));
  return bytes;
}

Result<PagingState> PagingState::decode(BytesView bytes) {
  auto malformed = [] { return fail(ErrorCode::corrupt, "Invalid value for the paging state"); };
  if (bytes.size() < 9) return malformed();
  const BytesView content = bytes.substr(0, bytes.size() - 8);
  if (load_big_endian<uint64_t>(bytes.data() + content.size()) != xxh3(content)) return malformed();
  ByteReader in(content);
  if (in.u8() != format_version) return malformed();
  PagingState state;
  state.fingerprint = in.u64_be();
  state.stage = static_cast<uint32_t>(in.varint());
  state.next = Bytes(in.sized());
  const uint8_t flags = in.u8();
  if (flags & 1) {
    PartitionKey key;
    key.token = static_cast<int64_t>(in.u64_be());
    key.bytes = Bytes(in.sized());
    state.partition = std::move(key);
  }
  state.partition_seen = (flags & 2) != 0;
  state.partition_rows = static_cast<uint32_t>(in.varint());
  state.remaining = static_cast<uint32_t>(in.varint());
  if (in.failed() || !in.at_end() || flags > 3) return malformed();
  return state;
}

}  // namespace asterism::cql
