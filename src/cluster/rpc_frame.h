// Frames between nodes: u32 header length, u32 payload length, u64 checksum (all little-endian), header, payload.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "cluster/rpc.pb.h"

namespace asterism {

struct RpcFrame {
  rpc::Header header;
  Bytes payload;
};

/// Appends the frame's bytes before its payload. The checksum covers header and payload.
void append_rpc_head(Bytes& out, const rpc::Header& header, BytesView payload);
inline Bytes encode_rpc_head(const rpc::Header& header, BytesView payload) {
  Bytes encoded;
  append_rpc_head(encoded, header, payload);
  return encoded;
}

/// Cuts a stream of bytes into frames.
class RpcFrameDecoder {
 public:
  static constexpr size_t max_header_bytes = 64 << 10;
  static constexpr size_t max_payload_bytes = 64 << 20;

  void feed(Bytes bytes);
  /// Takes the next whole frame; false where bytes are missing. Errors: too_large, corrupt; the stream is then
  /// unusable.
  Result<bool> next(RpcFrame& frame);

 private:
  Bytes buffer_;
  size_t start_ = 0;  // of what is not decoded yet
};

}  // namespace asterism
