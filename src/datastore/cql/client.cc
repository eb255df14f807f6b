#include "datastore/cql/client.h"

#include "runtime/timeout.h"

namespace asterism::cql {

namespace {

constexpr size_t read_bytes = 64 << 10;

Task<Result<std::unique_ptr<Stream>>> dial(Network& network, Address address) {
  co_return co_await connect(network, address);
}

Task<Result<CqlReply>> receive(OneShot<CqlReply>& answer) { co_return co_await answer.receive(); }

std::vector<wire::Value> wire_values(const std::vector<CqlValue>& values) {
  std::vector<wire::Value> made;
  made.reserve(values.size());
  for (const auto& value : values) made.push_back(value ? wire::Value::of(*value) : wire::Value::null());
  return made;
}

wire::QueryParameters parameters_of(const CqlQueryOptions& options, const std::vector<CqlValue>& values) {
  wire::QueryParameters parameters;
  parameters.consistency = options.consistency;
  parameters.serial_consistency = options.serial_consistency;
  parameters.values = wire_values(values);
  parameters.skip_metadata = options.skip_metadata;
  parameters.timestamp_us = options.timestamp_us;
  if (options.page_size > 0) parameters.page_size = options.page_size;
  if (!options.paging_state.empty()) parameters.paging_state = options.paging_state;
  if (!options.keyspace.empty()) parameters.keyspace = options.keyspace;
  return parameters;
}

}  // namespace

std::vector<std::vector<std::optional<Bytes>>> CqlReply::rows() const {
  std::vector<std::vector<std::optional<Bytes>>> found;
  const auto* result = get<wire::Rows>();
  if (result == nullptr) return found;
  wire::RowCursor cursor(*result);
  std::vector<std::optional<BytesView>> row;
  while (cursor.next(row)) {
    auto& copy = found.emplace_back();
    for (const auto& cell : row) copy.push_back(cell ? std::optional<Bytes>(*cell) : std::nullopt);
  }
  return found;
}

CqlClient::CqlClient(Executor& executor, std::unique_ptr<Stream> stream, CqlClientOptions options)
    : options_(options),
      stream_(std::move(stream)),
      decoder_({wire::Direction::response, wire::max_version, options.body_size_max}),
      tasks_(executor) {}

CqlClient::~CqlClient() { tasks_.cancel(); }

Task<Result<std::unique_ptr<CqlClient>>> CqlClient::connect(Executor& executor, Network& network, Address address,
                                                            Instant deadline, CqlClientOptions options) {
  CO_TRY(auto stream, co_await with_deadline(deadline, dial(network, std::move(address))));
  std::unique_ptr<CqlClient> client(new CqlClient(executor, std::move(stream), options));
  client->tasks_.spawn(client->read_loop());
  CO_TRY_STATUS(co_await client->start_up(deadline));
  co_return client;
}

Task<Status> CqlClient::start_up(Instant deadline) {
  wire::Startup startup;
  startup.options.emplace_back("CQL_VERSION", "3.0.0");
  if (options_.compression == wire::Compression::lz4) startup.options.emplace_back("COMPRESSION", "lz4");
  const wire::RequestMessage message = std::move(startup);
  CO_TRY(auto reply, co_await call(message, deadline));
  if (const auto* error = reply.error()) co_return fail(ErrorCode::invalid_argument, "{}", error->message);
  const bool wants_login = reply.get<wire::Authenticate>() != nullptr;
  if (!wants_login && reply.get<wire::Ready>() == nullptr)
    co_return fail(ErrorCode::corrupt, "the server answered STARTUP with something else");
  if (options_.version == wire::Version::v5) {
    decoder_.enable_segments(options_.compression);
    encoder_.enable_segments(options_.compression);
  } else {
    decoder_.set_compression(options_.compression);
    encoder_.set_compression(options_.compression);
  }
  if (wants_login) CO_TRY_STATUS(co_await log_in(deadline));
  co_return Status{};
}

Task<Status> CqlClient::log_in(Instant deadline) {
  const Bytes token = Bytes(1, '\0') + options_.user + Bytes(1, '\0') + options_.password;
  const wire::RequestMessage message = wire::AuthResponse{BytesView(token)};
  CO_TRY(auto reply, co_await call(message, deadline));
  if (const auto* error = reply.error()) co_return fail(ErrorCode::unauthorized, "{}", error->message);
  if (reply.get<wire::AuthSuccess>() == nullptr)
    co_return fail(ErrorCode::corrupt, "the server answered AUTH_RESPONSE with something else");
  co_return Status{};
}

Result<int16_t> CqlClient::free_stream() {
  if (closed_) return fail(ErrorCode::closed, "the connection is closed");
  if (pending_.size() >= std::min<size_t>(options_.requests_max, INT16_MAX))
    return fail(ErrorCode::overloaded, "{} requests are under way", pending_.size());
  while (pending_.contains(next_stream_)) next_stream_ = next_stream_ == INT16_MAX ? int16_t{0} : next_stream_ + 1;
  const int16_t stream = next_stream_;
  next_stream_ = next_stream_ == INT16_MAX ? int16_t{0} : next_stream_ + 1;
  return stream;
}

Task<Result<CqlReply>> CqlClient::call(const wire::RequestMessage& message, Instant deadline) {
  CO_TRY(const int16_t stream, free_stream());
  CO_TRY_STATUS(wire::encode_request({message, false, {}}, options_.version, stream, unsent_));
  co_return co_await answer_on(stream, deadline);
}

Task<Result<CqlReply>> CqlClient::call_encoded(Bytes envelope, Instant deadline) {
  ASSERT(envelope.size() >= wire::envelope_header_size);
  CO_TRY(const int16_t stream, free_stream());
  envelope[2] = static_cast<char>(stream >> 8);
  envelope[3] = static_cast<char>(stream);
  if (unsent_.empty())
    unsent_ = std::move(envelope);
  else
    unsent_ += envelope;
  co_return co_await answer_on(stream, deadline);
}

/// Of the request that was just put behind what is unsent.
Task<Result<CqlReply>> CqlClient::answer_on(int16_t stream, Instant deadline) {
  OneShot<CqlReply> answer;
  pending_[stream] = answer.sender();
  if (!std::exchange(writing_, true)) tasks_.spawn(write_loop());
  co_return co_await with_deadline(deadline, receive(answer));
}

Task<Result<CqlReply>> CqlClient::query(std::string text, Instant deadline, std::vector<CqlValue> values,
                                        CqlQueryOptions options) {
  const wire::RequestMessage message = wire::Query{text, parameters_of(options, values)};
  co_return co_await call(message, deadline);
}

Task<Result<CqlReply>> CqlClient::prepare(std::string text, Instant deadline, std::string keyspace) {
  wire::Prepare request{text, std::nullopt};
  if (!keyspace.empty()) request.keyspace = keyspace;
  const wire::RequestMessage message = request;
  co_return co_await call(message, deadline);
}

Task<Result<CqlReply>> CqlClient::execute(wire::Prepared prepared, std::vector<CqlValue> values, Instant deadline,
                                          CqlQueryOptions options) {
  options.keyspace.clear();
  const wire::RequestMessage message =
      wire::Execute{prepared.id, prepared.result_metadata_id, parameters_of(options, values)};
  co_return co_await call(message, deadline);
}

Task<Result<CqlReply>> CqlClient::batch(wire::BatchType type, std::vector<Statement> statements, Instant deadline,
                                        CqlQueryOptions options) {
  wire::Batch request;
  request.type = type;
  for (const auto& statement : statements)
    request.statements.push_back({statement.prepared, statement.text_or_id, wire_values(statement.values)});
  request.consistency = options.consistency;
  request.serial_consistency = options.serial_consistency;
  request.timestamp_us = options.timestamp_us;
  if (!options.keyspace.empty()) request.keyspace = options.keyspace;
  const wire::RequestMessage message = std::move(request);
  co_return co_await call(message, deadline);
}

Task<Result<std::vector<std::vector<std::optional<Bytes>>>>> CqlClient::query_all(std::string text, Instant deadline,
                                                                                  CqlQueryOptions options) {
  std::vector<std::vector<std::optional<Bytes>>> all;
  while (true) {
    CO_TRY(auto reply, co_await query(text, deadline, {}, options));
    if (const auto* error = reply.error()) co_return fail(ErrorCode::invalid_argument, "{}", error->message);
    for (auto& row : reply.rows()) all.push_back(std::move(row));
    const auto* rows = reply.get<wire::Rows>();
    if (rows == nullptr || !rows->metadata.paging_state) co_return all;
    options.paging_state = *rows->metadata.paging_state;
  }
}

Task<Result<CqlReply>> CqlClient::register_events(std::vector<wire::EventType> events, Instant deadline) {
  const wire::RequestMessage message = wire::Register{std::move(events)};
  co_return co_await call(message, deadline);
}

Task<void> CqlClient::write_loop() {
  while (!closed_ && !unsent_.empty()) {
    Bytes out;
    if (encoder_.passthrough())
      out.swap(unsent_);
    else
      encoder_.encode(std::exchange(unsent_, {}), out);
    auto status = co_await write(*stream_, std::move(out));
    if (!status) fail_all(status.error());
  }
  writing_ = false;
}

Task<void> CqlClient::read_loop() {
  while (!closed_) {
    auto bytes = co_await read(*stream_, read_bytes);
    if (bytes && bytes->empty()) bytes = fail(ErrorCode::closed, "the server closed the connection");
    if (!bytes) co_return fail_all(bytes.error());
    decoder_.feed(*bytes);
    while (!closed_) {
      auto envelope = decoder_.next();
      if (!envelope) co_return fail_all(envelope.error());
      if (!*envelope) break;
      if (auto status = take(std::move(**envelope)); !status) co_return fail_all(status.error());
    }
  }
}

Status CqlClient::take(wire::Envelope envelope) {
  CqlReply reply;
  reply.envelope = std::make_unique<wire::Envelope>(std::move(envelope));
  const int16_t stream = reply.envelope->header.stream;
  TRY(reply.response, wire::decode_response(reply.envelope->header, reply.envelope->body));
  if (stream < 0) {
    const auto* event = reply.get<wire::Event>();
    if (event == nullptr)
      return fail(ErrorCode::corrupt, "an answer to nothing: {}", reply.error() ? reply.error()->message : "");
    if (listener_) listener_(*event);
    return {};
  }
  auto it = pending_.find(stream);
  if (it == pending_.end()) return fail(ErrorCode::corrupt, "an answer on stream {}, where nothing was asked", stream);
  auto sender = std::move(it->second);
  pending_.erase(it);
  sender.send(std::move(reply));
  return {};
}

void CqlClient::fail_all(const Error& error) {
  closed_ = true;
  stream_->close();
  for (auto& [stream, sender] : std::exchange(pending_, {})) sender.send(fail(error));
}

}  // namespace asterism::cql
