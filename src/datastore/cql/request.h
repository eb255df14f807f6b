// Requests of the CQL native protocol: what a client sends. Every view points into the body that was decoded, or into
// memory that the encoding caller keeps alive; nothing is copied. native_protocol_v5.spec section 4.1.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "datastore/cql/frame.h"
#include "datastore/cql/protocol.h"

namespace asterism::cql::wire {

/// A bound value: bytes in the type's serialized form, null, or unset (leave the column as it is; v4 and later).
struct Value {
  enum class Kind : uint8_t { value, null, unset };
  Kind kind = Kind::null;
  BytesView bytes;

  static Value of(BytesView bytes) { return {Kind::value, bytes}; }
  static Value null() { return {}; }
  static Value unset() { return {Kind::unset, {}}; }
  bool operator==(const Value&) const = default;
};

struct Startup {
  std::vector<std::pair<BytesView, BytesView>> options;
  /// The value of `key`, or nothing.
  std::optional<BytesView> find(BytesView key) const;
  bool operator==(const Startup&) const = default;
};

struct Options {
  bool operator==(const Options&) const = default;
};

/// What QUERY and EXECUTE share.
struct QueryParameters {
  Consistency consistency = Consistency::one;
  std::vector<Value> values;
  std::vector<BytesView> names;  // of the values, in their order; empty where values are positional
  bool skip_metadata = false;
  std::optional<int32_t> page_size;  // rows; 0 or less means no paging
  std::optional<BytesView> paging_state;
  std::optional<Consistency> serial_consistency;  // not checked to be serial or local_serial
  std::optional<int64_t> timestamp_us;
  std::optional<BytesView> keyspace;      // v5
  std::optional<int32_t> now_in_seconds;  // v5
  bool operator==(const QueryParameters&) const = default;
};

struct Query {
  BytesView text;
  QueryParameters parameters;
  bool operator==(const Query&) const = default;
};

struct Prepare {
  BytesView text;
  std::optional<BytesView> keyspace;  // v5
  bool operator==(const Prepare&) const = default;
};

struct Execute {
  BytesView id;
  BytesView result_metadata_id;  // v5; empty before
  QueryParameters parameters;
  bool operator==(const Execute&) const = default;
};

struct BatchStatement {
  bool prepared = false;
  BytesView text_or_id;
  std::vector<Value> values;
  bool operator==(const BatchStatement&) const = default;
};

/// Named values are refused: the protocol cannot express them (CASSANDRA-10246).
struct Batch {
  BatchType type = BatchType::logged;
  std::vector<BatchStatement> statements;
  Consistency consistency = Consistency::one;
  std::optional<Consistency> serial_consistency;
  std::optional<int64_t> timestamp_us;
  std::optional<BytesView> keyspace;      // v5
  std::optional<int32_t> now_in_seconds;  // v5
  bool operator==(const Batch&) const = default;
};

struct Register {
  std::vector<EventType> events;
  bool operator==(const Register&) const = default;
};

struct AuthResponse {
  std::optional<BytesView> token;
  bool operator==(const AuthResponse&) const = default;
};

using RequestMessage = std::variant<Startup, Options, Query, Prepare, Execute, Batch, Register, AuthResponse>;

struct Request {
  RequestMessage message;
  bool tracing = false;
  std::vector<std::pair<BytesView, Value>> custom_payload;  // v4 and later
};

/// Reads the body of a request envelope. The result points into `body`.
/// Bytes behind the message are ignored, as Cassandra does.
/// Errors: invalid_argument (a client's protocol error: unknown opcode, bad or truncated field).
Result<Request> decode_request(const EnvelopeHeader& header, BytesView body);

/// Appends one whole envelope to `out`, which is left as it was on error.
/// Errors: unsupported (a field that `version` lacks), too_large (a string or list above what its count can say),
/// invalid_argument (names that are not as many as the values).
Status encode_request(const Request& request, Version version, int16_t stream, Bytes& out);

}  // namespace asterism::cql::wire
