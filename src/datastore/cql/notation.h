// The elementary notations of native_protocol_v5.spec section 3, for the codecs of this folder.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace asterism::cql::wire {

inline void store_big_endian(uint32_t value, char* to) {
  if constexpr (std::endian::native == std::endian::little) value = std::byteswap(value);
  std::memcpy(to, &value, sizeof value);
}

/// Writes notations. What cannot be expressed (a string above 65,535 bytes) is left out and makes failed() true for
/// good, so that an encoder may write a whole message and check once.
class NotationWriter {
 public:
  explicit NotationWriter(Bytes& out) : out_(out) {}

  void byte(uint8_t value) { out_.u8(value); }
  void short_(uint16_t value) { out_.u16_be(value); }
  void int_(int32_t value) { out_.u32_be(static_cast<uint32_t>(value)); }
  void long_(int64_t value) { out_.u64_be(static_cast<uint64_t>(value)); }
  template <class Enum>
  void short_enum(Enum value) {
    out_.u16_be(static_cast<uint16_t>(value));
  }
  /// The [short] count of a list.
  void count(size_t size) {
    if (size > std::numeric_limits<uint16_t>::max()) failed_ = true;
    out_.u16_be(static_cast<uint16_t>(size));
  }
  /// [string] and [short bytes]
  void string(BytesView value) {
    count(value.size());
    if (!failed_) out_.raw(value);
  }
  /// [string], cut at the last whole UTF-8 character that fits.
  void string_cut(BytesView value) {
    if (value.size() > std::numeric_limits<uint16_t>::max()) {
      size_t size = std::numeric_limits<uint16_t>::max();
      for (int i = 0; i < 3 && (static_cast<uint8_t>(value[size]) & 0xC0) == 0x80; ++i) --size;
      value = value.substr(0, size);
    }
    string(value);
  }
  /// [long string] and [bytes] that are not null
  void long_string(BytesView value) {
    if (value.size() > std::numeric_limits<int32_t>::max()) {
      failed_ = true;
      return;
    }
    int_(static_cast<int32_t>(value.size()));
    out_.raw(value);
  }
  /// [bytes]
  template <class Optional>
  void bytes(const Optional& value) {
    if (value)
      long_string(*value);
    else
      int_(-1);
  }
  template <class Strings>
  void string_list(const Strings& strings) {
    count(strings.size());
    for (const auto& each : strings) string(each);
  }

  ByteWriter& raw() { return out_; }
  bool failed() const { return failed_; }

 private:
  ByteWriter out_;
  bool failed_ = false;
};

/// Reads notations; see ByteReader for what happens at the end of the input.
class NotationReader : public ByteReader {
 public:
  using ByteReader::ByteReader;

  uint8_t byte() { return u8(); }
  uint16_t short_() { return u16_be(); }
  int32_t int_() { return static_cast<int32_t>(u32_be()); }
  int64_t long_() { return static_cast<int64_t>(u64_be()); }
  BytesView string() { return raw(u16_be()); }
  /// A negative length is malformed.
  BytesView long_string() {
    int32_t size = int_();
    if (size < 0) {
      fail();
      return {};
    }
    return raw(static_cast<uint64_t>(size));
  }
  /// Any negative length is null.
  std::optional<BytesView> bytes() {
    int32_t size = int_();
    if (size < 0) return std::nullopt;
    return raw(static_cast<uint64_t>(size));
  }
  /// The [short] count of a list whose elements take at least `element_size_min` bytes; 0 and failed() where the rest
  /// of the input cannot hold them.
  size_t count(size_t element_size_min) { return checked_count(short_(), element_size_min); }
  size_t int_count(size_t element_size_min) {
    int32_t size = int_();
    if (size < 0) fail();
    return checked_count(failed() ? 0 : static_cast<size_t>(size), element_size_min);
  }
  std::vector<std::string> string_list() {
    std::vector<std::string> strings;
    size_t size = count(2);
    strings.reserve(size);
    for (size_t i = 0; i < size && !failed(); ++i) strings.emplace_back(string());
    return strings;
  }

 private:
  size_t checked_count(size_t size, size_t element_size_min) {
    if (size * element_size_min <= remaining()) return size;
    fail();
    return 0;
  }
};

}  // namespace asterism::cql::wire
