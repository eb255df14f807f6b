#include "datastore/cql/server.h"

#include "datastore/cql/connection.h"
#include "datastore/cql/event_source.h"

namespace asterism::cql {

const char* to_string(StatementKind kind) {
  switch (kind) {
    case StatementKind::read:
      return "read";
    case StatementKind::write:
      return "write";
    case StatementKind::batch:
      return "batch";
    case StatementKind::schema:
      return "schema";
    case StatementKind::other:
      break;
  }
  return "other";
}

CqlServer::CqlServer(CqlServerOptions options, Executor& executor, Network& network, StatementExecutor& statements,
                     PreparedCache& prepared, const ClusterState& cluster, const datastore::Schema& schema,
                     Liveness& liveness, MetadataState& metadata, CqlAccess access, RoleStatements& roles, Log log)
    : options_(std::move(options)),
      executor_(executor),
      network_(network),
      statements_(statements),
      prepared_(prepared),
      cluster_(cluster),
      schema_(schema),
      access_(access),
      roles_(roles),
      log_(std::move(log)),
      admission_(options_.admission, executor),
      tasks_(executor) {
  if (access_.required) statements_.require_principals();
  events_ = std::make_shared<EventSource>(options_.self, options_.up_event_delay, executor, cluster, schema, liveness,
                                          [this](const wire::Event& event) { send_event(event); });
  // Listeners cannot be taken back: they may outlive the server and then do nothing.
  liveness.on_change([events = std::weak_ptr(events_)](NodeId node, bool up) {
    if (auto source = events.lock()) source->liveness_changed(node, up);
  });
  metadata.on_change([events = std::weak_ptr(events_)] {
    if (auto source = events.lock()) source->metadata_changed();
  });
}

CqlServer::~CqlServer() { tasks_.cancel(); }

Status CqlServer::listen(const Address& address) {
  TRY(auto listener, network_.listen(address));
  log_.info("CQL clients are served at {}", listener->local_address().to_string());
  listeners_.push_back(std::move(listener));
  tasks_.spawn(accept_loop(*listeners_.back()));
  return {};
}

void CqlServer::stop() {
  tasks_.cancel();
  connections_.clear();
  listeners_.clear();
  counters_.connections_open = 0;
}

Address CqlServer::local_address() const {
  return listeners_.empty() ? Address{} : listeners_.front()->local_address();
}

Task<void> CqlServer::accept_loop(Listener& listener) {
  constexpr Duration pause = 100ms;
  while (true) {
    auto stream = co_await accept(listener);
    if (!stream && stream.error().code == ErrorCode::closed) co_return;
    if (!stream) {
      log_.warning("cannot accept a connection: {}", stream.error().to_string());
      co_await sleep_for(pause);
      continue;
    }
    if (counters_.connections_open >= options_.connections_max) {
      ++counters_.connections_refused;
      continue;
    }
    ++counters_.connections_accepted;
    tasks_.spawn(serve(std::make_shared<Connection>(*this, std::move(*stream))));
    ++counters_.connections_open;
  }
}

Task<void> CqlServer::serve(std::shared_ptr<Connection> connection) {
  const uint64_t id = next_connection_++;
  connections_[id] = connection;
  co_await connection->run();
  connection->close();
  connections_.erase(id);
  --counters_.connections_open;
}

void CqlServer::send_event(const wire::Event& event) {
  for (const auto& [id, connection] : connections_) connection->send_event(event);
}

}  // namespace asterism::cql
