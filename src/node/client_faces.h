// What clients of a node see: the CQL server, and HTTP for status, metrics and administration.
#pragma once

#include "datastore/cql/server.h"
#include "datastore/cql/system_tables.h"
#include "gateway/http.h"
#include "gateway/http_guard.h"
#include "node/backup_requests.h"
#include "node/console_face.h"
#include "node/join_requests.h"
#include "node/node.h"

namespace asterism {

/// Made when the node is ready to serve; destroying it ends every connection. The node's parts must outlive it.
class ClientFaces {
 public:
  ClientFaces(Node& node, NodePorts ports, NodeHost* host, Log log);

  /// HTTP. Errors, here and below: already_exists where a port is in use.
  Status listen();
  Status listen_cql() { return cql_.listen(node_.config().cql()); }
  bool serves_cql() const { return cql_.listening(); }
  void close_cql() { cql_.stop(); }
  void refuse_connections() { cql_.refuse_connections(); }
  void refuse_requests() { cql_.refuse_requests(); }
  /// Another node serves clients, or is about to stop: clients that registered hear of it.
  void announce(NodeId node, bool serves) { cql_.announce(node, serves); }

  const cql::CqlCounters& cql_counters() const { return cql_.counters(); }
  uint32_t cql_requests_open() const { return cql_.admission().open(); }

 private:
  HttpRouter routes();
  /// `superuser`: it changes something.
  HttpHandler guarded(HttpHandler handler, bool superuser);
  HttpResponse begin_drain(const HttpRequest& request);
  void listen_for_joiners();
  Task<HttpResponse> verify(HttpRequest request);
  void report(MetricsPage& page) const;

  Node& node_;
  NodePorts ports_;
  Log log_;
  cql::VirtualTables virtual_tables_;
  cql::PreparedCache prepared_;
  std::unique_ptr<cql::SchemaChanges> changes_;
  cql::StatementExecutor statements_;
  Authenticator authenticator_;
  RequestLimits limits_;
  cql::RoleStatements roles_;
  cql::CqlServer cql_;
  HttpGuard guard_;
  ConsoleFace console_;
  std::unique_ptr<JoinRequests> joins_;      // where there is a process around the node
  std::unique_ptr<BackupRequests> backups_;  // where there is a process around the node
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<HttpServer> join_http_;  // where `http_` is not reached from other machines
};

}  // namespace asterism
