#include "datastore/cql/message.h"

#include <gtest/gtest.h>

#include <limits>

namespace asterism::cql::wire {
namespace {

Bytes hex(std::string_view text) {
  Bytes bytes;
  EXPECT_TRUE(from_hex(text, bytes));
  return bytes;
}

Envelope unwrap(BytesView bytes, Direction direction) {
  FrameDecoder decoder({.direction = direction});
  decoder.feed(bytes);
  auto next = decoder.next();
  EXPECT_TRUE(next && *next);
  return next && *next ? std::move(**next) : Envelope{};
}

Bytes encode(const RequestMessage& message, Version version, int16_t stream) {
  Bytes out;
  auto status = encode_request({message, false, {}}, version, stream, out);
  EXPECT_TRUE(status) << status.error().message;
  return out;
}

Bytes encode(const ResponseMessage& message, Version version, const ResponseExtras& extras = {}) {
  Bytes out;
  auto status = encode_response({message, extras}, version, 1, out);
  EXPECT_TRUE(status) << status.error().message;
  return out;
}

/// The request encodes to the driver's bytes, these decode to the request, and no part of them does.
void expect_golden(const RequestMessage& message, Version version, int16_t stream, std::string_view golden) {
  EXPECT_EQ(to_hex(encode(message, version, stream)), golden);
  Envelope envelope = unwrap(hex(golden), Direction::request);
  EXPECT_EQ(envelope.header.stream, stream);
  auto request = decode_request(envelope.header, envelope.body);
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_TRUE(request->message == message);
  for (size_t size = 0; size < envelope.body.size(); ++size) {
    auto cut = decode_request(envelope.header, BytesView(envelope.body).substr(0, size));
    ASSERT_FALSE(cut) << size;
    EXPECT_EQ(cut.error().code, ErrorCode::invalid_argument);
  }
}

/// The response encodes to bytes of which the driver read the same fields, and these decode to it.
void expect_golden(const ResponseMessage& message, Version version, std::string_view golden) {
  Bytes bytes = encode(message, version);
  EXPECT_EQ(to_hex(bytes), golden);
  Envelope envelope = unwrap(bytes, Direction::response);
  auto response = decode_response(envelope.header, envelope.body);
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_TRUE(response->message == message);
  for (size_t size = 0; size < envelope.body.size(); ++size)
    ASSERT_FALSE(decode_response(envelope.header, BytesView(envelope.body).substr(0, size))) << size;
}

// ---- Requests; the bytes come from the Python driver 3.25.

TEST(RequestSection4_1, StartupAndTheShortOnes) {
  expect_golden(Startup{{{"COMPRESSION", "lz4"}, {"CQL_VERSION", "3.4.5"}}}, Version::v4, 1,
                "0400000101000000280002000b434f4d5052455353494f4e00036c7a34000b43514c5f56455253494f4e0005332e342e35");
  EXPECT_EQ(Startup({{{"COMPRESSION", "lz4"}}}).find("COMPRESSION"), "lz4");
  EXPECT_EQ(Startup().find("COMPRESSION"), std::nullopt);
  expect_golden(Options{}, Version::v5, 7, "050000070500000000");
  expect_golden(Register{{EventType::topology_change, EventType::status_change, EventType::schema_change}}, Version::v4,
                1,
                "040000010b000000310003000f544f504f4c4f47595f4348414e4745000d5354415455535f4348414e4745000d534348454d41"
                "5f4348414e4745");
  expect_golden(AuthResponse{BytesView("\0u\0p", 4)}, Version::v4, 1, "040000010f000000080000000400750070");
}

TEST(RequestSection4_1, Query) {
  Query query{"SELECT * FROM t", {}};
  query.parameters.consistency = Consistency::quorum;
  query.parameters.serial_consistency = Consistency::local_serial;
  query.parameters.page_size = 100;
  query.parameters.paging_state = "\1\2\3";
  query.parameters.timestamp_us = 1234567890123456;
  constexpr std::string_view v3 =
      "03000102070000002b0000000f53454c454354202a2046524f4d207400043c00000064000000030102030009000462d53c8abac0";
  expect_golden(query, Version::v3, 258, v3);
  expect_golden(query, Version::v4, 258, "04" + std::string(v3.substr(2)));
  query.parameters.keyspace = "ks";
  expect_golden(query, Version::v5, 258,
                "0500010207000000320000000f53454c454354202a2046524f4d20740004000000bc0000006400000003010203000900"
                "0462d53c8abac000026b73");
}

TEST(RequestSection4_1, ExecuteKeepsNullUnsetAndEmptyApart) {
  Execute execute{"\xaa\xbb\xcc", "", {}};
  execute.parameters.consistency = Consistency::local_quorum;
  execute.parameters.values = {Value::of(BytesView("\0\0\0\5", 4)), Value::null(), Value::of("")};
  execute.parameters.page_size = 5000;
  execute.parameters.timestamp_us = 5;
  expect_golden(execute, Version::v3, 32767,
                "03007fff0a000000260003aabbcc00062500030000000400000005ffffffff00000000000013880000000000000005");
  execute.parameters.values.push_back(Value::unset());
  expect_golden(execute, Version::v4, 32767,
                "04007fff0a0000002a0003aabbcc00062500040000000400000005ffffffff00000000fffffffe0000138800000000000000"
                "05");
  execute.result_metadata_id = "\x11\x22";
  expect_golden(execute, Version::v5, 32767,
                "05007fff0a000000310003aabbcc0002112200060000002500040000000400000005ffffffff00000000fffffffe00001388"
                "0000000000000005");
}

TEST(RequestSection4_1, Batch) {
  Batch batch;
  batch.type = BatchType::unlogged;
  batch.statements = {{false, "INSERT x", {Value::of("a")}}, {true, "\1\2", {Value::null(), Value::of("bc")}}};
  batch.serial_consistency = Consistency::serial;
  batch.timestamp_us = 77;
  constexpr std::string_view v3 =
      "030000000d000000350100020000000008494e5345525420780001000000016101000201020002ffffffff00000002626300013000080000"
      "00000000004d";
  expect_golden(batch, Version::v3, 0, v3);
  expect_golden(batch, Version::v4, 0, "04" + std::string(v3.substr(2)));
  batch.keyspace = "ks";
  expect_golden(batch, Version::v5, 0,
                "050000000d0000003c0100020000000008494e5345525420780001000000016101000201020002ffffffff00000002626300"
                "01000000b00008000000000000004d00026b73");
}

TEST(RequestSection4_1, Prepare) {
  expect_golden(Prepare{"SELECT 1", {}}, Version::v4, 1, "04000001090000000c0000000853454c4543542031");
  expect_golden(Prepare{"SELECT 1", "ks"}, Version::v5, 1,
                "0500000109000000140000000853454c45435420310000000100026b73");
}

TEST(RequestSection4_1, NamedValuesAndNowInSecondsRoundTrip) {
  Query query{"SELECT", {}};
  query.parameters.values = {Value::of("x"), Value::unset()};
  query.parameters.names = {"a", "b"};
  query.parameters.skip_metadata = true;
  query.parameters.now_in_seconds = -7;
  Bytes bytes = encode(query, Version::v5, 3);
  expect_golden(query, Version::v5, 3, to_hex(bytes));
  Bytes out = "kept";
  EXPECT_EQ(encode_request({query, false, {}}, Version::v4, 1, out).error().code, ErrorCode::unsupported);
  query.parameters.names.pop_back();
  EXPECT_EQ(encode_request({query, false, {}}, Version::v5, 1, out).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(out, "kept");
}

TEST(RequestSection4, CustomPayloadAndTracing) {
  Envelope envelope =
      unwrap(hex("040600010700000019000100016b00000001760000000853454c4543542031000100"), Direction::request);
  auto request = decode_request(envelope.header, envelope.body);
  ASSERT_TRUE(request);
  EXPECT_TRUE(request->tracing);
  ASSERT_EQ(request->custom_payload.size(), 1u);
  EXPECT_EQ(request->custom_payload[0].first, "k");
  EXPECT_EQ(request->custom_payload[0].second, Value::of("v"));
  EXPECT_EQ(std::get<Query>(request->message).text, "SELECT 1");
  Bytes out;
  ASSERT_TRUE(encode_request(*request, Version::v4, 1, out));
  EXPECT_EQ(to_hex(out), "040600010700000019000100016b00000001760000000853454c4543542031000100");
}

TEST(RequestSection4_1, RefusesWhatTheSpecificationForbids) {
  auto refused = [](Version version, Opcode opcode, std::string_view body) {
    auto request = decode_request({version, Direction::request, 0, 1, opcode}, hex(body));
    return !request && request.error().code == ErrorCode::invalid_argument;
  };
  EXPECT_TRUE(refused(Version::v4, Opcode::query,
                      "0000000153"
                      "000b"
                      "00"))
      << "consistency";
  EXPECT_TRUE(refused(Version::v4, Opcode::query,
                      "0000000153"
                      "0001"
                      "80"
                      "00016b"))
      << "keyspace flag in v4";
  EXPECT_TRUE(refused(Version::v5, Opcode::query,
                      "0000000153"
                      "0001"
                      "80000000"))
      << "unknown flag";
  EXPECT_TRUE(refused(Version::v4, Opcode::query,
                      "ffffffff"
                      "0001"
                      "00"))
      << "null text";
  EXPECT_TRUE(refused(Version::v4, Opcode::query,
                      "0000000153"
                      "0001"
                      "01"
                      "0001"
                      "fffffffd"))
      << "length -3";
  EXPECT_TRUE(refused(Version::v3, Opcode::query,
                      "0000000153"
                      "0001"
                      "01"
                      "0001"
                      "fffffffe"))
      << "unset in v3";
  EXPECT_TRUE(refused(Version::v4, Opcode::query,
                      "0000000153"
                      "0001"
                      "01"
                      "ffff"))
      << "count without values";
  EXPECT_TRUE(refused(Version::v4, Opcode::query,
                      "0000000153"
                      "0001"
                      "20"
                      "8000000000000000"))
      << "timestamp";
  EXPECT_TRUE(refused(Version::v4, Opcode::batch,
                      "03"
                      "0000"
                      "0001"
                      "00"))
      << "batch type";
  EXPECT_TRUE(refused(Version::v4, Opcode::batch,
                      "00"
                      "0001"
                      "02"
                      "0000"
                      "0000"
                      "0001"
                      "00"))
      << "statement kind";
  EXPECT_TRUE(refused(Version::v4, Opcode::batch,
                      "00"
                      "0000"
                      "0001"
                      "40"))
      << "names in a batch";
  EXPECT_TRUE(refused(Version::v4, Opcode::register_events,
                      "0001"
                      "0001"
                      "58"))
      << "event";
  EXPECT_TRUE(refused(Version::v4, Opcode::ready, "")) << "a response's opcode";
  EXPECT_TRUE(refused(Version::v4, static_cast<Opcode>(0x04), "")) << "CREDENTIALS";
}

TEST(RequestSection3, StringsAndListsThatCannotBeSentAreErrors) {
  Bytes long_text(65536, 'x'), out;
  EXPECT_EQ(encode_request({Execute{long_text, "", {}}, false, {}}, Version::v4, 1, out).error().code,
            ErrorCode::too_large);
  Batch batch;
  batch.statements.resize(65536);
  EXPECT_EQ(encode_request({batch, false, {}}, Version::v4, 1, out).error().code, ErrorCode::too_large);
  EXPECT_TRUE(out.empty());
}

// ---- Responses; the driver reads these bytes as the same fields.

TEST(ResponseSection4_2, TheShortOnes) {
  expect_golden(Ready{}, Version::v4, "840000010200000000");
  expect_golden(Authenticate{"org.apache.cassandra.auth.PasswordAuthenticator"}, Version::v4,
                "840000010300000031002f6f72672e6170616368652e63617373616e6472612e617574682e50617373776f726441757468656e"
                "74696361746f72");
  expect_golden(Supported{{{"CQL_VERSION", {"3.4.5"}}, {"COMPRESSION", {"lz4", "none"}}, {"EMPTY", {}}}}, Version::v5,
                "85000001060000003b0003000b43514c5f56455253494f4e00010005332e342e35000b434f4d5052455353494f4e000200036c"
                "7a3400046e6f6e650005454d5054590000");
  expect_golden(AuthChallenge{"\1\2"}, Version::v4, "840000010e00000006000000020102");
  expect_golden(AuthSuccess{"done"}, Version::v4, "84000001100000000800000004646f6e65");
  expect_golden(AuthSuccess{std::nullopt}, Version::v5, "850000011000000004ffffffff");
  expect_golden(VoidResult{}, Version::v4, "84000001080000000400000001");
  expect_golden(SetKeyspace{"ks"}, Version::v5, "8500000108000000080000000300026b73");
}

TEST(ErrorSection9, FieldsOfEveryCode) {
  using Code = CqlErrorCode;
  for (Code code : {Code::server_error, Code::protocol_error, Code::bad_credentials, Code::overloaded,
                    Code::is_bootstrapping, Code::truncate_error, Code::cdc_write_failure, Code::syntax_error,
                    Code::unauthorized, Code::invalid, Code::config_error})
    expect_golden(ErrorResponse{code, "no", {}}, Version::v4,
                  fmt::format("840000010000000008{:08x}00026e6f", static_cast<uint32_t>(code)));
  expect_golden(ErrorResponse{Code::unavailable, "m", UnavailableDetail{Consistency::quorum, 2, 1}}, Version::v4,
                "8400000100000000110000100000016d00040000000200000001");
  ErrorResponse write_timeout{Code::write_timeout, "m",
                              WriteTimeoutDetail{Consistency::serial, 1, 2, WriteType::batch_log, 0}};
  expect_golden(write_timeout, Version::v4,
                "84000001000000001c0000110000016d00080000000100000002000942415443485f4c4f47");
  std::get<WriteTimeoutDetail>(write_timeout.detail) = {Consistency::serial, 1, 2, WriteType::cas, 3};
  expect_golden(write_timeout, Version::v5, "8500000100000000180000110000016d0008000000010000000200034341530003");
  expect_golden(ErrorResponse{Code::read_timeout, "m", ReadTimeoutDetail{Consistency::two, 1, 2, true}}, Version::v4,
                "8400000100000000120000120000016d0002000000010000000201");
  expect_golden(ErrorResponse{Code::read_failure, "m", ReadFailureDetail{Consistency::all, 1, 2, 3, {}, true}},
                Version::v4, "8400000100000000160000130000016d000500000001000000020000000301");
  std::vector<FailureReason> reasons = {{"\x7f\1\1\1", 1}, {hex("20010db8000000000000000000000001"), 2}};
  expect_golden(ErrorResponse{Code::read_failure, "m", ReadFailureDetail{Consistency::all, 1, 2, 2, reasons, false}},
                Version::v5,
                "8500000100000000300000130000016d0005000000010000000200000002047f01010100011020010db8000000000000000000"
                "000001000200");
  expect_golden(
      ErrorResponse{Code::write_failure, "m", WriteFailureDetail{Consistency::one, 0, 1, 4, {}, WriteType::simple}},
      Version::v4, "84000001000000001d0000150000016d0001000000000000000100000004000653494d504c45");
  expect_golden(ErrorResponse{Code::write_failure, "m",
                              WriteFailureDetail{Consistency::one, 0, 1, 2, reasons, WriteType::unlogged_batch}},
                Version::v5,
                "85000001000000003f0000150000016d0001000000000000000100000002047f01010100011020010db8000000000000000000"
                "0000010002000e554e4c4f474745445f4241544348");
  expect_golden(ErrorResponse{Code::function_failure, "m", FunctionFailureDetail{"ks", "f", {"int", "text"}}},
                Version::v4, "84000001000000001b0000140000016d00026b7300016600020003696e74000474657874");
  expect_golden(ErrorResponse{Code::cas_write_unknown, "m", CasWriteUnknownDetail{Consistency::local_serial, 1, 2}},
                Version::v5, "8500000100000000110000170000016d00090000000100000002");
  expect_golden(ErrorResponse{Code::already_exists, "m", AlreadyExistsDetail{"ks", "t"}}, Version::v4,
                "84000001000000000e0000240000016d00026b73000174");
  expect_golden(ErrorResponse{Code::unprepared, "m", UnpreparedDetail{"\xde\xad"}}, Version::v4,
                "84000001000000000b0000250000016d0002dead");
}

TEST(EventSection4_2_6, AllKinds) {
  using Change = SchemaChange::Change;
  using Target = SchemaChange::Target;
  expect_golden(Event{TopologyChange{TopologyChange::Change::new_node, {"\x7f\1\1\1", 9042}}}, Version::v4,
                "840000010c00000024000f544f504f4c4f47595f4348414e474500084e45575f4e4f4445047f01010100002352");
  expect_golden(
      Event{StatusChange{StatusChange::Change::down, {hex("20010db8000000000000000000000001"), 9042}}}, Version::v5,
      "850000010c0000002a000d5354415455535f4348414e47450004444f574e1020010db800000000000000000000000100002352");
  expect_golden(Event{SchemaChange{Change::created, Target::table, "ks", "t", {}}}, Version::v4,
                "840000010c00000026000d534348454d415f4348414e474500074352454154454400055441424c4500026b73000174");
  expect_golden(SchemaChange{Change::dropped, Target::keyspace, "ks", "", {}}, Version::v4,
                "84000001080000001b00000005000744524f5050454400084b4559535041434500026b73");
  expect_golden(SchemaChange{Change::updated, Target::type, "ks", "u", {}}, Version::v4,
                "84000001080000001a0000000500075550444154454400045459504500026b73000175");
  expect_golden(SchemaChange{Change::created, Target::function, "ks", "f", {"int"}}, Version::v4,
                "84000001080000002500000005000743524541544544000846554e4354494f4e00026b7300016600010003696e74");
  expect_golden(
      SchemaChange{Change::created, Target::aggregate, "ks", "a", {"int", "text"}}, Version::v5,
      "85000001080000002c00000005000743524541544544000941474752454741544500026b7300016100020003696e74000474657874");
}

/// Columns of two tables and of every kind of type.
std::vector<ColumnSpec> many_columns() {
  std::vector<ColumnSpec> columns;
  for (uint16_t id = 1; id <= 0x15; ++id)
    if (id != 0x0A) columns.push_back({"ks", "t", fmt::format("c{}", id), {static_cast<TypeId>(id)}});
  WireType list{TypeId::list, "", "", {{TypeId::int_}}, {}};
  columns.push_back({"ks", "t", "l", list});
  columns.push_back({"ks", "t", "s", {TypeId::set, "", "", {{TypeId::uuid}}, {}}});
  columns.push_back({"ks", "t", "m", {TypeId::map, "", "", {{TypeId::varchar}, list}, {}}});
  columns.push_back({"ks", "t", "tu", {TypeId::tuple, "", "", {{TypeId::inet}, list}, {}}});
  columns.push_back({"ks", "t", "u", {TypeId::udt, "addr", "ks", {{TypeId::varchar}, {TypeId::int_}}, {"st", "no"}}});
  columns.push_back({"ks2", "t2", "cu", {TypeId::custom, "org.apache.cassandra.db.marshal.BytesType", "", {}, {}}});
  return columns;
}

TEST(RowsSection4_2_5_2, Metadata) {
  Bytes cells =
      hex("00000004000000010000000161"
          "ffffffff00000000");
  Rows rows;
  rows.metadata.columns = {{"ks", "t", "id", {TypeId::int_}}, {"ks", "t", "v", {TypeId::varchar}}};
  rows.row_count = 2;
  rows.cells = cells;
  expect_golden(rows, Version::v4,
                "84000001080000003700000002000000010000000200026b73000174000269640009000176000d000000020000000400000001"
                "0000000161ffffffff00000000");
  rows.metadata.paging_state = "\1\2\3";
  rows.metadata.new_metadata_id = "\xaa\xbb";
  expect_golden(rows, Version::v5,
                "850000010800000042000000020000000b00000002000000030102030002aabb00026b73000174000269640009000176000d00"
                "00000200000004000000010000000161ffffffff00000000");
  Rows empty;
  empty.metadata.columns = many_columns();
  expect_golden(empty, Version::v4,
                "8400000108000001c000000002000000000000001a00026b7300017400026331000100026b7300017400026332000200026b73"
                "00017400026333000300026b7300017400026334000400026b7300017400026335000500026b7300017400026336000600026b"
                "7300017400026337000700026b7300017400026338000800026b7300017400026339000900026b730001740003633131000b00"
                "026b730001740003633132000c00026b730001740003633133000d00026b730001740003633134000e00026b73000174000363"
                "3135000f00026b730001740003633136001000026b730001740003633137001100026b730001740003633138001200026b7300"
                "01740003633139001300026b730001740003633230001400026b730001740003633231001500026b7300017400016c00200009"
                "00026b730001740001730022000c00026b7300017400016d0021000d0020000900026b73000174000274750031000200100020"
                "000900026b73000174000175003000026b73000461646472000200027374000d00026e6f000900036b73320002743200026375"
                "000000296f72672e6170616368652e63617373616e6472612e64622e6d61727368616c2e42797465735479706500000000");
  Rows bare;
  bare.metadata.no_metadata = true;
  bare.metadata.column_count = 2;
  bare.row_count = 2;
  bare.cells = cells;
  expect_golden(bare, Version::v3,
                "8300000108000000250000000200000004000000020000000200000004000000010000000161ffffffff00000000");
}

TEST(PreparedSection4_2_5_4, KeyIndexesAndMetadataId) {
  Prepared prepared;
  prepared.id = "\xde\xad";
  prepared.bind_markers = {{"ks", "t", "a", {TypeId::int_}}, {"ks", "t", "b", {TypeId::varchar}}};
  prepared.result.columns = {{"ks", "t", "v", {TypeId::bigint}}};
  expect_golden(prepared, Version::v3,
                "830000010800000035000000040002dead000000010000000200026b730001740001610009000162000d000000010000000100"
                "026b730001740001760002");
  prepared.partition_key_indexes = {1, 0};
  expect_golden(prepared, Version::v4,
                "84000001080000003d000000040002dead0000000100000002000000020001000000026b730001740001610009000162000d00"
                "0000010000000100026b730001740001760002");
  prepared.result_metadata_id = "\x11\x22";
  prepared.result.columns.clear();
  prepared.bind_markers.clear();
  prepared.partition_key_indexes.clear();
  expect_golden(prepared, Version::v5,
                "850000010800000020000000040002dead000211220000000000000000000000000000000400000000");
}

TEST(ErrorSection9, OlderVersionsGetTheNearestCode) {
  auto code = [](const ErrorResponse& error, Version version) {
    Envelope envelope = unwrap(encode(error, version), Direction::response);
    auto response = decode_response(envelope.header, envelope.body);
    EXPECT_TRUE(response);
    return response ? std::get<ErrorResponse>(response->message).code : CqlErrorCode::server_error;
  };
  EXPECT_EQ(code({CqlErrorCode::cas_write_unknown, "", CasWriteUnknownDetail{}}, Version::v4),
            CqlErrorCode::write_timeout);
  EXPECT_EQ(code({CqlErrorCode::read_failure, "", ReadFailureDetail{}}, Version::v3), CqlErrorCode::read_timeout);
  EXPECT_EQ(code({CqlErrorCode::write_failure, "", WriteFailureDetail{}}, Version::v3), CqlErrorCode::write_timeout);
  EXPECT_EQ(code({CqlErrorCode::function_failure, "", FunctionFailureDetail{}}, Version::v3), CqlErrorCode::invalid);
}

TEST(ErrorSection9, RefusesFieldsOfAnotherCode) {
  Bytes out;
  EXPECT_EQ(encode_response({ErrorResponse{CqlErrorCode::unavailable, "", {}}, {}}, Version::v4, 1, out).error().code,
            ErrorCode::invalid_argument);
  EXPECT_TRUE(out.empty());
}

TEST(ErrorSection9, LongMessagesAreCutBetweenCharacters) {
  Bytes text(65534, 'x');
  text += "\xc3\xa9 and more";
  Envelope envelope = unwrap(encode(ErrorResponse{CqlErrorCode::invalid, text, {}}, Version::v4), Direction::response);
  auto response = decode_response(envelope.header, envelope.body);
  ASSERT_TRUE(response);
  EXPECT_EQ(std::get<ErrorResponse>(response->message).message, Bytes(65534, 'x'));
}

TEST(ResponseSection4, ExtrasComeBeforeTheMessage) {
  ResponseExtras extras;
  extras.tracing_id.emplace()[15] = 9;
  extras.warnings = {"careful", ""};
  extras.custom_payload = {{"k", "v"}, {"null", std::nullopt}};
  Envelope envelope = unwrap(encode(VoidResult{}, Version::v4, extras), Direction::response);
  EXPECT_EQ(envelope.header.flags, flag::tracing | flag::warning | flag::custom_payload);
  auto response = decode_response(envelope.header, envelope.body);
  ASSERT_TRUE(response);
  EXPECT_TRUE(response->extras == extras);
  EXPECT_EQ(unwrap(encode(VoidResult{}, Version::v3, extras), Direction::response).header.flags, flag::tracing);
}

ResultMetadata two_columns() {
  ResultMetadata metadata;
  metadata.columns = {{"ks", "t", "id", {TypeId::int_}}, {"ks", "t", "v", {TypeId::varchar}}};
  return metadata;
}

TEST(RowsWriter, MatchesTheEncodedRows) {
  ResponseExtras extras;
  extras.warnings = {"w"};
  Rows rows{two_columns(), 2, {}};
  rows.metadata.paging_state = "next";
  Bytes cells =
      hex("00000004000000010000000161"
          "ffffffff00000000");
  rows.cells = cells;

  Bytes out = "before";
  auto writer = RowsWriter::create(two_columns(), Version::v5, 1, out);
  ASSERT_TRUE(writer);
  writer->cell(BytesView("\0\0\0\1", 4));
  size_t start = writer->begin_cell();
  writer->buffer() += "a";
  writer->end_cell(start);
  EXPECT_EQ(writer->row_count(), 1u);
  writer->null_cell();
  writer->cell("");
  EXPECT_EQ(writer->row_count(), 2u);
  ASSERT_TRUE(writer->finish("next", extras));
  EXPECT_EQ(out, "before" + encode(rows, Version::v5, extras));

  Envelope envelope = unwrap(BytesView(out).substr(6), Direction::response);
  auto response = decode_response(envelope.header, envelope.body);
  ASSERT_TRUE(response);
  RowCursor cursor(std::get<Rows>(response->message));
  std::vector<std::optional<BytesView>> row;
  ASSERT_TRUE(cursor.next(row));
  EXPECT_EQ(row[1], "a");
  ASSERT_TRUE(cursor.next(row));
  EXPECT_EQ(row[0], std::nullopt);
  EXPECT_EQ(row[1], "");
  EXPECT_FALSE(cursor.next(row));
}

TEST(RowsWriter, GivesUpAboveTheLimit) {
  Bytes out = "before";
  auto writer = RowsWriter::create(two_columns(), Version::v4, 1, out);
  ASSERT_TRUE(writer);
  for (int i = 0; i < 2; ++i) writer->cell(Bytes(100, 'x'));
  auto status = writer->finish(std::nullopt, {}, 100);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::too_large);
  EXPECT_EQ(out, "before");
  ResultMetadata changed = two_columns();
  changed.new_metadata_id = "id";
  EXPECT_EQ(RowsWriter::create(changed, Version::v4, 1, out).error().code, ErrorCode::unsupported);
  EXPECT_EQ(out, "before");
}

TEST(RowsSection4_2_5_2, HostileCountsAreErrors) {
  auto refused = [](std::string_view body) {
    return !decode_response({Version::v4, Direction::response, 0, 1, Opcode::result}, hex(body));
  };
  EXPECT_TRUE(
      refused("00000002"
              "00000004"
              "7fffffff"
              "7fffffff"));
  EXPECT_TRUE(
      refused("00000002"
              "00000004"
              "00000000"
              "7fffffff"));
  EXPECT_TRUE(
      refused("00000002"
              "00000000"
              "7fffffff"));
  EXPECT_TRUE(
      refused("00000002"
              "00000000"
              "ffffffff"));
  EXPECT_TRUE(
      refused("00000004"
              "0000"
              "00000001"
              "00000000"
              "7fffffff"));
  EXPECT_TRUE(refused("00000009"));
}

TEST(TypeSection4_2_5_2, NestingIsBounded) {
  WireType type{TypeId::int_};
  for (int i = 1; i < wire_type_depth_max; ++i) type = WireType{TypeId::list, "", "", {type}, {}};
  Bytes out;
  ByteWriter writer(out);
  ASSERT_TRUE(encode_type(type, writer));
  ByteReader reader(out);
  auto decoded = decode_type(reader);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(*decoded, type);
  EXPECT_TRUE(reader.at_end());
  type = WireType{TypeId::set, "", "", {type}, {}};
  EXPECT_EQ(encode_type(type, writer).error().code, ErrorCode::too_large);
  Bytes deep;
  for (int i = 0; i < 100000; ++i) deep += Bytes("\0\x20", 2);
  ByteReader deep_reader(deep);
  EXPECT_EQ(decode_type(deep_reader).error().code, ErrorCode::too_large);
}

TEST(TypeSection4_2_5_2, ConvertsToAndFromDataTypes) {
  for (std::string_view text : {"ascii", "bigint", "text", "duration", "list<int>", "set<timeuuid>",
                                "map<text, frozen<list<int>>>", "frozen<tuple<int, frozen<set<text>>>>"}) {
    auto type = datastore::DataType::parse(text);
    ASSERT_TRUE(type) << text;
    Bytes out;
    ByteWriter writer(out);
    ASSERT_TRUE(encode_type(wire_type_of(*type), writer));
    ByteReader reader(out);
    auto wire = decode_type(reader);
    ASSERT_TRUE(wire) << text;
    auto again = data_type_of(*wire);
    ASSERT_TRUE(again) << text;
    EXPECT_EQ(again->to_string(), type->to_string());
  }
  EXPECT_EQ(data_type_of({TypeId::udt, "addr", "ks"}).error().code, ErrorCode::unsupported);
  EXPECT_EQ(data_type_of({TypeId::custom, "Class"}).error().code, ErrorCode::unsupported);
  EXPECT_EQ(data_type_of({TypeId::tuple}).error().code, ErrorCode::unsupported);
  EXPECT_EQ(data_type_of({TypeId::list}).error().code, ErrorCode::invalid_argument);
  WireType deep{TypeId::int_};
  for (int i = 0; i < datastore::max_type_depth; ++i) deep = WireType{TypeId::list, "", "", {deep}, {}};
  EXPECT_EQ(data_type_of(deep).error().code, ErrorCode::too_large);
}

TEST(Names, AreInverse) {
  for (int i = 0; i <= 10; ++i) {
    Consistency consistency;
    ASSERT_TRUE(parse(to_string(static_cast<Consistency>(i)), consistency));
    EXPECT_EQ(static_cast<int>(consistency), i);
  }
  Consistency consistency;
  EXPECT_TRUE(parse("local_quorum", consistency));
  EXPECT_FALSE(parse("MOST", consistency));
  EXPECT_EQ(to_string(static_cast<Consistency>(99)), "UNKNOWN");
  EXPECT_EQ(to_string(static_cast<Opcode>(4)), "UNKNOWN");
}

}  // namespace
}  // namespace asterism::cql::wire
