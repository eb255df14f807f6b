#include "cli/backup_nodes.h"

#include "cli/ask_nodes.h"
#include "cli/node_tls.h"
#include "cli/output.h"
#include "node/backup_requests.h"
#include "runtime/real/files.h"

namespace asterism {

namespace {

constexpr size_t words_max = 2000;

Error refusal(const HttpResponse& response) {
  std::string_view said(response.body);
  if (said.ends_with('\n')) said.remove_suffix(1);
  std::string words = printable(said.substr(0, words_max));
  switch (response.status) {
    case 403:
      return {ErrorCode::unauthorized, std::move(words)};
    case 409:
      return {ErrorCode::invalid_argument, std::move(words)};
    case 429:
      return {ErrorCode::overloaded, std::move(words)};
    case 503:
      return {ErrorCode::unavailable, std::move(words)};
    case 404:
      return {ErrorCode::corrupt, "it is of a version that knows no snapshots"};
    default:
      return {ErrorCode::corrupt, fmt::format("it answered {}: {}", response.status, words)};
  }
}

}  // namespace

Result<std::unique_ptr<BackupNodes>> BackupNodes::open(RealCore& core, const std::string& data) {
  TRY(std::vector<NodeConfig> configs, nodes_of_cluster(data));
  std::unique_ptr<BackupNodes> made(new BackupNodes(core));
  for (NodeConfig& config : configs) {
    TRY(auto tls, asking_tls(core, config));
    made->nodes_.push_back({std::move(config), std::move(tls)});
  }
  return made;
}

Task<Result<Bytes>> BackupNodes::post(size_t node, std::string target, Bytes body, Duration limit) {
  const Node& to = nodes_[node];
  // It changes with each start of the node.
  auto secret = read_file(secret_path(to.config), 1024);
  if (!secret)
    co_return fail(ErrorCode::invalid_argument, "{} cannot be asked: {}", name(node), secret.error().message);
  HttpCall call;
  call.to = to.config.http();
  call.method = HttpMethod::post;
  call.target = std::move(target);
  call.headers = {{BackupRequests::secret_header, std::move(*secret)}};
  call.body = std::move(body);
  call.limit = limit;
  call.response_bytes_max = 256 << 20;
  auto response = co_await http_call(to.tls ? *to.tls : core_.network(), std::move(call));
  if (!response && response.error().code == ErrorCode::timeout)
    co_return fail(ErrorCode::timeout, "{} did not answer in time", name(node));
  if (!response) co_return fail(ErrorCode::closed, "{} does not answer: {}", name(node), response.error().message);
  if (response->status == 200) co_return std::move(response->body);
  co_return fail(refusal(*response));
}

Task<Result<Bytes>> BackupNodes::post_to_any(std::string target, Bytes body, Duration limit) {
  for (size_t node = 0; node < size(); ++node) {
    if (!running_process(nodes_[node].config)) continue;
    auto answer = co_await post(node, target, body, limit);
    if (answer || answer.error().code != ErrorCode::closed) co_return answer;
  }
  co_return fail(ErrorCode::unavailable, "no node answers: start the cluster with asterism up");
}

}  // namespace asterism
