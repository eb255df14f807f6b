#include "datastore/cql/frame.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <vector>

namespace asterism::cql::wire {
namespace {

Bytes hex(std::string_view text) {
  Bytes bytes;
  EXPECT_TRUE(from_hex(text, bytes));
  return bytes;
}

Bytes envelope(Version version, BytesView body, int16_t stream = 1, Opcode opcode = Opcode::query) {
  Bytes out;
  size_t start = begin_envelope({version, Direction::request, 0, stream, opcode}, out);
  out += body;
  end_envelope(start, out);
  return out;
}

/// Everything that comes out until nothing or an error does.
std::vector<Envelope> drain(FrameDecoder& decoder) {
  std::vector<Envelope> envelopes;
  while (true) {
    auto next = decoder.next();
    EXPECT_TRUE(next) << next.error().message;
    if (!next || !*next) return envelopes;
    envelopes.push_back(std::move(**next));
  }
}

/// The text that the driver's vectors for long messages hold.
Bytes long_query_body() {
  Bytes text = "SELECT ";
  for (uint64_t i = 0; i < 300000; ++i) text.push_back(static_cast<char>('a' + (i * i / 7) % 26));
  Bytes body;
  ByteWriter writer(body);
  writer.u32_be(static_cast<uint32_t>(text.size()));
  writer.raw(text);
  writer.raw(hex("000100000000"));
  return body;
}

// Produced with the Python driver 3.25: OPTIONS, QUERY with 300 times 'a', QUERY "SELECT 1".
constexpr std::string_view options_v5 = "050000070500000000";
constexpr std::string_view lz4_query_v4 = "04010001070000001b0000013acf0000013353454c45435420610100ff17506161000100";
constexpr std::string_view segment_plain = "1b00023835ca0500000107000000120000000853454c4543542031000100000000bf8f9a3b";
constexpr std::string_view segment_lz4 =
    "22008c02041e320fff0605000001070000013d0000013353454c45435420610100ff19600001000000004486ba01";
constexpr std::string_view segment_lz4_stored = "0900000004c2b895050000010500000000b5557486";

TEST(EnvelopeV5Section2, HeaderMatchesTheDriver) {
  EXPECT_EQ(to_hex(envelope(Version::v5, "", 7, Opcode::options)), options_v5);
  FrameDecoder decoder;
  decoder.feed(hex(options_v5));
  auto all = drain(decoder);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].header.version, Version::v5);
  EXPECT_EQ(all[0].header.stream, 7);
  EXPECT_EQ(all[0].header.opcode, Opcode::options);
  EXPECT_TRUE(all[0].body.empty());
}

TEST(FrameDecoder, AcceptsAnySplitOfTheInput) {
  Bytes input = envelope(Version::v4, "first", 1) + envelope(Version::v4, "", 2) + envelope(Version::v3, "third", -3);
  for (size_t step = 1; step <= input.size(); ++step) {
    FrameDecoder decoder;
    std::vector<Envelope> all;
    for (size_t i = 0; i < input.size(); i += step) {
      decoder.feed(BytesView(input).substr(i, step));
      for (auto& each : drain(decoder)) all.push_back(std::move(each));
    }
    ASSERT_EQ(all.size(), 3u) << step;
    EXPECT_EQ(all[0].body, "first");
    EXPECT_EQ(all[1].header.stream, 2);
    EXPECT_EQ(all[2].body, "third");
    EXPECT_EQ(all[2].header.stream, -3);
  }
}

TEST(FrameDecoder, ABodyAboveTheLimitIsSkippedAndCanBeAnswered) {
  for (size_t step : {1, 7, 1000}) {
    FrameDecoder decoder({.body_size_max = 10});
    Bytes input = envelope(Version::v4, Bytes(11, 'x'), 42) + envelope(Version::v4, Bytes(10, 'y'), 43);
    std::vector<Envelope> all;
    int errors = 0;
    for (size_t i = 0; i < input.size(); i += step) {
      decoder.feed(BytesView(input).substr(i, step));
      while (true) {
        auto next = decoder.next();
        if (!next) {
          EXPECT_EQ(next.error().code, ErrorCode::too_large);
          EXPECT_EQ(decoder.failed_header().stream, 42);
          EXPECT_EQ(decoder.failed_header().version, Version::v4);
          ++errors;
          continue;
        }
        if (!*next) break;
        all.push_back(std::move(**next));
      }
    }
    EXPECT_EQ(errors, 1);
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].body, Bytes(10, 'y'));
  }
}

TEST(FrameDecoder, UnknownVersionIsFinalAndNamesTheStream) {
  FrameDecoder decoder({.version_max = Version::v4});
  decoder.feed(hex("4200001105000000"));  // a DSE client; one byte short of a header
  for (int i = 0; i < 2; ++i) {
    auto next = decoder.next();
    ASSERT_FALSE(next);
    EXPECT_EQ(next.error().code, ErrorCode::unsupported);
    EXPECT_NE(next.error().message.find("unsupported protocol version"), std::string::npos);
    EXPECT_EQ(decoder.failed_header().stream, 17);
    EXPECT_EQ(decoder.failed_header().version, Version::v4);
  }
}

TEST(FrameDecoder, RefusesWrongDirectionNegativeLengthAndUnagreedCompression) {
  for (std::string_view input : {"840000010500000000", "0400000105ffffffff", "040100010500000000"}) {
    FrameDecoder decoder;
    decoder.feed(hex(input));
    EXPECT_FALSE(decoder.next()) << input;
  }
}

TEST(CompressionV4Section5, ReadsTheDriversBody) {
  FrameDecoder decoder;
  decoder.set_compression(Compression::lz4);
  decoder.feed(hex(lz4_query_v4));
  auto all = drain(decoder);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].header.flags, 0);
  EXPECT_EQ(to_hex(all[0].body).substr(0, 24), "0000013353454c4543542061");
  EXPECT_EQ(all[0].body.size(), 314u);
}

TEST(CompressionV4Section5, RoundTripsAndLeavesShortBodiesAlone) {
  FrameEncoder encoder;
  encoder.set_compression(Compression::lz4);
  EXPECT_FALSE(encoder.passthrough());
  Bytes input = envelope(Version::v4, "short", 1) + envelope(Version::v4, Bytes(100000, 'z'), 2), out;
  encoder.encode(input, out);
  EXPECT_LT(out.size(), 1000u);
  FrameDecoder decoder;
  decoder.set_compression(Compression::lz4);
  decoder.feed(out);
  auto all = drain(decoder);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].body, "short");
  EXPECT_EQ(all[1].body, Bytes(100000, 'z'));
}

TEST(CompressionV4Section5, ChecksTheClaimedSizeBeforeAllocating) {
  auto code_of = [](std::string_view body) {
    Bytes input = envelope(Version::v4, hex(body));
    input[1] = flag::compressed;
    FrameDecoder decoder;
    decoder.set_compression(Compression::lz4);
    decoder.feed(input);
    auto next = decoder.next();
    EXPECT_FALSE(next);
    return next ? ErrorCode::internal : next.error().code;
  };
  EXPECT_EQ(code_of("7fffffff00"), ErrorCode::too_large);
  EXPECT_EQ(code_of("ffffffff00"), ErrorCode::too_large);
  EXPECT_EQ(code_of("0fffffff00"), ErrorCode::corrupt);
  EXPECT_EQ(code_of("0000001000"), ErrorCode::corrupt);
  EXPECT_EQ(code_of("0000"), ErrorCode::corrupt);
}

TEST(SegmentV5Section2, UncompressedMatchesTheDriver) {
  Bytes body = hex("0000000853454c4543542031000100000000"), out;
  FrameEncoder encoder;
  encoder.enable_segments(Compression::none);
  encoder.encode(envelope(Version::v5, body), out);
  EXPECT_EQ(to_hex(out), segment_plain);
  FrameDecoder decoder;
  decoder.enable_segments(Compression::none);
  decoder.feed(out);
  auto all = drain(decoder);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].body, body);
}

TEST(SegmentV5Section2, CompressedReadsTheDrivers) {
  FrameDecoder decoder;
  decoder.enable_segments(Compression::lz4);
  decoder.feed(hex(segment_lz4) + hex(segment_lz4_stored));
  auto all = drain(decoder);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].body.size(), 317u);
  EXPECT_EQ(all[1].header.opcode, Opcode::options);
}

TEST(SegmentV5Section2, CompressedPayloadThatDoesNotShrinkIsStored) {
  Bytes out;
  FrameEncoder encoder;
  encoder.enable_segments(Compression::lz4);
  encoder.encode(envelope(Version::v5, "", 1, Opcode::options), out);
  EXPECT_EQ(to_hex(out), segment_lz4_stored);
}

TEST(SegmentV5Section2, LongMessageMatchesTheDriver) {
  Bytes out;
  FrameEncoder encoder;
  encoder.enable_segments(Compression::none);
  encoder.encode(envelope(Version::v5, long_query_body()), out);
  ASSERT_EQ(out.size(), 300056u);
  EXPECT_EQ(crc32(0, reinterpret_cast<const Bytef*>(out.data()), static_cast<uInt>(out.size())), 2597347164u);
  EXPECT_EQ(to_hex(out.substr(0, 6)), "ffff013891fe");
  EXPECT_EQ(to_hex(out.substr(2 * (segment_payload_size_max + 10), 6)), "fc9300bdb293");
}

TEST(SegmentV5Section2, RoundTripsManyMessagesAtAnySplit) {
  for (Compression compression : {Compression::none, Compression::lz4}) {
    FrameEncoder encoder;
    encoder.enable_segments(compression);
    Bytes input, out, long_body = long_query_body();
    for (int i = 0; i < 300; ++i)
      input += envelope(Version::v5, Bytes(i * 7, static_cast<char>(i)), static_cast<int16_t>(i));
    input += envelope(Version::v5, long_body, 300) + envelope(Version::v5, "after", 301);
    encoder.encode(input, out);
    for (size_t step : {size_t{997}, size_t{65536}, out.size()}) {
      FrameDecoder decoder;
      decoder.enable_segments(compression);
      std::vector<Envelope> all;
      for (size_t i = 0; i < out.size(); i += step) {
        decoder.feed(BytesView(out).substr(i, step));
        for (auto& each : drain(decoder)) all.push_back(std::move(each));
      }
      ASSERT_EQ(all.size(), 302u);
      for (int i = 0; i < 300; ++i) ASSERT_EQ(all[i].body, Bytes(i * 7, static_cast<char>(i)));
      EXPECT_EQ(all[300].body, long_body);
      EXPECT_EQ(all[301].body, "after");
    }
  }
}

TEST(SegmentV5Section2, StartupTravelsBareAndSegmentsFollow) {
  FrameEncoder encoder;
  encoder.enable_segments(Compression::none);
  Bytes input = envelope(Version::v5, "startup", 1, Opcode::startup);
  encoder.encode(envelope(Version::v5, "query"), input);
  FrameDecoder decoder;
  decoder.feed(input);
  auto first = decoder.next();
  ASSERT_TRUE(first && *first);
  EXPECT_EQ((*first)->header.opcode, Opcode::startup);
  decoder.enable_segments(Compression::none);
  auto all = drain(decoder);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].body, "query");
}

TEST(SegmentV5Section2, EveryFlippedBitIsFound) {
  for (auto [text, compression] : {std::pair(segment_plain, Compression::none), {segment_lz4, Compression::lz4}}) {
    Bytes good = hex(text);
    for (size_t bit = 0; bit < good.size() * 8; ++bit) {
      Bytes bad = good;
      bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
      FrameDecoder decoder;
      decoder.enable_segments(compression);
      decoder.feed(bad);
      auto next = decoder.next();
      ASSERT_FALSE(next) << bit;
      EXPECT_EQ(next.error().code, ErrorCode::corrupt);
      EXPECT_FALSE(decoder.next()) << "a corrupt segment is final";
    }
  }
}

Bytes segment(BytesView payload, bool self_contained) {
  Bytes header, out;
  uint64_t bits = payload.size() | (self_contained ? 1u << 17 : 0);
  for (int i = 0; i < 3; ++i) header.push_back(static_cast<char>(bits >> 8 * i));
  uint32_t crc = segment_crc24(header);
  for (int i = 0; i < 3; ++i) header.push_back(static_cast<char>(crc >> 8 * i));
  out = header + Bytes(payload);
  ByteWriter(out).u32_le(segment_crc32(payload));
  return out;
}

TEST(SegmentV5Section2, RefusesMessagesThatDoNotFitTheirSegments) {
  Bytes message = envelope(Version::v5, "0123456789");
  Bytes head = message.substr(0, 12), tail = message.substr(12);
  auto outcome = [](const Bytes& input) {
    FrameDecoder decoder;
    decoder.enable_segments(Compression::none);
    decoder.feed(input);
    auto next = decoder.next();
    return next ? ErrorCode::internal : next.error().code;
  };
  EXPECT_EQ(outcome(segment(head, true)), ErrorCode::corrupt);
  EXPECT_EQ(outcome(segment(head, false) + segment(tail, true)), ErrorCode::corrupt);
  EXPECT_EQ(outcome(segment(head, false) + segment(tail + "x", false)), ErrorCode::corrupt);
  EXPECT_EQ(outcome(segment(head, false) + segment(tail, false)), ErrorCode::internal);
  EXPECT_EQ(outcome(segment(envelope(Version::v4, ""), true)), ErrorCode::invalid_argument);
}

TEST(SegmentV5Section2, ALongMessageAboveTheLimitIsSkipped) {
  FrameEncoder encoder;
  encoder.enable_segments(Compression::lz4);
  Bytes out;
  encoder.encode(envelope(Version::v5, long_query_body(), 5) + envelope(Version::v5, "next", 6), out);
  FrameDecoder decoder({.body_size_max = 200000});
  decoder.enable_segments(Compression::lz4);
  decoder.feed(out);
  auto next = decoder.next();
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code, ErrorCode::too_large);
  EXPECT_EQ(decoder.failed_header().stream, 5);
  auto all = drain(decoder);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].body, "next");
}

}  // namespace
}  // namespace asterism::cql::wire
