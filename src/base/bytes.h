// Byte buffers and the readers and writers that every codec is built from.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace asterism {

/// An owned run of bytes, and a view of one that somebody else keeps alive. They hold any byte, not only text.
using Bytes = std::string;
using BytesView = std::string_view;

template <class Int>
Int load_big_endian(const char* from) {
  Int value;
  std::memcpy(&value, from, sizeof value);
  if constexpr (std::endian::native == std::endian::little) value = std::byteswap(value);
  return value;
}

template <class Int>
Int load_little_endian(const char* from) {
  Int value;
  std::memcpy(&value, from, sizeof value);
  if constexpr (std::endian::native == std::endian::big) value = std::byteswap(value);
  return value;
}

template <class Int>
void store_little_endian(char* to, Int value) {
  if constexpr (std::endian::native == std::endian::big) value = std::byteswap(value);
  std::memcpy(to, &value, sizeof value);
}

/// Appends to a buffer that the caller owns and that must outlive the writer.
class ByteWriter {
 public:
  explicit ByteWriter(Bytes& out) : out_(out) {}

  void u8(uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void u16_be(uint16_t value) { big_endian(value); }
  void u32_be(uint32_t value) { big_endian(value); }
  void u64_be(uint64_t value) { big_endian(value); }
  void u16_le(uint16_t value) { little_endian(value); }
  void u32_le(uint32_t value) { little_endian(value); }
  void u64_le(uint64_t value) { little_endian(value); }
  /// LEB128, seven bits a byte, low group first: 1 to 10 bytes.
  void varint(uint64_t value) {
    if (value < 0x80) return u8(static_cast<uint8_t>(value));
    long_varint(value);
  }
  /// varint length, then the bytes.
  void sized(BytesView value) {
    varint(value.size());
    raw(value);
  }
  void raw(BytesView value) { out_.append(value); }

  size_t size() const { return out_.size(); }
  Bytes& buffer() { return out_; }

 private:
  void long_varint(uint64_t value);
  template <class Int>
  void big_endian(Int value) {
    if constexpr (std::endian::native == std::endian::little) value = std::byteswap(value);
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  template <class Int>
  void little_endian(Int value) {
    if constexpr (std::endian::native == std::endian::big) value = std::byteswap(value);
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  Bytes& out_;
};

/// Reads from a view without copying. Reading past the end yields zeros and empty views and makes failed() true for
/// good, so a decoder may read a whole structure and check once. Lengths are checked before anything is allocated.
class ByteReader {
 public:
  explicit ByteReader(BytesView in) : in_(in) {}

  uint8_t u8() { return static_cast<uint8_t>(fixed<uint8_t, true>()); }
  uint16_t u16_be() { return fixed<uint16_t, true>(); }
  uint32_t u32_be() { return fixed<uint32_t, true>(); }
  uint64_t u64_be() { return fixed<uint64_t, true>(); }
  uint16_t u16_le() { return fixed<uint16_t, false>(); }
  uint32_t u32_le() { return fixed<uint32_t, false>(); }
  uint64_t u64_le() { return fixed<uint64_t, false>(); }
  uint64_t varint() {
    if (in_.empty() || (in_[0] & 0x80) != 0) return long_varint();
    const auto value = static_cast<uint8_t>(in_[0]);
    in_.remove_prefix(1);
    return value;
  }
  BytesView sized() { return raw(varint()); }
  BytesView raw(uint64_t size) {
    if (size > in_.size()) {
      fail();
      return {};
    }
    BytesView taken = in_.substr(0, size);
    in_.remove_prefix(size);
    return taken;
  }
  /// Everything not read yet.
  BytesView rest() const { return in_; }
  size_t remaining() const { return in_.size(); }
  bool at_end() const { return in_.empty(); }
  bool failed() const { return failed_; }
  /// Marks the input as malformed.
  void fail() {
    failed_ = true;
    in_ = {};
  }

 private:
  template <class Int, bool big>
  Int fixed() {
    if (in_.size() < sizeof(Int)) {
      fail();
      return 0;
    }
    Int value = big ? load_big_endian<Int>(in_.data()) : load_little_endian<Int>(in_.data());
    in_.remove_prefix(sizeof(Int));
    return value;
  }

  uint64_t long_varint();

  BytesView in_;
  bool failed_ = false;
};

/// Lower-case hexadecimal, and its inverse (false where the text is not an even number of hex digits).
std::string to_hex(BytesView bytes);
bool from_hex(std::string_view text, Bytes& out);

}  // namespace asterism
