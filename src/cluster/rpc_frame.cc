#include "cluster/rpc_frame.h"

#include "base/hash.h"

namespace asterism {

constexpr size_t prefix_bytes = 16;

Bytes encode_rpc_head(const rpc::Header& header, BytesView payload) {
  Bytes encoded(prefix_bytes, 0);
  header.AppendToString(&encoded);
  const BytesView header_bytes = BytesView(encoded).substr(prefix_bytes);
  Bytes prefix;
  prefix.reserve(prefix_bytes);
  ByteWriter out(prefix);
  out.u32_le(static_cast<uint32_t>(header_bytes.size()));
  out.u32_le(static_cast<uint32_t>(payload.size()));
  out.u64_le(xxh3(payload, xxh3(header_bytes)));
  encoded.replace(0, prefix_bytes, prefix);
  return encoded;
}

Result<std::optional<RpcFrame>> RpcFrameDecoder::next() {
  ByteReader in(BytesView(buffer_).substr(start_));
  if (in.remaining() < prefix_bytes) {
    buffer_.erase(0, std::exchange(start_, 0));
    return std::nullopt;
  }
  const uint32_t header_size = in.u32_le(), payload_size = in.u32_le();
  const uint64_t checksum = in.u64_le();
  if (header_size > max_header_bytes || payload_size > max_payload_bytes)
    return fail(ErrorCode::too_large, "RPC frame of {} + {} bytes", header_size, payload_size);
  if (in.remaining() < header_size + payload_size) {
    buffer_.erase(0, std::exchange(start_, 0));
    return std::nullopt;
  }
  const BytesView header = in.raw(header_size), payload = in.raw(payload_size);
  if (xxh3(payload, xxh3(header)) != checksum) return fail(ErrorCode::corrupt, "RPC frame fails its checksum");
  RpcFrame frame;
  if (!frame.header.ParseFromArray(header.data(), static_cast<int>(header.size())))
    return fail(ErrorCode::corrupt, "RPC header is malformed");
  frame.payload = Bytes(payload);
  start_ += prefix_bytes + header_size + payload_size;
  return frame;
}

}  // namespace asterism
