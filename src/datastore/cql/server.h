// Serves the CQL native protocol (v3, v4, v5) to clients: connections, prepared statements, events.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>

#include "base/metrics.h"
#include "cluster/liveness.h"
#include "datastore/cql/execute.h"
#include "datastore/cql/prepared_cache.h"
#include "datastore/cql/roles.h"
#include "gateway/admission.h"
#include "gateway/request_limits.h"
#include "runtime/io.h"
#include "runtime/task_group.h"

namespace asterism::cql {

struct CqlServerOptions {
  NodeId self = {};
  std::string cluster_name = "asterism";

  // Bounds of one connection. Reading stops at them, which pushes back on the client.
  uint32_t pipeline_max = 1024;               // requests under way
  size_t request_bytes_max = 64 << 20;        // of requests under way; one larger than that runs alone
  size_t backlog_bytes_max = 16 << 20;        // answers that the client has not taken
  Duration backlog_time_max = 30s;            // so long above that bound without progress, and it is closed
  size_t backlog_bytes_hard_max = 128 << 20;  // closed at once
  uint32_t body_size_max = 128 << 20;         // a longer request is refused and skipped

  // Bounds of the node.
  uint32_t connections_max = 10'000;          // one more is closed as soon as it is accepted
  AdmissionOptions admission{};               // of requests under way; more are answered with Overloaded
  size_t node_request_bytes_max = 512 << 20;  // of requests under way, likewise

  Duration write_timeout = 5s;
  Duration read_timeout = 10s;
  Duration schema_timeout = 30s;
  Duration login_time_max = 30s;  // where logging in is required: from connecting, or it is closed
  /// From a node's sign of life to the UP event: by then its CQL port answers.
  Duration up_event_delay = 1s;
};

enum class StatementKind : uint8_t { read, write, batch, schema, other };  // other: USE, DESCRIBE, not understood
inline constexpr size_t statement_kinds = 5;
const char* to_string(StatementKind kind);

/// Statements of QUERY, EXECUTE and BATCH, from the whole request to the whole answer.
struct StatementCounters {
  uint64_t failed = 0;  // answered with an error
  LatencyHistogram time;
};

/// Only grow, but for the gauges.
struct CqlCounters {
  uint64_t connections_open = 0, request_bytes_open = 0;                                // gauges
  uint64_t connections_accepted = 0, connections_refused = 0, connections_dropped = 0;  // dropped: backlog
  uint64_t bytes_received = 0, bytes_sent = 0;
  std::map<wire::Opcode, uint64_t> requests;
  std::map<wire::CqlErrorCode, uint64_t> errors;
  std::array<StatementCounters, statement_kinds> statements;  // by StatementKind
  uint64_t events_sent = 0;
};

/// Who may use the server. What it refers to must outlive it.
struct CqlAccess {
  const AccessState& state;
  Authenticator& authenticator;
  bool required = false;            // clients must log in; otherwise everybody may do everything
  RequestLimits* limits = nullptr;  // of users; may be null
};

class Connection;
class EventSource;

/// Used by one core. What it is given must outlive it; its catalog is that of `statements`. Names and addresses of
/// nodes come from `cluster`: endpoint "cql" is the port that clients are told.
class CqlServer {
 public:
  CqlServer(CqlServerOptions options, Executor& executor, Network& network, StatementExecutor& statements,
            PreparedCache& prepared, const ClusterState& cluster, const datastore::Schema& schema, Liveness& liveness,
            MetadataState& metadata, CqlAccess access, RoleStatements& roles, Log log);
  CqlServer(const CqlServer&) = delete;
  /// Closes every connection and cancels every request.
  ~CqlServer();

  /// May be called for several addresses. Errors: those of Network::listen.
  Status listen(const Address& address);
  /// Serves nobody any more: every connection ends.
  void stop();
  /// For a node that is about to stop: takes no new connections; answers every new request with IsBootstrapping, which
  /// has drivers ask another node. Requests under way go on.
  void refuse_connections();
  void refuse_requests() { refusing_ = true; }
  /// Another node says that it serves clients, or stops to: they hear of it.
  void announce(NodeId node, bool serves);
  bool listening() const { return !listeners_.empty(); }
  /// With the real port where 0 was asked for.
  Address local_address() const;

  const CqlCounters& counters() const { return counters_; }
  const CqlServerOptions& options() const { return options_; }
  const Admission& admission() const { return admission_; }

 private:
  friend class Connection;

  Task<void> accept_loop(Listener& listener);
  Task<void> serve(std::shared_ptr<Connection> connection);
  void send_event(const wire::Event& event);

  CqlServerOptions options_;
  Executor& executor_;
  Network& network_;
  StatementExecutor& statements_;
  PreparedCache& prepared_;
  const ClusterState& cluster_;
  const datastore::Schema& schema_;
  CqlAccess access_;
  RoleStatements& roles_;
  Log log_;
  CqlCounters counters_;
  Admission admission_;
  Instant next_refused_turn_{0};  // of connections that ask for far more than is taken on
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::map<uint64_t, std::shared_ptr<Connection>> connections_;
  uint64_t next_connection_ = 1;
  std::shared_ptr<EventSource> events_;
  bool refusing_ = false;
  TaskGroup tasks_, accepting_;
};

}  // namespace asterism::cql
