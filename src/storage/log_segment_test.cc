#include "storage/log_segment.h"

#include <gtest/gtest.h>

namespace asterism {
namespace {

constexpr uint64_t seed = 0x1122334455667788;

BatchHeader sample_header() {
  BatchHeader header;
  header.offset = 1000;
  header.records = 7;
  header.timestamp_ms = -5;
  header.position = 4096;
  header.durable = 64;
  return header;
}

Bytes flipped(Bytes bytes, size_t bit) {
  bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  return bytes;
}

TEST(LogSegmentHeader, RoundTripAndEveryFlippedBit) {
  const LogSegmentHeader header{77, 1000, 500, 4096, 9, -1};
  const Bytes good = header.encode();
  auto decoded = LogSegmentHeader::decode(good + "what follows");
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->encode(), good);
  EXPECT_EQ(decoded->seed(), header.seed());
  EXPECT_NE(header.seed(), (LogSegmentHeader{77, 1001, 500, 4096, 9, -1}).seed());
  EXPECT_NE(header.seed(), (LogSegmentHeader{77, 1000, 500, 4096, 10, -1}).seed());
  for (size_t bit = 0; bit < good.size() * 8; ++bit) EXPECT_FALSE(LogSegmentHeader::decode(flipped(good, bit))) << bit;
  for (size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(LogSegmentHeader::decode(good.substr(0, size)));
}

TEST(Batch, RoundTripAndEveryFlippedBit) {
  const Bytes good = encode_batch_header(sample_header(), seed, "payload");
  EXPECT_EQ(to_hex(good).substr(32), "e803000000000000fbffffffffffffff07000000070000000010000040000000");
  auto decoded = decode_batch_header(good + "payload", seed, 4096);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->end_offset(), 1007u);
  EXPECT_EQ(decoded->end_position(), 4096u + batch_header_bytes + 7);
  EXPECT_EQ(decoded->timestamp_ms, -5);
  EXPECT_EQ(decoded->durable, 64u);
  EXPECT_FALSE(decoded->mark());
  EXPECT_TRUE(payload_is_whole(*decoded, "payload"));
  EXPECT_FALSE(payload_is_whole(*decoded, "pay!oad"));
  EXPECT_FALSE(payload_is_whole(*decoded, "payloa"));
  for (size_t bit = 0; bit < good.size() * 8; ++bit)
    EXPECT_FALSE(decode_batch_header(flipped(good, bit), seed, 4096)) << bit;
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(decode_batch_header(BytesView(good).substr(0, size), seed, 4096));
}

TEST(Batch, OneOfAnotherPlaceOrSegmentIsNotTaken) {
  const Bytes good = encode_batch_header(sample_header(), seed, "payload");
  EXPECT_FALSE(decode_batch_header(good, seed, 4097));
  EXPECT_FALSE(decode_batch_header(good, seed + 1, 4096));
  EXPECT_FALSE(decode_batch_header(Bytes(100, '\0'), seed, 0));
}

TEST(Batch, MarksAreBatchesWithoutRecords) {
  BatchHeader header;
  header.offset = 55;
  header.position = header.durable = 200;
  auto decoded = decode_batch_header(encode_batch_header(header, seed, ""), seed, 200);
  ASSERT_TRUE(decoded);
  EXPECT_TRUE(decoded->mark());
  EXPECT_EQ(decoded->end_offset(), 55u);
  EXPECT_EQ(decoded->end_position(), 200u + batch_header_bytes);
  EXPECT_EQ(decoded->durable, 200u);
}

TEST(LogStart, RoundTripAndEveryFlippedBit) {
  const Bytes good = encode_log_start(77, 31);
  EXPECT_EQ(decode_log_start(good, 77).value(), 31u);
  EXPECT_FALSE(decode_log_start(good, 78));
  for (size_t bit = 0; bit < good.size() * 8; ++bit) EXPECT_FALSE(decode_log_start(flipped(good, bit), 77)) << bit;
  for (size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(decode_log_start(good.substr(0, size), 77));
}

SegmentIndex sample_index() {
  SegmentIndex index = SegmentIndex::of_empty({77, 1000, 500, 64, 3, 0});
  for (uint32_t i = 0; i < 50; ++i) {
    BatchHeader header;
    header.offset = index.end_offset;
    header.position = index.end_position;
    header.records = 2;
    header.timestamp_ms = (i % 7) * 10 + i;  // not in order
    header.payload_bytes = 52;
    index.add(header, 300);
  }
  return index;
}

TEST(SegmentIndex, LeadsToThePlaceBeforeOffsetsAndTimes) {
  const SegmentIndex index = sample_index();
  EXPECT_EQ(index.end_offset, 1100u);
  EXPECT_EQ(index.end_position, log_segment_header_bytes + 50 * 100);
  EXPECT_EQ(index.entries.size(), 16u);
  int64_t latest = INT64_MIN;
  for (uint32_t i = 0; i < 50; ++i) {
    const uint32_t position = log_segment_header_bytes + i * 100;
    for (uint64_t offset : {1000 + i * 2, 1001 + i * 2}) {
      EXPECT_LE(index.position_before(offset), position);
      EXPECT_GT(index.position_before(offset) + 300, position);
    }
    // The first batch that reaches a time is the one that raises the latest time up to it.
    const int64_t timestamp = (i % 7) * 10 + i;
    if (timestamp > latest) {
      EXPECT_LE(index.position_before_time(timestamp), position);
      EXPECT_LE(index.position_before_time(latest + 1), position);
      latest = timestamp;
    }
  }
  EXPECT_EQ(index.latest_ms, latest);
}

TEST(SegmentIndex, RoundTripAndEveryFlippedBit) {
  const Bytes good = sample_index().encode();
  auto decoded = SegmentIndex::decode(good);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->encode(), good);
  for (size_t bit = 0; bit < good.size() * 8; ++bit) EXPECT_FALSE(SegmentIndex::decode(flipped(good, bit))) << bit;
  for (size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(SegmentIndex::decode(good.substr(0, size)));
  EXPECT_FALSE(SegmentIndex::decode(good + "x"));
}

}  // namespace
}  // namespace asterism
