#include "cluster/cluster_state.h"

#include <algorithm>

#include "cluster/metadata.pb.h"

namespace asterism {

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

Result<Bytes> ClusterState::apply(uint64_t index, BytesView command) {
  meta::ClusterCommand parsed;
  if (!parsed.ParseFromArray(command.data(), static_cast<int>(command.size())))
    return fail(ErrorCode::invalid_argument, "malformed cluster command");
  TRY_STATUS(check_level());
  switch (parsed.command_case()) {
    case meta::ClusterCommand::kBootstrap:
      return bootstrap(parsed);
    case meta::ClusterCommand::kUpdateNode:
      return update_node(from_proto(parsed.update_node()));
    case meta::ClusterCommand::kAddNode:
      TRY_STATUS(add_member(index, from_proto(parsed.add_node().node()), NodeId{parsed.add_node().replaces()}));
      return Bytes{};
    case meta::ClusterCommand::kRemoveNode:
      TRY_STATUS(remove_member(index, NodeId{parsed.remove_node()}, false));
      return Bytes{};
    case meta::ClusterCommand::kRemoveDead:
      TRY_STATUS(remove_member(index, NodeId{parsed.remove_dead()}, true));
      return Bytes{};
    case meta::ClusterCommand::kCaughtUp: {
      const auto& told = parsed.caught_up();
      for (int i = 0; i < std::min(told.shards_size(), told.epochs_size()); ++i)
        note_caught_up(ShardId{told.shards(i)}, Epoch{told.epochs(i)}, NodeId{told.node()});
      finish_if_done();
      return Bytes{};
    }
    case meta::ClusterCommand::kReady:
      if (change_ && change_->subject() == NodeId{parsed.ready()} && !change_->cancelled) change_->ready = true;
      finish_if_done();
      return Bytes{};
    case meta::ClusterCommand::kCancel:
      TRY_STATUS(cancel_change(NodeId{parsed.cancel()}));
      return Bytes{};
    case meta::ClusterCommand::kRaiseLevel:
      level_ = std::max(level_, parsed.raise_level());
      return Bytes{};
    case meta::ClusterCommand::kMoveTokens: {
      TRY_STATUS(check_active(balance_feature_level));
      const auto& move = parsed.move_tokens();
      TRY_STATUS(move_tokens(index, NodeId{move.node()}, {move.now().begin(), move.now().end()},
                             {move.tokens().begin(), move.tokens().end()}));
      return Bytes{};
    }
    case meta::ClusterCommand::kSet:
      TRY_STATUS(check_active(balance_feature_level));
      TRY_STATUS(settings_.set(parsed.set().name(), parsed.set().value()));
      return Bytes{};
    case meta::ClusterCommand::COMMAND_NOT_SET:
      break;
  }
  return fail(ErrorCode::unsupported, "unknown cluster command");
}

Result<Bytes> ClusterState::bootstrap(const meta::ClusterCommand& command) {
  if (!nodes_.empty()) return fail(ErrorCode::already_exists, "the cluster has been made already");
  const auto& bootstrap = command.bootstrap();
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

Result<Bytes> ClusterState::update_node(NodeInfo update) {
  auto it = nodes_.find(update.id);
  const bool comes = change_ && change_->comes && change_->comes->id == update.id;
  if (it == nodes_.end() && !comes) return fail(ErrorCode::not_found, "node {} is not a member", update.id);
  NodeInfo& known = comes ? *change_->comes : it->second;
  update.tokens = known.tokens;
  update.host_id = known.host_id;
  update.place = known.place;
  known = std::move(update);
  return Bytes{};
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
    for (NodeId node : shard.target) entry.add_target(node.value);
    for (NodeId node : shard.caught_up) entry.add_caught_up(node.value);
    entry.set_settling(shard.settling);
    for (NodeId node : shard.former) entry.add_former(node.value);
  }
  out.set_next_shard(next_shard_);
  for (NodeId node : removed_) out.add_removed(node.value);
  out.set_level(level_);
  for (const auto& [name, value] : settings_.list()) {
    meta::Setting& setting = *out.add_settings();
    setting.set_name(name);
    setting.set_value(value);
  }
  if (change_) {
    auto& change = *out.mutable_change();
    if (change_->comes) to_proto(*change_->comes, *change.mutable_comes());
    change.set_leaves(change_->leaves.value);
    change.set_cancelled(change_->cancelled);
    change.set_ready(change_->ready);
    change.set_shards(change_->shards);
    change.set_began(change_->began);
    change.set_dead(change_->dead);
    change.set_moves(change_->moves.value);
    for (int64_t token : change_->tokens) change.add_tokens(token);
  }
  return out.SerializeAsString();
}

Status ClusterState::restore(BytesView snapshot) {
  meta::ClusterSnapshot in;
  if (!in.ParseFromArray(snapshot.data(), static_cast<int>(snapshot.size())))
    return fail(ErrorCode::corrupt, "malformed snapshot of section cluster");
  Placement placement = std::move(placement_);
  const Defects defects = defects_;
  const FeatureLevel supported = supported_level_;
  *this = ClusterState();
  supported_level_ = supported;
  placement_ = std::move(placement);
  defects_ = defects;
  level_ = std::max(in.level(), first_feature_level);
  TRY_STATUS(check_level());
  for (const auto& node : in.nodes()) add_node(from_proto(node));
  for (const auto& entry : in.shards()) {
    Shard shard{ShardId{entry.id()},
                entry.scope(),
                {entry.range_after(), entry.range_to()},
                {},
                Epoch{entry.epoch()},
                static_cast<ShardMode>(entry.mode())};
    const auto read = [](const auto& from, std::vector<NodeId>& to) {
      for (uint32_t node : from) to.push_back(NodeId{node});
    };
    read(entry.replicas(), shard.replicas);
    read(entry.target(), shard.target);
    read(entry.caught_up(), shard.caught_up);
    read(entry.former(), shard.former);
    shard.settling = entry.settling();
    insert_shard(std::move(shard));
  }
  next_shard_ = in.next_shard();
  for (uint32_t node : in.removed()) removed_.insert(NodeId{node});
  for (const auto& setting : in.settings()) TRY_STATUS(settings_.set(setting.name(), setting.value()));
  if (in.has_change()) {
    change_.emplace();
    if (in.change().has_comes()) change_->comes = from_proto(in.change().comes());
    change_->leaves = NodeId{in.change().leaves()};
    change_->cancelled = in.change().cancelled();
    change_->ready = in.change().ready();
    change_->shards = in.change().shards();
    change_->began = in.change().began();
    change_->dead = in.change().dead();
    change_->moves = NodeId{in.change().moves()};
    change_->tokens.assign(in.change().tokens().begin(), in.change().tokens().end());
  }
  return {};
}

Status ClusterState::check_level() const {
  if (level_ <= supported_level_) return {};
  return fail(ErrorCode::unsupported,
              "the cluster is at feature level {}, and this node supports no more than {}: it needs a newer version of "
              "asterism, or most_feature_level in its node.toml is too low",
              level_, supported_level_);
}

Status ClusterState::check_active(FeatureLevel level) const {
  if (level <= level_) return {};
  return fail(ErrorCode::unsupported,
              "this needs feature level {}, and the cluster is at {} until every node supports more", level, level_);
}

const NodeInfo* ClusterState::node(NodeId id) const {
  if (change_ && change_->comes && change_->comes->id == id) return &*change_->comes;
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
  finish_if_done();
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

Bytes ClusterState::add_node_command(const NodeInfo& node, NodeId replaces) {
  meta::ClusterCommand command;
  to_proto(node, *command.mutable_add_node()->mutable_node());
  command.mutable_add_node()->set_replaces(replaces.value);
  return command.SerializeAsString();
}

Bytes ClusterState::remove_node_command(NodeId node, bool dead) {
  meta::ClusterCommand command;
  if (dead)
    command.set_remove_dead(node.value);
  else
    command.set_remove_node(node.value);
  return command.SerializeAsString();
}

Bytes ClusterState::caught_up_command(NodeId node, const std::vector<std::pair<ShardId, Epoch>>& shards) {
  meta::ClusterCommand command;
  auto& told = *command.mutable_caught_up();
  told.set_node(node.value);
  for (const auto& [shard, epoch] : shards) {
    told.add_shards(shard.value);
    told.add_epochs(epoch.value);
  }
  return command.SerializeAsString();
}

Bytes ClusterState::ready_command(NodeId node) {
  meta::ClusterCommand command;
  command.set_ready(node.value);
  return command.SerializeAsString();
}

Bytes ClusterState::cancel_command(NodeId node) {
  meta::ClusterCommand command;
  command.set_cancel(node.value);
  return command.SerializeAsString();
}

Bytes ClusterState::move_tokens_command(NodeId node, const std::vector<int64_t>& now,
                                        const std::vector<int64_t>& tokens) {
  meta::ClusterCommand command;
  auto& move = *command.mutable_move_tokens();
  move.set_node(node.value);
  for (int64_t token : now) move.add_now(token);
  for (int64_t token : tokens) move.add_tokens(token);
  return command.SerializeAsString();
}

Bytes ClusterState::raise_level_command(FeatureLevel level) {
  meta::ClusterCommand command;
  command.set_raise_level(level);
  return command.SerializeAsString();
}

Bytes ClusterState::set_command(const std::string& name, const std::string& value) {
  meta::ClusterCommand command;
  command.mutable_set()->set_name(name);
  command.mutable_set()->set_value(value);
  return command.SerializeAsString();
}

}  // namespace asterism
