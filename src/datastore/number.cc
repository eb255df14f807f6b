#include "datastore/number.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <vector>

#include "datastore/type.h"

namespace asterism::datastore {

namespace {

constexpr uint64_t chunk_base = 10'000'000'000'000'000'000ULL;  // the greatest power of ten in 64 bits
constexpr int chunk_digits = 19;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_negative(BytesView varint) { return !varint.empty() && (varint[0] & 0x80) != 0; }

/// The magnitude as 64-bit limbs, least significant first.
std::vector<uint64_t> magnitude(BytesView varint) {
  std::vector<uint64_t> limbs((varint.size() + 7) / 8, is_negative(varint) ? ~0ULL : 0);
  for (size_t i = 0; i < varint.size(); ++i) {
    size_t place = varint.size() - 1 - i;
    uint64_t& limb = limbs[place / 8];
    int shift = static_cast<int>(place % 8) * 8;
    limb = (limb & ~(0xffULL << shift)) | (uint64_t{static_cast<uint8_t>(varint[i])} << shift);
  }
  if (is_negative(varint)) {
    uint64_t carry = 1;
    for (uint64_t& limb : limbs) {
      limb = ~limb + carry;
      carry = carry != 0 && limb == 0 ? 1 : 0;
    }
  }
  while (!limbs.empty() && limbs.back() == 0) limbs.pop_back();
  return limbs;
}

Bytes from_magnitude(const std::vector<uint64_t>& limbs, bool negative) {
  Bytes bytes(1, '\0');  // room for the sign
  for (size_t i = limbs.size(); i-- > 0;) {
    for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(limbs[i] >> shift));
  }
  if (negative) {
    unsigned carry = 1;
    for (size_t i = bytes.size(); i-- > 0;) {
      unsigned sum = static_cast<uint8_t>(~bytes[i]) + carry;
      bytes[i] = static_cast<char>(sum);
      carry = sum >> 8;
    }
  }
  return Bytes(shortest_varint(bytes));
}

/// Splits BigDecimal text; digits keep leading zeros.
struct Written {
  bool negative = false;
  std::string digits;
  int64_t scale = 0;
};

bool read_decimal(std::string_view text, Written& out) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    out.negative = text[0] == '-';
    text.remove_prefix(1);
  }
  bool point = false;
  size_t i = 0;
  for (; i < text.size(); ++i) {
    if (is_digit(text[i])) {
      out.digits.push_back(text[i]);
      if (point) ++out.scale;
    } else if (text[i] == '.' && !point) {
      point = true;
    } else {
      break;
    }
  }
  if (out.digits.empty()) return false;
  if (i == text.size()) return true;
  if (text[i] != 'e' && text[i] != 'E') return false;
  text.remove_prefix(i + 1);
  if (!text.empty() && text[0] == '+') {
    text.remove_prefix(1);
    if (text.empty() || !is_digit(text[0])) return false;
  }
  int32_t exponent = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), exponent);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  out.scale -= exponent;
  return true;
}

}  // namespace

BytesView shortest_varint(BytesView varint) {
  while (varint.size() > 1 &&
         ((varint[0] == '\0' && (varint[1] & 0x80) == 0) || (varint[0] == '\xff' && (varint[1] & 0x80) != 0))) {
    varint.remove_prefix(1);
  }
  return varint;
}

int compare_varint(BytesView a, BytesView b) {
  a = shortest_varint(a);
  b = shortest_varint(b);
  bool negative = is_negative(a);
  if (negative != is_negative(b)) return negative ? -1 : 1;
  if (a.size() != b.size()) return (a.size() < b.size()) != negative ? -1 : 1;
  return a.compare(b);
}

std::string varint_to_text(BytesView varint) {
  std::vector<uint64_t> limbs = magnitude(varint);
  if (limbs.empty()) return "0";
  std::string reversed;
  while (!limbs.empty()) {
    unsigned __int128 remainder = 0;
    for (size_t i = limbs.size(); i-- > 0;) {
      unsigned __int128 value = (remainder << 64) | limbs[i];
      limbs[i] = static_cast<uint64_t>(value / chunk_base);
      remainder = value % chunk_base;
    }
    while (!limbs.empty() && limbs.back() == 0) limbs.pop_back();
    auto chunk = static_cast<uint64_t>(remainder);
    for (int digit = 0; digit < chunk_digits && (chunk != 0 || !limbs.empty()); ++digit) {
      reversed.push_back(static_cast<char>('0' + chunk % 10));
      chunk /= 10;
    }
  }
  if (is_negative(varint)) reversed.push_back('-');
  std::reverse(reversed.begin(), reversed.end());
  return reversed;
}

bool varint_from_text(std::string_view text, Bytes& out) {
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text.empty() || !std::all_of(text.begin(), text.end(), is_digit)) return false;
  while (text.size() > 1 && text[0] == '0') text.remove_prefix(1);
  if (text.size() > max_number_size_bytes * 5 / 2) return false;
  std::vector<uint64_t> limbs;
  while (!text.empty()) {
    size_t take = std::min<size_t>(text.size(), chunk_digits);
    uint64_t chunk = 0;
    uint64_t scale = 1;
    for (char c : text.substr(0, take)) {
      chunk = chunk * 10 + static_cast<uint64_t>(c - '0');
      scale *= 10;
    }
    unsigned __int128 carry = chunk;
    for (uint64_t& limb : limbs) {
      unsigned __int128 value = static_cast<unsigned __int128>(limb) * scale + carry;
      limb = static_cast<uint64_t>(value);
      carry = value >> 64;
    }
    if (carry != 0) limbs.push_back(static_cast<uint64_t>(carry));
    text.remove_prefix(take);
  }
  Bytes bytes = from_magnitude(limbs, negative);
  if (bytes.size() > max_number_size_bytes) return false;
  out += bytes;
  return true;
}

Bytes varint_from_int(int64_t value) {
  Bytes bytes;
  ByteWriter(bytes).u64_be(static_cast<uint64_t>(value));
  return Bytes(shortest_varint(bytes));
}

Decimal Decimal::from_bytes(BytesView value) {
  ByteReader in(value);
  auto scale = static_cast<int32_t>(in.u32_be());
  Decimal decimal;
  std::string digits = varint_to_text(in.rest());
  decimal.sign = 1;
  if (digits[0] == '-') {
    decimal.sign = -1;
    digits.erase(0, 1);
  }
  if (digits == "0") return {};
  decimal.exponent = static_cast<int64_t>(digits.size()) - scale;
  digits.erase(digits.find_last_not_of('0') + 1);
  decimal.digits = std::move(digits);
  return decimal;
}

bool Decimal::to_bytes(Bytes& out) const {
  std::string text = digits.empty() ? "0" : digits;
  int64_t scale = digits.empty() ? 0 : static_cast<int64_t>(digits.size()) - exponent;
  if (scale > INT32_MAX) return false;
  int64_t zeros = 0;
  if (scale < 0 && exponent <= 100) zeros = -scale;
  if (scale < INT32_MIN) zeros = INT32_MIN - scale;
  if (zeros > static_cast<int64_t>(max_number_size_bytes) * 3) return false;
  text.append(static_cast<size_t>(zeros), '0');
  ByteWriter(out).u32_be(static_cast<uint32_t>(scale + zeros));
  return varint_from_text((sign < 0 ? "-" : "") + text, out);
}

int compare(const Decimal& a, const Decimal& b) {
  if (a.sign != b.sign) return a.sign < b.sign ? -1 : 1;
  if (a.exponent != b.exponent) return (a.exponent < b.exponent) == (a.sign > 0) ? -1 : 1;
  int order = a.digits.compare(b.digits);
  return a.sign < 0 ? -order : order;
}

std::string decimal_to_text(BytesView value) {
  ByteReader in(value);
  int64_t scale = static_cast<int32_t>(in.u32_be());
  std::string digits = varint_to_text(in.rest());
  std::string sign;
  if (digits[0] == '-') {
    sign = "-";
    digits.erase(0, 1);
  }
  if (scale == 0) return sign + digits;
  auto size = static_cast<int64_t>(digits.size());
  int64_t adjusted = size - 1 - scale;
  if (scale > 0 && adjusted >= -6) {
    if (scale >= size) return sign + "0." + std::string(static_cast<size_t>(scale - size), '0') + digits;
    return sign + digits.substr(0, static_cast<size_t>(size - scale)) + "." +
           digits.substr(static_cast<size_t>(size - scale));
  }
  std::string text = sign + digits.substr(0, 1);
  if (size > 1) text += "." + digits.substr(1);
  if (adjusted != 0) text += fmt::format("E{:+}", adjusted);
  return text;
}

bool decimal_from_text(std::string_view text, Bytes& out) {
  Written written;
  if (!read_decimal(text, written)) return false;
  if (written.scale < INT32_MIN || written.scale > INT32_MAX) return false;
  Bytes unscaled;
  if (!varint_from_text((written.negative ? "-" : "") + written.digits, unscaled)) return false;
  ByteWriter writer(out);
  writer.u32_be(static_cast<uint32_t>(written.scale));
  writer.raw(unscaled);
  return true;
}

}  // namespace asterism::datastore
