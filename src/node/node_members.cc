// How a node founds or joins a cluster, and what it does as others come and go.
#include "node/node_parts.h"

#include <algorithm>
#include <set>

#include "cluster/ring.h"
#include "cluster/voters.h"

namespace asterism {

constexpr Duration peers_patience = 500ms;
constexpr Duration tend_every = 200ms;
constexpr Duration farewell = 2s;  // in which a node that left hears of it, and clients go elsewhere
constexpr uint64_t entries_behind = 100;
constexpr Duration time_to_propose = 5s;

raft::Configuration Node::Parts::first_configuration() const {
  raft::Configuration configuration;
  if (config.joined) return configuration;  // it learns it from the leader
  for (const MemberConfig& seed : config.seeds)
    (configuration.voters.size() < max_voters ? configuration.voters : configuration.learners).push_back(seed.id);
  std::ranges::sort(configuration.voters);
  std::ranges::sort(configuration.learners);
  return configuration;
}

bool Node::Parts::is_seed(NodeId node) const {
  return std::ranges::any_of(config.seeds, [&](const MemberConfig& seed) { return seed.id == node; });
}

/// With no leader in sight the founding members need not wait for election timeouts: the first asks at once, each later
/// one a little later. Asking disturbs no leader (pre-vote).
Task<void> Node::Parts::campaign_early() {
  Duration wait{0};
  for (const MemberConfig& seed : config.seeds) {
    if (seed.id == config.id) break;
    wait += 5 * tuning.raft_tick;
  }
  co_await sleep_for(wait);
  while (!metadata->leader()) {
    const auto connected = static_cast<size_t>(
        std::ranges::count_if(config.seeds, [&](const MemberConfig& seed) { return rpc->connected(seed.id); }));
    if (connected > std::min(config.seeds.size(), max_voters) / 2) host->campaign(metadata_shard);
    co_await sleep_for(2 * tuning.raft_tick);
  }
}

static Bytes random_uuid(Random& random) {
  Bytes uuid;
  ByteWriter out(uuid);
  out.u64_be(random.next());
  out.u64_be(random.next());
  uuid[6] = static_cast<char>((uuid[6] & 0x0f) | 0x40);
  uuid[8] = static_cast<char>((uuid[8] & 0x3f) | 0x80);
  return uuid;
}

Task<void> Node::Parts::found_cluster() {
  while (cluster.nodes().empty()) {
    if (host->is_leader(metadata_shard)) {
      std::vector<NodeInfo> nodes;
      for (const MemberConfig& seed : config.seeds)
        nodes.push_back({seed.id,
                         seed.name,
                         seed.address,
                         seed.rpc_port,
                         {{"cql", config.cql_port}, {"http", config.http_port}},
                         seed.place,
                         random_uuid(ports.random),
                         {}});
      // Another leader may have been first: the command then fails and changes nothing.
      co_await metadata->propose(ClusterState::section_name,
                                 ClusterState::bootstrap_command(nodes, tuning.tokens_per_node),
                                 ports.executor.now() + 5s);
    }
    co_await sleep_for(node_poll);
  }
}

/// Somebody must be able to log in to make the others.
Task<void> Node::Parts::found_superuser() {
  Role admin;
  admin.name = admin_role;
  admin.login = admin.superuser = true;
  auto verifier = parse_verifier(config.admin);
  if (!verifier) co_return log.error("no superuser is made: admin in node.toml: {}", verifier.error().message);
  admin.password = std::move(*verifier);
  while (!access.has_superuser()) {
    auto made =
        co_await metadata->propose(AccessState::section_name, AccessState::found(admin), ports.executor.now() + 5s);
    if (made) log.info("role {} is the first superuser", admin.name);
    if (!made) co_await sleep_for(100ms);
  }
}

/// Tells the cluster where this node is now, where that differs from what it knows.
Task<void> Node::Parts::announce_address() {
  while (true) {
    const NodeInfo* known = cluster.node(config.id);
    if (known == nullptr) co_return;
    NodeInfo own = *known;
    own.name = config.name;
    own.host = config.address;
    own.rpc_port = config.rpc_port;
    own.endpoints = {{"cql", config.cql_port}, {"http", config.http_port}};
    if (own.host == known->host && own.rpc_port == known->rpc_port && own.endpoints == known->endpoints) co_return;
    auto told = co_await metadata->propose(ClusterState::section_name, ClusterState::update_node_command(own),
                                           ports.executor.now() + 5s);
    if (!told) co_await sleep_for(1s);
  }
}

bool Node::Parts::gone_for_good(NodeId node) {
  if (cluster.nodes().empty() || cluster.node(node) != nullptr) {
    removed_at.erase(node);
    return false;
  }
  const Instant since = removed_at.try_emplace(node, ports.executor.now()).first->second;
  return !liveness->up(node) || ports.executor.now() - since > farewell;
}

/// The leader of the metadata log lets the members take part in it, and nobody else.
void Node::Parts::tend_voters() {
  if (!host->is_leader(metadata_shard)) return;
  const raft::Raft& group = host->raft(metadata_shard);
  const auto progress = group.progress();
  VoterFacts facts;
  facts.caught_up = [&](NodeId node) {
    auto peer = std::ranges::find(progress, node, &raft::Raft::PeerStatus::node);
    return peer != progress.end() && peer->active && !peer->recovering &&
           peer->match + entries_behind >= group.last_index();
  };
  facts.may_go = [this](NodeId node) { return gone_for_good(node); };
  auto target = next_configuration(group.configuration(), cluster, facts);
  if (!target) return;
  // Refused while another change is on its way: then it is tried again.
  if (Status changed = host->change_configuration(metadata_shard, std::move(*target)); changed)
    log.info("the metadata log changes its voters");
}

void Node::Parts::forget_peers() {
  if (left.is_set()) return;
  const raft::Configuration& group = host->raft(metadata_shard).configuration();
  for (auto it = removed_at.begin(); it != removed_at.end();) {
    if (!gone_for_good(it->first) || group.contains(it->first)) {
      ++it;
      continue;
    }
    liveness->forget(it->first);
    rpc->remove_peer(it->first);
    it = removed_at.erase(it);
  }
}

Task<void> Node::Parts::tend_members() {
  std::set<NodeId> known;
  for (const MemberConfig& seed : config.seeds) known.insert(seed.id);
  while (true) {
    for (const auto& [id, node] : cluster.nodes()) known.insert(id);
    if (const auto& change = cluster.change(); change && change->comes) known.insert(change->comes->id);
    for (auto it = known.begin(); it != known.end();) {
      const bool gone = !cluster.nodes().empty() && cluster.node(*it) == nullptr && *it != config.id;
      if (gone) removed_at.try_emplace(*it, ports.executor.now());
      it = gone ? known.erase(it) : std::next(it);
    }
    tend_voters();
    forget_peers();
    co_await sleep_for(tend_every);
  }
}

Task<Status> Node::Parts::join() {
  CO_TRY_STATUS(metadata->start(first_configuration()));
  for (const auto& [group, machine] : tuning.groups)
    CO_TRY_STATUS(host->add_group(group, first_configuration(), *machine));
  metadata->state().on_change([this] { follow_metadata(); });
  for (const MemberConfig& seed : config.seeds) liveness->watch(seed.id);
  if (!config.joined) {
    tasks.spawn(campaign_early());
    tasks.spawn(found_cluster());
  }
  tasks.spawn(tend_members());
  const auto unknown = [&] {
    return cluster.nodes().empty() || (config.joined && !left.is_set() && cluster.node(config.id) == nullptr);
  };
  while (unknown() && !left.is_set() && !failed.is_set() && cluster.check_level()) co_await sleep_for(node_poll);
  CO_TRY_STATUS(cluster.check_level());
  if (failed.is_set()) co_return fail(*failure);
  if (left.is_set() || cluster.removed(config.id))
    co_return fail(ErrorCode::not_found, "{} has left this cluster, and cannot come back: add a new node", config.name);
  const NodeInfo* known = cluster.node(config.id);
  if (known == nullptr)
    co_return fail(ErrorCode::invalid_argument, "node {} is not a member of this cluster", config.id);
  // Replicas lie where the place says; another one would need them moved.
  if (known->place != config.place)
    co_return fail(ErrorCode::invalid_argument,
                   "{} belongs to datacenter {} and rack {}, which cannot be changed to {} and {}", config.name,
                   known->place.datacenter, known->place.rack, config.place.datacenter, config.place.rack);
  // What was agreed on while this node was away. Without a leader it serves with what it knew.
  if (Status current = co_await metadata->barrier(ports.executor.now() + metadata_patience); !current)
    log.warning("no leader of the metadata log answers; going on with what was known");
  CO_TRY_STATUS(cluster.check_level());
  follow_metadata();
  // Clients that come at once should find the replicas that are there.
  const auto all_up = [&] {
    return std::ranges::all_of(cluster.nodes(), [&](const auto& entry) { return liveness->up(entry.first); });
  };
  for (const Instant until = ports.executor.now() + peers_patience; !all_up() && ports.executor.now() < until;)
    co_await sleep_for(node_poll);
  tasks.spawn(announce_address());
  if (config.authentication && !config.admin.empty() && !access.has_superuser()) {
    tasks.spawn(found_superuser());
    // Who is told that the node serves may log in at once.
    for (const Instant until = ports.executor.now() + metadata_patience;
         !access.has_superuser() && ports.executor.now() < until;)
      co_await sleep_for(node_poll);
  }
  co_return Status{};
}

/// From when this node is a member until it is none.
Task<void> Node::Parts::serve_clients() {
  while (!cluster.nodes().contains(config.id) && !left.is_set()) co_await news.wait();
  while (!left.is_set() && !faces->serves_cql()) {
    if (Status listening = faces->listen_cql(); !listening) {
      log.error("cannot serve clients: {}", listening.error().to_string());
      co_await sleep_for(1s);
    }
  }
  // Without a process around it nobody drained it before.
  if (tuning.host != nullptr) tasks.spawn(tell_serving());
  co_await left.wait();
  log.info("this node is no member any more");
  co_await sleep_for(farewell);
  faces->close_cql();
}

/// A node that was just killed is noticed within a moment.
Task<bool> Node::Parts::is_down(NodeId node) {
  const Instant noticed = ports.executor.now() + metadata_patience;
  while (liveness->up(node) && ports.executor.now() < noticed) co_await sleep_for(node_poll);
  co_return !liveness->up(node);
}

/// Members go before tokens: a node that gets other tokens keeps those that it has, however the step began.
Task<Status> Node::Parts::turn_rebalance_back(Instant deadline) {
  CO_TRY_STATUS(co_await metadata->barrier(deadline));
  while (cluster.change() && cluster.change()->moves && ports.executor.now() + time_to_propose < deadline) {
    const NodeId node = cluster.change()->moves;
    if (!cluster.change()->cancelled) {
      log.info("node {} keeps its tokens, because nodes come or leave", node);
      (void)co_await metadata->propose(ClusterState::section_name, ClusterState::cancel_command(node), deadline);
    }
    co_await sleep_for(node_poll);
  }
  co_return Status{};
}

Task<Status> Node::add_member(NodeInfo node, NodeId replaces, Instant deadline) {
  Parts& parts = *parts_;
  CO_TRY_STATUS(co_await parts.turn_rebalance_back(deadline));
  if (replaces && !co_await parts.is_down(replaces))
    co_return fail(ErrorCode::invalid_argument,
                   "node {} is up: only a dead node can be replaced; decommission this one", replaces);
  std::set<size_t> factors;
  for (const auto& [id, shard] : parts.cluster.shards()) factors.insert(shard.replicas.size());
  factors.erase(0);
  if (factors.empty()) factors = {3};
  const auto& members = parts.cluster.nodes();
  const size_t count = members.empty() ? parts.tuning.tokens_per_node : members.begin()->second.tokens.size();
  if (node.host_id.empty()) node.host_id = random_uuid(parts.ports.random);
  if (!replaces)
    node.tokens = joining_tokens(parts.cluster.ring(), node.place, count, {factors.begin(), factors.end()});
  CO_TRY_STATUS(co_await parts.metadata->propose(ClusterState::section_name,
                                                 ClusterState::add_node_command(node, replaces), deadline));
  co_return Status{};
}

Task<Status> Node::remove_member(NodeId node, Instant deadline) {
  CO_TRY_STATUS(co_await parts_->turn_rebalance_back(deadline));
  CO_TRY_STATUS(co_await parts_->metadata->propose(ClusterState::section_name, ClusterState::remove_node_command(node),
                                                   deadline));
  co_return Status{};
}

Task<Status> Node::remove_dead_member(NodeId node, Instant deadline) {
  if (!co_await parts_->is_down(node))
    co_return fail(ErrorCode::invalid_argument, "node {} is up: only a dead node can be removed; decommission this one",
                   node);
  CO_TRY_STATUS(co_await parts_->turn_rebalance_back(deadline));
  CO_TRY_STATUS(co_await parts_->metadata->propose(ClusterState::section_name,
                                                   ClusterState::remove_node_command(node, true), deadline));
  co_return Status{};
}

Task<Status> Node::set(std::string name, std::string value, Instant deadline) {
  CO_TRY_STATUS(co_await parts_->wait_for_level(balance_feature_level));
  CO_TRY_STATUS(
      co_await parts_->metadata->propose(ClusterState::section_name, ClusterState::set_command(name, value), deadline));
  co_return Status{};
}

Task<Status> Node::cancel_change(NodeId node, Instant deadline) {
  CO_TRY_STATUS(
      co_await parts_->metadata->propose(ClusterState::section_name, ClusterState::cancel_command(node), deadline));
  co_return Status{};
}

}  // namespace asterism
