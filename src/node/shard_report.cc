#include "node/shard_report.h"

#include <boost/json.hpp>
#include <charconv>

#include "datastore/schema.h"

namespace asterism {
namespace {

const char* mode_name(ShardMode mode) {
  switch (mode) {
    case ShardMode::consensus:
      return "consensus";
    case ShardMode::leaderless:
      return "leaderless";
    case ShardMode::primary:
      break;
  }
  return "primary";
}

boost::json::array ids_of(const std::vector<NodeId>& nodes) {
  boost::json::array ids;
  for (const NodeId node : nodes) ids.emplace_back(node.value);
  return ids;
}

boost::json::object shard_object(const Shard& shard) {
  boost::json::object out{{"id", shard.id.value},
                          {"keyspace", shard.scope},
                          {"after", std::to_string(shard.range.after)},
                          {"to", std::to_string(shard.range.to)},
                          {"replicas", ids_of(shard.replicas)},
                          {"epoch", std::to_string(shard.epoch.value)},
                          {"mode", mode_name(shard.mode)}};
  if (shard.moving())
    out["move"] = {
        {"target", ids_of(shard.target)}, {"caught_up", ids_of(shard.caught_up)}, {"settling", shard.settling}};
  return out;
}

boost::json::array nodes_of(const ClusterState& cluster) {
  boost::json::array nodes;
  const auto add = [&](const NodeInfo& node) { nodes.push_back({{"id", node.id.value}, {"name", node.name}}); };
  for (const auto& [id, node] : cluster.nodes()) add(node);
  if (const auto& change = cluster.change(); change && change->comes) add(*change->comes);
  return nodes;
}

HttpResponse refused(int status, std::string_view message) {
  return HttpResponse::json(status, boost::json::serialize(boost::json::object{{"error", message}}));
}

}  // namespace

HttpResponse shards_page(Node& node, const HttpRequest& request) {
  const ClusterState& cluster = node.cluster();
  const std::string* keyspace = request.parameter("keyspace");
  if (keyspace != nullptr && !node.schema().keyspaces().contains(*keyspace))
    return refused(404, fmt::format("there is no keyspace {}", *keyspace));
  auto next = cluster.shards().begin();
  if (const std::string* after = request.parameter("after")) {
    ShardId last;
    const char* end = after->data() + after->size();
    const auto [stop, error] = std::from_chars(after->data(), end, last.value);
    if (error != std::errc() || stop != end) return refused(400, "after must be the id of a shard");
    next = cluster.shards().upper_bound(last);
  }
  boost::json::array shards;
  const auto wanted = [&](const Shard& shard) { return keyspace == nullptr || shard.scope == *keyspace; };
  boost::json::value following;
  for (; next != cluster.shards().end(); ++next) {
    if (!wanted(next->second)) continue;
    if (shards.size() == shards_per_page) {
      following = shards.back().at("id");
      break;
    }
    shards.push_back(shard_object(next->second));
  }
  const size_t total = keyspace == nullptr ? cluster.shards().size() : cluster.shards_of(*keyspace).size();
  const boost::json::object answer{{"applied", node.metadata().applied_index()},
                                   {"total", total},
                                   {"nodes", nodes_of(cluster)},
                                   {"shards", std::move(shards)},
                                   {"next", std::move(following)}};
  return HttpResponse::json(200, boost::json::serialize(answer));
}

}  // namespace asterism
