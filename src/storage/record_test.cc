#include "storage/record.h"

#include <gtest/gtest.h>

namespace asterism {
namespace {

constexpr uint64_t log_id = 0x1122334455667788;
constexpr Position place{1000};

Bytes sample(BytesView payload = "hello") {
  Bytes out;
  encode_record(out, log_id, place, ShardId{7}, 3, {&payload, 1});
  return out;
}

TEST(Record, RoundTripInPieces) {
  const BytesView pieces[] = {"he", "", "llo"};
  Bytes out;
  encode_record(out, log_id, place, ShardId{7}, 3, pieces);
  EXPECT_EQ(out, sample());
  out += "what follows";
  const Decoded decoded = decode_record(out, log_id, place);
  ASSERT_EQ(decoded.outcome, DecodeOutcome::whole);
  EXPECT_EQ(decoded.bytes, record_bytes(5));
  EXPECT_EQ(decoded.record.owner, ShardId{7});
  EXPECT_EQ(decoded.record.kind, 3);
  EXPECT_EQ(decoded.record.payload, "hello");
}

TEST(Record, LayoutIsFixed) {
  // checksum, length, owner, kind, payload
  EXPECT_EQ(to_hex(sample()).substr(16),
            "05000000"
            "0700000000000000"
            "03"
            "68656c6c6f");
}

TEST(Record, EveryFlippedBitIsSeen) {
  const Bytes good = sample();
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_NE(decode_record(bad, log_id, place).outcome, DecodeOutcome::whole) << bit;
  }
}

TEST(Record, ARecordOfAnotherPlaceOrLogIsNotTaken) {
  EXPECT_EQ(decode_record(sample(), log_id, {place.value + 1}).outcome, DecodeOutcome::damaged);
  EXPECT_EQ(decode_record(sample(), log_id + 1, place).outcome, DecodeOutcome::damaged);
}

TEST(Record, CutRecordsSayWhatTheyNeed) {
  const Bytes good = sample();
  for (size_t size = 0; size < good.size(); ++size) {
    const Decoded decoded = decode_record(BytesView(good).substr(0, size), log_id, place);
    EXPECT_EQ(decoded.outcome, DecodeOutcome::incomplete);
    EXPECT_EQ(decoded.bytes, size < record_header_bytes ? record_header_bytes : good.size());
  }
}

TEST(Record, ZerosAndHugeLengthsAreDamage) {
  EXPECT_EQ(decode_record(Bytes(512, '\0'), log_id, place).outcome, DecodeOutcome::damaged);
  EXPECT_EQ(decode_record(Bytes(512, '\xff'), log_id, place).outcome, DecodeOutcome::damaged);
}

TEST(Record, MarksAreRecords) {
  Bytes mark(mark_bytes, '\0');
  encode_mark(mark.data(), log_id, place, Position{900});
  EXPECT_EQ(decode_mark(mark, log_id, place), Position{900});
  EXPECT_EQ(decode_mark(mark, log_id, {place.value - 1}), std::nullopt);
  const Decoded decoded = decode_record(mark, log_id, place);
  ASSERT_EQ(decoded.outcome, DecodeOutcome::whole);
  EXPECT_EQ(decoded.record.kind, mark_kind);
  EXPECT_EQ(decode_mark(sample("8 bytes!"), log_id, place), std::nullopt);
}

TEST(SegmentHeader, RoundTripAndEveryFlippedBit) {
  const SegmentHeader header{log_id, 5, {1u << 20}, {4096}, {8192}};
  const Bytes good = header.encode();
  ASSERT_EQ(good.size(), segment_header_bytes);
  auto decoded = SegmentHeader::decode(good);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->encode(), good);
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(SegmentHeader::decode(bad)) << bit;
  }
  EXPECT_FALSE(SegmentHeader::decode(BytesView(good).substr(0, 63)));
}

}  // namespace
}  // namespace asterism
