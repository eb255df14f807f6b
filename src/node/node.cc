#include "cluster/rpc_methods.h"
#include "node/node_parts.h"
#include "node/node_rpc.h"

namespace asterism {

const char* to_string(NodeState state) {
  switch (state) {
    case NodeState::starting:
      return "starting";
    case NodeState::rebuilding:
      return "rebuilding";
    case NodeState::serving:
      return "serving";
    case NodeState::draining:
      return "draining";
    case NodeState::drained:
      return "drained";
    case NodeState::left:
      return "left";
    case NodeState::full:
      return "full";
    case NodeState::failed:
      return "failed";
  }
  return "unknown";
}

Node::Parts::~Parts() {
  // Tasks of any part may wait in another: all of them go before the first part does.
  tasks.cancel();
  faces.reset();
  shard_sizes.reset();
  mover.reset();
  anti_entropy.reset();
  coordinator.reset();
  hints.reset();
  if (rpc) rpc->stop();
  liveness.reset();
}

void Node::Parts::make_services() {
  metadata = std::make_unique<MetadataService>(config.id, ports.executor, *rpc, *host, log.child("metadata"));
  metadata->state().add_section(ClusterState::section_name, cluster);
  metadata->state().add_section(datastore::Schema::section_name, schema);
  metadata->state().add_section(AccessState::section_name, access);
  for (const auto& [name, section] : tuning.sections) metadata->state().add_section(name, *section);
  liveness = std::make_unique<Liveness>(config.id, ports.executor, *rpc, log.child("liveness"));
  rpc->handle(rpc_method::raft, [this](RpcRequest request) -> Task<Result<Bytes>> {
    host->receive(request.from, request.payload);
    co_return Bytes{};
  });
  liveness->on_change(
      [this](NodeId node, bool up) { up ? host->report_reachable(node) : host->report_unreachable(node); });
  rpc->handle(rpc_method::node_load,
              [this](RpcRequest) -> Task<Result<Bytes>> { co_return boost::json::serialize(load_object()); });
  handle_departures();
  rpc->handle(rpc_method::node_signs, [this](RpcRequest) -> Task<Result<Bytes>> {
    co_return Bytes(tuning.host != nullptr && tuning.host->can_sign() ? "yes" : "");
  });
  service = std::make_unique<datastore::ReplicaService>(config.id, *rpc, *metadata, cluster, schema, *replica,
                                                        tuning.defects);
  datastore::HintsOptions hints_options;
  hints_options.defects = tuning.defects;
  hints = std::make_unique<datastore::Hints>(hints_options, config.id, ports.executor, *rpc, cluster, schema, *metadata,
                                             *liveness, *replica, log.child("hints"));
  datastore::CoordinatorOptions coordinator_options;
  coordinator_options.self = config.id;
  coordinator_options.datacenter = config.place.datacenter;
  coordinator_options.defects = tuning.defects;
  coordinator = std::make_unique<datastore::Coordinator>(coordinator_options, ports.executor, *rpc, *metadata, cluster,
                                                         schema, *liveness, *service, *replica, *hints, ports.random,
                                                         log.child("coordinator"));
  datastore::AntiEntropyOptions repair_options;
  repair_options.defects = tuning.defects;
  repair_options.pause = tuning.repair_pause;
  repair_options.again_after = tuning.repair_again_after;
  anti_entropy =
      std::make_unique<datastore::AntiEntropy>(repair_options, config.id, ports.executor, *rpc, *metadata, cluster,
                                               schema, *liveness, *service, *replica, log.child("anti_entropy"));
  mover = std::make_unique<datastore::Mover>(config.id, ports.executor, *metadata, cluster, schema, *anti_entropy,
                                             *hints, *coordinator, *replica, log.child("mover"));
  shard_sizes = std::make_unique<datastore::ShardSizes>(config.id, ports.executor, *rpc, cluster, schema, *liveness,
                                                        *replica, service->load());
  snapshots = std::make_unique<Snapshots>(config, ports, *rpc, *metadata, cluster, schema, *liveness, *store, *replica,
                                          log.child("snapshots"));
  cluster.plant(tuning.defects);
  cluster.set_supported_level(supported_level());
  metadata->state().set_guard([this] { return cluster.check_level(); });
  liveness->announce(supported_level());
  liveness->on_removal([this](NodeId node) { return cluster.removed(node); }, [this] { leave(); });
}

void Node::Parts::follow_metadata() {
  for (const auto& [id, node] : cluster.nodes()) {
    // Where the founding members are, the configuration says: it may have been edited while all were down.
    if (!is_seed(id)) rpc->set_peer(id, node.rpc_address());
    liveness->watch(id);
  }
  if (const auto& change = cluster.change(); change && change->comes) {
    if (!is_seed(change->comes->id)) rpc->set_peer(change->comes->id, change->comes->rpc_address());
    liveness->watch(change->comes->id);
  }
  if (const auto& change = cluster.change(); change && change->moves) balance_cancelled |= change->cancelled;
  if (cluster.removed(config.id)) leave();
  news.wake_all();
  if (schema.take_abandoned().empty()) return;
  Status dropped = replica->drop_tables(
      [this](uint32_t number) { return number < datastore::Schema::first_table || schema.table(number) != nullptr; });
  if (!dropped) log.warning("rows of dropped tables stay for now: {}", dropped.error().to_string());
}

void Node::Parts::leave() {
  left.set();
  news.wake_all();
}

/// A replica that lost its rows answers no reads until it has compared itself with every other replica.
Task<void> Node::Parts::rebuild() {
  // With the rows it lost how much of the metadata it had promised to know.
  while (!co_await metadata->barrier(ports.executor.now() + metadata_patience)) co_await sleep_for(100ms);
  if (Status renewed = co_await service->renew_fence(); !renewed) co_return;  // no write succeeds any more
  while (true) {
    Status rebuilt = co_await anti_entropy->rebuild(ports.executor.now() + std::chrono::hours(1));
    if (rebuilt) rebuilt = co_await store->flush();
    if (rebuilt) rebuilt = co_await unmark(rebuilding_mark);
    if (rebuilt) break;
    log.info("rebuilding goes on: {}", rebuilt.error().to_string());
    co_await sleep_for(1s);
  }
  service->set_rebuilding(false);
  rebuilding = false;
  log.info("all rows are here again");
}

Task<void> Node::Parts::forget_recovery() {
  while (host->recovering()) co_await sleep_for(100ms);
  if (Status forgotten = co_await unmark(recovering_mark); !forgotten)
    log.warning("the mark of a lost log stays: {}", forgotten.error().to_string());
}

NodeState Node::Parts::state() const {
  if (failed.is_set()) return NodeState::failed;
  if (full) return NodeState::full;
  if (left.is_set()) return NodeState::left;
  if (!serving) return NodeState::starting;
  if (drain_phase == DrainPhase::draining) return NodeState::draining;
  if (drain_phase == DrainPhase::drained) return NodeState::drained;
  return rebuilding ? NodeState::rebuilding : NodeState::serving;
}

NodeTuning NodeTuning::within(uint64_t memory_bytes) {
  NodeTuning tuning;
  tuning.memtable_bytes = memory_bytes / 12;
  tuning.block_cache_bytes = memory_bytes / 8;
  tuning.row_cache_bytes = memory_bytes * 3 / 32;
  tuning.slice_cache_bytes = memory_bytes / 16;
  tuning.pending_bytes = memory_bytes / 16;
  return tuning;
}

// Node.

Node::Node(NodeConfig config, NodePorts ports, NodeTuning tuning, Log log)
    : parts_(std::make_unique<Parts>(std::move(config), ports, tuning, std::move(log))) {}

Node::~Node() = default;

Task<Status> Node::start() {
  Status started = co_await start_all();
  // Damage that opening the files did not find: the next start must not come upon it again.
  if (!started && started.error().code == ErrorCode::corrupt && parts_->wal) co_await parts_->mark(damaged_mark);
  co_return started;
}

Task<Status> Node::start_all() {
  Parts& parts = *parts_;
  RpcOptions rpc_options;
  rpc_options.self = parts.config.id;
  rpc_options.cluster = parts.config.cluster_name;
  Network* network = &parts.ports.network;
  if (parts.tuning.host != nullptr && parts.tuning.host->is_supervised()) {
    parts.isolation = std::make_unique<IsolatingNetwork>(*network);
    network = parts.isolation.get();
  }
  parts.rpc =
      std::make_unique<Rpc>(rpc_options, parts.ports.executor, *network, parts.ports.random, parts.log.child("rpc"));
  CO_TRY(parts.log_lost, co_await parts.is_marked(recovering_mark));
  CO_TRY_STATUS(co_await parts.check_level_marks());
  CO_TRY_STATUS(co_await parts.open_storage());
  CO_TRY(const bool rebuilding, co_await parts.is_marked(rebuilding_mark));
  parts.make_services();
  parts.rebuilding = rebuilding;
  parts.service->set_rebuilding(rebuilding);
  CO_TRY_STATUS(parts.service->start());
  if (rebuilding) parts.service->fence_lost();
  for (const MemberConfig& seed : parts.config.seeds) {
    parts.rpc->set_peer(seed.id, seed.rpc());
    parts.rpc->warm_up(seed.id);
  }
  CO_TRY_STATUS(parts.rpc->listen(parts.config.rpc()));
  parts.tasks.spawn(parts.watch_for_failure());
  CO_TRY_STATUS(co_await parts.join());
  CO_TRY_STATUS(parts.hints->start());
  CO_TRY_STATUS(parts.coordinator->start());
  parts.anti_entropy->start();
  parts.mover->start();
  parts.tasks.spawn(parts.tend_level());
  parts.tasks.spawn(parts.tend_load());
  parts.tasks.spawn(parts.tend_balance());
  parts.serving = true;
  if (rebuilding) parts.tasks.spawn(parts.rebuild());
  if (parts.log_lost) parts.tasks.spawn(parts.forget_recovery());
  parts.faces = std::make_unique<ClientFaces>(*this, parts.ports, parts.tuning.host, parts.log);
  CO_TRY_STATUS(parts.faces->listen());
  // Clients are not told of a node before it is a member, and it serves none.
  if (parts.cluster.nodes().contains(parts.config.id)) CO_TRY_STATUS(parts.faces->listen_cql());
  parts.tasks.spawn(parts.serve_clients());
  co_return Status{};
}

Task<void> Node::stop() {
  Parts& parts = *parts_;
  if (parts.wal == nullptr || parts.full || parts.failed.is_set()) co_return;
  parts.faces.reset();
  parts.tasks.cancel();
  if (Status flushed = co_await parts.store->flush(); !flushed)
    parts.log.warning("the store was not flushed: {}", flushed.error().to_string());
  if (Status closed = co_await parts.wal->close(); !closed)
    parts.log.warning("the log was not closed: {}", closed.error().to_string());
}

Task<Error> Node::failed() {
  co_await parts_->failed.wait();
  co_return *parts_->failure;
}

NodeState Node::state() const { return parts_->state(); }
const NodeConfig& Node::config() const { return parts_->config; }
ClusterState& Node::cluster() { return parts_->cluster; }
datastore::Schema& Node::schema() { return parts_->schema; }
const AccessState& Node::access() const { return parts_->access; }
const Audit& Node::audit() const { return parts_->tuning.audit; }
MetadataService& Node::metadata() { return *parts_->metadata; }
Liveness& Node::liveness() { return *parts_->liveness; }
Rpc& Node::rpc() { return *parts_->rpc; }
raft::Host& Node::raft_host() { return *parts_->host; }
datastore::TableService& Node::tables() { return *parts_->coordinator; }
datastore::AntiEntropy& Node::anti_entropy() { return *parts_->anti_entropy; }
datastore::Hints& Node::hints() { return *parts_->hints; }
Snapshots& Node::snapshots() { return *parts_->snapshots; }

Task<datastore::Served<void>> Node::write_versions(datastore::TablePtr table, std::vector<Bytes> mutations,
                                                   datastore::Consistency consistency, Instant deadline) {
  return parts_->coordinator->write_versions(std::move(table), std::move(mutations), consistency, deadline);
}

boost::json::object Node::load() const { return parts_->load_object(); }

void Node::isolate(bool isolated) {
  ASSERT(parts_->isolation != nullptr);
  if (isolated != parts_->isolation->isolated())
    parts_->log.warning("{}", isolated ? "is cut off from the other nodes" : "reaches the other nodes again");
  parts_->isolation->isolate(isolated);
}

}  // namespace asterism
