#include "node/client_faces.h"

#include <boost/json.hpp>

#include "node/member_requests.h"
#include "node/shard_report.h"

namespace asterism {

constexpr size_t max_prepared = 10'000, max_prepared_bytes = 32 << 20;
constexpr Duration verify_limit = 55s;
constexpr size_t join_connections_max = 32;

static cql::CqlServerOptions cql_options(const NodeConfig& config) {
  cql::CqlServerOptions options;
  options.self = config.id;
  options.cluster_name = config.cluster_name;
  options.node_request_bytes_max = (uint64_t{config.memory_mib} << 20) / 8;
  return options;
}

ClientFaces::ClientFaces(Node& node, NodePorts ports, NodeHost* host, Log log)
    : node_(node),
      ports_(ports),
      log_(std::move(log)),
      prepared_(max_prepared, max_prepared_bytes),
      changes_(cql::make_schema_changes(node.metadata())),
      statements_(cql::Catalog{node.schema(), virtual_tables_}, node.tables(), *changes_, ports.clock, ports.random),
      authenticator_(node.access(), ports.disk, ports.random, node.audit()),
      limits_(node.access()),
      roles_(statements_.catalog(), node.access(), *changes_, authenticator_),
      cql_(cql_options(node.config()), ports.executor, ports.clients(), statements_, prepared_, node.cluster(),
           node.schema(), node.liveness(), node.metadata().state(),
           cql::CqlAccess{node.access(), authenticator_, node.config().authentication, &limits_}, roles_,
           log_.child("cql")),
      guard_(node.config().authentication, authenticator_, node.access(),
             host != nullptr ? host->folder_secret() : std::string()),
      console_(node, ports.executor, host, statements_, roles_, authenticator_, limits_, guard_) {
  cql::add_system_tables(virtual_tables_,
                         {node.config().id, node.config().cluster_name, node.cluster(), node.schema(), prepared_});
  if (host == nullptr) return;
  joins_ = std::make_unique<JoinRequests>(node, ports_.executor, ports_.clock, *host);
  backups_ = std::make_unique<BackupRequests>(node, ports_.executor, *host);
}

Status ClientFaces::listen() {
  TRY(auto http, ports_.clients().listen(node_.config().http()));
  HttpServerOptions options;
  options.limits.large_target = BackupRequests::rows_target;
  options.limits.large_body_bytes_max = BackupRequests::rows_bytes_max;
  http_ = std::make_unique<HttpServer>(ports_.executor, std::move(http), routes(), log_.child("http"), options);
  listen_for_joiners();
  return {};
}

/// Where HTTP is for this machine alone, others get what they need to join, and nothing else.
void ClientFaces::listen_for_joiners() {
  const NodeConfig& config = node_.config();
  if (joins_ == nullptr || config.tls.nodes.empty() || config.http().host == config.address) return;
  HttpRouter router;
  joins_->add_routes(router);
  HttpServerOptions options;
  options.connections_max = join_connections_max;
  auto listener = ports_.clients().listen({config.address, config.http_port});
  if (!listener) return log_.warning("no machine can join by way of this node: {}", listener.error().message);
  join_http_ = std::make_unique<HttpServer>(ports_.executor, std::move(*listener), std::move(router),
                                            log_.child("join"), options);
}

HttpHandler ClientFaces::guarded(HttpHandler handler, bool superuser) {
  return [this, superuser, handler = std::move(handler)](HttpRequest request) -> Task<HttpResponse> {
    if (auto refused = co_await guard_.refusal(request, superuser)) co_return std::move(*refused);
    co_return co_await handler(std::move(request));
  };
}

HttpRouter ClientFaces::routes() {
  HttpRouter router;
  const auto status = [this](HttpRequest) -> Task<HttpResponse> {
    co_return HttpResponse::json(200, node_.status_json());
  };
  const auto shards = [this](HttpRequest request) -> Task<HttpResponse> { co_return shards_page(node_, request); };
  router.add(HttpMethod::get, "/status", guarded(status, false));
  router.add(HttpMethod::get, "/shards", guarded(shards, false));
  router.add(HttpMethod::get, "/healthz", [this](HttpRequest) -> Task<HttpResponse> {
    const bool serving = node_.state() == NodeState::serving;
    co_return HttpResponse::text(serving ? 200 : 503, std::string(to_string(node_.state())) + "\n");
  });
  router.add(HttpMethod::get, "/metrics", [this](HttpRequest) -> Task<HttpResponse> {
    MetricsPage page;
    report(page);
    HttpResponse response = HttpResponse::text(200, page.text());
    response.headers = {{"Content-Type", MetricsPage::content_type}};
    co_return response;
  });
  router.add(HttpMethod::post, "/verify",
             guarded([this](HttpRequest request) { return verify(std::move(request)); }, true));
  const auto drain = [this](HttpRequest request) -> Task<HttpResponse> { co_return begin_drain(request); };
  router.add(HttpMethod::post, "/drain", guarded(drain, true));
  console_.add_routes(router);
  if (joins_ != nullptr) {
    joins_->add_routes(router);
    joins_->add_token_routes(router);
  }
  if (backups_ != nullptr) backups_->add_routes(router);
  for (const MemberAction action : {MemberAction::add, MemberAction::remove, MemberAction::remove_dead,
                                    MemberAction::cancel, MemberAction::rebalance})
    router.add(
        HttpMethod::post, std::string("/members/") + to_string(action),
        guarded([this, action](
                    HttpRequest request) { return change_members(node_, ports_.executor, action, std::move(request)); },
                true));
  const auto balance = [this](HttpRequest) { return balance_page(node_, ports_.executor); };
  router.add(HttpMethod::get, "/balance", guarded(balance, false));
  const auto settings = [this](HttpRequest request) {
    return change_setting(node_, ports_.executor, std::move(request));
  };
  router.add(HttpMethod::post, "/settings", guarded(settings, true));
  return router;
}

HttpResponse ClientFaces::begin_drain(const HttpRequest& request) {
  if (!is_same_origin(request)) return HttpResponse::text(403, "only pages of this server may do this\n");
  const std::string* force = request.parameter("force");
  Status begun = node_.begin_drain(force != nullptr && *force == "true");
  if (!begun) return HttpResponse::text(409, begun.error().message + "\n");
  return HttpResponse::json(200, R"({"ok":true})");
}

Task<HttpResponse> ClientFaces::verify(HttpRequest request) {
  if (!is_same_origin(request)) co_return HttpResponse::text(403, "only pages of this server may do this\n");
  auto differences = co_await node_.anti_entropy().verify(ports_.executor.now() + verify_limit);
  if (!differences) co_return HttpResponse::text(503, differences.error().to_string() + "\n");
  boost::json::array found;
  const auto name_of = [&](NodeId id) {
    const NodeInfo* known = node_.cluster().node(id);
    return known != nullptr ? known->name : std::string();
  };
  for (const datastore::Difference& difference : *differences) {
    boost::json::array nodes{name_of(difference.a)};
    if (difference.b != difference.a) nodes.push_back(boost::json::string(name_of(difference.b)));
    found.push_back({{"keyspace", difference.keyspace},
                     {"table", difference.table},
                     {"shard", difference.shard.value},
                     {"nodes", std::move(nodes)},
                     {"ranges", difference.ranges},
                     {"what", difference.what}});
  }
  size_t tables = 0;
  for (const auto& [name, keyspace] : node_.schema().keyspaces()) tables += keyspace.tables.size();
  const boost::json::object answer{
      {"differences", std::move(found)}, {"shards", node_.cluster().shards().size()}, {"tables", tables}};
  co_return HttpResponse::json(200, boost::json::serialize(answer));
}

void ClientFaces::report(MetricsPage& page) const {
  const cql::CqlCounters& cql = cql_.counters();
  page.gauge("asterism_cql_connections", "Open CQL connections.", static_cast<double>(cql.connections_open));
  page.gauge("asterism_cql_requests_open", "CQL requests under way.", static_cast<double>(cql_.admission().open()));
  page.gauge("asterism_cql_requests_limit", "CQL requests that may be under way at the core's present pace.",
             static_cast<double>(cql_.admission().limit()));
  page.counter("asterism_cql_requests_refused_total", "CQL requests refused because too many were under way.",
               cql_.admission().refused());
  page.gauge("asterism_cql_request_bytes_open", "Bytes of CQL requests under way.",
             static_cast<double>(cql.request_bytes_open));
  page.counter("asterism_cql_connections_refused_total", "CQL connections beyond the bound of the node.",
               cql.connections_refused);
  page.counter("asterism_cql_connections_accepted_total", "CQL connections accepted.", cql.connections_accepted);
  page.counter("asterism_cql_received_bytes_total", "Bytes received from CQL clients.", cql.bytes_received);
  page.counter("asterism_cql_sent_bytes_total", "Bytes sent to CQL clients.", cql.bytes_sent);
  for (const auto& [opcode, count] : cql.requests)
    page.counter("asterism_cql_requests_total", "CQL requests by opcode.", count,
                 {{"opcode", cql::wire::to_string(opcode)}});
  for (const auto& [code, count] : cql.errors)
    page.counter("asterism_cql_errors_total", "CQL error answers by code.", count,
                 {{"code", fmt::format("{:#06x}", static_cast<uint32_t>(code))}});
  for (size_t i = 0; i < cql::statement_kinds; ++i) {
    const cql::StatementCounters& statements = cql.statements[i];
    const char* kind = to_string(static_cast<cql::StatementKind>(i));
    const char* help = "CQL statements by kind and result.";
    page.counter("asterism_cql_statements_total", help, statements.time.count() - statements.failed,
                 {{"kind", kind}, {"result", "ok"}});
    page.counter("asterism_cql_statements_total", help, statements.failed, {{"kind", kind}, {"result", "error"}});
    page.histogram("asterism_cql_statement_seconds", "From the whole CQL request to the whole answer, by kind.",
                   statements.time, {{"kind", kind}});
  }
  const AuthenticatorCounters& logins = authenticator_.counters();
  page.counter("asterism_logins_total", "Logins that succeeded.", logins.logins);
  page.counter("asterism_logins_refused_total", "Logins that were refused.", logins.refused);
  page.counter("asterism_requests_limited_total", "Requests refused because their user has made too many.",
               limits_.refused());
  node_.report(page);
  http_->report(page);
}

}  // namespace asterism
