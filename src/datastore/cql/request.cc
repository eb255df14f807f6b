#include "datastore/cql/request.h"

#include <limits>

#include "datastore/cql/notation.h"

namespace asterism::cql::wire {

namespace {

// Bits of the flags of QUERY, EXECUTE and BATCH.
constexpr uint32_t with_values = 0x01;
constexpr uint32_t with_skip_metadata = 0x02;
constexpr uint32_t with_page_size = 0x04;
constexpr uint32_t with_paging_state = 0x08;
constexpr uint32_t with_serial_consistency = 0x10;
constexpr uint32_t with_timestamp = 0x20;
constexpr uint32_t with_names = 0x40;
constexpr uint32_t with_keyspace = 0x80;         // v5
constexpr uint32_t with_now_in_seconds = 0x100;  // v5
constexpr uint32_t v5_flags = with_keyspace | with_now_in_seconds;
constexpr uint32_t batch_flags = with_serial_consistency | with_timestamp | v5_flags;
constexpr uint32_t query_flags =
    with_values | with_skip_metadata | with_page_size | with_paging_state | with_names | batch_flags;
constexpr uint32_t prepare_with_keyspace = 0x01;

constexpr int32_t null_length = -1;
constexpr int32_t unset_length = -2;
constexpr size_t value_size_min = 4;
constexpr size_t name_size_min = 2;
constexpr size_t batch_statement_size_min = 5;  // kind, empty id, no values

class RequestReader {
 public:
  RequestReader(BytesView body, Version version) : in_(body), version_(version) {}

  Result<Request> read(const EnvelopeHeader& header) {
    Request request;
    request.tracing = (header.flags & flag::tracing) != 0;
    if ((header.flags & flag::custom_payload) != 0) TRY_STATUS(read_payload(request.custom_payload));
    TRY(request.message, read_message(header.opcode));
    if (in_.failed()) return fail(ErrorCode::invalid_argument, "Truncated {} message", to_string(header.opcode));
    return request;
  }

 private:
  Result<RequestMessage> read_message(Opcode opcode) {
    switch (opcode) {
      case Opcode::startup:
        return read_startup();
      case Opcode::options:
        return Options{};
      case Opcode::query:
        return read_query();
      case Opcode::prepare:
        return read_prepare();
      case Opcode::execute:
        return read_execute();
      case Opcode::batch:
        return read_batch();
      case Opcode::register_events:
        return read_register();
      case Opcode::auth_response:
        return AuthResponse{in_.bytes()};
      default:
        return fail(ErrorCode::invalid_argument, "Unknown opcode {} of a request", static_cast<int>(opcode));
    }
  }

  Status read_payload(std::vector<std::pair<BytesView, Value>>& payload) {
    size_t count = in_.count(name_size_min + value_size_min);
    payload.reserve(count);
    for (size_t i = 0; i < count && !in_.failed(); ++i) {
      BytesView key = in_.string();
      auto value = in_.bytes();
      payload.emplace_back(key, value ? Value::of(*value) : Value::null());
    }
    return {};
  }

  Startup read_startup() {
    Startup startup;
    size_t count = in_.count(2 * name_size_min);
    startup.options.reserve(count);
    for (size_t i = 0; i < count && !in_.failed(); ++i) {
      BytesView key = in_.string();
      startup.options.emplace_back(key, in_.string());
    }
    return startup;
  }

  Result<RequestMessage> read_query() {
    Query query{in_.long_string(), {}};
    TRY_STATUS(read_parameters(query.parameters));
    return query;
  }

  Result<RequestMessage> read_prepare() {
    Prepare prepare{in_.long_string(), {}};
    if (version_ < Version::v5) return prepare;
    uint32_t flags = in_.u32_be();
    TRY_STATUS(check_flags(flags, prepare_with_keyspace));
    if (flags & prepare_with_keyspace) prepare.keyspace = in_.string();
    return prepare;
  }

  Result<RequestMessage> read_execute() {
    Execute execute;
    execute.id = in_.string();
    if (version_ >= Version::v5) execute.result_metadata_id = in_.string();
    TRY_STATUS(read_parameters(execute.parameters));
    return execute;
  }

  Result<RequestMessage> read_batch() {
    Batch batch;
    uint8_t type = in_.byte();
    if (type > static_cast<uint8_t>(BatchType::counter))
      return fail(ErrorCode::invalid_argument, "Invalid batch type {}", type);
    batch.type = static_cast<BatchType>(type);
    size_t count = in_.count(batch_statement_size_min);
    batch.statements.reserve(count);
    for (size_t i = 0; i < count && !in_.failed(); ++i) {
      BatchStatement& statement = batch.statements.emplace_back();
      uint8_t kind = in_.byte();
      if (kind > 1) return fail(ErrorCode::invalid_argument, "Invalid query kind {} in BATCH messages", kind);
      statement.prepared = kind == 1;
      statement.text_or_id = statement.prepared ? in_.string() : in_.long_string();
      TRY_STATUS(read_values(statement.values, nullptr));
    }
    TRY(batch.consistency, read_consistency());
    uint32_t flags = read_flags();
    if (flags & with_names)
      return fail(ErrorCode::invalid_argument, "Named values are not supported in BATCH messages");
    TRY_STATUS(check_flags(flags, batch_flags));
    TRY_STATUS(read_tail(flags, batch));
    return batch;
  }

  Result<RequestMessage> read_register() {
    Register request;
    size_t count = in_.count(name_size_min);
    for (size_t i = 0; i < count && !in_.failed(); ++i) {
      BytesView name = in_.string();
      EventType type;
      if (!in_.failed() && !parse(name, type))
        return fail(ErrorCode::invalid_argument, "Invalid value '{}' for Type", name.substr(0, 64));
      if (!in_.failed()) request.events.push_back(type);
    }
    return request;
  }

  Result<Consistency> read_consistency() {
    uint16_t code = in_.short_();
    if (code > static_cast<uint16_t>(Consistency::local_one))
      return fail(ErrorCode::invalid_argument, "Unknown code {} for a consistency level", code);
    return static_cast<Consistency>(code);
  }

  uint32_t read_flags() { return version_ >= Version::v5 ? in_.u32_be() : in_.byte(); }

  Status check_flags(uint32_t flags, uint32_t allowed) const {
    if (version_ < Version::v5) allowed &= ~v5_flags;
    if (flags & ~allowed) return fail(ErrorCode::invalid_argument, "Unknown flags {:#x}", flags & ~allowed);
    return {};
  }

  Status read_parameters(QueryParameters& parameters) {
    TRY(parameters.consistency, read_consistency());
    uint32_t flags = read_flags();
    TRY_STATUS(check_flags(flags, query_flags));
    if (flags & with_values)
      TRY_STATUS(read_values(parameters.values, flags & with_names ? &parameters.names : nullptr));
    parameters.skip_metadata = (flags & with_skip_metadata) != 0;
    if (flags & with_page_size) parameters.page_size = in_.int_();
    if (flags & with_paging_state) parameters.paging_state = in_.bytes();
    return read_tail(flags, parameters);
  }

  /// The options that QUERY, EXECUTE and BATCH have at their end.
  template <class Message>
  Status read_tail(uint32_t flags, Message& message) {
    if (flags & with_serial_consistency) {
      TRY(message.serial_consistency, read_consistency());
    }
    if (flags & with_timestamp) {
      message.timestamp_us = in_.long_();
      if (*message.timestamp_us == std::numeric_limits<int64_t>::min())
        return fail(ErrorCode::invalid_argument, "Out of bound timestamp, must be in [{}, {}]",
                    std::numeric_limits<int64_t>::min() + 1, std::numeric_limits<int64_t>::max());
    }
    if (flags & with_keyspace) message.keyspace = in_.string();
    if (flags & with_now_in_seconds) message.now_in_seconds = in_.int_();
    return {};
  }

  Status read_values(std::vector<Value>& values, std::vector<BytesView>* names) {
    size_t count = in_.count(value_size_min + (names ? name_size_min : 0));
    values.reserve(count);
    if (names) names->reserve(count);
    for (size_t i = 0; i < count && !in_.failed(); ++i) {
      if (names) names->push_back(in_.string());
      int32_t size = in_.int_();
      if (size >= 0)
        values.push_back(Value::of(in_.raw(static_cast<uint64_t>(size))));
      else if (size == null_length)
        values.push_back(Value::null());
      else if (size == unset_length && version_ >= Version::v4)
        values.push_back(Value::unset());
      else
        return fail(ErrorCode::invalid_argument, "Invalid ByteBuf length {}", size);
    }
    return {};
  }

  NotationReader in_;
  Version version_;
};

class RequestWriter {
 public:
  RequestWriter(Bytes& out, Version version) : out_(out), version_(version) {}

  Status write_payload(const std::vector<std::pair<BytesView, Value>>& payload) {
    if (version_ < Version::v4) return fail(ErrorCode::unsupported, "custom payloads need protocol v4");
    out_.count(payload.size());
    for (const auto& [key, value] : payload) {
      out_.string(key);
      TRY_STATUS(write_value(value));
    }
    return {};
  }

  Status write(const Startup& startup) {
    out_.count(startup.options.size());
    for (const auto& [key, value] : startup.options) {
      out_.string(key);
      out_.string(value);
    }
    return {};
  }

  Status write(const Options&) { return {}; }

  Status write(const Query& query) {
    out_.long_string(query.text);
    return write(query.parameters);
  }

  Status write(const Prepare& prepare) {
    out_.long_string(prepare.text);
    if (version_ >= Version::v5)
      out_.int_(prepare.keyspace ? prepare_with_keyspace : 0);
    else if (prepare.keyspace)
      return fail(ErrorCode::unsupported, "a keyspace in PREPARE needs protocol v5");
    if (prepare.keyspace) out_.string(*prepare.keyspace);
    return {};
  }

  Status write(const Execute& execute) {
    out_.string(execute.id);
    if (version_ >= Version::v5) out_.string(execute.result_metadata_id);
    return write(execute.parameters);
  }

  Status write(const Batch& batch) {
    out_.byte(static_cast<uint8_t>(batch.type));
    out_.count(batch.statements.size());
    for (const BatchStatement& statement : batch.statements) {
      out_.byte(statement.prepared);
      if (statement.prepared)
        out_.string(statement.text_or_id);
      else
        out_.long_string(statement.text_or_id);
      TRY_STATUS(write_values(statement.values, {}));
    }
    out_.short_enum(batch.consistency);
    TRY_STATUS(write_flags(tail_flags(batch)));
    write_tail(batch);
    return {};
  }

  Status write(const Register& request) {
    out_.count(request.events.size());
    for (EventType event : request.events) out_.string(to_string(event));
    return {};
  }

  Status write(const AuthResponse& response) {
    out_.bytes(response.token);
    return {};
  }

  bool too_large() const { return out_.failed(); }

 private:
  Status write(const QueryParameters& parameters) {
    uint32_t flags = tail_flags(parameters);
    if (!parameters.values.empty()) flags |= with_values;
    if (!parameters.names.empty()) flags |= with_names;
    if (parameters.skip_metadata) flags |= with_skip_metadata;
    if (parameters.page_size) flags |= with_page_size;
    if (parameters.paging_state) flags |= with_paging_state;
    out_.short_enum(parameters.consistency);
    TRY_STATUS(write_flags(flags));
    if (flags & (with_values | with_names)) TRY_STATUS(write_values(parameters.values, parameters.names));
    if (parameters.page_size) out_.int_(*parameters.page_size);
    if (parameters.paging_state) out_.long_string(*parameters.paging_state);
    write_tail(parameters);
    return {};
  }

  template <class Message>
  static uint32_t tail_flags(const Message& message) {
    return (message.serial_consistency ? with_serial_consistency : 0) | (message.timestamp_us ? with_timestamp : 0) |
           (message.keyspace ? with_keyspace : 0) | (message.now_in_seconds ? with_now_in_seconds : 0);
  }

  Status write_flags(uint32_t flags) {
    if (version_ >= Version::v5) {
      out_.int_(static_cast<int32_t>(flags));
      return {};
    }
    if (flags & v5_flags) return fail(ErrorCode::unsupported, "keyspace and now_in_seconds need protocol v5");
    out_.byte(static_cast<uint8_t>(flags));
    return {};
  }

  template <class Message>
  void write_tail(const Message& message) {
    if (message.serial_consistency) out_.short_enum(*message.serial_consistency);
    if (message.timestamp_us) out_.long_(*message.timestamp_us);
    if (message.keyspace) out_.string(*message.keyspace);
    if (message.now_in_seconds) out_.int_(*message.now_in_seconds);
  }

  Status write_values(const std::vector<Value>& values, const std::vector<BytesView>& names) {
    if (!names.empty() && names.size() != values.size())
      return fail(ErrorCode::invalid_argument, "{} names for {} values", names.size(), values.size());
    out_.count(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      if (!names.empty()) out_.string(names[i]);
      TRY_STATUS(write_value(values[i]));
    }
    return {};
  }

  Status write_value(const Value& value) {
    switch (value.kind) {
      case Value::Kind::value:
        out_.long_string(value.bytes);
        break;
      case Value::Kind::null:
        out_.int_(null_length);
        break;
      case Value::Kind::unset:
        if (version_ < Version::v4) return fail(ErrorCode::unsupported, "unset values need protocol v4");
        out_.int_(unset_length);
        break;
    }
    return {};
  }

  NotationWriter out_;
  Version version_;
};

Opcode opcode_of(const RequestMessage& message) {
  static constexpr Opcode opcodes[] = {Opcode::startup,         Opcode::options,      Opcode::query,
                                       Opcode::prepare,         Opcode::execute,      Opcode::batch,
                                       Opcode::register_events, Opcode::auth_response};
  static_assert(std::size(opcodes) == std::variant_size_v<RequestMessage>);
  return opcodes[message.index()];
}

}  // namespace

std::optional<BytesView> Startup::find(BytesView key) const {
  for (const auto& [name, value] : options)
    if (name == key) return value;
  return std::nullopt;
}

Result<Request> decode_request(const EnvelopeHeader& header, BytesView body) {
  return RequestReader(body, header.version).read(header);
}

Status encode_request(const Request& request, Version version, int16_t stream, Bytes& out) {
  uint8_t flags = request.tracing ? flag::tracing : 0;
  if (!request.custom_payload.empty()) flags |= flag::custom_payload;
  size_t start = begin_envelope({version, Direction::request, flags, stream, opcode_of(request.message)}, out);
  RequestWriter writer(out, version);
  Status status;
  if (!request.custom_payload.empty()) status = writer.write_payload(request.custom_payload);
  if (status) status = std::visit([&](const auto& message) { return writer.write(message); }, request.message);
  size_t size = out.size() - start - envelope_header_size;
  if (status && (writer.too_large() || size > default_body_size_max))
    status = fail(ErrorCode::too_large, "a string, a list or the whole {} message is too long",
                  to_string(opcode_of(request.message)));
  if (!status) {
    out.resize(start);
    return status;
  }
  end_envelope(start, out);
  return {};
}

}  // namespace asterism::cql::wire
