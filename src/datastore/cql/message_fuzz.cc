// The first byte is the header's version and direction, the second its opcode, the third its flags; the rest is the
// body. What decodes must encode, and decode to the same thing again.
#include "base/assert.h"
#include "datastore/cql/message.h"

using namespace asterism;
using namespace asterism::cql::wire;

namespace {

EnvelopeHeader header_of(BytesView envelope) {
  return {static_cast<Version>(envelope[0] & 0x7F), Direction::request, static_cast<uint8_t>(envelope[1]), 0,
          static_cast<Opcode>(envelope[4])};
}

void check_request(const EnvelopeHeader& header, BytesView body) {
  auto request = decode_request(header, body);
  if (!request) return;
  Bytes out;
  auto status = encode_request(*request, header.version, header.stream, out);
  if (!status) return;  // a v3 envelope may carry a payload flag that v3 does not have
  auto again = decode_request(header_of(out), BytesView(out).substr(envelope_header_size));
  ASSERT(again && again->message == request->message && again->custom_payload == request->custom_payload);
}

void check_response(const EnvelopeHeader& header, BytesView body) {
  auto response = decode_response(header, body);
  if (!response) return;
  if (auto* rows = std::get_if<Rows>(&response->message)) {
    RowCursor cursor(*rows);
    std::vector<std::optional<BytesView>> row;
    uint32_t count = 0;
    while (cursor.next(row)) ++count;
    ASSERT(count == rows->row_count);
  }
  Bytes out;
  if (!encode_response(*response, header.version, header.stream, out)) return;
  auto again = decode_response(header_of(out), BytesView(out).substr(envelope_header_size));
  ASSERT(again);
  Bytes out_again;
  ASSERT(encode_response(*again, header.version, header.stream, out_again));
  ASSERT(out == out_again);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  BytesView body(reinterpret_cast<const char*>(data) + 3, size - 3);
  EnvelopeHeader header;
  header.version = static_cast<Version>(3 + data[0] % 3);
  header.opcode = static_cast<Opcode>(data[1]);
  header.flags = data[2];
  if (data[0] & 0x80)
    check_response(header, body);
  else
    check_request(header, body);
  return 0;
}
