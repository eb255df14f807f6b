// Text forms of dates, times of day, timestamps and internet addresses, as Cassandra reads and writes them. Times
// without a zone are UTC.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace asterism::datastore {

/// [-]yyyy-mm-dd to days since 1970-01-01 and back (proleptic Gregorian).
std::optional<int64_t> parse_date(std::string_view text);
std::string print_date(int64_t days);

/// hh:mm:ss[.fffffffff] to nanoseconds since midnight and back (always nine digits of fraction).
std::optional<int64_t> parse_time(std::string_view text);
std::string print_time(int64_t nanoseconds);

/// yyyy-mm-dd[(T| )hh:mm[:ss[.fffffffff]]][ ][Z|UTC|GMT|+hh|+hhmm|+hh:mm] to milliseconds since 1970 (finer is cut
/// off).
std::optional<int64_t> parse_timestamp(std::string_view text);
/// yyyy-mm-ddThh:mm:ss.mmmZ
std::string print_timestamp(int64_t milliseconds);

/// Dotted IPv4 to 4 bytes, IPv6 to 16; IPv4-mapped IPv6 becomes IPv4. Prints IPv6 as RFC 5952 says.
std::optional<Bytes> parse_inet(std::string_view text);
std::string print_inet(BytesView address);

}  // namespace asterism::datastore
