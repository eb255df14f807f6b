// Numbers of any size, as CQL's varint and decimal carry them: two's complement, big-endian, at least one byte.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"

namespace asterism::datastore {

/// The same number without spare sign bytes. Empty stays empty.
BytesView shortest_varint(BytesView varint);

/// <0, 0, >0. Empty compares as zero.
int compare_varint(BytesView a, BytesView b);

/// Decimal digits with a '-' if negative. Quadratic in the size: bound it by max_number_size_bytes.
std::string varint_to_text(BytesView varint);

/// From [+-]digits, in the shortest form; false if malformed or longer than max_number_size_bytes.
bool varint_from_text(std::string_view text, Bytes& out);

Bytes varint_from_int(int64_t value);

/// A decimal, normalised: sign * 0.digits * 10^exponent, digits without zeros at either end; zero has no digits.
struct Decimal {
  int sign = 0;
  int64_t exponent = 0;
  std::string digits;  // '0'..'9'

  static Decimal from_bytes(BytesView value);
  /// The one serialized form chosen for this value: scale 0 for whole numbers of up to 100 digits, otherwise no zeros
  /// at the end of the unscaled value. False if it does not fit.
  bool to_bytes(Bytes& out) const;
};

int compare(const Decimal& a, const Decimal& b);

/// As java.math.BigDecimal.toString(): "1.50", "1E+3", "-0.001".
std::string decimal_to_text(BytesView value);

/// From [+-]digits[.digits][e[+-]digits], keeping the scale as written; false if malformed or too large.
bool decimal_from_text(std::string_view text, Bytes& out);

}  // namespace asterism::datastore
