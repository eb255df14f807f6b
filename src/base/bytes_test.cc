#include "base/bytes.h"

#include <gtest/gtest.h>

#include <limits>

namespace asterism {
namespace {

TEST(ByteReader, ReadsWhatByteWriterWrote) {
  Bytes buffer;
  ByteWriter out(buffer);
  out.u8(7);
  out.u16_be(0x0102);
  out.u32_le(0x01020304);
  out.u64_be(42);
  out.varint(300);
  out.varint(std::numeric_limits<uint64_t>::max());
  out.sized("abc");
  ByteReader in(buffer);
  EXPECT_EQ(in.u8(), 7);
  EXPECT_EQ(in.u16_be(), 0x0102);
  EXPECT_EQ(in.u32_le(), 0x01020304u);
  EXPECT_EQ(in.u64_be(), 42u);
  EXPECT_EQ(in.varint(), 300u);
  EXPECT_EQ(in.varint(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(in.sized(), "abc");
  EXPECT_TRUE(in.at_end());
  EXPECT_FALSE(in.failed());
}

TEST(ByteReader, StaysFailedAfterReadingPastTheEnd) {
  ByteReader in(
      BytesView("\x05"
                "ab",
                3));
  EXPECT_EQ(in.sized(), "");
  EXPECT_TRUE(in.failed());
  EXPECT_EQ(in.u8(), 0);
  EXPECT_TRUE(in.failed());
}

TEST(ByteReader, VarintsOfAllLengthsWhateverFollows) {
  for (const size_t follows : {0, 1, 20}) {
    for (int bits = 0; bits <= 64; ++bits) {
      const uint64_t value =
          bits == 64 ? UINT64_MAX : (uint64_t{0x9e3779b97f4a7c15} | (uint64_t{1} << 63)) >> (63 - bits);
      Bytes buffer;
      ByteWriter(buffer).varint(value);
      const size_t size = buffer.size();
      buffer.append(follows, '\xff');
      ByteReader in(buffer);
      EXPECT_EQ(in.varint(), value);
      EXPECT_EQ(in.remaining(), follows);
      ByteReader cut(BytesView(buffer).substr(0, size - 1));
      cut.varint();
      EXPECT_TRUE(cut.failed());
    }
  }
}

TEST(ByteReader, RefusesVarintsBeyond64Bits) {
  ByteReader in(BytesView("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10));
  in.varint();
  EXPECT_TRUE(in.failed());
}

TEST(Hex, RoundTripsAndRefusesOddInput) {
  Bytes out;
  EXPECT_TRUE(from_hex(to_hex(Bytes("\x00\xff\x7f", 3)), out));
  EXPECT_EQ(out, Bytes("\x00\xff\x7f", 3));
  EXPECT_FALSE(from_hex("abc", out));
  EXPECT_FALSE(from_hex("zz", out));
}

}  // namespace
}  // namespace asterism
