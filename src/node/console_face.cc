#include "node/console_face.h"

#include <boost/json.hpp>

#include "base/hash.h"
#include "gateway/http_login.h"
#include "node/console_files.h"

namespace asterism {
namespace {

constexpr std::string_view actions_prefix = "/local/nodes/";

HttpResponse error_answer(int status, std::string_view message) {
  return HttpResponse::json(status, boost::json::serialize(boost::json::object{{"error", message}}));
}

/// What to refuse a POST with, if anything.
std::optional<HttpResponse> refusal(const HttpRequest& request) {
  if (!is_same_origin(request)) return error_answer(403, "only pages of this node may do this");
  const std::string* type = request.header("Content-Type");
  if (!type || (*type != "application/json" && !type->starts_with("application/json;")))
    return error_answer(415, "the body must be application/json");
  return std::nullopt;
}

HttpResponse answer_with(const ConsoleFile& file, const HttpRequest& request) {
  const std::string tag = fmt::format("\"{:016x}\"", xxh3(file.gzip));
  HttpHeaders headers{{"ETag", tag}, {"Cache-Control", "no-cache"}};
  if (const std::string* known = request.header("If-None-Match"); known && *known == tag)
    return {304, std::move(headers), {}};
  headers.emplace_back("Content-Type", file.content_type);
  headers.emplace_back("Content-Encoding", "gzip");
  headers.emplace_back("Content-Security-Policy",
                       "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
                       "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
  headers.emplace_back("X-Content-Type-Options", "nosniff");
  headers.emplace_back("Referrer-Policy", "no-referrer");
  return {200, std::move(headers), Bytes(file.gzip)};
}

}  // namespace

ConsoleFace::ConsoleFace(Node& node, Executor& executor, NodeHost* host, cql::StatementExecutor& statements,
                         cql::RoleStatements& roles, Authenticator& authenticator, RequestLimits& limits,
                         HttpGuard& guard)
    : node_(node),
      executor_(executor),
      host_(host),
      statements_(statements),
      roles_(roles),
      authenticator_(authenticator),
      limits_(limits),
      guard_(guard),
      feed_(node, executor, host) {}

void ConsoleFace::add_routes(HttpRouter& router) {
  for (const ConsoleFile& file : console_files())
    router.add(HttpMethod::get, std::string(file.path), [this, &file](HttpRequest request) -> Task<HttpResponse> {
      // The page asks for the login, which the browser then sends with the rest.
      if (file.path == "/")
        if (auto refused = co_await guard_.refusal(request, false)) co_return std::move(*refused);
      co_return answer_with(file, request);
    });
  router.add(HttpMethod::post, "/cql", [this](HttpRequest request) { return run_statement(std::move(request)); });
  router.add_websocket(
      "/live", [this](WebSocketConnection& socket) { return feed_.serve(socket); },
      [this](const HttpRequest& request) { return guard_.refusal(request, false); });
  if (host_ == nullptr || !host_->is_supervised()) return;
  router.add(HttpMethod::post, std::string(actions_prefix),
             [this](HttpRequest request) { return act_on_node(std::move(request)); });
  router.add(HttpMethod::post, "/local/isolated",
             [this](HttpRequest request) -> Task<HttpResponse> { co_return set_isolated(request); });
}

Task<HttpResponse> ConsoleFace::run_statement(HttpRequest request) {
  if (auto refused = refusal(request)) co_return std::move(*refused);
  auto query = cql::JsonQuery::parse(request.body);
  if (!query) co_return error_answer(400, query.error().message);
  cql::JsonQueryContext context{statements_, roles_, node_.cluster(), node_.config().cluster_name, executor_};
  context.audit = node_.audit();
  context.from = request.from;
  std::optional<Principal> user;
  if (node_.config().authentication) {
    auto known = co_await log_in(authenticator_, node_.access(), request);
    if (!known) co_return std::move(known).error();
    context.principal = &user.emplace(std::move(*known));
    if (!limits_.take(user->role(), executor_.now()))
      co_return error_answer(429, fmt::format("{} has made too many requests: try again later", user->role()));
  }
  co_return HttpResponse::json(200, co_await cql::run_json_query(context, std::move(*query)));
}

Task<HttpResponse> ConsoleFace::act_on_node(HttpRequest request) {
  if (auto refused = refusal(request)) co_return std::move(*refused);
  const std::string_view rest = std::string_view(request.path).substr(actions_prefix.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  const boost::json::object question{{"node", rest.substr(0, slash)},
                                     {"action", rest.substr(std::min(slash + 1, rest.size()))}};
  auto answer = co_await host_->ask_supervisor(boost::json::serialize(question));
  if (!answer) co_return error_answer(503, answer.error().message);
  boost::json::error_code bad;
  const boost::json::value said = boost::json::parse(*answer, bad);
  const bool done = !bad && said.is_object() && !said.get_object().contains("error");
  co_return HttpResponse::json(done ? 200 : 409, std::move(*answer));
}

HttpResponse ConsoleFace::set_isolated(const HttpRequest& request) {
  if (auto refused = refusal(request)) return std::move(*refused);
  boost::json::error_code bad;
  const boost::json::value value = boost::json::parse(request.body, bad);
  const boost::json::value* isolated = !bad && value.is_object() ? value.get_object().if_contains("isolated") : nullptr;
  if (!isolated || !isolated->is_bool()) return error_answer(400, "isolated must be true or false");
  node_.isolate(isolated->get_bool());
  return HttpResponse::json(200, "{}");
}

}  // namespace asterism
