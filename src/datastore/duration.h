// CQL durations: months, days and nanoseconds, kept apart because a month has no fixed number of days nor a day of
// hours. Serialized as three zigzag vints (CQL binary protocol v5 section 6, duration).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace asterism::datastore {

/// All three parts have the same sign.
struct DurationValue {
  int32_t months = 0;
  int32_t days = 0;
  int64_t nanoseconds = 0;

  bool operator==(const DurationValue&) const = default;

  /// Nothing if check() fails.
  static std::optional<DurationValue> from_bytes(BytesView value);
  static Status check(BytesView value);
  Bytes to_bytes() const;

  /// 1y2mo3w4d5h6m7s8ms9us10ns in this order, P1Y2M3DT4H5M6S, P4W, P0001-02-03T04:05:06; each with an optional '-'.
  static Result<DurationValue> from_text(std::string_view text);
  /// Such as "1y2mo3d4h5m6s7ms"; zero is "0ns". from_text() reads it back.
  std::string to_text() const;
};

}  // namespace asterism::datastore
