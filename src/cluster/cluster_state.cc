#include "cluster/cluster_state.h"

#include <algorithm>

#include "cluster/metadata.pb.h"

namespace asterism {

bool Shard::has_replica(NodeId node) const { return std::ranges::find(replicas, node) != replicas.end(); }

static void to_proto(const NodeInfo& node, meta::Node& out) {
  out.set_id(node.id.value);
  out.set_name(node.name);
  out.set_host(node.host);
  out.set_rpc_port(node.rpc_port);
  for (const auto& [protocol, port] : node.endpoints) (*out.mutable_endpoints())[protocol] = port;
  out.set_datacenter(node.place.datacenter);
  out.set_rack(node.place.rack);
  out.set_host_id(node.host_id);
  for (int64_t token : node.tokens) out.add_tokens(token);
}

static NodeInfo from_proto(const meta::Node& in) {
  NodeInfo node;
  node.id = NodeId{in.id()};
  node.name = in.name();
  node.host = in.host();
  node.rpc_port = static_cast<uint16_t>(in.rpc_port());
  for (const auto& [protocol, port] : in.endpoints()) node.endpoints[protocol] = static_cast<uint16_t>(port);
  node.place = {in.datacenter(), in.rack()};
  node.host_id = in.host_id();
  node.tokens.assign(in.tokens().begin(), in.tokens().end());
  return node;
}

Result<Bytes> ClusterState::apply(uint64_t, BytesView command) {
  meta::ClusterCommand parsed;
  if (!parsed.ParseFromArray(command.data(), static_cast<int>(command.size())))
    return fail(ErrorCode::invalid_argument, "malformed cluster command");
  if (parsed.has_bootstrap()) {
    if (!nodes_.empty()) return fail(ErrorCode::already_exists, "the cluster has been made already");
    const auto& bootstrap = parsed.bootstrap();
    if (bootstrap.nodes().empty() || bootstrap.tokens_per_node() == 0)
      return fail(ErrorCode::invalid_argument, "a cluster needs nodes and tokens");
    auto tokens = even_tokens(static_cast<size_t>(bootstrap.nodes_size()), bootstrap.tokens_per_node());
    for (int i = 0; i < bootstrap.nodes_size(); ++i) {
      NodeInfo node = from_proto(bootstrap.nodes(i));
      node.tokens = std::move(tokens[static_cast<size_t>(i)]);
      add_node(std::move(node));
    }
    return Bytes{};
  }
  if (parsed.has_update_node()) {
    NodeInfo update = from_proto(parsed.update_node());
    auto it = nodes_.find(update.id);
    if (it == nodes_.end()) return fail(ErrorCode::not_found, "node {} is not a member", update.id);
    update.tokens = it->second.tokens;
    update.host_id = it->second.host_id;
    update.place = it->second.place;
    it->second = std::move(update);
    return Bytes{};
  }
  return fail(ErrorCode::unsupported, "unknown cluster command");
}

Bytes ClusterState::snapshot() const {
  meta::ClusterSnapshot out;
  for (const auto& [id, node] : nodes_) to_proto(node, *out.add_nodes());
  for (const auto& [id, shard] : shards_) {
    auto& entry = *out.add_shards();
    entry.set_id(id.value);
    entry.set_scope(shard.scope);
    entry.set_range_after(shard.range.after);
    entry.set_range_to(shard.range.to);
    for (NodeId replica : shard.replicas) entry.add_replicas(replica.value);
    entry.set_epoch(shard.epoch.value);
    entry.set_mode(static_cast<uint32_t>(shard.mode));
  }
  out.set_next_shard(next_shard_);
  return out.SerializeAsString();
}

Status ClusterState::restore(BytesView snapshot) {
  meta::ClusterSnapshot in;
  if (!in.ParseFromArray(snapshot.data(), static_cast<int>(snapshot.size())))
    return fail(ErrorCode::corrupt, "malformed snapshot of section cluster");
  *this = ClusterState();
  for (const auto& node : in.nodes()) add_node(from_proto(node));
  for (const auto& entry : in.shards()) {
    Shard shard{ShardId{entry.id()},
                entry.scope(),
                {entry.range_after(), entry.range_to()},
                {},
                Epoch{entry.epoch()},
                static_cast<ShardMode>(entry.mode())};
    for (uint32_t replica : entry.replicas()) shard.replicas.push_back(NodeId{replica});
    insert_shard(std::move(shard));
  }
  next_shard_ = in.next_shard();
  return {};
}

const NodeInfo* ClusterState::node(NodeId id) const {
  auto it = nodes_.find(id);
  return it == nodes_.end() ? nullptr : &it->second;
}

const Shard* ClusterState::shard(ShardId id) const {
  auto it = shards_.find(id);
  return it == shards_.end() ? nullptr : &it->second;
}

const Shard* ClusterState::find(const std::string& scope, int64_t token) const {
  auto it = by_scope_.find(scope);
  if (it == by_scope_.end() || it->second.empty()) return nullptr;
  auto range = it->second.lower_bound(token);
  if (range == it->second.end()) range = it->second.begin();
  return shard(range->second);
}

std::vector<const Shard*> ClusterState::shards_of(const std::string& scope) const {
  std::vector<const Shard*> found;
  if (auto it = by_scope_.find(scope); it != by_scope_.end())
    for (const auto& [to, id] : it->second) found.push_back(shard(id));
  return found;
}

void ClusterState::drop_shards(const std::string& scope) {
  std::erase_if(shards_, [&](const auto& entry) { return entry.second.scope == scope; });
  by_scope_.erase(scope);
}

void ClusterState::add_node(NodeInfo node) {
  ring_.add(node.id, node.place, node.tokens);
  nodes_[node.id] = std::move(node);
}

void ClusterState::add_shard(const std::string& scope, TokenRange range, std::vector<NodeId> replicas) {
  insert_shard({ShardId{next_shard_++}, scope, range, std::move(replicas), Epoch{1}, ShardMode::leaderless});
}

void ClusterState::insert_shard(Shard shard) {
  by_scope_[shard.scope][shard.range.to] = shard.id;
  shards_[shard.id] = std::move(shard);
}

void ClusterState::set_replicas(Shard& shard, std::vector<NodeId> replicas) {
  if (shard.replicas == replicas) return;
  shard.replicas = std::move(replicas);
  ++shard.epoch.value;
}

Bytes ClusterState::bootstrap_command(const std::vector<NodeInfo>& nodes, uint32_t tokens_per_node) {
  meta::ClusterCommand command;
  auto& bootstrap = *command.mutable_bootstrap();
  for (const auto& node : nodes) to_proto(node, *bootstrap.add_nodes());
  bootstrap.set_tokens_per_node(tokens_per_node);
  return command.SerializeAsString();
}

Bytes ClusterState::update_node_command(const NodeInfo& node) {
  meta::ClusterCommand command;
  to_proto(node, *command.mutable_update_node());
  return command.SerializeAsString();
}

}  // namespace asterism
