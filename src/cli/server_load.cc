#include "cli/server_load.h"

#include <charconv>

#include "cli/node_tls.h"
#include "gateway/http_client.h"
#include "runtime/task_group.h"

namespace asterism {

namespace {

constexpr Duration ask_limit = 2s;
constexpr std::string_view wanted = "\nasterism_process_cpu_seconds_total ";

}  // namespace

ServerLoad::ServerLoad(RealCore& core, const std::string& data) : core_(core) {
  auto configs = read_cluster(data);
  if (!configs) return;
  for (NodeConfig& config : *configs) {
    auto tls = asking_tls(core, config);
    if (tls) nodes_.push_back({std::move(config), std::move(*tls), std::nullopt});
  }
}

Task<void> ServerLoad::ask(const Node& node, std::optional<double>& seconds) {
  HttpCall call;
  call.to = node.config.http();
  call.target = "/metrics";
  call.limit = ask_limit;
  const auto answer = co_await http_call(node.tls ? *node.tls : core_.network(), std::move(call));
  if (!answer || answer->status != 200) co_return;
  const size_t at = answer->body.find(wanted);
  if (at == std::string::npos) co_return;
  double value = 0;
  const char* begin = answer->body.data() + at + wanted.size();
  if (std::from_chars(begin, answer->body.data() + answer->body.size(), value).ec == std::errc()) seconds = value;
}

Task<std::vector<std::optional<double>>> ServerLoad::ask_all() {
  std::vector<std::optional<double>> seconds(nodes_.size());
  TaskGroup asking(core_.executor());
  for (size_t i = 0; i < nodes_.size(); ++i) asking.spawn(ask(nodes_[i], seconds[i]));
  co_await asking.join();
  co_return seconds;
}

Task<void> ServerLoad::begin() {
  const auto seconds = co_await ask_all();
  for (size_t i = 0; i < nodes_.size(); ++i) nodes_[i].before_s = seconds[i];
}

Task<ServerLoad::Used> ServerLoad::end() {
  const auto seconds = co_await ask_all();
  Used used;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (!seconds[i] || !nodes_[i].before_s || *seconds[i] < *nodes_[i].before_s) continue;
    ++used.nodes;
    used.time += std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*seconds[i] - *nodes_[i].before_s));
  }
  co_return used;
}

}  // namespace asterism
