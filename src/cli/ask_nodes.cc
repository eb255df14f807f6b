#include "cli/ask_nodes.h"

#include <boost/json.hpp>

#include "cli/node_tls.h"
#include "cli/output.h"
#include "gateway/http_guard.h"
#include "runtime/real/files.h"

namespace asterism {
namespace {

constexpr Duration status_limit = 1s;
constexpr Duration decide_limit = 25s;
// Beyond every call's own limit, so that it is the call that says what went wrong.
constexpr Duration loop_margin = 1s;

Result<boost::json::object> object_of(Result<HttpResponse> response) {
  if (!response) return fail(std::move(response).error());
  std::string_view said(response->body);
  if (said.ends_with('\n')) said.remove_suffix(1);
  if (response->status == 401 || response->status == 403)
    return fail(ErrorCode::unauthorized, "only who may read the node's folder may ask it");
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

Task<void> call_into(Network& network, HttpCall call, Result<HttpResponse>& out) {
  out = co_await http_call(network, std::move(call));
}

/// Shows a node whose clients must log in that this command can read its folder.
void show_secret(const NodeConfig& config, HttpCall& call) {
  constexpr uint64_t secret_bytes_max = 1024;
  if (!config.authentication) return;
  for (const auto& [name, value] : call.headers)
    if (name == "Authorization") return;
  if (auto secret = read_file(secret_path(config), secret_bytes_max))
    call.headers.push_back(folder_secret_header(*secret));
}

/// The one to reach the node with; `made` owns it where it was made for the node.
Result<Network*> asking_network(RealCore& core, const NodeConfig& config, std::vector<std::unique_ptr<Network>>& made) {
  TRY(auto tls, asking_tls(core, config));
  if (!tls) return &core.network();
  return made.emplace_back(std::move(tls)).get();
}

Result<boost::json::object> unanswered() { return fail(ErrorCode::timeout, "it did not answer in time"); }

}  // namespace

StatusQuestion::StatusQuestion(RealCore& core, std::vector<NodeConfig> configs) : tasks_(core.executor()) {
  for (NodeConfig& config : configs) answers_.push_back({config, running_process(config), unanswered()});
  for (NodeAnswer& answer : answers_) {
    auto network = asking_network(core, answer.config, networks_);
    if (!network) {
      answer.status = fail(std::move(network).error());
      continue;
    }
    HttpCall call{.to = answer.config.http(), .target = "/status", .limit = status_limit};
    show_secret(answer.config, call);
    tasks_.spawn(ask(**network, std::move(call), answer.status));
  }
}

StatusQuestion::~StatusQuestion() { tasks_.cancel(); }

Result<std::vector<NodeConfig>> nodes_of_cluster(const std::string& data) {
  TRY(std::vector<NodeConfig> configs, read_cluster(data));
  if (configs.empty())
    return fail(ErrorCode::not_found, "{} holds no cluster: start one with asterism up --data {}", data, data);
  return configs;
}

Result<std::vector<NodeAnswer>> ask_status(const std::string& data) {
  TRY(std::vector<NodeConfig> configs, nodes_of_cluster(data));
  RealCore core;
  StatusQuestion question(core, std::move(configs));
  core.run_until([&] { return question.done(); }, status_limit + loop_margin);
  return question.answers();
}

Result<HttpResponse> call_node(const NodeConfig& config, HttpCall call) {
  Result<HttpResponse> answer = fail(ErrorCode::timeout, "it did not answer in time");
  RealCore core;
  std::vector<std::unique_ptr<Network>> networks;
  TRY(Network * network, asking_network(core, config, networks));
  call.to = config.http();
  show_secret(config, call);
  const Duration limit = call.limit + loop_margin;
  TaskGroup tasks(core.executor());
  tasks.spawn(call_into(*network, std::move(call), answer));
  core.run_until([&] { return tasks.size() == 0; }, limit);
  return answer;
}

Result<boost::json::object> ask_node(const NodeConfig& config, HttpCall call) {
  return object_of(call_node(config, std::move(call)));
}

Result<boost::json::object> post_to_node(const NodeConfig& config, const std::string& target, Duration limit,
                                         const std::string& body) {
  return ask_node(config, {.method = HttpMethod::post, .target = target, .body = body, .limit = limit});
}

Status post_to_cluster(const std::string& data, const std::string& target, const boost::json::object& body) {
  TRY(const auto answers, ask_status(data));
  Status last = fail(ErrorCode::unavailable, "no node answers: start the cluster with asterism up");
  for (const NodeAnswer& answer : answers) {
    if (!answer.status || text_member(*answer.status, "state") != "serving") continue;
    auto done = post_to_node(answer.config, target, decide_limit, boost::json::serialize(body));
    if (done) return {};
    last = fail(done.error());
    if (done.error().code == ErrorCode::already_exists) break;
  }
  return last;
}

std::optional<boost::json::object> change_under_way(const std::vector<NodeAnswer>& answers) {
  const boost::json::object* fresh = freshest(answers);
  const boost::json::value* change = fresh ? fresh->if_contains("change") : nullptr;
  if (!change || !change->is_object()) return std::nullopt;
  double rate = 0;
  for (const NodeAnswer& answer : answers) {
    const boost::json::value* own = answer.status ? find_member(*answer.status, "load.move_mib_s") : nullptr;
    if (own && own->is_number()) rate += own->to_number<double>();
  }
  boost::json::object out = change->get_object();
  out["moved_mib_s"] = rate;
  return out;
}

const char* state_word(const NodeAnswer& answer, const boost::json::object* fresh) {
  if (!answer.status) return "down";
  if (text_member(*answer.status, "state") == "left") return "left";
  const boost::json::value* node = fresh ? find_member(*fresh, "change.node") : nullptr;
  if (node && node->is_string() && node->get_string() == std::string_view(answer.config.name)) {
    const boost::json::value* what = find_member(*fresh, "change.what");
    if (what && *what != "rebalance") return *what == "decommission" || *what == "remove" ? "leaving" : "joining";
  }
  for (const char* word : {"draining", "drained"})
    if (text_member(*answer.status, "state") == word) return word;
  return text_member(*answer.status, "state") == "serving" ? "up" : "starting";
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

int64_t integer_member(const boost::json::object& object, std::string_view name) {
  const boost::json::value* value = object.if_contains({name.data(), name.size()});
  return value && value->is_int64() ? value->get_int64() : 0;
}

const boost::json::array& array_member(const boost::json::object& object, std::string_view name) {
  static const boost::json::array none;
  const boost::json::value* value = object.if_contains({name.data(), name.size()});
  return value && value->is_array() ? value->get_array() : none;
}

const boost::json::value* find_member(const boost::json::object& object, std::string_view path) {
  const size_t dot = path.find('.');
  const std::string_view name = path.substr(0, dot);
  const boost::json::value* value = object.if_contains({name.data(), name.size()});
  if (!value || dot == std::string_view::npos) return value;
  return value->is_object() ? find_member(value->get_object(), path.substr(dot + 1)) : nullptr;
}

}  // namespace asterism
