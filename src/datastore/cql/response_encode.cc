// Encodes responses; response.cc decodes them.
#include <iterator>
#include <limits>

#include "datastore/cql/metadata.h"
#include "datastore/cql/notation.h"
#include "datastore/cql/response.h"
#include "datastore/cql/response_names.h"

namespace asterism::cql::wire {

namespace {

template <class Enum, size_t size>
void write_name(const std::string_view (&names)[size], Enum value, NotationWriter& out) {
  size_t index = static_cast<size_t>(value);
  out.string(index < size ? names[index] : std::string_view());
}

Status write_address(const Bytes& address, NotationWriter& out) {
  if (address.size() != 4 && address.size() != 16)
    return fail(ErrorCode::invalid_argument, "an address of {} bytes", address.size());
  out.byte(static_cast<uint8_t>(address.size()));
  out.raw().raw(address);
  return {};
}

/// The error as a peer of `version` can understand it (org.apache.cassandra.transport.messages.ErrorMessage).
ErrorResponse for_version(ErrorResponse error, Version version) {
  if (version >= Version::v5) return error;
  if (auto* unknown = std::get_if<CasWriteUnknownDetail>(&error.detail)) {
    error.code = CqlErrorCode::write_timeout;
    error.detail = WriteTimeoutDetail{unknown->consistency, unknown->received, unknown->block_for, WriteType::cas, 0};
  }
  if (version >= Version::v4) return error;
  if (auto* read = std::get_if<ReadFailureDetail>(&error.detail)) {
    error.code = CqlErrorCode::read_timeout;
    error.detail = ReadTimeoutDetail{read->consistency, read->received, read->block_for, read->data_present};
  } else if (auto* write = std::get_if<WriteFailureDetail>(&error.detail)) {
    error.code = CqlErrorCode::write_timeout;
    error.detail = WriteTimeoutDetail{write->consistency, write->received, write->block_for, write->write_type, 0};
  } else if (error.code == CqlErrorCode::function_failure) {
    error.code = CqlErrorCode::invalid;
    error.detail = std::monostate();
  }
  return error;
}

/// The position in ErrorResponse::detail that belongs to `code`.
size_t detail_index(CqlErrorCode code) {
  using Detail = decltype(ErrorResponse::detail);
  switch (code) {
    case CqlErrorCode::unavailable:
      return Detail(UnavailableDetail{}).index();
    case CqlErrorCode::write_timeout:
      return Detail(WriteTimeoutDetail{}).index();
    case CqlErrorCode::read_timeout:
      return Detail(ReadTimeoutDetail{}).index();
    case CqlErrorCode::read_failure:
      return Detail(ReadFailureDetail{}).index();
    case CqlErrorCode::write_failure:
      return Detail(WriteFailureDetail{}).index();
    case CqlErrorCode::function_failure:
      return Detail(FunctionFailureDetail{}).index();
    case CqlErrorCode::cas_write_unknown:
      return Detail(CasWriteUnknownDetail{}).index();
    case CqlErrorCode::already_exists:
      return Detail(AlreadyExistsDetail{}).index();
    case CqlErrorCode::unprepared:
      return Detail(UnpreparedDetail{}).index();
    default:
      return 0;
  }
}

class ResponseWriter {
 public:
  ResponseWriter(Bytes& out, Version version) : out_(out), version_(version) {}

  NotationWriter& notation() { return out_; }

  Status write(const ErrorResponse& error) {
    if (error.detail.index() != detail_index(error.code))
      return fail(ErrorCode::invalid_argument, "error code {:#x} does not go with its fields",
                  static_cast<uint32_t>(error.code));
    ErrorResponse sent = for_version(error, version_);
    out_.int_(static_cast<int32_t>(sent.code));
    out_.string_cut(sent.message);
    return std::visit([this](const auto& detail) { return write_detail(detail); }, sent.detail);
  }

  Status write(const Ready&) { return {}; }

  Status write(const Authenticate& authenticate) {
    out_.string(authenticate.authenticator);
    return {};
  }

  Status write(const Supported& supported) {
    out_.count(supported.options.size());
    for (const auto& [key, values] : supported.options) {
      out_.string(key);
      out_.string_list(values);
    }
    return {};
  }

  Status write(const AuthChallenge& challenge) {
    out_.bytes(challenge.token);
    return {};
  }

  Status write(const AuthSuccess& success) {
    out_.bytes(success.token);
    return {};
  }

  Status write(const VoidResult&) {
    write_kind(ResultKind::void_);
    return {};
  }

  Status write(const Rows& rows) {
    write_kind(ResultKind::rows);
    TRY_STATUS(write_metadata(rows.metadata, version_, out_));
    out_.int_(static_cast<int32_t>(rows.row_count));
    out_.raw().raw(rows.cells);
    return {};
  }

  Status write(const SetKeyspace& result) {
    write_kind(ResultKind::set_keyspace);
    out_.string(result.keyspace);
    return {};
  }

  Status write(const Prepared& prepared) {
    write_kind(ResultKind::prepared);
    out_.string(prepared.id);
    if (version_ >= Version::v5) out_.string(prepared.result_metadata_id);
    out_.int_(share_table(prepared.bind_markers) ? metadata_flag::global_tables_spec : 0);
    out_.int_(static_cast<int32_t>(prepared.bind_markers.size()));
    if (version_ >= Version::v4) {
      out_.int_(static_cast<int32_t>(prepared.partition_key_indexes.size()));
      for (uint16_t index : prepared.partition_key_indexes) out_.short_(index);
    }
    TRY_STATUS(write_columns(prepared.bind_markers, out_));
    return write_metadata(prepared.result, version_, out_);
  }

  Status write(const SchemaChange& change) {
    write_kind(ResultKind::schema_change);
    return write_change(change);
  }

  Status write(const Event& event) {
    return std::visit([this](const auto& change) { return write_event(change); }, event.change);
  }

 private:
  void write_kind(ResultKind kind) { out_.int_(static_cast<int32_t>(kind)); }

  template <class Detail>
  void write_counts(const Detail& detail) {
    out_.short_enum(detail.consistency);
    out_.int_(detail.received);
    out_.int_(detail.block_for);
  }

  template <class Detail>
  Status write_failures(const Detail& detail) {
    if (version_ < Version::v5) {
      out_.int_(detail.failures);
      return {};
    }
    out_.int_(static_cast<int32_t>(detail.reasons.size()));
    for (const FailureReason& reason : detail.reasons) {
      TRY_STATUS(write_address(reason.address, out_));
      out_.short_(reason.code);
    }
    return {};
  }

  Status write_detail(const std::monostate&) { return {}; }
  Status write_detail(const UnavailableDetail& detail) {
    out_.short_enum(detail.consistency);
    out_.int_(detail.required);
    out_.int_(detail.alive);
    return {};
  }
  Status write_detail(const WriteTimeoutDetail& detail) {
    write_counts(detail);
    out_.string(to_string(detail.write_type));
    if (version_ >= Version::v5 && detail.write_type == WriteType::cas) out_.short_(detail.contentions);
    return {};
  }
  Status write_detail(const ReadTimeoutDetail& detail) {
    write_counts(detail);
    out_.byte(detail.data_present);
    return {};
  }
  Status write_detail(const ReadFailureDetail& detail) {
    write_counts(detail);
    TRY_STATUS(write_failures(detail));
    out_.byte(detail.data_present);
    return {};
  }
  Status write_detail(const WriteFailureDetail& detail) {
    write_counts(detail);
    TRY_STATUS(write_failures(detail));
    out_.string(to_string(detail.write_type));
    return {};
  }
  Status write_detail(const FunctionFailureDetail& detail) {
    out_.string(detail.keyspace);
    out_.string(detail.function);
    out_.string_list(detail.argument_types);
    return {};
  }
  Status write_detail(const CasWriteUnknownDetail& detail) {
    write_counts(detail);
    return {};
  }
  Status write_detail(const AlreadyExistsDetail& detail) {
    out_.string(detail.keyspace);
    out_.string(detail.table);
    return {};
  }
  Status write_detail(const UnpreparedDetail& detail) {
    out_.string(detail.id);
    return {};
  }

  Status write_change(const SchemaChange& change) {
    write_name(schema_change_names, change.change, out_);
    write_name(schema_target_names, change.target, out_);
    out_.string(change.keyspace);
    if (change.target != SchemaChange::Target::keyspace) out_.string(change.name);
    if (change.target >= SchemaChange::Target::function) out_.string_list(change.argument_types);
    return {};
  }

  Status write_inet(const InetAddress& address) {
    TRY_STATUS(write_address(address.bytes, out_));
    out_.int_(address.port);
    return {};
  }

  Status write_event(const TopologyChange& change) {
    out_.string(to_string(EventType::topology_change));
    write_name(topology_change_names, change.change, out_);
    return write_inet(change.address);
  }
  Status write_event(const StatusChange& change) {
    out_.string(to_string(EventType::status_change));
    write_name(status_change_names, change.change, out_);
    return write_inet(change.address);
  }
  Status write_event(const SchemaChange& change) {
    out_.string(to_string(EventType::schema_change));
    return write_change(change);
  }

  NotationWriter out_;
  Version version_;
};

Opcode opcode_of(const ResponseMessage& message) {
  static constexpr Opcode opcodes[] = {Opcode::error,  Opcode::ready,  Opcode::authenticate,   Opcode::supported,
                                       Opcode::result, Opcode::result, Opcode::result,         Opcode::result,
                                       Opcode::result, Opcode::event,  Opcode::auth_challenge, Opcode::auth_success};
  static_assert(std::size(opcodes) == std::variant_size_v<ResponseMessage>);
  return opcodes[message.index()];
}

}  // namespace

Status encode_response(const Response& response, Version version, int16_t stream, Bytes& out) {
  Opcode opcode = opcode_of(response.message);
  uint8_t flags = extras_flags(response.extras, version);
  size_t start = begin_envelope({version, Direction::response, flags, stream, opcode}, out);
  ResponseWriter writer(out, version);
  write_extras(response.extras, flags, writer.notation());
  Status status = std::visit([&](const auto& message) { return writer.write(message); }, response.message);
  size_t size = out.size() - start - envelope_header_size;
  if (status && (writer.notation().failed() || size > default_body_size_max))
    status = fail(ErrorCode::too_large, "a string, a list or the whole {} message is too long", to_string(opcode));
  if (!status) {
    out.resize(start);
    return status;
  }
  end_envelope(start, out);
  return {};
}

}  // namespace asterism::cql::wire
