#include "datastore/cql/response.h"

#include "datastore/cql/metadata.h"
#include "datastore/cql/notation.h"
#include "datastore/cql/response_names.h"

namespace asterism::cql::wire {

namespace {

constexpr size_t failure_reason_size_min = 7;

template <class Enum, size_t size>
Result<Enum> read_name(const std::string_view (&names)[size], NotationReader& in) {
  BytesView name = in.string();
  for (size_t i = 0; i < size; ++i)
    if (names[i] == name) return static_cast<Enum>(i);
  if (in.failed()) return fail(ErrorCode::corrupt, "truncated name");
  return fail(ErrorCode::unsupported, "unknown name '{}'", name.substr(0, 64));
}

std::optional<Bytes> owned(std::optional<BytesView> bytes) {
  if (!bytes) return std::nullopt;
  return Bytes(*bytes);
}

/// [inetaddr]
Bytes read_address(NotationReader& in) {
  uint8_t size = in.byte();
  if (size != 4 && size != 16) in.fail();
  return Bytes(in.raw(size));
}

class ResponseReader {
 public:
  ResponseReader(BytesView body, Version version) : in_(body), version_(version) {}

  Result<Response> read(const EnvelopeHeader& header) {
    Response response;
    response.extras = read_extras(header.flags, in_);
    TRY(response.message, read_message(header.opcode));
    if (in_.failed()) return fail(ErrorCode::corrupt, "truncated {} message", to_string(header.opcode));
    return response;
  }

 private:
  Result<ResponseMessage> read_message(Opcode opcode) {
    switch (opcode) {
      case Opcode::error:
        return read_error();
      case Opcode::ready:
        return Ready{};
      case Opcode::authenticate:
        return Authenticate{Bytes(in_.string())};
      case Opcode::supported:
        return read_supported();
      case Opcode::result:
        return read_result();
      case Opcode::event:
        return read_event();
      case Opcode::auth_challenge:
        return AuthChallenge{owned(in_.bytes())};
      case Opcode::auth_success:
        return AuthSuccess{owned(in_.bytes())};
      default:
        return fail(ErrorCode::unsupported, "unknown opcode {} of a response", static_cast<int>(opcode));
    }
  }

  ResponseMessage read_supported() {
    Supported supported;
    size_t count = in_.count(4);
    for (size_t i = 0; i < count && !in_.failed(); ++i) {
      BytesView key = in_.string();
      supported.options.emplace_back(key, in_.string_list());
    }
    return supported;
  }

  Result<ResponseMessage> read_error() {
    ErrorResponse error;
    error.code = static_cast<CqlErrorCode>(in_.u32_be());
    error.message = in_.string();
    TRY_STATUS(read_detail(error));
    return error;
  }

  Status read_detail(ErrorResponse& error) {
    switch (error.code) {
      case CqlErrorCode::unavailable: {
        auto& detail = error.detail.emplace<UnavailableDetail>();
        detail.consistency = read_consistency();
        detail.required = in_.int_();
        detail.alive = in_.int_();
        return {};
      }
      case CqlErrorCode::write_timeout: {
        auto& detail = error.detail.emplace<WriteTimeoutDetail>();
        read_counts(detail);
        TRY(detail.write_type, read_write_type());
        if (version_ >= Version::v5 && detail.write_type == WriteType::cas) detail.contentions = in_.short_();
        return {};
      }
      case CqlErrorCode::read_timeout: {
        auto& detail = error.detail.emplace<ReadTimeoutDetail>();
        read_counts(detail);
        detail.data_present = in_.byte() != 0;
        return {};
      }
      case CqlErrorCode::read_failure: {
        auto& detail = error.detail.emplace<ReadFailureDetail>();
        read_counts(detail);
        read_failures(detail);
        detail.data_present = in_.byte() != 0;
        return {};
      }
      case CqlErrorCode::write_failure: {
        auto& detail = error.detail.emplace<WriteFailureDetail>();
        read_counts(detail);
        read_failures(detail);
        TRY(detail.write_type, read_write_type());
        return {};
      }
      default:
        read_simple_detail(error);
        return {};
    }
  }

  void read_simple_detail(ErrorResponse& error) {
    switch (error.code) {
      case CqlErrorCode::function_failure: {
        auto& detail = error.detail.emplace<FunctionFailureDetail>();
        detail.keyspace = in_.string();
        detail.function = in_.string();
        detail.argument_types = in_.string_list();
        return;
      }
      case CqlErrorCode::cas_write_unknown:
        read_counts(error.detail.emplace<CasWriteUnknownDetail>());
        return;
      case CqlErrorCode::already_exists: {
        auto& detail = error.detail.emplace<AlreadyExistsDetail>();
        detail.keyspace = in_.string();
        detail.table = in_.string();
        return;
      }
      case CqlErrorCode::unprepared:
        error.detail.emplace<UnpreparedDetail>().id = in_.string();
        return;
      default:
        return;
    }
  }

  /// A level this library does not know makes the input malformed.
  Consistency read_consistency() {
    uint16_t code = in_.short_();
    if (code > static_cast<uint16_t>(Consistency::local_one)) in_.fail();
    return in_.failed() ? Consistency::one : static_cast<Consistency>(code);
  }

  template <class Detail>
  void read_counts(Detail& detail) {
    detail.consistency = read_consistency();
    detail.received = in_.int_();
    detail.block_for = in_.int_();
  }

  template <class Detail>
  void read_failures(Detail& detail) {
    if (version_ < Version::v5) {
      detail.failures = in_.int_();
      return;
    }
    size_t count = in_.int_count(failure_reason_size_min);
    for (size_t i = 0; i < count && !in_.failed(); ++i) {
      Bytes address = read_address(in_);
      detail.reasons.push_back({std::move(address), in_.short_()});
    }
    detail.failures = static_cast<int32_t>(detail.reasons.size());
  }

  Result<WriteType> read_write_type() {
    WriteType type = WriteType::simple;
    BytesView name = in_.string();
    if (!in_.failed() && !parse(name, type))
      return fail(ErrorCode::unsupported, "unknown write type '{}'", name.substr(0, 64));
    return type;
  }

  Result<ResponseMessage> read_result() {
    int32_t kind = in_.int_();
    if (in_.failed()) return fail(ErrorCode::corrupt, "truncated RESULT message");
    switch (static_cast<ResultKind>(kind)) {
      case ResultKind::void_:
        return VoidResult{};
      case ResultKind::rows:
        return read_rows(in_);
      case ResultKind::set_keyspace:
        return SetKeyspace{Bytes(in_.string())};
      case ResultKind::prepared:
        return read_prepared();
      case ResultKind::schema_change:
        return read_schema_change();
    }
    return fail(ErrorCode::unsupported, "unknown kind {} of a RESULT", kind);
  }

  Result<ResponseMessage> read_prepared() {
    Prepared prepared;
    prepared.id = in_.string();
    if (version_ >= Version::v5) prepared.result_metadata_id = in_.string();
    uint32_t flags = in_.u32_be();
    int32_t count = in_.int_();
    if (count < 0) return fail(ErrorCode::corrupt, "{} bind markers", count);
    if (version_ >= Version::v4) {
      size_t indexes = in_.int_count(sizeof(uint16_t));
      for (size_t i = 0; i < indexes && !in_.failed(); ++i) prepared.partition_key_indexes.push_back(in_.short_());
    }
    TRY(prepared.bind_markers, read_columns(flags, static_cast<size_t>(count), in_));
    TRY(prepared.result, read_metadata(in_));
    return prepared;
  }

  Result<SchemaChange> read_schema_change() {
    SchemaChange change;
    TRY(change.change, read_name<SchemaChange::Change>(schema_change_names, in_));
    TRY(change.target, read_name<SchemaChange::Target>(schema_target_names, in_));
    change.keyspace = in_.string();
    if (change.target != SchemaChange::Target::keyspace) change.name = in_.string();
    if (change.target >= SchemaChange::Target::function) change.argument_types = in_.string_list();
    return change;
  }

  Result<ResponseMessage> read_event() {
    BytesView name = in_.string();
    EventType type;
    if (in_.failed()) return fail(ErrorCode::corrupt, "truncated EVENT message");
    if (!parse(name, type)) return fail(ErrorCode::unsupported, "unknown event '{}'", name.substr(0, 64));
    Event event;
    if (type == EventType::topology_change) {
      TopologyChange change;
      TRY(change.change, read_name<TopologyChange::Change>(topology_change_names, in_));
      change.address = {read_address(in_), in_.int_()};
      event.change = std::move(change);
    } else if (type == EventType::status_change) {
      StatusChange change;
      TRY(change.change, read_name<StatusChange::Change>(status_change_names, in_));
      change.address = {read_address(in_), in_.int_()};
      event.change = std::move(change);
    } else {
      TRY(event.change, read_schema_change());
    }
    return event;
  }

  NotationReader in_;
  Version version_;
};

}  // namespace

Result<Response> decode_response(const EnvelopeHeader& header, BytesView body) {
  return ResponseReader(body, header.version).read(header);
}

}  // namespace asterism::cql::wire
