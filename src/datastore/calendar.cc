#include "datastore/calendar.h"

#include <fmt/format.h>

#include <array>

namespace asterism::datastore {

namespace {

constexpr int64_t day_ms = 86'400'000;
constexpr int64_t max_year = 6'000'000;  // a date of 32 bits ends in year 5,881,580

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Reads digits off the front; false if there are fewer than `least`, more than `most`.
bool take_digits(std::string_view& text, size_t least, size_t most, int64_t& out) {
  size_t size = 0;
  out = 0;
  while (size < text.size() && is_digit(text[size])) {
    if (size == most) return false;
    out = out * 10 + (text[size] - '0');
    ++size;
  }
  text.remove_prefix(size);
  return size >= least;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

bool is_leap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

int64_t month_days(int64_t year, int64_t month) {
  constexpr std::array<int, 12> days = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return days[static_cast<size_t>(month - 1)] + (month == 2 && is_leap(year) ? 1 : 0);
}

/// Days since 1970-01-01 by counting years from March, in eras of 400 years.
int64_t days_of(int64_t year, int64_t month, int64_t day) {
  if (month <= 2) --year;
  int64_t era = (year >= 0 ? year : year - 399) / 400;
  int64_t year_of_era = year - era * 400;
  int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

bool take_date(std::string_view& text, int64_t& days) {
  bool negative = take(text, '-');
  int64_t year = 0;
  int64_t month = 0;
  int64_t day = 0;
  if (!take_digits(text, 1, 7, year) || !take(text, '-') || !take_digits(text, 1, 2, month) || !take(text, '-') ||
      !take_digits(text, 1, 2, day)) {
    return false;
  }
  if (negative) year = -year;
  if (year > max_year || year < -max_year || month < 1 || month > 12 || day < 1 || day > month_days(year, month)) {
    return false;
  }
  days = days_of(year, month, day);
  return true;
}

/// .fffffffff to nanoseconds; no point is no fraction.
bool take_fraction(std::string_view& text, int64_t& nanoseconds) {
  nanoseconds = 0;
  if (!take(text, '.')) return true;
  size_t before = text.size();
  if (!take_digits(text, 1, 9, nanoseconds)) return false;
  for (size_t digits = before - text.size(); digits < 9; ++digits) nanoseconds *= 10;
  return true;
}

/// hh:mm[:ss[.fff]]
bool take_clock(std::string_view& text, bool need_seconds, int64_t& nanoseconds) {
  int64_t hours = 0;
  int64_t minutes = 0;
  int64_t seconds = 0;
  int64_t fraction = 0;
  if (!take_digits(text, 1, 2, hours) || !take(text, ':') || !take_digits(text, 1, 2, minutes)) return false;
  if (take(text, ':')) {
    if (!take_digits(text, 1, 2, seconds) || !take_fraction(text, fraction)) return false;
  } else if (need_seconds) {
    return false;
  }
  if (hours > 23 || minutes > 59 || seconds > 59) return false;
  nanoseconds = ((hours * 60 + minutes) * 60 + seconds) * 1'000'000'000 + fraction;
  return true;
}

/// The zone at the end, in milliseconds east of UTC.
bool take_zone(std::string_view& text, int64_t& offset_ms) {
  offset_ms = 0;
  take(text, ' ');
  if (text.empty()) return true;
  if (text == "Z" || text == "z" || text == "UTC" || text == "GMT") {
    text = {};
    return true;
  }
  bool west = text[0] == '-';
  if (!take(text, '-') && !take(text, '+')) return false;
  if (text.size() < 2 || !is_digit(text[0]) || !is_digit(text[1])) return false;
  int64_t hours = (text[0] - '0') * 10 + (text[1] - '0');
  text.remove_prefix(2);
  int64_t minutes = 0;
  bool colon = take(text, ':');
  if ((colon || !text.empty()) && !take_digits(text, 2, 2, minutes)) return false;
  if (hours > 18 || minutes > 59) return false;
  offset_ms = (hours * 60 + minutes) * 60'000 * (west ? -1 : 1);
  return true;
}

int64_t floor_divide(int64_t value, int64_t by) { return value / by - (value % by < 0 ? 1 : 0); }

std::optional<Bytes> parse_inet4(std::string_view text) {
  Bytes bytes;
  for (int i = 0; i < 4; ++i) {
    int64_t part = 0;
    if ((i > 0 && !take(text, '.')) || !take_digits(text, 1, 3, part) || part > 255) return std::nullopt;
    bytes.push_back(static_cast<char>(part));
  }
  if (!text.empty()) return std::nullopt;
  return bytes;
}

/// Groups up to the end or to "::"; the last may be dotted IPv4.
bool take_groups(std::string_view text, Bytes& out) {
  if (text.empty()) return true;
  while (true) {
    size_t colon = text.find(':');
    std::string_view group = text.substr(0, colon);
    if (colon == std::string_view::npos && group.find('.') != std::string_view::npos) {
      auto tail = parse_inet4(group);
      if (tail) out += *tail;
      return tail.has_value();
    }
    if (group.empty() || group.size() > 4 || out.size() >= 16) return false;
    unsigned value = 0;
    for (char c : group) {
      char folded = static_cast<char>(c | 0x20);
      bool letter = folded >= 'a' && folded <= 'f';
      if (!is_digit(c) && !letter) return false;
      value = value * 16 + static_cast<unsigned>(letter ? folded - 'a' + 10 : c - '0');
    }
    ByteWriter(out).u16_be(static_cast<uint16_t>(value));
    if (colon == std::string_view::npos) return true;
    text.remove_prefix(colon + 1);
  }
}

}  // namespace

std::optional<int64_t> parse_date(std::string_view text) {
  int64_t days = 0;
  if (!take_date(text, days) || !text.empty()) return std::nullopt;
  return days;
}

std::string print_date(int64_t days) {
  days += 719468;
  int64_t era = floor_divide(days, 146097);
  int64_t day_of_era = days - era * 146097;
  int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t shifted = (5 * day_of_year + 2) / 153;
  int64_t day = day_of_year - (153 * shifted + 2) / 5 + 1;
  int64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
  int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  return fmt::format("{}{:04}-{:02}-{:02}", year < 0 ? "-" : "", year < 0 ? -year : year, month, day);
}

std::optional<int64_t> parse_time(std::string_view text) {
  int64_t nanoseconds = 0;
  if (!take_clock(text, true, nanoseconds) || !text.empty()) return std::nullopt;
  return nanoseconds;
}

std::string print_time(int64_t nanoseconds) {
  int64_t seconds = nanoseconds / 1'000'000'000;
  return fmt::format("{:02}:{:02}:{:02}.{:09}", seconds / 3600, seconds / 60 % 60, seconds % 60,
                     nanoseconds % 1'000'000'000);
}

std::optional<int64_t> parse_timestamp(std::string_view text) {
  int64_t days = 0;
  int64_t nanoseconds = 0;
  int64_t offset_ms = 0;
  if (!take_date(text, days)) return std::nullopt;
  bool clock = text.size() > 1 && (text[0] == 'T' || text[0] == 't' || (text[0] == ' ' && is_digit(text[1])));
  if (clock) {
    text.remove_prefix(1);
    if (!take_clock(text, false, nanoseconds)) return std::nullopt;
  }
  if (!take_zone(text, offset_ms) || !text.empty()) return std::nullopt;
  return days * day_ms + nanoseconds / 1'000'000 - offset_ms;
}

std::string print_timestamp(int64_t milliseconds) {
  int64_t days = floor_divide(milliseconds, day_ms);
  int64_t rest = milliseconds - days * day_ms;
  return fmt::format("{}T{:02}:{:02}:{:02}.{:03}Z", print_date(days), rest / 3'600'000, rest / 60'000 % 60,
                     rest / 1000 % 60, rest % 1000);
}

std::optional<Bytes> parse_inet(std::string_view text) {
  if (text.find(':') == std::string_view::npos) return parse_inet4(text);
  Bytes bytes;
  size_t gap = text.find("::");
  if (gap == std::string_view::npos) {
    if (!take_groups(text, bytes) || bytes.size() != 16) return std::nullopt;
  } else {
    Bytes tail;
    std::string_view head = text.substr(0, gap);
    if (head.find('.') != std::string_view::npos || !take_groups(head, bytes)) return std::nullopt;
    if (!take_groups(text.substr(gap + 2), tail) || bytes.size() + tail.size() > 14) return std::nullopt;
    bytes.append(16 - bytes.size() - tail.size(), '\0');
    bytes += tail;
  }
  constexpr std::string_view mapped("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
  if (bytes.starts_with(mapped)) return bytes.substr(12);
  return bytes;
}

std::string print_inet(BytesView address) {
  auto byte = [&](size_t i) { return static_cast<unsigned>(static_cast<uint8_t>(address[i])); };
  if (address.size() == 4) return fmt::format("{}.{}.{}.{}", byte(0), byte(1), byte(2), byte(3));
  std::array<unsigned, 8> groups = {};
  for (size_t i = 0; i < 8; ++i) groups[i] = byte(2 * i) << 8 | byte(2 * i + 1);
  // The longest run of at least two zero groups, the first of equals, becomes "::".
  size_t best = 8;
  size_t best_size = 1;
  for (size_t i = 0; i < 8; ++i) {
    size_t size = 0;
    while (i + size < 8 && groups[i + size] == 0) ++size;
    if (size > best_size) {
      best = i;
      best_size = size;
    }
  }
  std::string text;
  for (size_t i = 0; i < 8; ++i) {
    if (i == best) {
      text += "::";
      i += best_size - 1;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    text += fmt::format("{:x}", groups[i]);
  }
  return text;
}

}  // namespace asterism::datastore
