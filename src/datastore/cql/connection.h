// One client's connection, within the server.
#pragma once

#include "datastore/cql/message.h"
#include "datastore/cql/server.h"
#include "runtime/channel.h"

namespace asterism::cql {

inline constexpr Duration answers_wait_most = 50us;

/// A request under way, with the bytes that it points into.
struct Work {
  wire::Envelope envelope;
  wire::Request request;
};

/// What became of a statement.
struct Ran {
  Instant begun;
  StatementKind kind = StatementKind::other;
  bool failed = true;
};

/// Reads requests and starts them. What they answer is collected until all that is ready to run has run, but for no
/// longer than answers_wait_most while later requests still keep the core busy. A request that has been started
/// runs to its end even where the client goes away, as its effects may be half done; it then holds only itself.
class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  Connection(CqlServer& server, std::unique_ptr<Stream> stream);

  /// Reads until the stream ends or is of no more use.
  Task<void> run();
  /// Sends to a client that registered for it; nothing happens with others.
  void send_event(const wire::Event& event);
  /// Ends the connection now. May be called again.
  void close();

 private:
  bool has_room() const;
  size_t backlog() const { return framed_.size() + unframed_.size() + sending_bytes_; }
  wire::Version version() const { return version_.value_or(wire::max_version); }

  // Requests (connection.cc).
  Task<void> pause();
  /// Both: false where the stream is of no more use.
  bool take(wire::Envelope envelope);
  bool take_error(const Error& error);
  bool check_state(const Work& work);
  void start_up(const wire::Startup& startup, int16_t stream);
  void authenticate(const wire::AuthResponse& response, int16_t stream);
  Task<void> log_in(std::shared_ptr<Connection> self, std::string name, std::string password, int16_t stream);
  /// Answers nothing more, and closes once the client had time to read why.
  void dismiss();
  void start(std::unique_ptr<Work> work);
  Task<void> run_request(std::shared_ptr<Connection> self, std::unique_ptr<Work> work);
  /// Lets the client read why it is closed before it is.
  Task<void> part();

  // Statements (connection_statements.cc). Each sends its answer, and may take the request's values away.
  Task<void> run_query(wire::Query& query, int16_t stream, Ran& ran);
  Task<void> run_execute(wire::Execute& request, int16_t stream, Ran& ran);
  Task<void> run_batch(const wire::Batch& batch, int16_t stream, Ran& ran);
  void run_prepare(const wire::Prepare& request, int16_t stream);
  Task<void> run_role_statement(const RoleStatement& statement, std::string_view keyspace, int16_t stream, Ran& ran);
  void audit_change(const Plan& plan, const Outcome& outcome) const;
  const Principal* principal() const { return principal_ ? &*principal_ : nullptr; }
  Answer<PreparedPtr> find_prepared(BytesView id);
  Answer<QueryOptions> options_for(const Plan& plan, wire::QueryParameters& parameters, int16_t stream,
                                   Instant begun) const;
  void describe_to_client(const Describe& statement, std::string_view keyspace, int16_t stream, Ran& ran);
  void deliver(Outcome outcome, int16_t stream, Ran& ran);

  // Answers (connection.cc).
  void send(wire::ResponseMessage message, int16_t stream, std::vector<std::string> warnings = {});
  void send_error(wire::CqlErrorCode code, std::string text, int16_t stream);
  void send_envelope(Bytes envelope);
  void schedule_flush();
  /// Gives the transport what it takes now; drain() waits for the rest.
  void flush();
  Bytes take_framed();
  Task<void> drain(std::shared_ptr<Connection> self, Bytes out);
  void watch_backlog(bool progress);

  CqlServer& server_;
  std::unique_ptr<Stream> stream_;
  wire::FrameDecoder decoder_;
  wire::FrameEncoder encoder_;
  std::optional<wire::Version> version_;
  enum class State : uint8_t { starting, authenticating, logging_in, ready };
  State state_ = State::starting;
  bool closed_ = false;
  bool parting_ = false;  // nothing more is taken; backlog_timer_ closes
  uint8_t events_ = 0;    // bits by EventType
  std::string keyspace_;
  std::optional<Principal> principal_;  // where logging in is required: from then on

  uint32_t requests_ = 0;
  uint32_t refused_ = 0;  // of what was read last, since the last pause
  size_t request_bytes_ = 0;
  size_t answer_bytes_ = 16 << 10;  // what a request is expected to answer, from the latest answers
  WaitQueue room_;

  Bytes framed_;              // ready for the wire
  Bytes unframed_;            // envelopes behind it
  size_t sending_bytes_ = 0;  // by drain()
  struct Flush final : Ready {
    explicit Flush(Connection& of) : connection(of) {}
    void run() override { connection.flush(); }
    Connection& connection;
  } flush_{*this};
  std::optional<Instant> answer_waits_since_;
  WaitQueue sent_;
  Timer backlog_timer_;
  Timer login_timer_;
};

}  // namespace asterism::cql
