#include "datastore/cql/protocol.h"

#include <array>

namespace asterism::cql::wire {

namespace {

constexpr std::array<std::string_view, 8> write_type_names = {"SIMPLE",    "BATCH", "UNLOGGED_BATCH", "COUNTER",
                                                              "BATCH_LOG", "CAS",   "VIEW",           "CDC"};
constexpr std::array<std::string_view, 3> event_names = {"TOPOLOGY_CHANGE", "STATUS_CHANGE", "SCHEMA_CHANGE"};
constexpr std::array<std::string_view, 17> opcode_names = {
    "ERROR",          "STARTUP",       "READY",       "AUTHENTICATE", "",         "OPTIONS", "SUPPORTED",
    "QUERY",          "RESULT",        "PREPARE",     "EXECUTE",      "REGISTER", "EVENT",   "BATCH",
    "AUTH_CHALLENGE", "AUTH_RESPONSE", "AUTH_SUCCESS"};

template <class Names, class Enum>
std::string_view name_of(const Names& names, Enum value) {
  size_t index = static_cast<size_t>(value);
  return index < names.size() && !names[index].empty() ? names[index] : "UNKNOWN";
}

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

bool same_word(std::string_view a, std::string_view upper_case) {
  if (a.size() != upper_case.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (upper(a[i]) != upper_case[i]) return false;
  return true;
}

template <class Names, class Enum>
bool find(const Names& names, std::string_view name, Enum& value) {
  for (size_t i = 0; i < names.size(); ++i)
    if (same_word(name, names[i])) {
      value = static_cast<Enum>(i);
      return true;
    }
  return false;
}

}  // namespace

std::string_view to_string(WriteType type) { return name_of(write_type_names, type); }
std::string_view to_string(EventType type) { return name_of(event_names, type); }
std::string_view to_string(Opcode opcode) { return name_of(opcode_names, opcode); }

bool parse(std::string_view name, Consistency& consistency) {
  return find(datastore::consistency_names, name, consistency);
}
bool parse(std::string_view name, WriteType& type) { return find(write_type_names, name, type); }
bool parse(std::string_view name, EventType& type) { return find(event_names, name, type); }

}  // namespace asterism::cql::wire
