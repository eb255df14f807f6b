// Frames between nodes: u32 header length, u32 payload length, u64 checksum (all little-endian), header, payload.
#pragma once

#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "cluster/rpc.pb.h"

namespace asterism {

struct RpcFrame {
  rpc::Header header;
  Bytes payload;
};

/// The frame's bytes before its payload. The checksum covers header and payload.
Bytes encode_rpc_head(const rpc::Header& header, BytesView payload);

/// Cuts a stream of bytes into frames.
class RpcFrameDecoder {
 public:
  static constexpr size_t max_header_bytes = 64 << 10;
  static constexpr size_t max_payload_bytes = 64 << 20;

  void feed(BytesView bytes) { buffer_.append(bytes); }
  /// The next whole frame, or none where bytes are missing. Errors: too_large, corrupt; the stream is then unusable.
  Result<std::optional<RpcFrame>> next();

 private:
  Bytes buffer_;
  size_t start_ = 0;  // of what is not decoded yet
};

}  // namespace asterism
