// Responses of the CQL native protocol: what a server sends. A decoded response owns its data except the cells of Rows,
// which point into the body. native_protocol_v5.spec sections 4.2 and 9.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "datastore/cql/frame.h"
#include "datastore/cql/protocol.h"
#include "datastore/cql/rows.h"

namespace asterism::cql::wire {

/// A node's address: 4 or 16 bytes in network order.
struct InetAddress {
  Bytes bytes;
  int32_t port = 0;
  bool operator==(const InetAddress&) const = default;
};

struct UnavailableDetail {
  Consistency consistency = Consistency::one;
  int32_t required = 0, alive = 0;
  bool operator==(const UnavailableDetail&) const = default;
};
struct WriteTimeoutDetail {
  Consistency consistency = Consistency::one;
  int32_t received = 0, block_for = 0;
  WriteType write_type = WriteType::simple;
  uint16_t contentions = 0;  // v5, write_type cas
  bool operator==(const WriteTimeoutDetail&) const = default;
};
struct ReadTimeoutDetail {
  Consistency consistency = Consistency::one;
  int32_t received = 0, block_for = 0;
  bool data_present = false;
  bool operator==(const ReadTimeoutDetail&) const = default;
};
struct FailureReason {
  Bytes address;  // 4 or 16 bytes
  uint16_t code = 0;
  bool operator==(const FailureReason&) const = default;
};
struct ReadFailureDetail {
  Consistency consistency = Consistency::one;
  int32_t received = 0, block_for = 0, failures = 0;  // failures: v3, v4; v5 sends the reasons
  std::vector<FailureReason> reasons;                 // v5
  bool data_present = false;
  bool operator==(const ReadFailureDetail&) const = default;
};
struct WriteFailureDetail {
  Consistency consistency = Consistency::one;
  int32_t received = 0, block_for = 0, failures = 0;
  std::vector<FailureReason> reasons;
  WriteType write_type = WriteType::simple;
  bool operator==(const WriteFailureDetail&) const = default;
};
struct FunctionFailureDetail {
  std::string keyspace, function;
  std::vector<std::string> argument_types;
  bool operator==(const FunctionFailureDetail&) const = default;
};
struct CasWriteUnknownDetail {
  Consistency consistency = Consistency::serial;
  int32_t received = 0, block_for = 0;
  bool operator==(const CasWriteUnknownDetail&) const = default;
};
struct AlreadyExistsDetail {
  std::string keyspace, table;  // table is empty where the keyspace exists
  bool operator==(const AlreadyExistsDetail&) const = default;
};
struct UnpreparedDetail {
  Bytes id;
  bool operator==(const UnpreparedDetail&) const = default;
};

/// `detail` must be the one that belongs to `code`; codes without fields have none. Encoding for a version that lacks a
/// code sends the nearest one that it has, as Cassandra does: timeouts for failures, invalid for function_failure.
struct ErrorResponse {
  CqlErrorCode code = CqlErrorCode::server_error;
  std::string message;  // cut at 65,535 bytes
  std::variant<std::monostate, UnavailableDetail, WriteTimeoutDetail, ReadTimeoutDetail, ReadFailureDetail,
               WriteFailureDetail, FunctionFailureDetail, CasWriteUnknownDetail, AlreadyExistsDetail, UnpreparedDetail>
      detail;
  bool operator==(const ErrorResponse&) const = default;
};

struct Ready {
  bool operator==(const Ready&) const = default;
};
struct Authenticate {
  std::string authenticator;  // a class name, such as org.apache.cassandra.auth.PasswordAuthenticator
  bool operator==(const Authenticate&) const = default;
};
struct Supported {
  std::vector<std::pair<std::string, std::vector<std::string>>> options;
  bool operator==(const Supported&) const = default;
};
struct AuthChallenge {
  std::optional<Bytes> token;
  bool operator==(const AuthChallenge&) const = default;
};
struct AuthSuccess {
  std::optional<Bytes> token;
  bool operator==(const AuthSuccess&) const = default;
};

struct VoidResult {
  bool operator==(const VoidResult&) const = default;
};
struct SetKeyspace {
  std::string keyspace;
  bool operator==(const SetKeyspace&) const = default;
};
struct Prepared {
  Bytes id;
  Bytes result_metadata_id;  // v5
  std::vector<ColumnSpec> bind_markers;
  std::vector<uint16_t> partition_key_indexes;  // v4 and later; one bind marker a partition key column, or none
  ResultMetadata result;                        // no columns where the statement returns no rows
  bool operator==(const Prepared&) const = default;
};

/// Both a RESULT and an EVENT.
struct SchemaChange {
  enum class Change : uint8_t { created, updated, dropped };
  enum class Target : uint8_t { keyspace, table, type, function, aggregate };
  Change change = Change::created;
  Target target = Target::keyspace;
  std::string keyspace;
  std::string name;                         // of all targets but keyspace
  std::vector<std::string> argument_types;  // of functions and aggregates
  bool operator==(const SchemaChange&) const = default;
};
struct TopologyChange {
  enum class Change : uint8_t { new_node, removed_node, moved_node };
  Change change = Change::new_node;
  InetAddress address;
  bool operator==(const TopologyChange&) const = default;
};
struct StatusChange {
  enum class Change : uint8_t { up, down };
  Change change = Change::up;
  InetAddress address;
  bool operator==(const StatusChange&) const = default;
};
/// Sent on stream -1.
struct Event {
  std::variant<TopologyChange, StatusChange, SchemaChange> change;
  bool operator==(const Event&) const = default;
};

using ResponseMessage = std::variant<ErrorResponse, Ready, Authenticate, Supported, VoidResult, Rows, SetKeyspace,
                                     Prepared, SchemaChange, Event, AuthChallenge, AuthSuccess>;

struct Response {
  ResponseMessage message;
  ResponseExtras extras;
};

/// Reads the body of a response envelope. Rows in the result point into `body`, and their cells have been checked.
/// Bytes behind the message are ignored, as section 4.2 asks of clients.
/// Errors: corrupt, unsupported (an opcode, type, kind or name that this library does not know).
Result<Response> decode_response(const EnvelopeHeader& header, BytesView body);

/// Appends one whole envelope to `out`, which is left as it was on error. Error messages and warnings are cut to fit.
/// Errors: unsupported (`version` lacks it), too_large, invalid_argument (fields that do not fit together).
Status encode_response(const Response& response, Version version, int16_t stream, Bytes& out);

}  // namespace asterism::cql::wire
