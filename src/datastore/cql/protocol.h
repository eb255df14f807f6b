// Numbers and names that the CQL native protocol fixes. Their values are on the wire: never change them.
#pragma once

#include <cstdint>
#include <string_view>

#include "datastore/consistency.h"

namespace asterism::cql::wire {

/// Versions that this library reads and writes. v3 and v4 send bare envelopes; v5 wraps them in segments after STARTUP.
enum class Version : uint8_t { v3 = 3, v4 = 4, v5 = 5 };
inline constexpr Version min_version = Version::v3;
inline constexpr Version max_version = Version::v5;

enum class Opcode : uint8_t {
  error = 0x00,
  startup = 0x01,
  ready = 0x02,
  authenticate = 0x03,
  options = 0x05,
  supported = 0x06,
  query = 0x07,
  result = 0x08,
  prepare = 0x09,
  execute = 0x0A,
  register_events = 0x0B,
  event = 0x0C,
  batch = 0x0D,
  auth_challenge = 0x0E,
  auth_response = 0x0F,
  auth_success = 0x10,
};

/// Bits of the envelope's flags byte.
namespace flag {
inline constexpr uint8_t compressed = 0x01;  // v3 and v4 only; without meaning in v5
inline constexpr uint8_t tracing = 0x02;
inline constexpr uint8_t custom_payload = 0x04;
inline constexpr uint8_t warning = 0x08;
inline constexpr uint8_t use_beta = 0x10;
}  // namespace flag

using datastore::Consistency;
using datastore::to_string;

/// Section 9 of the specification, "Error codes".
enum class CqlErrorCode : uint32_t {
  server_error = 0x0000,
  protocol_error = 0x000A,
  bad_credentials = 0x0100,
  unavailable = 0x1000,
  overloaded = 0x1001,
  is_bootstrapping = 0x1002,
  truncate_error = 0x1003,
  write_timeout = 0x1100,
  read_timeout = 0x1200,
  read_failure = 0x1300,
  function_failure = 0x1400,
  write_failure = 0x1500,
  cdc_write_failure = 0x1600,
  cas_write_unknown = 0x1700,  // v5
  syntax_error = 0x2000,
  unauthorized = 0x2100,
  invalid = 0x2200,
  config_error = 0x2300,
  already_exists = 0x2400,
  unprepared = 0x2500,
};

enum class WriteType : uint8_t { simple, batch, unlogged_batch, counter, batch_log, cas, view, cdc };
enum class BatchType : uint8_t { logged = 0, unlogged = 1, counter = 2 };
enum class EventType : uint8_t { topology_change, status_change, schema_change };

/// The names that the protocol and CQL use, such as "LOCAL_QUORUM", "UNLOGGED_BATCH", "SCHEMA_CHANGE", "QUERY".
/// A value outside its enumeration gives "UNKNOWN".
std::string_view to_string(WriteType type);
std::string_view to_string(EventType type);
std::string_view to_string(Opcode opcode);

/// Inverses; false where the name is not known. Names are compared without regard to case.
bool parse(std::string_view name, Consistency& consistency);
bool parse(std::string_view name, WriteType& type);
bool parse(std::string_view name, EventType& type);

}  // namespace asterism::cql::wire
