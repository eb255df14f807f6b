#include "cli/ask_nodes.h"

#include <boost/json.hpp>

#include "cli/node_tls.h"
#include "cli/output.h"
#include "gateway/http_client.h"
#include "runtime/real/core.h"
#include "runtime/task_group.h"

namespace asterism {
namespace {

constexpr Duration status_limit = 1s;
// Beyond every call's own limit, so that it is the call that says what went wrong.
constexpr Duration loop_margin = 1s;

Result<boost::json::object> object_of(Result<HttpResponse> response) {
  if (!response) return fail(std::move(response).error());
  std::string_view said(response->body);
  if (said.ends_with('\n')) said.remove_suffix(1);
  if (response->status == 409) return fail(ErrorCode::already_exists, "{}", printable(said.substr(0, 500)));
  if (response->status != 200)
    return fail(ErrorCode::internal, "it answered {} {}: {}", response->status, http_reason(response->status),
                printable(std::string_view(response->body).substr(0, 200)));
  boost::json::error_code error;
  boost::json::value value = boost::json::parse(response->body, error);
  if (error || !value.is_object()) return fail(ErrorCode::corrupt, "its answer is no JSON object");
  return std::move(value.as_object());
}

Task<void> ask(Network& network, HttpCall call, Result<boost::json::object>& out) {
  out = object_of(co_await http_call(network, std::move(call)));
}

/// The one to reach the node with; `made` owns it where it was made for the node.
Result<Network*> asking_network(RealCore& core, const NodeConfig& config, std::vector<std::unique_ptr<Network>>& made) {
  TRY(auto tls, asking_tls(core, config));
  if (!tls) return &core.network();
  return made.emplace_back(std::move(tls)).get();
}

Result<boost::json::object> unanswered() { return fail(ErrorCode::timeout, "it did not answer in time"); }

}  // namespace

Result<std::vector<NodeAnswer>> ask_status(const std::string& data) {
  TRY(std::vector<NodeConfig> configs, read_cluster(data));
  if (configs.empty())
    return fail(ErrorCode::not_found, "{} holds no cluster: start one with asterism up --data {}", data, data);
  std::vector<NodeAnswer> answers;
  for (NodeConfig& config : configs) answers.push_back({config, running_process(config), unanswered()});
  RealCore core;
  std::vector<std::unique_ptr<Network>> networks;
  TaskGroup tasks(core.executor());
  for (NodeAnswer& answer : answers) {
    auto network = asking_network(core, answer.config, networks);
    if (!network) {
      answer.status = fail(std::move(network).error());
      continue;
    }
    tasks.spawn(
        ask(**network, {.to = answer.config.http(), .target = "/status", .limit = status_limit}, answer.status));
  }
  core.run_until([&] { return tasks.size() == 0; }, status_limit + loop_margin);
  return answers;
}

Result<boost::json::object> post_to_node(const NodeConfig& config, const std::string& target, Duration limit,
                                         const std::string& body) {
  Result<boost::json::object> answer = unanswered();
  RealCore core;
  std::vector<std::unique_ptr<Network>> networks;
  TRY(Network * network, asking_network(core, config, networks));
  TaskGroup tasks(core.executor());
  tasks.spawn(ask(*network,
                  {.to = config.http(), .method = HttpMethod::post, .target = target, .body = body, .limit = limit},
                  answer));
  core.run_until([&] { return tasks.size() == 0; }, limit + loop_margin);
  return answer;
}

const boost::json::object* freshest(const std::vector<NodeAnswer>& answers) {
  const boost::json::object* best = nullptr;
  int64_t best_applied = -1;
  for (const NodeAnswer& answer : answers) {
    // A node that left knows no news.
    if (!answer.status || text_member(*answer.status, "state") == "left") continue;
    const boost::json::value* applied = find_member(*answer.status, "metadata.applied");
    const int64_t value = applied && applied->is_int64() ? applied->get_int64() : 0;
    if (value > best_applied) {
      best = &*answer.status;
      best_applied = value;
    }
  }
  return best;
}

std::string text_member(const boost::json::object& object, std::string_view name) {
  const boost::json::value* value = object.if_contains({name.data(), name.size()});
  if (!value || !value->is_string()) return {};
  const boost::json::string& text = value->get_string();
  return printable({text.data(), text.size()});
}

const boost::json::value* find_member(const boost::json::object& object, std::string_view path) {
  const size_t dot = path.find('.');
  const std::string_view name = path.substr(0, dot);
  const boost::json::value* value = object.if_contains({name.data(), name.size()});
  if (!value || dot == std::string_view::npos) return value;
  return value->is_object() ? find_member(value->get_object(), path.substr(dot + 1)) : nullptr;
}

}  // namespace asterism
