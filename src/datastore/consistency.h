// Levels of consistency: how many replicas a request is content with.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace asterism::datastore {

/// Numbered as on the CQL wire (section 3 of its specification).
enum class Consistency : uint16_t {
  any = 0,
  one = 1,
  two = 2,
  three = 3,
  quorum = 4,
  all = 5,
  local_quorum = 6,
  each_quorum = 7,
  serial = 8,
  local_serial = 9,
  local_one = 10,
};

/// By number, as the protocol and CQL spell them.
inline constexpr std::array<std::string_view, 11> consistency_names = {
    "ANY",          "ONE",         "TWO",    "THREE",        "QUORUM",   "ALL",
    "LOCAL_QUORUM", "EACH_QUORUM", "SERIAL", "LOCAL_SERIAL", "LOCAL_ONE"};

/// "UNKNOWN" for a value outside the enumeration.
constexpr std::string_view to_string(Consistency consistency) {
  const auto number = static_cast<size_t>(consistency);
  return number < consistency_names.size() ? consistency_names[number] : "UNKNOWN";
}

}  // namespace asterism::datastore
