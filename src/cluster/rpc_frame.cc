#include "cluster/rpc_frame.h"

#include "base/hash.h"

namespace asterism {

namespace {

constexpr size_t prefix_bytes = 16;

// The fields of a request or a reply, as Protocol Buffers encode them: number * 8 + 0 (varint).
constexpr uint8_t kind_tag = rpc::Header::kKindFieldNumber << 3, request_tag = rpc::Header::kRequestFieldNumber << 3,
                  method_tag = rpc::Header::kMethodFieldNumber << 3,
                  timeout_us_tag = rpc::Header::kTimeoutUsFieldNumber << 3;

bool is_plain(const rpc::Header& header) {
  return header.kind() == rpc::Header::REQUEST || header.kind() == rpc::Header::REPLY ||
         header.kind() == rpc::Header::ONE_WAY;
}

/// What Protocol Buffers write for a header that has no field but these.
void append_plain(Bytes& out, const rpc::Header& header) {
  ByteWriter writer(out);
  auto field = [&](uint8_t tag, uint64_t value) {
    if (value == 0) return;
    writer.u8(tag);
    writer.varint(value);
  };
  field(kind_tag, static_cast<uint64_t>(header.kind()));
  field(request_tag, header.request());
  field(method_tag, header.method());
  field(timeout_us_tag, header.timeout_us());
}

/// Reads a header of these fields alone; false for any other, of which nothing is known then.
bool read_plain(BytesView bytes, rpc::Header& header) {
  header.Clear();
  ByteReader in(bytes);
  while (!in.at_end()) {
    const uint8_t tag = in.u8();
    const uint64_t value = in.varint();
    if (in.failed()) return false;
    if (tag == kind_tag && value <= rpc::Header::ONE_WAY)
      header.set_kind(static_cast<rpc::Header::Kind>(value));
    else if (tag == request_tag)
      header.set_request(value);
    else if (tag == method_tag)
      header.set_method(static_cast<uint32_t>(value));
    else if (tag == timeout_us_tag)
      header.set_timeout_us(value);
    else
      return false;
  }
  return !in.failed();
}

}  // namespace

void append_rpc_head(Bytes& out, const rpc::Header& header, BytesView payload) {
  const size_t start = out.size();
  out.append(prefix_bytes, '\0');
  if (is_plain(header) && header.cluster().empty() && header.node() == 0 && header.expected() == 0)
    append_plain(out, header);
  else
    header.AppendToString(&out);
  const BytesView header_bytes = BytesView(out).substr(start + prefix_bytes);
  char* prefix = out.data() + start;
  store_little_endian(prefix, static_cast<uint32_t>(header_bytes.size()));
  store_little_endian(prefix + 4, static_cast<uint32_t>(payload.size()));
  store_little_endian(prefix + 8, xxh3(payload, xxh3(header_bytes)));
}

void RpcFrameDecoder::feed(Bytes bytes) {
  if (start_ == buffer_.size()) {
    buffer_ = std::move(bytes);
    start_ = 0;
  } else {
    buffer_.append(bytes);
  }
}

Result<bool> RpcFrameDecoder::next(RpcFrame& frame) {
  ByteReader in(BytesView(buffer_).substr(start_));
  if (in.remaining() < prefix_bytes) {
    buffer_.erase(0, std::exchange(start_, 0));
    return false;
  }
  const uint32_t header_size = in.u32_le(), payload_size = in.u32_le();
  const uint64_t checksum = in.u64_le();
  if (header_size > max_header_bytes || payload_size > max_payload_bytes)
    return fail(ErrorCode::too_large, "RPC frame of {} + {} bytes", header_size, payload_size);
  if (in.remaining() < header_size + payload_size) {
    buffer_.erase(0, std::exchange(start_, 0));
    return false;
  }
  const BytesView header = in.raw(header_size), payload = in.raw(payload_size);
  if (xxh3(payload, xxh3(header)) != checksum) return fail(ErrorCode::corrupt, "RPC frame fails its checksum");
  if (!read_plain(header, frame.header) && !frame.header.ParseFromArray(header.data(), static_cast<int>(header.size())))
    return fail(ErrorCode::corrupt, "RPC header is malformed");
  frame.payload = Bytes(payload);
  start_ += prefix_bytes + header_size + payload_size;
  return true;
}

}  // namespace asterism
