// A CQL client over one connection: for tests, the simulator's load and the command line.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "datastore/cql/message.h"
#include "runtime/io.h"
#include "runtime/one_shot.h"
#include "runtime/task_group.h"

namespace asterism::cql {

struct CqlClientOptions {
  wire::Version version = wire::Version::v5;
  wire::Compression compression = wire::Compression::none;
  uint32_t body_size_max = 256 << 20;
  uint32_t requests_max = 16'384;        // under way; more fail as overloaded
  std::string user = {}, password = {};  // for servers that want a login
};

/// An answer with the bytes that it points into.
struct CqlReply {
  std::unique_ptr<wire::Envelope> envelope;
  wire::Response response;

  /// Null where the answer is another one.
  template <class Message>
  const Message* get() const {
    return std::get_if<Message>(&response.message);
  }
  const wire::ErrorResponse* error() const { return get<wire::ErrorResponse>(); }
  /// The cells of a result of rows; empty for other answers.
  std::vector<std::vector<std::optional<Bytes>>> rows() const;
};

/// A bound value that owns its bytes.
using CqlValue = std::optional<Bytes>;

struct CqlQueryOptions {
  wire::Consistency consistency = wire::Consistency::quorum;
  std::optional<wire::Consistency> serial_consistency = {};
  int32_t page_size = 0;
  Bytes paging_state = {};
  std::optional<int64_t> timestamp_us = {};
  bool skip_metadata = false;
  std::string keyspace = {};  // v5
};

/// Requests may be under way at once; each answer finds its own. An ERROR of the server is a reply, not an Error.
/// Errors of all calls: closed and io (the connection is gone; the request may have been done), timeout (the same),
/// overloaded, and what encoding refuses. Used by one core; destroy no task of it after it.
class CqlClient {
 public:
  /// Connects and starts up. Errors: also unavailable, and invalid_argument with the server's message.
  static Task<Result<std::unique_ptr<CqlClient>>> connect(Executor& executor, Network& network, Address address,
                                                          Instant deadline, CqlClientOptions options = {});
  ~CqlClient();

  Task<Result<CqlReply>> query(std::string text, Instant deadline, std::vector<CqlValue> values = {},
                               CqlQueryOptions options = {});
  Task<Result<CqlReply>> prepare(std::string text, Instant deadline, std::string keyspace = {});
  /// `prepared` as PREPARE gave it.
  Task<Result<CqlReply>> execute(wire::Prepared prepared, std::vector<CqlValue> values, Instant deadline,
                                 CqlQueryOptions options = {});
  struct Statement {
    std::string text_or_id;
    bool prepared = false;
    std::vector<CqlValue> values;
  };
  Task<Result<CqlReply>> batch(wire::BatchType type, std::vector<Statement> statements, Instant deadline,
                               CqlQueryOptions options = {});
  /// All pages of a query. Errors: invalid_argument where the server answers with an ERROR.
  Task<Result<std::vector<std::vector<std::optional<Bytes>>>>> query_all(std::string text, Instant deadline,
                                                                         CqlQueryOptions options = {});
  /// Any request. What it points to must live until it is sent, which is before this returns.
  Task<Result<CqlReply>> call(const wire::RequestMessage& message, Instant deadline);
  /// A request that is encoded already: one whole envelope in the client's version, whose stream is set here.
  Task<Result<CqlReply>> call_encoded(Bytes envelope, Instant deadline);

  Task<Result<CqlReply>> register_events(std::vector<wire::EventType> events, Instant deadline);
  /// Called for every event.
  void on_event(std::function<void(const wire::Event&)> listener) { listener_ = std::move(listener); }

  bool closed() const { return closed_; }
  wire::Version version() const { return options_.version; }

 private:
  CqlClient(Executor& executor, std::unique_ptr<Stream> stream, CqlClientOptions options);
  Task<Status> start_up(Instant deadline);
  Task<Status> log_in(Instant deadline);
  Task<void> read_loop();
  Task<void> write_loop();
  Status take(wire::Envelope envelope);
  void fail_all(const Error& error);
  Result<int16_t> free_stream();
  Task<Result<CqlReply>> answer_on(int16_t stream, Instant deadline);

  CqlClientOptions options_;
  std::unique_ptr<Stream> stream_;
  wire::FrameDecoder decoder_;
  wire::FrameEncoder encoder_;
  Bytes unsent_;
  bool writing_ = false, closed_ = false;
  int16_t next_stream_ = 0;
  std::map<int16_t, OneShot<CqlReply>::Sender> pending_;
  std::function<void(const wire::Event&)> listener_;
  TaskGroup tasks_;
};

}  // namespace asterism::cql
