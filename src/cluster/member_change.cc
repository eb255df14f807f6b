// How members change: which shards move, and what each step of a move does. Part of ClusterState.
#include <algorithm>

#include "cluster/cluster_state.h"

namespace asterism {

namespace {

bool contains(const std::vector<NodeId>& nodes, NodeId node) { return std::ranges::find(nodes, node) != nodes.end(); }

bool same_set(std::vector<NodeId> a, std::vector<NodeId> b) {
  std::ranges::sort(a);
  std::ranges::sort(b);
  return a == b;
}

std::vector<NodeId> without(const std::vector<NodeId>& nodes, const std::vector<NodeId>& others) {
  std::vector<NodeId> rest;
  for (NodeId node : nodes)
    if (!contains(others, node)) rest.push_back(node);
  return rest;
}

}  // namespace

bool Shard::has_replica(NodeId node) const { return contains(replicas, node); }
bool Shard::holds(NodeId node) const { return has_replica(node) || contains(target, node); }
bool Shard::answers(NodeId node) const { return has_replica(node) || (settling && contains(target, node)); }

std::vector<NodeId> Shard::holders() const {
  std::vector<NodeId> all = replicas;
  for (NodeId node : without(target, replicas)) all.push_back(node);
  return all;
}

std::vector<NodeId> Shard::movers() const {
  std::vector<NodeId> coming = without(target, replicas);
  if (coming.empty() && moving()) coming.push_back(target.front());
  return coming;
}

size_t ClusterState::moving() const {
  return static_cast<size_t>(std::ranges::count_if(shards_, [](const auto& entry) { return entry.second.moving(); }));
}

NodeId ClusterState::next_node() const {
  NodeId last;
  if (!nodes_.empty()) last = nodes_.rbegin()->first;
  if (!removed_.empty()) last = std::max(last, *removed_.rbegin());
  if (change_ && change_->comes) last = std::max(last, change_->comes->id);
  return NodeId{last.value + 1};
}

Status ClusterState::check_no_change() const {
  if (!change_) return {};
  const NodeInfo* subject = node(change_->subject());
  return fail(ErrorCode::already_exists, "one change of members at a time: {} is {}{}", subject->name,
              change_->comes   ? "joining"
              : change_->moves ? "being rebalanced"
                               : "leaving",
              change_->cancelled ? ", on its way back" : "");
}

Ring ClusterState::target_ring() const {
  Ring ring = ring_;
  if (!change_ || change_->cancelled) return ring;
  if (change_->leaves) ring.remove(change_->leaves);
  if (change_->comes) ring.add(change_->comes->id, change_->comes->place, change_->comes->tokens);
  if (change_->moves) {
    ring.remove(change_->moves);
    ring.add(change_->moves, nodes_.at(change_->moves).place, change_->tokens);
  }
  return ring;
}

Status ClusterState::add_member(uint64_t index, NodeInfo node, NodeId replaces) {
  TRY_STATUS(check_no_change());
  if (!node.id || nodes_.contains(node.id) || removed_.contains(node.id))
    return fail(ErrorCode::already_exists, "node id {} was used before", node.id);
  for (const auto& [id, known] : nodes_)
    if (known.name == node.name) return fail(ErrorCode::already_exists, "there is a node {} already", node.name);
  if (replaces) {
    auto old = nodes_.find(replaces);
    if (old == nodes_.end()) return fail(ErrorCode::not_found, "node {} is not a member", replaces);
    if (old->second.place != node.place)
      return fail(ErrorCode::invalid_argument, "{} must stand where {} stood: in datacenter {} and rack {}", node.name,
                  old->second.name, old->second.place.datacenter, old->second.place.rack);
    node.tokens = old->second.tokens;
  } else if (node.tokens.empty() || std::ranges::any_of(node.tokens, [&](int64_t token) {
               return token == INT64_MIN || ring_.tokens().contains(token);
             })) {
    return fail(ErrorCode::invalid_argument, "{} has no tokens of its own", node.name);
  }
  change_.emplace();
  change_->comes = std::move(node);
  change_->leaves = replaces;
  if (!replaces)
    for (int64_t token : change_->comes->tokens) split_at(token);
  begin_moves(index);
  return {};
}

Status ClusterState::remove_member(uint64_t index, NodeId node, bool dead) {
  TRY_STATUS(check_no_change());
  auto it = nodes_.find(node);
  if (it == nodes_.end()) return fail(ErrorCode::not_found, "node {} is not a member", node);
  if (nodes_.size() == 1) return fail(ErrorCode::invalid_argument, "{} is the only node", it->second.name);
  Ring rest = ring_;
  rest.remove(node);
  for (const auto& [id, shard] : shards_)
    if (placement_(shard.scope, shard.range.to, rest).size() < shard.replicas.size())
      return fail(ErrorCode::invalid_argument,
                  "keyspace {} has {} replicas, for which too few nodes would be left: add a node first, or lower its "
                  "replication factor",
                  shard.scope, shard.replicas.size());
  change_.emplace();
  change_->leaves = node;
  change_->dead = change_->ready = dead;
  begin_moves(index);
  return {};
}

Status ClusterState::move_tokens(uint64_t index, NodeId node, std::vector<int64_t> now, std::vector<int64_t> tokens) {
  TRY_STATUS(check_no_change());
  auto it = nodes_.find(node);
  if (it == nodes_.end()) return fail(ErrorCode::not_found, "node {} is not a member", node);
  std::vector<int64_t> known = it->second.tokens;
  std::ranges::sort(known);
  std::ranges::sort(now);
  std::ranges::sort(tokens);
  if (known != now)
    return fail(ErrorCode::invalid_argument, "the tokens of {} have changed meanwhile", it->second.name);
  const auto taken = [&](int64_t token) {
    const auto owner = ring_.tokens().find(token);
    return token == INT64_MIN || (owner != ring_.tokens().end() && owner->second != node);
  };
  if (tokens.empty() || tokens == known || std::ranges::adjacent_find(tokens) != tokens.end() ||
      std::ranges::any_of(tokens, taken))
    return fail(ErrorCode::invalid_argument, "{} cannot have these tokens", it->second.name);
  change_.emplace();
  change_->moves = node;
  change_->tokens = std::move(tokens);
  change_->ready = true;  // nobody is asked
  for (int64_t token : change_->tokens) split_at(token);
  begin_moves(index);
  return {};
}

Status ClusterState::cancel_change(NodeId node) {
  if (!change_ || change_->subject() != node)
    return fail(ErrorCode::not_found, "node {} neither joins nor leaves nor gets other tokens", node);
  if (change_->cancelled) return {};
  change_->cancelled = true;
  change_->ready = false;
  begin_moves(change_->began);
  return {};
}

void ClusterState::begin_moves(uint64_t index) {
  const Ring ring = target_ring();
  for (auto& [id, shard] : shards_) aim(shard, placement_(shard.scope, shard.range.to, ring));
  change_->shards = moving();
  change_->began = index;
  finish_if_done();
}

/// Both halves keep the replicas, and requests that knew the whole are refused.
void ClusterState::split_at(int64_t token) {
  for (auto& [scope, ranges] : by_scope_) {
    auto it = ranges.lower_bound(token);
    if (it == ranges.end()) it = ranges.begin();
    Shard& whole = shards_.at(it->second);
    if (whole.range.to == token) continue;
    Shard left = whole;
    left.id = ShardId{next_shard_++};
    left.range.to = whole.range.after = token;
    ++left.epoch.value;
    ++whole.epoch.value;
    ranges[token] = left.id;
    shards_[left.id] = std::move(left);
  }
}

/// Begins to move a shard to these replicas, or ends the move that is under way where they are the present ones.
void ClusterState::aim(Shard& shard, std::vector<NodeId> replicas) {
  if (replicas.empty()) return;
  const bool stays = same_set(shard.replicas, replicas);
  if (stays) {
    shard.replicas = std::move(replicas);
    if (!shard.moving()) return;
    shard.former.insert(shard.former.end(), shard.target.begin(), shard.target.end());
    shard.former = without(shard.former, shard.replicas);
    shard.target.clear();
  } else {
    shard.target = std::move(replicas);
    shard.former = without(shard.former, shard.target);
  }
  shard.caught_up.clear();
  shard.settling = false;
  raise_epoch(shard);
}

void ClusterState::raise_epoch(Shard& shard) const {
  if (!defects_.has(Defect::keep_epoch)) ++shard.epoch.value;
}

void ClusterState::note_caught_up(ShardId id, Epoch epoch, NodeId node) {
  auto it = shards_.find(id);
  if (it == shards_.end() || !it->second.moving() || it->second.epoch != epoch) return;
  Shard& shard = it->second;
  const std::vector<NodeId> movers = shard.movers();
  if (!contains(movers, node) || contains(shard.caught_up, node)) return;
  shard.caught_up.push_back(node);
  if (shard.caught_up.size() < movers.size()) return;
  shard.caught_up.clear();
  raise_epoch(shard);
  if (shard.settling)
    switch_over(shard);
  else
    shard.settling = true;
}

void ClusterState::switch_over(Shard& shard) {
  shard.former.insert(shard.former.end(), shard.replicas.begin(), shard.replicas.end());
  shard.replicas = std::move(shard.target);
  shard.target.clear();
  shard.former = without(shard.former, shard.replicas);
  std::ranges::sort(shard.former);
  shard.former.erase(std::ranges::unique(shard.former).begin(), shard.former.end());
  shard.settling = false;
}

void ClusterState::finish_if_done() {
  if (!change_ || moving() > 0 || !(change_->ready || change_->cancelled)) return;
  const MemberChange change = std::move(*change_);
  change_.reset();
  NodeId gone = change.leaves;
  if (change.cancelled) {
    gone = change.comes ? change.comes->id : NodeId{};
  } else if (gone) {
    nodes_.erase(gone);
    ring_.remove(gone);
  }
  if (gone) {
    removed_.insert(gone);
    for (auto& [id, shard] : shards_) std::erase(shard.former, gone);
  }
  if (change.comes && !change.cancelled) add_node(*change.comes);
  if (change.moves && !change.cancelled) {
    NodeInfo node = nodes_.at(change.moves);
    node.tokens = change.tokens;
    ring_.remove(node.id);
    add_node(std::move(node));
  }
  merge_shards();
}

/// Neighbours that no token of the ring keeps apart any more become one.
void ClusterState::merge_shards() {
  for (auto& [scope, ranges] : by_scope_) {
    for (auto it = ranges.begin(); it != ranges.end() && ranges.size() > 1;) {
      const auto next = std::next(it) == ranges.end() ? ranges.begin() : std::next(it);
      Shard& left = shards_.at(it->second);
      Shard& right = shards_.at(next->second);
      if (ring_.tokens().contains(left.range.to) || !same_set(left.replicas, right.replicas)) {
        ++it;
        continue;
      }
      right.range.after = left.range.after;
      right.epoch.value = std::max(left.epoch.value, right.epoch.value) + 1;
      for (NodeId node : without(left.former, right.former)) right.former.push_back(node);
      shards_.erase(it->second);
      it = ranges.erase(it);
    }
  }
}

void ClusterState::create_shards(const std::string& scope) {
  Ring both = target_ring();
  for (const auto& [id, node] : nodes_) both.add(id, node.place, node.tokens);
  for (const TokenRange& range : both.ranges()) add_shard(scope, range, placement_(scope, range.to, ring_));
  if (!change_) return;
  const Ring target = target_ring();
  for (auto& [id, shard] : shards_)
    if (shard.scope == scope) aim(shard, placement_(scope, shard.range.to, target));
}

void ClusterState::replace_shards(const std::string& scope) {
  for (auto& [id, shard] : shards_) {
    if (shard.scope != scope) continue;
    std::vector<NodeId> replicas = placement_(scope, shard.range.to, ring_);
    if (replicas == shard.replicas) continue;
    shard.replicas = std::move(replicas);
    shard.former = without(shard.former, shard.replicas);
    ++shard.epoch.value;
  }
}

}  // namespace asterism
