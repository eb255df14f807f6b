#include "node/join_requests.h"

#include <boost/json.hpp>

#include "gateway/scram.h"
#include "node/member_requests.h"
#include "node/node_host.h"
#include "node/node_rpc.h"
#include "node/request_parts.h"

namespace asterism {

namespace {

constexpr Duration decide_limit = 20s;
constexpr Duration ask_limit = 2s;
constexpr size_t body_bytes_max = 16 << 10, text_bytes_max = 8 << 10;

Result<std::string> text_of(const boost::json::object& object, const char* name, bool must = true) {
  const boost::json::value* value = object.if_contains(name);
  if (value == nullptr && !must) return std::string();
  if (value == nullptr || !value->is_string() || value->get_string().size() > text_bytes_max)
    return fail(ErrorCode::corrupt, "the request must have a text {}", name);
  return std::string(value->get_string());
}

/// Exactly so many bytes.
Result<Bytes> bytes_of(const boost::json::object& object, const char* name, size_t size) {
  TRY(const std::string text, text_of(object, name));
  Bytes bytes;
  if (text.size() == 2 * size && from_hex(text, bytes)) return bytes;
  return fail(ErrorCode::corrupt, "{} must be {} bytes in hexadecimal digits", name, size);
}

Result<int64_t> number_of(const boost::json::object& object, const char* name) {
  const boost::json::value* value = object.if_contains(name);
  if (value != nullptr && value->is_int64()) return value->get_int64();
  return fail(ErrorCode::corrupt, "the request must have a number {}", name);
}

Result<boost::json::object> object_of(const HttpRequest& request) {
  boost::json::error_code error;
  if (request.body.size() <= body_bytes_max) {
    boost::json::value body = boost::json::parse(request.body, error);
    if (!error && body.is_object()) return std::move(body.get_object());
  }
  return fail(ErrorCode::corrupt, "the body must be a JSON object of {} bytes at most", body_bytes_max);
}

HttpResponse answer_of(Result<HttpResponse> done) { return done ? std::move(*done) : refusal(done.error()); }

Status status_of(const Result<HttpResponse>& done) { return done ? Status() : Status(fail(done.error())); }

}  // namespace

/// A machine whose token fits.
struct JoinRequests::Joiner {
  std::string token;  // its id
  JoinToken::Claim claim;
  boost::json::object body;
};

JoinRequests::JoinRequests(Node& node, Executor& executor, const Clock& clock, NodeHost& host)
    : node_(node), executor_(executor), clock_(clock), host_(host) {}

void JoinRequests::add_routes(HttpRouter& router) {
  router.add(HttpMethod::get, "/join/authority", [this](HttpRequest request) { return authority(std::move(request)); });
  router.add(HttpMethod::post, "/join/settings", [this](HttpRequest request) { return settings(std::move(request)); });
  router.add(HttpMethod::post, "/join/begin", [this](HttpRequest request) { return begin(std::move(request)); });
}

void JoinRequests::add_token_routes(HttpRouter& router) {
  for (const char* what : {"add", "list", "drop"})
    router.add(HttpMethod::post, std::string("/tokens/") + what,
               [this, what](HttpRequest request) { return change_tokens(std::move(request), what); });
}

bool JoinRequests::may_try(const std::string& host) {
  const Instant now = executor_.now();
  if (tries_.size() >= addresses_max)
    std::erase_if(tries_, [&](const auto& entry) { return entry.second.full(now, tries_rate, tries_burst); });
  if (tries_.size() >= addresses_max && !tries_.contains(host)) return false;
  return tries_[host].take(now, tries_rate, tries_burst);
}

Result<JoinRequests::Joiner> JoinRequests::admit(const HttpRequest& request) {
  if (!is_same_origin(request)) return fail(ErrorCode::unauthorized, "no page may do this");
  if (!may_try(request.from.host)) return fail(ErrorCode::overloaded, "too many attempts to join: try again later");
  TRY(boost::json::object body, object_of(request));
  Joiner joiner;
  TRY(joiner.token, text_of(body, "id"));
  TRY(const Bytes secret, bytes_of(body, "secret", join_secret_bytes));
  TRY(const Bytes claim, bytes_of(body, "claim", join_secret_bytes));
  TRY(joiner.claim.name, text_of(body, "name"));
  TRY(joiner.claim.address, text_of(body, "address"));
  joiner.claim.claimant = hash_of_join_secret(claim);
  TRY_STATUS(node_.access().tokens().check(joiner.token, secret, joiner.claim.claimant, clock_.wall_now()));
  joiner.body = std::move(body);
  return joiner;
}

Task<HttpResponse> JoinRequests::authority(HttpRequest) {
  const auto authority = host_.authority();
  if (!authority) co_return refusal(authority.error());
  const boost::json::object answer{{"cluster", node_.config().cluster_name}, {"authority", *authority}};
  co_return HttpResponse::json(200, boost::json::serialize(answer));
}

Task<HttpResponse> JoinRequests::settings(HttpRequest request) {
  auto joiner = admit(request);
  std::string what = "JOIN";
  Result<HttpResponse> done = fail(ErrorCode::internal, "");
  if (joiner) {
    what = fmt::format("JOIN {} AT {} WITH TOKEN {}", joiner->claim.name, joiner->claim.address, joiner->token);
    done = co_await give_settings(std::move(*joiner));
  } else {
    done = fail(joiner.error());
  }
  node_.audit().change("", request.from, what, status_of(done));
  co_return answer_of(std::move(done));
}

Task<Status> JoinRequests::check_can_sign() {
  if (host_.can_sign()) co_return Status{};
  std::string others;
  for (const auto& [id, member] : node_.cluster().nodes()) {
    if (id == node_.config().id || !node_.liveness().up(id)) continue;
    auto signs = co_await node_.rpc().call(id, rpc_method::node_signs, {}, executor_.now() + ask_limit);
    if (!signs || signs->empty()) continue;
    others += (others.empty() ? "" : " or ") +
              fmt::format("{} ({})", member.name, Address{member.host, member.port("http")}.to_string());
  }
  if (others.empty())
    co_return fail(
        ErrorCode::invalid_argument,
        "no node that is up has the key of the cluster's authority (ca.key), so nobody can sign a certificate. "
        "Put it into the cluster's folder on the machine of one of them for as long as machines join");
  co_return fail(ErrorCode::invalid_argument,
                 "{} does not have the key of the cluster's authority (ca.key), so it cannot sign a certificate: join "
                 "by way of {}",
                 node_.config().name, others);
}

Task<Result<HttpResponse>> JoinRequests::give_settings(Joiner joiner) {
  const ClusterState& cluster = node_.cluster();
  const NodeConfig& own = node_.config();
  const JoinToken::Claim& claim = joiner.claim;
  CO_TRY(const std::string authority, host_.authority());
  CO_TRY(const std::string request, text_of(joiner.body, "request", !authority.empty()));
  const auto& tokens = node_.access().tokens().all();
  const auto token = tokens.find(joiner.token);
  const bool resumes = token != tokens.end() && token->second.claim_of(claim.claimant) != nullptr;
  NodeId id = cluster.next_node();
  bool known = false;
  const auto look_at = [&](const NodeInfo& member) -> Status {
    const bool same = member.name == claim.name && member.host == claim.address;
    if (same && resumes) {
      id = member.id;
      known = true;
    } else if (member.name == claim.name) {
      return fail(ErrorCode::already_exists, "there is a node {} already: choose another --name", claim.name);
    } else if (member.host == claim.address) {
      return fail(ErrorCode::already_exists, "{} is the address of {}: choose another --address", claim.address,
                  member.name);
    }
    return {};
  };
  for (const auto& [member_id, member] : cluster.nodes()) CO_TRY_STATUS(look_at(member));
  if (cluster.change() && cluster.change()->comes) CO_TRY_STATUS(look_at(*cluster.change()->comes));
  if (cluster.change() && !known)
    co_return fail(ErrorCode::already_exists, "one change of members at a time: try again when this one is over");
  NodeConfig check = own;
  check.id = id;
  check.name = claim.name;
  check.address = claim.address;
  check.seeds = {{check.id, check.name, check.address, check.rpc_port, check.place}};
  CO_TRY_STATUS(check_node_config(check));
  if (!authority.empty()) CO_TRY_STATUS(co_await check_can_sign());
  CO_TRY_STATUS(co_await node_.metadata().propose(AccessState::section_name,
                                                  JoinTokens::claim(joiner.token, claim, clock_.wall_now()),
                                                  executor_.now() + decide_limit));
  std::string certificate;
  if (!authority.empty()) {
    CO_TRY(certificate, host_.sign(request, claim.name, claim.address));
  }
  boost::json::array members;
  for (const auto& [member_id, member] : cluster.nodes())
    if (member_id != id)
      members.push_back({{"id", member_id.value},
                         {"name", member.name},
                         {"address", member.host},
                         {"rpc", member.rpc_port},
                         {"datacenter", member.place.datacenter},
                         {"rack", member.place.rack}});
  const boost::json::object answer{{"id", id.value},
                                   {"known", known},
                                   {"cluster", own.cluster_name},
                                   {"authentication", own.authentication},
                                   {"cql", own.cql_port},
                                   {"http", own.http_port},
                                   {"rpc", own.rpc_port},
                                   {"datacenter", own.place.datacenter},
                                   {"rack", own.place.rack},
                                   {"certificate", certificate},
                                   {"members", std::move(members)}};
  co_return HttpResponse::json(200, boost::json::serialize(answer));
}

Task<HttpResponse> JoinRequests::begin(HttpRequest request) {
  auto joiner = admit(request);
  Status done;
  std::string what = "JOIN";
  if (joiner) {
    what =
        fmt::format("BEGIN TO JOIN {} AT {} WITH TOKEN {}", joiner->claim.name, joiner->claim.address, joiner->token);
    done = co_await begin_joining(std::move(*joiner));
  } else {
    done = fail(joiner.error());
  }
  node_.audit().change("", request.from, what, done);
  co_return done ? HttpResponse::json(200, R"({"ok":true})") : refusal(done.error());
}

Task<Status> JoinRequests::begin_joining(Joiner joiner) {
  const auto& tokens = node_.access().tokens().all();
  const auto token = tokens.find(joiner.token);
  const JoinToken::Claim* claim = token == tokens.end() ? nullptr : token->second.claim_of(joiner.claim.claimant);
  if (claim == nullptr || *claim != joiner.claim)
    co_return fail(ErrorCode::unauthorized, "this machine did not ask for the settings of {} yet", joiner.claim.name);
  const boost::json::value* node = joiner.body.if_contains("node");
  const auto info = node != nullptr && node->is_object() ? read_joining_node(node->get_object()) : std::nullopt;
  if (!info || info->name != claim->name || info->host != claim->address)
    co_return fail(ErrorCode::corrupt, "node must be the settings of {} at {}", claim->name, claim->address);
  const NodeInfo* known = node_.cluster().node(info->id);
  if (known != nullptr && known->name == info->name && known->host == info->host) co_return Status{};
  co_return co_await node_.add_member(*info, {}, executor_.now() + decide_limit);
}

Task<HttpResponse> JoinRequests::change_tokens(HttpRequest request, const char* what) {
  auto body = object_of(request);
  if (!body) co_return refusal(body.error());
  const auto secret = text_of(*body, "secret");
  const auto deadline = executor_.now() + decide_limit;
  const std::string_view verb = what;
  std::string said = verb == "add" ? "CREATE JOIN TOKEN" : verb == "drop" ? "DROP JOIN TOKEN" : "LIST JOIN TOKENS";
  if (!is_same_origin(request) || !secret || !equal_in_constant_time(*secret, host_.folder_secret())) {
    Status refused = fail(ErrorCode::unauthorized, "only who may read the node's folder may do this");
    node_.audit().change("", request.from, said, refused);
    co_return refusal(refused.error());
  }
  if (verb == "list") {
    auto list = token_list();
    co_return list ? HttpResponse::json(200, std::move(*list)) : refusal(list.error());
  }
  const auto id = text_of(*body, "id");
  if (!id) co_return refusal(id.error());
  Bytes command = JoinTokens::drop(*id);
  if (verb == "add") {
    const auto hash = bytes_of(*body, "hash", 32);
    const auto expires = number_of(*body, "expires_s"), uses = number_of(*body, "uses");
    if (!hash || !expires || !uses || *expires < 1 || *expires > join_expiry_most_s || *uses < 1 ||
        *uses > join_uses_max)
      co_return refusal({ErrorCode::corrupt, "a token needs a hash, expires_s and uses"});
    const WallTime now = clock_.wall_now();
    command =
        JoinTokens::add(*id, {*hash, WallTime{now.us + *expires * 1'000'000}, static_cast<uint32_t>(*uses), {}}, now);
  }
  auto done = co_await node_.metadata().propose(AccessState::section_name, std::move(command), deadline);
  const Status outcome = done ? Status() : Status(fail(done.error()));
  node_.audit().change("", request.from, fmt::format("{} {}", said, *id), outcome);
  co_return outcome ? HttpResponse::json(200, R"({"ok":true})") : refusal(outcome.error());
}

Result<std::string> JoinRequests::token_list() const {
  boost::json::array tokens;
  const WallTime now = clock_.wall_now();
  for (const auto& [id, token] : node_.access().tokens().all()) {
    if (token.expires <= now) continue;
    boost::json::array machines;
    for (const JoinToken::Claim& claim : token.claims)
      machines.push_back({{"name", claim.name}, {"address", claim.address}});
    tokens.push_back({{"id", id},
                      {"expires_in_s", (token.expires.us - now.us) / 1'000'000},
                      {"uses_left", token.uses},
                      {"used_by", std::move(machines)}});
  }
  return boost::json::serialize(boost::json::object{{"tokens", std::move(tokens)}});
}

}  // namespace asterism
