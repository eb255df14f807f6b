#include "node/member_requests.h"

#include <boost/json.hpp>
#include <set>

#include "base/hash.h"

namespace asterism {

namespace {

constexpr Duration decide_limit = 20s;
constexpr size_t longest_text = 64;

const char* const bad_request = "the body must be a JSON object with the settings of the node\n";
const char* const bad_setting = "the body must be a JSON object with the strings name and value\n";

std::optional<std::string> text_of(const boost::json::object& object, const char* name) {
  const boost::json::value* value = object.if_contains(name);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  std::string text(value->get_string());
  if (text.empty() || text.size() > longest_text) return std::nullopt;
  return text;
}

std::optional<uint32_t> number_of(const boost::json::object& object, const char* name, int64_t most) {
  const boost::json::value* value = object.if_contains(name);
  if (value == nullptr || !value->is_int64()) return std::nullopt;
  const int64_t number = value->get_int64();
  if (number < 1 || number > most) return std::nullopt;
  return static_cast<uint32_t>(number);
}

}  // namespace

std::optional<NodeInfo> read_joining_node(const boost::json::object& object) {
  const auto id = number_of(object, "id", UINT32_MAX - 1);
  const auto name = text_of(object, "name"), address = text_of(object, "address");
  const auto datacenter = text_of(object, "datacenter"), rack = text_of(object, "rack");
  const auto rpc = number_of(object, "rpc", UINT16_MAX), cql = number_of(object, "cql", UINT16_MAX),
             http = number_of(object, "http", UINT16_MAX);
  if (!id || !name || !address || !datacenter || !rack || !rpc || !cql || !http) return std::nullopt;
  NodeConfig check;
  check.id = NodeId{*id};
  check.name = *name;
  check.address = *address;
  check.place = {*datacenter, *rack};
  check.rpc_port = static_cast<uint16_t>(*rpc);
  check.cql_port = static_cast<uint16_t>(*cql);
  check.http_port = static_cast<uint16_t>(*http);
  check.seeds = {{check.id, check.name, check.address, check.rpc_port, check.place}};
  if (!check_node_config(check)) return std::nullopt;
  NodeInfo node;
  node.id = check.id;
  node.name = check.name;
  node.host = check.address;
  node.rpc_port = check.rpc_port;
  node.endpoints = {{"cql", check.cql_port}, {"http", check.http_port}};
  node.place = check.place;
  return node;
}

namespace {

/// A member, or the node that comes, of that name.
Result<NodeId> find_node(const ClusterState& cluster, const std::string& name) {
  for (const auto& [id, node] : cluster.nodes())
    if (node.name == name) return id;
  if (cluster.change() && cluster.change()->comes && cluster.change()->comes->name == name)
    return cluster.change()->comes->id;
  return fail(ErrorCode::not_found, "the cluster has no node {}", name);
}

Task<Status> carry_out(Node& node, MemberAction action, const boost::json::object& object, Instant deadline) {
  if (action == MemberAction::add) {
    const auto joiner = read_joining_node(object);
    if (!joiner) co_return fail(ErrorCode::corrupt, "{}", bad_request);
    NodeId replaces;
    if (object.contains("replaces")) {
      const auto name = text_of(object, "replaces");
      if (!name) co_return fail(ErrorCode::corrupt, "{}", bad_request);
      CO_TRY(replaces, find_node(node.cluster(), *name));
    }
    co_return co_await node.add_member(*joiner, replaces, deadline);
  }
  if (action == MemberAction::rebalance) co_return co_await node.rebalance(deadline);
  const auto name = text_of(object, "name");
  if (!name) co_return fail(ErrorCode::corrupt, "{}", bad_request);
  CO_TRY(const NodeId id, find_node(node.cluster(), *name));
  if (action == MemberAction::remove) co_return co_await node.remove_member(id, deadline);
  if (action == MemberAction::remove_dead) co_return co_await node.remove_dead_member(id, deadline);
  co_return co_await node.cancel_change(id, deadline);
}

}  // namespace

const char* to_string(MemberAction action) {
  switch (action) {
    case MemberAction::add:
      return "add";
    case MemberAction::remove:
      return "remove";
    case MemberAction::remove_dead:
      return "remove_dead";
    case MemberAction::cancel:
      return "cancel";
    case MemberAction::rebalance:
      return "rebalance";
  }
  return "unknown";
}

static HttpResponse answer_of(const Status& done) {
  if (done) return HttpResponse::json(200, R"({"ok":true})");
  switch (done.error().code) {
    case ErrorCode::corrupt:
      return HttpResponse::text(400, done.error().message);
    case ErrorCode::already_exists:
    case ErrorCode::invalid_argument:
    case ErrorCode::not_found:
    case ErrorCode::unsupported:
      return HttpResponse::text(409, done.error().message + "\n");
    default:
      return HttpResponse::text(503, done.error().to_string() + "\n");
  }
}

Task<HttpResponse> change_members(Node& node, Executor& executor, MemberAction action, HttpRequest request) {
  if (!is_same_origin(request)) co_return HttpResponse::text(403, "only pages of this server may do this\n");
  boost::json::error_code error;
  const boost::json::value body = boost::json::parse(request.body, error);
  if (error || !body.is_object()) co_return HttpResponse::text(400, bad_request);
  co_return answer_of(co_await carry_out(node, action, body.get_object(), executor.now() + decide_limit));
}

Task<HttpResponse> balance_page(Node& node, Executor& executor) {
  const BalanceOutlook outlook = co_await node.balance(executor.now() + decide_limit);
  const ClusterState& cluster = node.cluster();
  std::map<NodeId, std::set<int64_t>> last;
  boost::json::array steps, nodes;
  const auto name_of = [&](NodeId id) {
    const NodeInfo* known = cluster.node(id);
    return known != nullptr ? known->name : std::string();
  };
  const auto share_of = [](const LoadShares& load, NodeId id) {
    const auto found = load.shares.find(id);
    return found != load.shares.end() ? found->second : 1;
  };
  for (const BalanceStep& step : outlook.steps) {
    last[step.node] = {step.tokens.begin(), step.tokens.end()};
    steps.emplace_back(name_of(step.node));
  }
  for (const auto& [id, share] : outlook.before) {
    const NodeInfo* known = cluster.node(id);
    size_t moved = 0;
    if (auto changed = last.find(id); changed != last.end() && known != nullptr)
      for (int64_t token : known->tokens) moved += !changed->second.contains(token);
    const auto after = outlook.after.find(id);
    nodes.push_back({{"name", name_of(id)},
                     {"share", share},
                     {"share_after", after != outlook.after.end() ? after->second : share},
                     {"load_share", share_of(outlook.load_before, id)},
                     {"load_share_after", share_of(outlook.load_after, id)},
                     {"tokens_moved", moved}});
  }
  Bytes ring;
  ByteWriter out(ring);
  for (const auto& [token, id] : cluster.ring().tokens()) {
    out.u64_be(static_cast<uint64_t>(token));
    out.u32_be(id.value);
  }
  const boost::json::object answer{{"ring", fmt::format("{:016x}", xxh3(ring))},
                                   {"unevenness", unevenness(outlook.before)},
                                   {"unevenness_after", unevenness(outlook.after)},
                                   {"load_mean", outlook.load_before.mean},
                                   {"load_matters", outlook.load_before.matters()},
                                   {"load_excess", outlook.load_before.excess()},
                                   {"load_excess_after", outlook.load_after.excess()},
                                   {"nodes", std::move(nodes)},
                                   {"steps", std::move(steps)}};
  co_return HttpResponse::json(200, boost::json::serialize(answer));
}

Task<HttpResponse> change_setting(Node& node, Executor& executor, HttpRequest request) {
  if (!is_same_origin(request)) co_return HttpResponse::text(403, "only pages of this server may do this\n");
  boost::json::error_code error;
  const boost::json::value body = boost::json::parse(request.body, error);
  if (error || !body.is_object()) co_return HttpResponse::text(400, bad_setting);
  auto name = text_of(body.get_object(), "name"), value = text_of(body.get_object(), "value");
  if (!name || !value) co_return HttpResponse::text(400, bad_setting);
  co_return answer_of(co_await node.set(std::move(*name), std::move(*value), executor.now() + decide_limit));
}

}  // namespace asterism
