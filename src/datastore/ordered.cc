// encode_ordered() and decode_ordered().
//
// The encodings, all of them prefix-free, before inversion for descending columns:
//   fixed size      00 if empty, else 01 and the bytes, transformed so that unsigned byte order is the type's order;
//                   without the 01 where the type has no empty value
//   text, blob, …   the bytes with 00 written 00 FF, then 00 00
//   uuid            00 if empty, else 01 + version, first half (as a time for version 1), second half
//   varint          00 if empty, else sign and length in one growing byte, then the shortest two's complement
//   decimal         00 if empty, else 01/02/03 for negative/zero/positive; then the exponent and the digits, two a
//   byte,
//                   each + 1, then 00; all of that inverted for negative numbers
//   collection      01 before each element (or pair), 00 at the end
//   tuple           for each field 00 if null, else 01 and the field
#include <algorithm>

#include "datastore/number.h"
#include "datastore/type.h"

namespace asterism::datastore {

namespace {

constexpr uint64_t sign_bit = 1ULL << 63;
constexpr uint64_t byte_signs = 0x8080808080808080ULL;

uint64_t time_bits(uint64_t msb) { return (msb << 48) | ((msb << 16) & 0xffff00000000ULL) | (msb >> 32); }
uint64_t uuid_bits(uint64_t time) { return (time << 32) | ((time >> 16) & 0xffff0000ULL) | (time >> 48); }

/// Unsigned order of the result is Java's order of doubles (or floats).
template <class Bits>
Bits order_float(Bits bits) {
  constexpr int top = sizeof(Bits) * 8 - 1;
  constexpr Bits infinity = sizeof(Bits) == 8 ? static_cast<Bits>(0x7ff0000000000000ULL) : Bits{0x7f800000U};
  constexpr Bits nan = sizeof(Bits) == 8 ? static_cast<Bits>(0x7ff8000000000000ULL) : Bits{0x7fc00000U};
  Bits magnitude = bits & ~(Bits{1} << top);
  if (magnitude > infinity) bits = nan;
  return (bits >> top) != 0 ? ~bits : bits | (Bits{1} << top);
}
template <class Bits>
Bits unorder_float(Bits bits) {
  constexpr int top = sizeof(Bits) * 8 - 1;
  return (bits >> top) != 0 ? bits & ~(Bits{1} << top) : ~bits;
}

class Encoder {
 public:
  explicit Encoder(Bytes& bytes) : out_(bytes), bytes_(bytes) {}

  void value(const DataType& type, BytesView value) {
    ByteReader in(value);
    switch (type.kind()) {
      case TypeKind::bigint:
      case TypeKind::counter:
      case TypeKind::timestamp:
        if (present(value)) out_.u64_be(in.u64_be() ^ sign_bit);
        return;
      case TypeKind::int_:
        if (present(value)) out_.u32_be(in.u32_be() ^ 0x80000000U);
        return;
      case TypeKind::float_:
        if (present(value)) out_.u32_be(order_float(in.u32_be()));
        return;
      case TypeKind::double_:
        if (present(value)) out_.u64_be(order_float(in.u64_be()));
        return;
      case TypeKind::boolean:
        return out_.u8(value.empty() ? 0 : value[0] == 0 ? 1 : 2);
      case TypeKind::smallint:
        return out_.u16_be(in.u16_be() ^ 0x8000U);
      case TypeKind::tinyint:
        return out_.u8(in.u8() ^ 0x80U);
      case TypeKind::date:
        return out_.u32_be(in.u32_be());
      case TypeKind::time:
        return out_.u64_be(in.u64_be());
      case TypeKind::uuid:
        return uuid(value);
      case TypeKind::timeuuid:
        if (!present(value)) return;
        out_.u64_be(time_bits(in.u64_be()));
        return out_.u64_be(in.u64_be() ^ byte_signs);
      case TypeKind::varint:
        return varint(value);
      case TypeKind::decimal:
        return decimal(value);
      case TypeKind::list:
      case TypeKind::set:
      case TypeKind::map:
        return collection(type, in);
      case TypeKind::tuple:
        return tuple(type, in);
      default:
        return escaped(value);
    }
  }

 private:
  bool present(BytesView value) {
    out_.u8(value.empty() ? 0 : 1);
    return !value.empty();
  }

  void escaped(BytesView value) {
    while (true) {
      size_t zero = value.find('\0');
      out_.raw(value.substr(0, zero));
      if (zero == BytesView::npos) break;
      out_.u16_be(0x00ff);
      value.remove_prefix(zero + 1);
    }
    out_.u16_be(0);
  }

  void uuid(BytesView value) {
    if (value.size() != 16) return out_.u8(0);
    ByteReader in(value);
    unsigned version = static_cast<uint8_t>(value[6]) >> 4;
    out_.u8(static_cast<uint8_t>(1 + version));
    uint64_t first = in.u64_be();
    out_.u64_be(version == 1 ? time_bits(first) : first);
    out_.u64_be(in.u64_be());
  }

  void varint(BytesView value) {
    if (value.empty()) return out_.u8(0);
    value = shortest_varint(value);
    bool negative = (value[0] & 0x80) != 0;
    // 1..0x7f for negative, 0x80.. for the rest; the last value of each says that four bytes of length follow.
    auto size = static_cast<uint32_t>(value.size());
    unsigned step = std::min<uint32_t>(size, 0x7e);
    out_.u8(static_cast<uint8_t>(negative ? 0x7f - step : 0x80 + step));
    if (step == 0x7e) out_.u32_be(negative ? ~size : size);
    out_.raw(value);
  }

  void decimal(BytesView value) {
    if (value.empty()) return out_.u8(0);
    Decimal number = Decimal::from_bytes(value.substr(0, 4 + max_number_size_bytes));
    out_.u8(static_cast<uint8_t>(2 + number.sign));
    if (number.sign == 0) return;
    size_t start = bytes_.size();
    out_.u64_be(static_cast<uint64_t>(number.exponent) ^ sign_bit);
    for (size_t i = 0; i < number.digits.size(); i += 2) {
      int tens = number.digits[i] - '0';
      int ones = i + 1 < number.digits.size() ? number.digits[i + 1] - '0' : 0;
      out_.u8(static_cast<uint8_t>(tens * 10 + ones + 1));
    }
    out_.u8(0);
    if (number.sign < 0) {
      for (size_t i = start; i < bytes_.size(); ++i) bytes_[i] = static_cast<char>(~bytes_[i]);
    }
  }

  void collection(const DataType& type, ByteReader& in) {
    uint32_t count = in.u32_be();
    for (uint32_t i = 0; i < count && !in.at_end(); ++i) {
      out_.u8(1);
      for (const DataType& part : type.arguments()) value(part, in.raw(in.u32_be()));
    }
    out_.u8(0);
  }

  void tuple(const DataType& type, ByteReader& in) {
    for (const DataType& part : type.arguments()) {
      auto size = in.at_end() ? -1 : static_cast<int32_t>(in.u32_be());
      out_.u8(size < 0 ? 0 : 1);
      if (size >= 0) value(part, in.raw(static_cast<uint32_t>(size)));
    }
  }

  ByteWriter out_;
  Bytes& bytes_;
};

/// Reads encodings, undoing the inversion of descending columns byte by byte.
class Decoder {
 public:
  Decoder(ByteReader& in, bool descending, Bytes& bytes)
      : in_(in), out_(bytes), bytes_(bytes), flip_(descending ? 0xff : 0) {}

  void value(const DataType& type) {
    switch (type.kind()) {
      case TypeKind::bigint:
      case TypeKind::counter:
      case TypeKind::timestamp:
        if (present()) out_.u64_be(u64() ^ sign_bit);
        return;
      case TypeKind::int_:
        if (present()) out_.u32_be(u32() ^ 0x80000000U);
        return;
      case TypeKind::float_:
        if (present()) out_.u32_be(unorder_float(u32()));
        return;
      case TypeKind::double_:
        if (present()) out_.u64_be(unorder_float(u64()));
        return;
      case TypeKind::boolean:
        return boolean();
      case TypeKind::smallint:
        out_.u8(u8() ^ 0x80U);
        return out_.u8(u8());
      case TypeKind::tinyint:
        return out_.u8(u8() ^ 0x80U);
      case TypeKind::date:
        return out_.u32_be(u32());
      case TypeKind::time:
        return out_.u64_be(u64());
      case TypeKind::uuid:
        return uuid();
      case TypeKind::timeuuid:
        if (!present()) return;
        out_.u64_be(uuid_bits(u64()));
        return out_.u64_be(u64() ^ byte_signs);
      case TypeKind::varint:
        return varint();
      case TypeKind::decimal:
        return decimal();
      case TypeKind::list:
      case TypeKind::set:
      case TypeKind::map:
        return collection(type);
      case TypeKind::tuple:
        return tuple(type);
      default:
        return escaped();
    }
  }

 private:
  uint8_t u8() { return in_.u8() ^ flip_; }
  uint32_t u32() { return in_.u32_be() ^ (flip_ != 0 ? ~0U : 0U); }
  uint64_t u64() { return in_.u64_be() ^ (flip_ != 0 ? ~0ULL : 0ULL); }

  bool present() {
    uint8_t marker = u8();
    if (marker > 1) in_.fail();
    return marker == 1;
  }

  void boolean() {
    uint8_t marker = u8();
    if (marker > 2) in_.fail();
    if (marker > 0) out_.u8(marker - 1);
  }

  void escaped() {
    while (!in_.failed()) {
      BytesView rest = in_.rest();
      size_t zero = std::min(rest.find(static_cast<char>(flip_)), rest.size());
      raw(zero);
      u8();
      uint8_t next = u8();
      if (next == 0) return;
      if (next != 0xff) in_.fail();
      out_.u8(0);
    }
  }

  void raw(size_t size) {
    size_t start = bytes_.size();
    out_.raw(in_.raw(size));
    if (flip_ == 0) return;
    for (size_t i = start; i < bytes_.size(); ++i) bytes_[i] = static_cast<char>(~bytes_[i]);
  }

  void uuid() {
    uint8_t marker = u8();
    if (marker > 16) in_.fail();
    if (marker == 0) return;
    uint64_t first = u64();
    out_.u64_be(marker == 2 ? uuid_bits(first) : first);
    out_.u64_be(u64());
  }

  void varint() {
    uint8_t marker = u8();
    if (marker == 0) return;
    bool negative = marker < 0x80;
    uint32_t size = negative ? 0x7f - marker : marker - 0x80;
    if (size == 0x7e) {
      size = u32();
      if (negative) size = ~size;
    }
    if (size == 0 || size > 0x7e + max_number_size_bytes) return in_.fail();
    raw(size);
  }

  void decimal() {
    uint8_t marker = u8();
    if (marker == 0) return;
    if (marker > 3) return in_.fail();
    Decimal number;
    number.sign = marker - 2;
    uint8_t outer = flip_;
    if (number.sign < 0) flip_ ^= 0xff;
    if (number.sign != 0) {
      number.exponent = static_cast<int64_t>(u64() ^ sign_bit);
      while (uint8_t pair = u8()) {
        if (pair > 100 || in_.failed() || number.digits.size() > max_number_size_bytes * 3) {
          in_.fail();
          break;
        }
        number.digits.push_back(static_cast<char>('0' + (pair - 1) / 10));
        number.digits.push_back(static_cast<char>('0' + (pair - 1) % 10));
      }
      if (!number.digits.empty() && number.digits.back() == '0') number.digits.pop_back();
      bool sane = number.exponent > -(1LL << 40) && number.exponent < 1LL << 40 && !number.digits.empty();
      if (!sane) in_.fail();
    }
    flip_ = outer;
    if (!in_.failed() && !number.to_bytes(bytes_)) in_.fail();
  }

  size_t reserve_length() {
    size_t at = bytes_.size();
    out_.u32_be(0);
    return at;
  }
  void set_length(size_t at, uint32_t value) {
    value = std::endian::native == std::endian::little ? std::byteswap(value) : value;
    std::memcpy(bytes_.data() + at, &value, sizeof value);
  }
  void element(const DataType& type) {
    size_t at = reserve_length();
    value(type);
    set_length(at, static_cast<uint32_t>(bytes_.size() - at - 4));
  }

  void collection(const DataType& type) {
    size_t at = reserve_length();
    uint32_t count = 0;
    while (present() && !in_.failed()) {
      for (const DataType& part : type.arguments()) element(part);
      ++count;
    }
    set_length(at, count);
  }

  void tuple(const DataType& type) {
    for (const DataType& part : type.arguments()) {
      if (in_.failed()) return;
      if (present()) {
        element(part);
      } else {
        out_.u32_be(0xffffffffU);
      }
    }
  }

  ByteReader& in_;
  ByteWriter out_;
  Bytes& bytes_;
  uint8_t flip_;
};

}  // namespace

void encode_ordered(const DataType& type, BytesView value, bool descending, Bytes& out) {
  size_t start = out.size();
  Encoder(out).value(type, value);
  if (!descending) return;
  for (size_t i = start; i < out.size(); ++i) out[i] = static_cast<char>(~out[i]);
}

Status decode_ordered(const DataType& type, ByteReader& in, bool descending, Bytes& out) {
  Decoder(in, descending, out).value(type);
  if (in.failed()) return fail(ErrorCode::corrupt, "a stored key does not hold a value of type {}", type.to_string());
  return {};
}

}  // namespace asterism::datastore
