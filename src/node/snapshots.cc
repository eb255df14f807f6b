// A snapshot of all nodes: who is asked for what, and what is undone.
#include "node/snapshots.h"

#include <algorithm>
#include <boost/json.hpp>

#include "node/node_rpc.h"
#include "node/request_parts.h"
#include "runtime/task_group.h"

namespace asterism {

namespace {

constexpr Duration barrier_limit = 10s, ask_limit = 30s;

/// Set for as long as it lives.
struct Flag {
  explicit Flag(bool& to) : set(to) { set = true; }
  ~Flag() { set = false; }
  bool& set;
};

boost::json::array texts(const std::vector<std::string>& of) {
  boost::json::array out;
  for (const std::string& each : of) out.emplace_back(each);
  return out;
}

}  // namespace

/// What one node answered; an error before it does.
struct Snapshots::Asked {
  NodeId node;
  bool done = false;
  Result<boost::json::object> answer = fail(ErrorCode::timeout, "it did not answer in time");
};

Snapshots::Snapshots(const NodeConfig& config, NodePorts ports, Rpc& rpc, MetadataService& metadata,
                     const ClusterState& cluster, const datastore::Schema& schema, Liveness& liveness,
                     KeyValueStore& store, datastore::Replica& replica, Log log)
    : config_(config),
      ports_(ports),
      rpc_(rpc),
      metadata_(metadata),
      cluster_(cluster),
      schema_(schema),
      liveness_(liveness),
      store_(store),
      replica_(replica),
      log_(std::move(log)) {
  rpc.handle(rpc_method::node_snapshot, [this](RpcRequest request) { return serve(std::move(request)); });
  liveness.on_change([this](NodeId, bool) { news_.wake_all(); });
}

std::vector<NodeId> Snapshots::members() const {
  std::vector<NodeId> out;
  for (const auto& [id, node] : cluster_.nodes()) out.push_back(id);
  return out;
}

std::string Snapshots::name_of(NodeId node) const {
  const NodeInfo* known = cluster_.node(node);
  return known != nullptr ? known->name : fmt::format("node {}", node);
}

/// "n2 and n3", of those that are down; "" where none is.
std::string Snapshots::down_words(const std::vector<NodeId>& nodes) const {
  std::string words;
  for (NodeId node : nodes)
    if (node != config_.id && !liveness_.up(node)) words += (words.empty() ? "" : " and ") + name_of(node);
  return words;
}

Task<void> Snapshots::ask(Asked& asked, Bytes request, Instant deadline) {
  auto reply = co_await rpc_.call(asked.node, rpc_method::node_snapshot, std::move(request), deadline);
  asked.done = true;
  news_.wake_all();
  if (!reply) {
    asked.answer = fail(reply.error());
    co_return;
  }
  boost::json::error_code bad;
  boost::json::value value = boost::json::parse(*reply, bad);
  if (bad || !value.is_object())
    asked.answer = fail(ErrorCode::corrupt, "its answer is malformed");
  else
    asked.answer = std::move(value.get_object());
}

/// A node that is found down meanwhile is waited for no more.
Task<std::vector<Snapshots::Asked>> Snapshots::ask_all(const std::vector<NodeId>& nodes, boost::json::object request,
                                                       Instant deadline) {
  std::vector<Asked> all;
  for (NodeId node : nodes) all.emplace_back().node = node;
  const Bytes payload = boost::json::serialize(request);
  TaskGroup asking(ports_.executor);
  for (Asked& asked : all) asking.spawn(ask(asked, payload, deadline));
  const auto waits = [&](Asked& asked) {
    if (asked.done) return false;
    if (asked.node == config_.id || liveness_.up(asked.node)) return true;
    asked.answer = fail(ErrorCode::unavailable, "it is down");
    return false;
  };
  // Each call ends by the deadline.
  while (std::ranges::count_if(all, waits) > 0) co_await news_.wait();
  asking.cancel();
  co_return all;
}

/// Where the shards lie, as far as a snapshot has to know: while they stay, every row is on a quorum of its replicas.
static std::vector<std::pair<ShardId, Epoch>> epochs_of(const ClusterState& cluster) {
  std::vector<std::pair<ShardId, Epoch>> out;
  for (const auto& [id, shard] : cluster.shards()) out.emplace_back(id, shard.epoch);
  return out;
}

Status Snapshots::check_still(const std::vector<NodeId>& nodes) const {
  if (cluster_.change() || cluster_.moving() > 0)
    return fail(ErrorCode::unavailable,
                "nodes join or leave, and shards move: try again when asterism status shows no change any more");
  if (const std::string down = down_words(nodes); !down.empty())
    return fail(ErrorCode::unavailable,
                "{} is down, and a snapshot is of all nodes: bring it back with asterism node start, or remove it from "
                "the cluster with asterism node remove",
                down);
  return {};
}

Task<Status> Snapshots::undo(const std::vector<NodeId>& nodes, const std::string& name, const std::string& id,
                             Error why) {
  const boost::json::object request{{"do", "drop"}, {"name", name}, {"id", id}};
  std::vector<std::string> left;
  for (const Asked& asked : co_await ask_all(nodes, request, ports_.executor.now() + ask_limit))
    if (!asked.answer) left.push_back(name_of(asked.node));
  if (left.empty()) {
    why.message += "; nothing was kept";
  } else {
    why.message += fmt::format("; {} may keep a part of it, which asterism snapshot delete {} removes",
                               fmt::join(left, " and "), name);
  }
  log_.warning("snapshot {} was not made: {}", name, why.message);
  co_return fail(std::move(why));
}

/// The first thing that went wrong, with the node's name.
template <class All, class Name>
static std::optional<Error> first_error(const All& all, Name&& name_of) {
  for (const auto& asked : all)
    if (!asked.answer)
      return Error{asked.answer.error().code, fmt::format("{}: {}", name_of(asked.node), asked.answer.error().message)};
  return std::nullopt;
}

Task<Result<boost::json::object>> Snapshots::create(std::string name) {
  if (!is_snapshot_name(name))
    co_return fail(
        ErrorCode::invalid_argument,
        "a snapshot's name has 1 to 64 letters, digits, '.', '_' and '-', and begins with a letter or digit");
  CO_TRY_STATUS(cluster_.check_active(balance_feature_level));
  if (creating_) co_return fail(ErrorCode::already_exists, "another snapshot is being made by way of this node");
  const Flag creating(creating_);
  // What this node does not know of the schema, others must not miss in the copy.
  CO_TRY_STATUS(co_await metadata_.barrier(ports_.executor.now() + barrier_limit));
  const std::vector<NodeId> nodes = members();
  CO_TRY_STATUS(check_still(nodes));
  const auto epochs = epochs_of(cluster_);
  std::vector<std::string> names;
  for (NodeId node : nodes) names.push_back(name_of(node));
  const std::string id = fmt::format("{:016x}", ports_.random.next());
  const int64_t taken_us = ports_.clock.wall_now().us;
  const auto name_one = [this](NodeId node) { return name_of(node); };

  const auto taken = co_await ask_all(nodes,
                                      {{"do", "take"},
                                       {"name", name},
                                       {"id", id},
                                       {"taken_us", taken_us},
                                       {"applied", static_cast<int64_t>(metadata_.applied_index())},
                                       {"nodes", texts(names)}},
                                      ports_.executor.now() + take_limit);
  if (auto error = first_error(taken, name_one)) co_return fail((co_await undo(nodes, name, id, *error)).error());
  for (const auto& [shard, epoch] : epochs) {
    const Shard* now = cluster_.shard(shard);
    if (now == nullptr || (now->epoch == epoch && !now->moving())) continue;
    Error moved{ErrorCode::unavailable, "shards began to move while it was made: try again when they are at rest"};
    co_return fail((co_await undo(nodes, name, id, std::move(moved))).error());
  }
  const auto kept =
      co_await ask_all(nodes, {{"do", "keep"}, {"name", name}, {"id", id}}, ports_.executor.now() + ask_limit);
  if (auto error = first_error(kept, name_one)) co_return fail((co_await undo(nodes, name, id, *error)).error());

  boost::json::array parts;
  for (const Asked& asked : taken)
    parts.push_back({{"node", name_of(asked.node)},
                     {"bytes", number_or_zero(*asked.answer, "bytes")},
                     {"files", number_or_zero(*asked.answer, "files")},
                     {"ms", number_or_zero(*asked.answer, "ms")},
                     {"folder", text_or_empty(*asked.answer, "folder")}});
  co_return boost::json::object{{"name", name}, {"id", id}, {"taken_us", taken_us}, {"nodes", std::move(parts)}};
}

Task<Result<boost::json::object>> Snapshots::list() {
  struct Found {
    std::string id;
    int64_t taken_us = 0, bytes = 0;
    std::vector<std::string> nodes, wanted;
    std::string error;
  };
  std::map<std::string, Found> found;
  std::vector<std::string> down;
  for (const Asked& asked : co_await ask_all(members(), {{"do", "list"}}, ports_.executor.now() + ask_limit)) {
    if (!asked.answer) {
      down.push_back(name_of(asked.node));
      continue;
    }
    const boost::json::value* own = asked.answer->if_contains("snapshots");
    if (own == nullptr || !own->is_array()) continue;
    for (const boost::json::value& value : own->get_array()) {
      if (!value.is_object()) continue;
      const boost::json::object& each = value.get_object();
      Found& of = found[text_or_empty(each, "name")];
      if (const std::string error = text_or_empty(each, "error"); !error.empty()) {
        of.error = fmt::format("{}: {}", name_of(asked.node), error);
        continue;
      }
      of.id = text_or_empty(each, "id");
      of.taken_us = number_or_zero(each, "taken_us");
      of.bytes += number_or_zero(each, "bytes");
      of.nodes.push_back(name_of(asked.node));
      if (const boost::json::value* nodes = each.if_contains("nodes"); nodes != nullptr && nodes->is_array()) {
        of.wanted.clear();
        for (const boost::json::value& node : nodes->get_array())
          if (node.is_string()) of.wanted.emplace_back(node.get_string());
      }
    }
  }
  boost::json::array all;
  for (const auto& [name, of] : found) {
    std::vector<std::string> missing;
    for (const std::string& node : of.wanted)
      if (std::ranges::find(of.nodes, node) == of.nodes.end()) missing.push_back(node);
    all.push_back({{"name", name},
                   {"id", of.id},
                   {"taken_us", of.taken_us},
                   {"bytes", of.bytes},
                   {"nodes", texts(of.nodes)},
                   {"missing", texts(missing)},
                   {"error", of.error}});
  }
  co_return boost::json::object{{"snapshots", std::move(all)}, {"down", texts(down)}};
}

Task<Status> Snapshots::remove(std::string name) {
  if (!is_snapshot_name(name)) co_return fail(ErrorCode::invalid_argument, "that is no name of a snapshot");
  bool any = false;
  std::string left;
  const auto answers =
      co_await ask_all(members(), {{"do", "drop"}, {"name", name}}, ports_.executor.now() + 4 * ask_limit);
  for (const Asked& asked : answers) {
    if (asked.answer)
      any |= number_or_zero(*asked.answer, "dropped") > 0;
    else
      left += fmt::format("{}{} ({})", left.empty() ? "" : ", ", name_of(asked.node), asked.answer.error().message);
  }
  if (!left.empty())
    co_return fail(ErrorCode::unavailable,
                   "what there is of {} stays on {}: give the command again when it is up; the other nodes deleted it",
                   name, left);
  if (!any) co_return fail(ErrorCode::not_found, "no node has a snapshot {}: asterism snapshot list shows all", name);
  co_return Status{};
}

}  // namespace asterism
