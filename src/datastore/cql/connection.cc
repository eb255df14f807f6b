#include "datastore/cql/connection.h"

#include <bit>
#include <charconv>
#include <utility>

#include "datastore/cql/system_tables.h"
#include "runtime/timeout.h"

namespace asterism::cql {

using wire::CqlErrorCode;

namespace {

constexpr size_t read_bytes_least = 4 << 10, read_bytes_most = 256 << 10;
constexpr size_t write_bytes_max = 1 << 20;  // one write: so often a slow client's progress shows
constexpr uint32_t requests_in_turn = 64;    // of one connection, before the others get theirs
constexpr uint32_t refused_most = 8;         // of what was read at once, without a pause
constexpr Duration refused_turn = 500us;     // for each connection that was refused more
constexpr size_t kept_capacity_max = 64 << 10;
// How long a client that made an error may take to read about it, and how much of what it still sends is thrown away.
constexpr Duration part_time = 500ms;
constexpr size_t part_bytes_max = 4 << 20;
// Of a request before its client has logged in.
constexpr uint32_t stranger_body_size_max = 64 << 10;
constexpr const char* authenticator_name = "org.apache.cassandra.auth.PasswordAuthenticator";

wire::Supported supported() {
  return {{{"CQL_VERSION", {std::string(cql_version)}},
           {"COMPRESSION", {"lz4"}},
           {"PROTOCOL_VERSIONS", {"3/v3", "4/v4", "5/v5"}}}};
}

uint8_t event_bit(wire::EventType type) { return static_cast<uint8_t>(1u << static_cast<unsigned>(type)); }

wire::EventType type_of(const wire::Event& event) {
  constexpr wire::EventType types[] = {wire::EventType::topology_change, wire::EventType::status_change,
                                       wire::EventType::schema_change};
  return types[event.change.index()];
}

/// The message of SASL PLAIN (RFC 4616): [authzid] 0 authcid 0 passwd.
struct PlainCredentials {
  std::string name, password;
};
std::optional<PlainCredentials> decode_plain(BytesView token) {
  const size_t first = token.find('\0');
  const size_t second = first == BytesView::npos ? first : token.find('\0', first + 1);
  if (second == BytesView::npos) return std::nullopt;
  const BytesView acts_for = token.substr(0, first), name = token.substr(first + 1, second - first - 1);
  // Nobody acts for somebody else here.
  if (name.empty() || (!acts_for.empty() && acts_for != name)) return std::nullopt;
  return PlainCredentials{std::string(name), std::string(token.substr(second + 1))};
}

bool equals_ignoring_case(BytesView a, BytesView b) {
  return std::ranges::equal(a, b, [](char x, char y) { return (x | 0x20) == (y | 0x20); });
}

}  // namespace

Connection::Connection(CqlServer& server, std::unique_ptr<Stream> stream)
    : server_(server),
      stream_(std::move(stream)),
      decoder_({wire::Direction::request, wire::max_version, server.options_.body_size_max}),
      backlog_timer_(server.executor_),
      login_timer_(server.executor_) {
  if (!server.access_.required) return;
  decoder_.set_body_size_max(stranger_body_size_max);
  login_timer_.arm(server.executor_.now() + server.options_.login_time_max, [this] { close(); });
}

void Connection::close() {
  if (std::exchange(closed_, true)) return;
  stream_->close();
  backlog_timer_.cancel();
  login_timer_.cancel();
  framed_ = unframed_ = Bytes();
  room_.wake_all();
  sent_.wake_all();
}

bool Connection::has_room() const {
  const auto& options = server_.options_;
  if (requests_ == 0) return backlog() < options.backlog_bytes_max;
  return requests_ < options.pipeline_max && request_bytes_ < options.request_bytes_max &&
         backlog() + (requests_ + 1) * answer_bytes_ < options.backlog_bytes_max;
}

Task<void> Connection::run() {
  size_t read_bytes = read_bytes_least;
  while (!closed_) {
    auto bytes = co_await read(*stream_, read_bytes);
    if (!bytes || bytes->empty()) co_return;
    server_.counters_.bytes_received += bytes->size();
    // Most connections are idle, and a read under way may hold its buffer.
    read_bytes = bytes->size() == read_bytes ? std::min(2 * read_bytes, read_bytes_most) : read_bytes_least;
    if (parting_) continue;
    decoder_.feed(*bytes);
    *bytes = Bytes();
    for (uint32_t taken = 1; !closed_ && !parting_; ++taken) {
      if (taken % requests_in_turn == 0) co_await pause();
      while (!has_room() && !closed_) co_await room_.wait();
      auto envelope = decoder_.next();
      if (envelope && !*envelope) break;
      if (envelope ? take(std::move(**envelope)) : take_error(envelope.error())) continue;
      co_await part();
      co_return;
    }
    if (refused_ >= refused_most) co_await pause();
    refused_ = 0;
  }
}

/// Lets others have the core. Who asks for far more than is taken on waits for a turn among his like: else the refusals
/// alone, which cost little each, would take most of it.
Task<void> Connection::pause() {
  if (std::exchange(refused_, 0) < refused_most) {
    co_await yield_now();
    co_return;
  }
  server_.next_refused_turn_ = std::max(server_.next_refused_turn_, server_.executor_.now()) + refused_turn;
  co_await sleep_until(server_.next_refused_turn_);
}

Task<void> Connection::part() {
  parting_ = true;
  backlog_timer_.arm(server_.executor_.now() + part_time, [this] { close(); });
  while (backlog() > 0 && !closed_) co_await sent_.wait();
  // Closing while the client still sends would make its system drop what it has not read yet.
  for (size_t left = part_bytes_max; !closed_;) {
    auto bytes = co_await read(*stream_, read_bytes_least);
    if (!bytes || bytes->empty() || bytes->size() > left) co_return;
    left -= bytes->size();
  }
}

bool Connection::take_error(const Error& error) {
  const auto& header = decoder_.failed_header();
  if (!version_) version_ = header.version;
  send_error(CqlErrorCode::protocol_error, error.message, header.stream);
  return error.code == ErrorCode::too_large;
}

bool Connection::take(wire::Envelope envelope) {
  const wire::EnvelopeHeader header = envelope.header;
  if (version_.value_or(header.version) != header.version) {
    const int now = static_cast<int>(header.version), before = static_cast<int>(*version_);
    send_error(CqlErrorCode::protocol_error,
               fmt::format("Invalid message version. Got {}/v{} but previous messages on this connection had version "
                           "{}/v{}",
                           now, now, before, before),
               header.stream);
    return false;
  }
  version_ = header.version;
  auto work = std::make_unique<Work>(std::move(envelope), wire::Request{});
  auto request = wire::decode_request(header, work->envelope.body);
  if (!request) {
    send_error(CqlErrorCode::protocol_error, request.error().message, header.stream);
    return true;
  }
  ++server_.counters_.requests[header.opcode];
  work->request = std::move(*request);
  if (!check_state(*work)) return true;
  const auto& message = work->request.message;
  if (std::holds_alternative<wire::Options>(message)) {
    send(supported(), header.stream);
  } else if (auto* startup = std::get_if<wire::Startup>(&message)) {
    start_up(*startup, header.stream);
  } else if (auto* response = std::get_if<wire::AuthResponse>(&message)) {
    authenticate(*response, header.stream);
  } else if (auto* registration = std::get_if<wire::Register>(&message)) {
    for (auto type : registration->events) events_ |= event_bit(type);
    send(wire::Ready{}, header.stream);
  } else {
    start(std::move(work));
  }
  return true;
}

bool Connection::check_state(const Work& work) {
  const auto& message = work.request.message;
  State wanted = State::ready;
  if (std::holds_alternative<wire::Startup>(message)) wanted = State::starting;
  if (std::holds_alternative<wire::AuthResponse>(message)) wanted = State::authenticating;
  if (state_ == wanted || std::holds_alternative<wire::Options>(message)) return true;
  static constexpr std::string_view expected[] = {"STARTUP or OPTIONS", "AUTH_RESPONSE or OPTIONS",
                                                  "nothing before the login is decided",
                                                  "a request: the connection has been started"};
  send_error(CqlErrorCode::protocol_error,
             fmt::format("Unexpected message {}, expecting {}", to_string(work.envelope.header.opcode),
                         expected[static_cast<size_t>(state_)]),
             work.envelope.header.stream);
  return false;
}

void Connection::start_up(const wire::Startup& startup, int16_t stream) {
  auto wanted = startup.find("CQL_VERSION");
  if (!wanted) return send_error(CqlErrorCode::protocol_error, "Missing value CQL_VERSION in STARTUP message", stream);
  // As Cassandra has it: drivers announce 3.0.0 as well as 4.0.0 and speak the CQL that the server offers.
  unsigned major = 0;
  std::from_chars(wanted->data(), wanted->data() + wanted->size(), major);
  if (major < 3)
    return send_error(CqlErrorCode::protocol_error,
                      fmt::format("CQL version {} is not supported by the binary protocol (supported version are >= "
                                  "3.0.0)",
                                  *wanted),
                      stream);
  auto compression = wire::Compression::none;
  if (auto name = startup.find("COMPRESSION"); name && !name->empty()) {
    if (!equals_ignoring_case(*name, "lz4"))
      return send_error(CqlErrorCode::protocol_error, fmt::format("Unknown compression algorithm: {}", *name), stream);
    compression = wire::Compression::lz4;
  }
  if (server_.access_.required) {
    state_ = State::authenticating;
    send(wire::Authenticate{authenticator_name}, stream);
  } else {
    state_ = State::ready;
    send(wire::Ready{}, stream);
  }
  // What was answered so far travels bare.
  encoder_.encode(unframed_, framed_);
  unframed_.clear();
  if (*version_ == wire::Version::v5) {
    decoder_.enable_segments(compression);
    encoder_.enable_segments(compression);
  } else {
    decoder_.set_compression(compression);
    encoder_.set_compression(compression);
  }
}

void Connection::authenticate(const wire::AuthResponse& response, int16_t stream) {
  auto credentials = decode_plain(response.token.value_or(BytesView()));
  if (!credentials) {
    send_error(CqlErrorCode::bad_credentials, "The credentials are not those of SASL PLAIN", stream);
    return dismiss();
  }
  state_ = State::logging_in;
  server_.tasks_.spawn(
      log_in(shared_from_this(), std::move(credentials->name), std::move(credentials->password), stream));
}

Task<void> Connection::log_in([[maybe_unused]] std::shared_ptr<Connection> self, std::string name, std::string password,
                              int16_t stream) {
  Status outcome = co_await server_.access_.authenticator.log_in(name, std::move(password), stream_->remote_address());
  if (closed_) co_return;
  if (!outcome) {
    const bool wrong = outcome.error().code == ErrorCode::unauthorized;
    send_error(wrong ? CqlErrorCode::bad_credentials : CqlErrorCode::overloaded, outcome.error().message, stream);
    co_return dismiss();
  }
  state_ = State::ready;
  login_timer_.cancel();
  decoder_.set_body_size_max(server_.options_.body_size_max);
  principal_.emplace(server_.access_.state, std::move(name));
  send(wire::AuthSuccess{}, stream);
}

void Connection::dismiss() {
  parting_ = true;
  backlog_timer_.arm(server_.executor_.now() + part_time, [this] { close(); });
}

void Connection::start(std::unique_ptr<Work> work) {
  const int16_t stream = work->envelope.header.stream;
  if (server_.refusing_)
    return send_error(CqlErrorCode::is_bootstrapping, "This node is about to stop: ask another one", stream);
  if (principal_ && server_.access_.limits &&
      !server_.access_.limits->take(principal_->role(), server_.executor_.now()))
    return send_error(CqlErrorCode::overloaded,
                      fmt::format("{} has made too many requests: try again later", principal_->role()), stream);
  uint64_t& bytes_open = server_.counters_.request_bytes_open;
  const size_t bytes = work->envelope.body.size();
  const bool too_much = bytes_open > 0 && bytes_open + bytes > server_.options_.node_request_bytes_max;
  if (too_much || !server_.admission_.admit(requests_)) {
    ++refused_;
    return send_error(CqlErrorCode::overloaded, "Too many requests are under way on this node", stream);
  }
  bytes_open += bytes;
  ++requests_;
  request_bytes_ += bytes;
  server_.tasks_.spawn(run_request(shared_from_this(), std::move(work)));
}

Task<void> Connection::run_request([[maybe_unused]] std::shared_ptr<Connection> self, std::unique_ptr<Work> work) {
  const int16_t stream = work->envelope.header.stream;
  auto& message = work->request.message;
  // has_room() guessed what the requests before this one would answer.
  while (backlog() >= server_.options_.backlog_bytes_max && !closed_) co_await room_.wait();
  Ran ran{.begun = server_.executor_.now()};
  bool statement = true;
  if (closed_) {
    statement = false;  // Nobody waits for it, and it has not begun.
  } else if (auto* query = std::get_if<wire::Query>(&message)) {
    co_await run_query(*query, stream, ran);
  } else if (auto* execute = std::get_if<wire::Execute>(&message)) {
    co_await run_execute(*execute, stream, ran);
  } else if (auto* batch = std::get_if<wire::Batch>(&message)) {
    co_await run_batch(*batch, stream, ran);
  } else {
    statement = false;
    run_prepare(std::get<wire::Prepare>(message), stream);
  }
  auto& counters = server_.counters_;
  const Instant ended = server_.executor_.now();
  if (!answer_waits_since_)
    answer_waits_since_ = ended;
  else if (ended - *answer_waits_since_ >= answers_wait_most)
    flush();
  if (statement) {
    StatementCounters& of_kind = counters.statements[static_cast<size_t>(ran.kind)];
    of_kind.time.record(ended - ran.begun);
    if (ran.failed) ++of_kind.failed;
  }
  server_.admission_.done();
  counters.request_bytes_open -= work->envelope.body.size();
  --requests_;
  request_bytes_ -= work->envelope.body.size();
  room_.wake_all();
}

void Connection::send_event(const wire::Event& event) {
  if (closed_ || (events_ & event_bit(type_of(event))) == 0) return;
  ++server_.counters_.events_sent;
  send(event, -1);
}

void Connection::send_error(CqlErrorCode code, std::string text, int16_t stream) {
  send(wire::ErrorResponse{code, std::move(text), {}}, stream);
}

void Connection::send(wire::ResponseMessage message, int16_t stream, std::vector<std::string> warnings) {
  if (closed_) return;
  if (auto* error = std::get_if<wire::ErrorResponse>(&message)) ++server_.counters_.errors[error->code];
  wire::Response response{std::move(message), {}};
  response.extras.warnings = std::move(warnings);
  auto status = wire::encode_response(response, version(), stream, unframed_);
  if (!status) return send_error(CqlErrorCode::server_error, status.error().to_string(), stream);
  schedule_flush();
}

void Connection::send_envelope(Bytes envelope) {
  if (closed_) return;
  answer_bytes_ = std::max(envelope.size(), (7 * answer_bytes_ + envelope.size()) / 8);
  if (unframed_.empty())
    unframed_ = std::move(envelope);
  else
    unframed_.append(envelope);
  schedule_flush();
}

void Connection::schedule_flush() {
  watch_backlog(false);
  if (closed_ || sending_bytes_ > 0 || flush_.queued()) return;
  server_.executor_.post(flush_);
}

Bytes Connection::take_framed() {
  Bytes out = std::exchange(framed_, {});
  if (out.empty() && encoder_.passthrough()) {
    out.swap(unframed_);
  } else {
    encoder_.encode(unframed_, out);
    unframed_.clear();
    if (unframed_.capacity() > kept_capacity_max) unframed_ = Bytes();
  }
  return out;
}

void Connection::flush() {
  answer_waits_since_.reset();
  if (closed_ || sending_bytes_ > 0) return;
  Bytes out = take_framed();
  if (out.empty()) return;
  auto sent = stream_->try_write(BytesView(out).substr(0, write_bytes_max));
  if (!sent) return close();
  server_.counters_.bytes_sent += *sent;
  if (*sent == out.size()) {
    if (unframed_.capacity() == 0 && out.capacity() <= kept_capacity_max) {
      out.clear();
      unframed_ = std::move(out);
    }
    watch_backlog(true);
    room_.wake_all();
    sent_.wake_all();
    return;
  }
  out.erase(0, *sent);
  sending_bytes_ = out.size();
  server_.tasks_.spawn(drain(shared_from_this(), std::move(out)));
}

Task<void> Connection::drain([[maybe_unused]] std::shared_ptr<Connection> self, Bytes out) {
  while (!closed_ && sending_bytes_ > 0) {
    const size_t total = out.size();
    for (size_t sent = 0; sent < total && !closed_;) {
      const size_t size = std::min(total - sent, write_bytes_max);
      auto status = co_await write(*stream_, size == total ? std::exchange(out, {}) : out.substr(sent, size));
      if (!status) close();
      server_.counters_.bytes_sent += size;
      sent += size;
      sending_bytes_ -= size;
      watch_backlog(true);
      room_.wake_all();
    }
    if (closed_) break;
    out = take_framed();
    sending_bytes_ = out.size();
  }
  sent_.wake_all();
}

void Connection::watch_backlog(bool progress) {
  const auto& options = server_.options_;
  if (closed_ || parting_) return;
  if (backlog() > options.backlog_bytes_hard_max) {
    ++server_.counters_.connections_dropped;
    server_.log_.warning("closed {}: {} bytes of answers were not taken", stream_->remote_address().to_string(),
                         backlog());
    return close();
  }
  if (backlog() < options.backlog_bytes_max) {
    backlog_timer_.cancel();
  } else if (progress || !backlog_timer_.armed()) {
    backlog_timer_.arm(server_.executor_.now() + options.backlog_time_max, [this] {
      ++server_.counters_.connections_dropped;
      close();
    });
  }
}

}  // namespace asterism::cql
