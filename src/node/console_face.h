// What the console in the browser asks of a node beside its files: statements, the live view and, in a local cluster,
// faults to try.
#pragma once

#include "datastore/cql/json_query.h"
#include "gateway/http.h"
#include "gateway/http_guard.h"
#include "gateway/request_limits.h"
#include "node/live_feed.h"

namespace asterism {

/// Everything here but the files is for pages of this node alone (is_same_origin) and for what is no browser; POST
/// takes application/json, which no form of another page can send.
class ConsoleFace {
 public:
  /// All of it outlives this, and this the server that the routes are for.
  ConsoleFace(Node& node, Executor& executor, NodeHost* host, cql::StatementExecutor& statements,
              cql::RoleStatements& roles, Authenticator& authenticator, RequestLimits& limits, HttpGuard& guard);

  ///   GET  /, /console.js, …            the console's files (console_files.h)
  ///   GET  /live                       WebSocket, live_feed.h
  ///   POST /cql                        json_query.h; with a login (http_login.h) where clients must log in
  /// and, where `asterism up` runs the node:
  ///   POST /local/nodes/NAME/ACTION    the supervisor does it: kill, freeze, thaw, start, cut-off, heal, decommission,
  ///                                    remove, cancel; add, where NAME says nothing
  ///   POST /local/isolated             {"isolated": true}: this node's own part in cut-off and heal
  void add_routes(HttpRouter& router);

 private:
  Task<HttpResponse> run_statement(HttpRequest request);
  Task<HttpResponse> act_on_node(HttpRequest request);
  HttpResponse set_isolated(const HttpRequest& request);

  Node& node_;
  Executor& executor_;
  NodeHost* host_;
  cql::StatementExecutor& statements_;
  cql::RoleStatements& roles_;
  Authenticator& authenticator_;
  RequestLimits& limits_;
  HttpGuard& guard_;
  LiveFeed feed_;
};

}  // namespace asterism
