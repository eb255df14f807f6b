#include "datastore/duration.h"

#include <algorithm>
#include <array>
#include <bit>

namespace asterism::datastore {

namespace {

/// Cassandra's unsigned vint: as many leading one bits as bytes follow, then the number, big-endian.
uint64_t read_vint(ByteReader& in) {
  uint8_t first = in.u8();
  int more = std::countl_one(first);
  uint64_t value = more >= 8 ? 0 : first & (0xffu >> more);
  for (int i = 0; i < more; ++i) value = value << 8 | in.u8();
  return value;
}

void write_vint(ByteWriter& out, uint64_t value) {
  int bits = std::max<int>(1, std::bit_width(value));
  int more = std::min(8, (bits - 1) / 7);
  uint64_t marker = more == 8 ? 0xff : 0xff & ~(0xffu >> more);
  out.u8(static_cast<uint8_t>(marker | (more == 8 ? 0 : value >> (8 * more))));
  for (int i = more - 1; i >= 0; --i) out.u8(static_cast<uint8_t>(value >> (8 * i)));
}

int64_t unzigzag(uint64_t value) { return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1); }
uint64_t zigzag(int64_t value) { return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63); }

struct Parts {
  int64_t months = 0;
  int64_t days = 0;
  int64_t nanoseconds = 0;
  bool trailing = false;
};

bool read_parts(BytesView value, Parts& parts) {
  ByteReader in(value);
  parts.months = unzigzag(read_vint(in));
  parts.days = unzigzag(read_vint(in));
  parts.nanoseconds = unzigzag(read_vint(in));
  parts.trailing = !in.at_end();
  return !in.failed();
}

bool fits(int64_t value) { return value >= INT32_MIN && value <= INT32_MAX; }

enum Part { months, days, nanoseconds };
struct Unit {
  std::string_view name;
  Part part;
  uint64_t scale;
};
// In the order in which they must be written.
constexpr std::array<Unit, 11> units = {{{"y", months, 12},
                                         {"mo", months, 1},
                                         {"w", days, 7},
                                         {"d", days, 1},
                                         {"h", nanoseconds, 3'600'000'000'000},
                                         {"m", nanoseconds, 60'000'000'000},
                                         {"s", nanoseconds, 1'000'000'000},
                                         {"ms", nanoseconds, 1'000'000},
                                         {"us", nanoseconds, 1'000},
                                         {"\xc2\xb5s", nanoseconds, 1'000},
                                         {"ns", nanoseconds, 1}}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

class Builder {
 public:
  explicit Builder(std::string_view whole) : whole_(whole) {}

  Status malformed() const { return fail(ErrorCode::invalid_argument, "Unable to convert '{}' to a duration", whole_); }

  Status add(Part part, uint64_t count, uint64_t scale) {
    constexpr std::array<uint64_t, 3> limits = {INT32_MAX, INT32_MAX, INT64_MAX};
    constexpr std::array<std::string_view, 3> names = {"months", "days", "nanoseconds"};
    uint64_t amount = 0;
    if (__builtin_mul_overflow(count, scale, &amount) || __builtin_add_overflow(sums_[part], amount, &sums_[part]) ||
        sums_[part] > limits[part]) {
      return fail(ErrorCode::invalid_argument, "Invalid duration. The total number of {} must be less or equal to {}",
                  names[part], limits[part]);
    }
    return {};
  }

  Status number(std::string_view& text, uint64_t& out) const {
    if (text.empty() || !is_digit(text[0])) return malformed();
    out = 0;
    while (!text.empty() && is_digit(text[0])) {
      if (__builtin_mul_overflow(out, uint64_t{10}, &out) ||
          __builtin_add_overflow(out, static_cast<uint64_t>(text[0] - '0'), &out)) {
        return fail(ErrorCode::invalid_argument, "Invalid duration: {} has a number that is too large", whole_);
      }
      text.remove_prefix(1);
    }
    return {};
  }

  DurationValue build(bool negative) const {
    int sign = negative ? -1 : 1;
    return {sign * static_cast<int32_t>(sums_[0]), sign * static_cast<int32_t>(sums_[1]),
            sign * static_cast<int64_t>(sums_[2])};
  }

 private:
  std::string_view whole_;
  std::array<uint64_t, 3> sums_ = {};
};

Status read_standard(std::string_view text, Builder& builder) {
  size_t next = 0;
  while (!text.empty()) {
    uint64_t count = 0;
    TRY_STATUS(builder.number(text, count));
    size_t size = 0;
    while (size < text.size() && !is_digit(text[size])) ++size;
    std::string name(text.substr(0, size));
    std::transform(name.begin(), name.end(), name.begin(), lower);
    const auto* unit = std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.name == name; });
    if (unit == units.end()) return builder.malformed();
    auto place = static_cast<size_t>(unit - units.begin());
    if (place < next) {
      return fail(ErrorCode::invalid_argument, "Invalid duration. The units must be in order and not repeat: {}", name);
    }
    // Both spellings of microseconds are one unit.
    next = name == "us" ? place + 2 : place + 1;
    TRY_STATUS(builder.add(unit->part, count, unit->scale));
    text.remove_prefix(size);
  }
  return {};
}

/// After the P: [nY][nM][nD][T[nH][nM][nS]] or nW.
Status read_designators(std::string_view text, Builder& builder) {
  constexpr std::array<Unit, 7> iso = {{{"Y", months, 12},
                                        {"M", months, 1},
                                        {"W", days, 7},
                                        {"D", days, 1},
                                        {"H", nanoseconds, 3'600'000'000'000},
                                        {"M", nanoseconds, 60'000'000'000},
                                        {"S", nanoseconds, 1'000'000'000}}};
  size_t next = 0;
  size_t end = 4;
  if (text.empty()) return builder.malformed();
  while (!text.empty()) {
    if (text[0] == 'T' && end == 4) {
      text.remove_prefix(1);
      next = 4;
      end = 7;
      if (text.empty()) return builder.malformed();
    }
    uint64_t count = 0;
    TRY_STATUS(builder.number(text, count));
    if (text.empty()) return builder.malformed();
    while (next < end && iso[next].name[0] != text[0]) ++next;
    if (next == end) return builder.malformed();
    TRY_STATUS(builder.add(iso[next].part, count, iso[next].scale));
    ++next;
    text.remove_prefix(1);
  }
  return {};
}

/// After the P: YYYY-MM-DDThh:mm:ss.
Status read_alternative(std::string_view text, Builder& builder) {
  constexpr std::string_view shape = "0000-00-00T00:00:00";
  if (text.size() != shape.size()) return builder.malformed();
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == '0' ? !is_digit(text[i]) : text[i] != shape[i]) return builder.malformed();
  }
  constexpr std::array<Unit, 6> parts = {{{"", months, 12},
                                          {"", months, 1},
                                          {"", days, 1},
                                          {"", nanoseconds, 3'600'000'000'000},
                                          {"", nanoseconds, 60'000'000'000},
                                          {"", nanoseconds, 1'000'000'000}}};
  for (const Unit& unit : parts) {
    uint64_t count = 0;
    TRY_STATUS(builder.number(text, count));
    TRY_STATUS(builder.add(unit.part, count, unit.scale));
    if (!text.empty()) text.remove_prefix(1);
  }
  return {};
}

}  // namespace

std::optional<DurationValue> DurationValue::from_bytes(BytesView value) {
  if (!check(value)) return std::nullopt;
  Parts parts;
  read_parts(value, parts);
  return DurationValue{static_cast<int32_t>(parts.months), static_cast<int32_t>(parts.days), parts.nanoseconds};
}

Status DurationValue::check(BytesView value) {
  if (value.size() < 3) {
    return fail(ErrorCode::invalid_argument, "Expected at least 3 bytes for a duration ({})", value.size());
  }
  Parts parts;
  if (!read_parts(value, parts) || parts.trailing) {
    return fail(ErrorCode::invalid_argument, "Expected a duration of three vints ({} bytes)", value.size());
  }
  if (!fits(parts.months)) return fail(ErrorCode::invalid_argument, "The duration months must be a 32 bits integer");
  if (!fits(parts.days)) return fail(ErrorCode::invalid_argument, "The duration days must be a 32 bits integer");
  bool negative = parts.months < 0 || parts.days < 0 || parts.nanoseconds < 0;
  bool positive = parts.months > 0 || parts.days > 0 || parts.nanoseconds > 0;
  if (negative && positive) {
    return fail(ErrorCode::invalid_argument,
                "The duration months, days and nanoseconds must be all of the same sign ({}, {}, {})", parts.months,
                parts.days, parts.nanoseconds);
  }
  return {};
}

Bytes DurationValue::to_bytes() const {
  Bytes bytes;
  ByteWriter out(bytes);
  write_vint(out, zigzag(months));
  write_vint(out, zigzag(days));
  write_vint(out, zigzag(nanoseconds));
  return bytes;
}

Result<DurationValue> DurationValue::from_text(std::string_view text) {
  Builder builder(text);
  bool negative = !text.empty() && text[0] == '-';
  if (negative) text.remove_prefix(1);
  if (text.empty()) return std::unexpected(builder.malformed().error());
  if (text[0] != 'P') {
    TRY_STATUS(read_standard(text, builder));
  } else if (text.find('-') != std::string_view::npos) {
    TRY_STATUS(read_alternative(text.substr(1), builder));
  } else {
    TRY_STATUS(read_designators(text.substr(1), builder));
  }
  return builder.build(negative);
}

std::string DurationValue::to_text() const {
  bool negative = months < 0 || days < 0 || nanoseconds < 0;
  auto size = [](int64_t value) { return value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value); };
  std::array<uint64_t, 3> left = {size(months), size(days), size(nanoseconds)};
  std::string text;
  for (const Unit& unit : units) {
    if (unit.name == "w" || unit.name[0] == '\xc2') continue;
    uint64_t count = left[unit.part] / unit.scale;
    left[unit.part] %= unit.scale;
    if (count > 0) text += fmt::format("{}{}", count, unit.name);
  }
  if (text.empty()) return "0ns";
  return negative ? "-" + text : text;
}

}  // namespace asterism::datastore
