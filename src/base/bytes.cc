#include "base/bytes.h"

namespace asterism {

void ByteWriter::long_varint(uint64_t value) {
  char bytes[10];
  size_t size = 0;
  for (; value >= 0x80; value >>= 7) bytes[size++] = static_cast<char>(value | 0x80);
  bytes[size++] = static_cast<char>(value);
  out_.append(bytes, size);
}

uint64_t ByteReader::long_varint() {
  // Up to eight bytes, such as timestamps take, without a loop: the groups of seven bits move together in pairs.
  if (in_.size() >= sizeof(uint64_t)) {
    auto groups = load_little_endian<uint64_t>(in_.data());
    const uint64_t ends = ~groups & 0x8080808080808080;
    if (ends != 0) {
      groups &= ends ^ (ends - 1);  // up to the first end
      groups = (groups & 0x7f007f007f007f00) >> 1 | (groups & 0x007f007f007f007f);
      groups = (groups & 0x3fff00003fff0000) >> 2 | (groups & 0x00003fff00003fff);
      groups = (groups & 0x0fffffff00000000) >> 4 | (groups & 0x000000000fffffff);
      in_.remove_prefix(static_cast<size_t>(std::countr_zero(ends)) / 8 + 1);
      return groups;
    }
  }
  uint64_t value = 0;
  for (size_t i = 0; i < in_.size() && i < 10; ++i) {
    const auto byte = static_cast<uint8_t>(in_[i]);
    if (i == 9 && byte > 1) break;
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte >= 0x80) continue;
    in_.remove_prefix(i + 1);
    return value;
  }
  fail();
  return 0;
}

std::string to_hex(BytesView bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (char byte : bytes) {
    text.push_back(digits[static_cast<uint8_t>(byte) >> 4]);
    text.push_back(digits[static_cast<uint8_t>(byte) & 15]);
  }
  return text;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool from_hex(std::string_view text, Bytes& out) {
  if (text.size() % 2 != 0) return false;
  out.clear();
  out.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return false;
    out.push_back(static_cast<char>(high * 16 + low));
  }
  return true;
}

}  // namespace asterism
