#include "node/node.h"

#include <algorithm>
#include <optional>
#include <set>

#include <boost/json.hpp>

#include "cluster/isolation.h"
#include "cluster/rpc_methods.h"
#include "cluster/voters.h"
#include "datastore/mover.h"
#include "node/client_faces.h"
#include "node/load_window.h"
#include "node/node_rpc.h"
#include "runtime/io.h"
#include "runtime/timeout.h"

namespace asterism {

constexpr const char* store_folder = "store";
constexpr const char* log_folder = "wal";
/// Files that say what this node lost. Made before damage is set aside, removed when it is made good.
constexpr const char* rebuilding_mark = "rebuilding";  // rows of tables
constexpr const char* damaged_mark = "damaged";        // files of the store, found by reading
constexpr const char* damaged_log_mark = "log-damaged";
constexpr const char* recovering_mark = "recovering";  // votes and entries of Raft groups
constexpr Duration poll = 10ms;
constexpr Duration room_poll = 500ms;
constexpr Duration metadata_patience = 3s;
constexpr Duration peers_patience = 500ms;
constexpr Duration tend_every = 200ms;
constexpr Duration farewell = 2s;  // in which a node that left hears of it, and clients go elsewhere
constexpr uint64_t entries_behind = 100;

const char* to_string(NodeState state) {
  switch (state) {
    case NodeState::starting:
      return "starting";
    case NodeState::rebuilding:
      return "rebuilding";
    case NodeState::serving:
      return "serving";
    case NodeState::left:
      return "left";
    case NodeState::full:
      return "full";
    case NodeState::failed:
      return "failed";
  }
  return "unknown";
}

/// In the order in which they are made; destroyed from the end, tasks first.
struct Node::Parts {
  NodeConfig config;
  NodePorts ports;
  NodeTuning tuning;
  Log log;
  Instant started;
  bool serving = false, rebuilding = false, full = false, left = false;
  bool log_lost = false;
  bool hole_accepted = false;  // the store was set aside because it lacks what the log let go
  std::optional<Error> failure;
  Event failed;

  LatencyHistogram loop_lag;
  LoadWindow load;
  std::unique_ptr<IsolatingNetwork> isolation;  // in a local cluster, between rpc and the network
  std::unique_ptr<Rpc> rpc;
  std::unique_ptr<KeyValueStore> store;
  std::unique_ptr<raft::Host> host;
  std::unique_ptr<datastore::Replica> replica;
  std::unique_ptr<WriteAheadLog> wal;
  std::unique_ptr<MetadataService> metadata;
  ClusterState cluster;
  datastore::Schema schema{cluster};
  AccessState access;
  std::unique_ptr<Liveness> liveness;
  std::unique_ptr<datastore::ReplicaService> service;
  std::unique_ptr<datastore::Hints> hints;
  std::unique_ptr<datastore::Coordinator> coordinator;
  std::unique_ptr<datastore::AntiEntropy> anti_entropy;
  std::unique_ptr<datastore::Mover> mover;
  std::unique_ptr<ClientFaces> faces;
  std::map<NodeId, Instant> removed_at;  // as this node learned of it
  TaskGroup tasks;

  Parts(NodeConfig of, NodePorts with, NodeTuning how, Log to)
      : config(std::move(of)),
        ports(with),
        tuning(how),
        log(std::move(to)),
        started(with.executor.now()),
        tasks(with.executor) {}
  ~Parts();

  Task<Status> open_storage();
  raft::HostOptions host_options() const;
  Task<Status> open_once(bool& retry);
  Task<Status> set_aside(const char* folder, const Error& why);
  Task<Status> set_aside_marked(const Error& why);
  Task<Status> mark(const char* name);
  Task<Status> unmark(const char* name);
  Task<Result<bool>> is_marked(const char* name);
  Task<void> forget_recovery();
  void make_services();
  boost::json::object load_object();
  raft::Configuration first_configuration() const;
  Task<Status> join();
  Task<void> campaign_early();
  Task<void> found_cluster();
  Task<void> found_superuser();
  Task<void> announce_address();
  Task<void> rebuild();
  Task<void> tend_members();
  void tend_voters();
  void forget_peers();
  bool gone_for_good(NodeId node);
  Task<void> serve_clients();
  NodeState state() const;
  std::optional<Error> find_failure() const;
  Task<void> watch_for_failure();
  Task<void> wait_for_room();
  void follow_metadata();
  bool is_seed(NodeId node) const;
};

Node::Parts::~Parts() {
  // Tasks of any part may wait in another: all of them go before the first part does.
  tasks.cancel();
  faces.reset();
  mover.reset();
  anti_entropy.reset();
  coordinator.reset();
  hints.reset();
  if (rpc) rpc->stop();
  liveness.reset();
}

// Storage.

Task<Status> Node::Parts::set_aside(const char* folder, const Error& why) {
  CO_TRY_STATUS(co_await mark(rebuilding_mark));
  CO_TRY(const std::string to, co_await KeyValueStore::quarantine(ports.disk, folder));
  log.error("{} is damaged ({}); it is kept in {} and its content comes from the other replicas", folder, why.message,
            to);
  co_return Status{};
}

/// Sets aside what is marked as damaged. Files move one by one, so a crash in between must find the mark again: half a
/// log may look like a whole one.
Task<Status> Node::Parts::set_aside_marked(const Error& why) {
  CO_TRY(const bool log_damaged, co_await is_marked(damaged_log_mark));
  CO_TRY(const bool store_damaged, co_await is_marked(damaged_mark));
  if (!log_damaged && !store_damaged) co_return Status{};
  // Positions of a new log begin anew, so the store that counts in the old ones goes as well.
  CO_TRY_STATUS(co_await set_aside(store_folder, why));
  hole_accepted = true;
  if (log_damaged) {
    log_lost = true;
    CO_TRY_STATUS(co_await mark(recovering_mark));
    CO_TRY_STATUS(co_await set_aside(log_folder, why));
    CO_TRY_STATUS(co_await unmark(damaged_log_mark));
  }
  if (store_damaged) CO_TRY_STATUS(co_await unmark(damaged_mark));
  co_return Status{};
}

Task<Status> Node::Parts::mark(const char* name) {
  CO_TRY(const bool already, co_await is_marked(name));
  if (already) co_return Status{};
  CO_TRY(auto file, co_await open(ports.disk, name, OpenMode::create));
  CO_TRY_STATUS(co_await sync(*file));
  co_return co_await sync_directory(ports.disk, "");
}

Task<Status> Node::Parts::unmark(const char* name) {
  CO_TRY_STATUS(co_await remove(ports.disk, name));
  co_return co_await sync_directory(ports.disk, "");
}

Task<Result<bool>> Node::Parts::is_marked(const char* name) {
  CO_TRY(const auto entries, co_await list(ports.disk, ""));
  co_return std::ranges::any_of(entries, [&](const auto& entry) { return entry.name == name; });
}

Task<Status> Node::Parts::open_storage() {
  for (const char* folder : {store_folder, log_folder}) CO_TRY_STATUS(co_await make_directory(ports.disk, folder));
  CO_TRY_STATUS(co_await sync_directory(ports.disk, ""));
  // At most the log and the store are set aside, one after the other.
  Error why{ErrorCode::corrupt, "an earlier start or a read found damage"};
  for (int attempt = 0;; ++attempt) {
    bool retry = false;
    CO_TRY_STATUS(co_await set_aside_marked(why));
    Status opened = co_await open_once(retry);
    if (!opened) why = opened.error();
    if (opened || !retry || attempt == 3) co_return opened;
  }
}

raft::HostOptions Node::Parts::host_options() const {
  raft::HostOptions options;
  options.self = config.id;
  options.tick = tuning.raft_tick;
  options.snapshot_after_bytes = tuning.snapshot_after_bytes;
  options.recovering = log_lost;
  options.defects = tuning.defects;
  return options;
}

Task<Status> Node::Parts::open_once(bool& retry) {
  wal.reset();
  replica.reset();
  host.reset();
  store.reset();

  KeyValueStore::Options store_options;
  store_options.path = store_folder;
  store_options.memtable_bytes = tuning.memtable_bytes;
  store_options.block_cache_bytes = tuning.block_cache_bytes;
  store_options.background_compaction = tuning.background_compaction;
  store_options.merge = [](BytesView key, const std::optional<BytesView>& existing, std::span<const BytesView> operands,
                           Bytes& merged) {
    std::vector<BytesView> versions;
    versions.reserve(operands.size() + 1);
    if (existing) versions.push_back(*existing);
    versions.insert(versions.end(), operands.begin(), operands.end());
    return datastore::merge_versions(key, versions, merged).has_value();
  };
  auto opened = co_await KeyValueStore::open(ports.disk, store_options);
  if (!opened) {
    retry = opened.error().code == ErrorCode::corrupt;
    if (retry) CO_TRY_STATUS(co_await mark(damaged_mark));
    co_return fail(opened.error());
  }
  store = std::move(*opened);

  host = std::make_unique<raft::Host>(
      host_options(), ports.executor, ports.clock, ports.random,
      [this](NodeId to, Bytes batch) { rpc->send(to, rpc_method::raft, std::move(batch)); }, log.child("raft"));
  datastore::ReplicaOptions replica_options;
  replica_options.defects = tuning.defects;
  replica_options.row_cache_bytes = tuning.row_cache_bytes;
  replica = std::make_unique<datastore::Replica>(replica_options, ports.executor, *store, log.child("replica"));

  WriteAheadLog::Options log_options;
  log_options.directory = log_folder;
  log_options.new_log_id = ports.random.next() | 1;
  log_options.segment_bytes = tuning.wal_segment_bytes;
  auto log_opened = co_await WriteAheadLog::open(ports.disk, ports.executor, log_options, [this](const Record& record) {
    return record.owner == datastore::replica_owner ? replica->replay(record) : host->replay(record);
  });
  if (!log_opened) {
    retry = log_opened.error().code == ErrorCode::corrupt;
    if (retry) {
      replica.reset();
      store.reset();
      CO_TRY_STATUS(co_await mark(damaged_log_mark));
    }
    co_return fail(log_opened.error());
  }
  wal = std::move(*log_opened);

  if (!hole_accepted && store->flushed_position() < replica->required_position()) {
    const Error hole{ErrorCode::corrupt, "the store is older than its last flush"};
    wal.reset();
    replica.reset();
    store.reset();
    retry = true;
    CO_TRY_STATUS(co_await mark(damaged_mark));
    hole_accepted = true;
    co_return fail(hole);
  }
  host->start(*wal);
  co_return co_await replica->start(*wal);
}

// Services.

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
  cluster.plant(tuning.defects);
  liveness->on_removal([this](NodeId node) { return cluster.removed(node); }, [this] { left = true; });
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
  left |= cluster.removed(config.id);
  if (schema.take_abandoned().empty()) return;
  Status dropped = replica->drop_tables(
      [this](uint32_t number) { return number < datastore::Schema::first_table || schema.table(number) != nullptr; });
  if (!dropped) log.warning("rows of dropped tables stay for now: {}", dropped.error().to_string());
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
    co_await sleep_for(poll);
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

// Members.

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
  if (left) return;
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
    return cluster.nodes().empty() || (config.joined && !left && cluster.node(config.id) == nullptr);
  };
  while (unknown() && !left && !failed.is_set()) co_await sleep_for(poll);
  if (failed.is_set()) co_return fail(*failure);
  if (left || cluster.removed(config.id))
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
  follow_metadata();
  // Clients that come at once should find the replicas that are there.
  const auto all_up = [&] {
    return std::ranges::all_of(cluster.nodes(), [&](const auto& entry) { return liveness->up(entry.first); });
  };
  for (const Instant until = ports.executor.now() + peers_patience; !all_up() && ports.executor.now() < until;)
    co_await sleep_for(poll);
  tasks.spawn(announce_address());
  if (config.authentication && !config.admin.empty() && !access.has_superuser()) {
    tasks.spawn(found_superuser());
    // Who is told that the node serves may log in at once.
    for (const Instant until = ports.executor.now() + metadata_patience;
         !access.has_superuser() && ports.executor.now() < until;)
      co_await sleep_for(poll);
  }
  co_return Status{};
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
  if (left) return NodeState::left;
  if (!serving) return NodeState::starting;
  return rebuilding ? NodeState::rebuilding : NodeState::serving;
}

std::optional<Error> Node::Parts::find_failure() const {
  if (wal->failure()) return wal->failure();
  return store->damage() ? store->damage() : replica->failure();
}

Task<void> Node::Parts::watch_for_failure() {
  constexpr Duration look_every = 100ms;
  while (!(failure = find_failure())) {
    const Instant due = ports.executor.now() + look_every;
    co_await sleep_for(look_every);
    loop_lag.record(ports.executor.now() - due);
  }
  if (failure->code == ErrorCode::no_space) co_await wait_for_room();
  // The next start must not come upon the same file again.
  if (failure->code == ErrorCode::corrupt && !wal->failure()) co_await mark(damaged_mark);
  failed.set();
}

/// Log and store stay as they are, so what was acknowledged can be read, and are opened again when that can succeed: it
/// copies a segment of the log, begins another and flushes what was replayed.
Task<void> Node::Parts::wait_for_room() {
  const uint64_t needed = 2 * (tuning.wal_segment_bytes + tuning.memtable_bytes);
  full = true;
  log.error("the disk is full: reads go on, writes are refused until {} MiB are free", (needed + (1 << 20) - 1) >> 20);
  while (true) {
    const auto free = co_await free_space(ports.disk);
    if (!free || *free >= needed) break;
    co_await sleep_for(room_poll);
  }
  log.info("the disk has room again");
}

/// From when this node is a member until it is none.
Task<void> Node::Parts::serve_clients() {
  while (!cluster.nodes().contains(config.id) && !left) co_await sleep_for(poll);
  while (!left && !faces->serves_cql()) {
    if (Status listening = faces->listen_cql(); !listening) {
      log.error("cannot serve clients: {}", listening.error().to_string());
      co_await sleep_for(1s);
    }
  }
  while (!left) co_await sleep_for(tend_every);
  log.info("this node is no member any more");
  co_await sleep_for(farewell);
  faces->close_cql();
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

boost::json::object Node::load() const { return parts_->load_object(); }

void Node::isolate(bool isolated) {
  ASSERT(parts_->isolation != nullptr);
  if (isolated != parts_->isolation->isolated())
    parts_->log.warning("{}", isolated ? "is cut off from the other nodes" : "reaches the other nodes again");
  parts_->isolation->isolate(isolated);
}

boost::json::object Node::Parts::load_object() {
  const auto ms = [](Duration time) { return std::chrono::duration<double, std::milli>(time).count(); };
  boost::json::object out{{"state", to_string(state())},
                          {"uptime_s", std::chrono::duration<double>(ports.executor.now() - started).count()}};
  if (!faces) return out;
  const cql::CqlCounters& cql = faces->cql_counters();
  const LoadWindow::Load& lately = load.load(ports.executor.now(), coordinator->counters(), cql);
  out["reads_s"] = lately.reads_per_s;
  out["writes_s"] = lately.writes_per_s;
  out["failures_s"] = lately.failures_per_s;
  out["median_ms"] = ms(lately.median);
  out["slow_ms"] = ms(lately.slow);
  out["connections"] = cql.connections_open;
  out["hints"] = hints->waiting();
  out["compared"] = anti_entropy->counters().compared;
  out["differing"] = anti_entropy->counters().differing;
  out["store_bytes"] = store->file_bytes();
  if (tuning.host != nullptr)
    if (auto bytes = tuning.host->resident_bytes()) out["resident_bytes"] = *bytes;
  return out;
}

Task<Status> Node::add_member(NodeInfo node, NodeId replaces, Instant deadline) {
  Parts& parts = *parts_;
  // A node that was just killed is noticed within a moment.
  const Instant noticed = parts.ports.executor.now() + metadata_patience;
  while (replaces && parts.liveness->up(replaces) && parts.ports.executor.now() < noticed) co_await sleep_for(poll);
  if (replaces && parts.liveness->up(replaces))
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
  CO_TRY(const Bytes added, co_await parts.metadata->propose(ClusterState::section_name,
                                                             ClusterState::add_node_command(node, replaces), deadline));
  co_return Status{};
}

Task<Status> Node::remove_member(NodeId node, Instant deadline) {
  CO_TRY(const Bytes removed, co_await parts_->metadata->propose(ClusterState::section_name,
                                                                 ClusterState::remove_node_command(node), deadline));
  co_return Status{};
}

Task<Status> Node::cancel_change(NodeId node, Instant deadline) {
  CO_TRY(const Bytes cancelled,
         co_await parts_->metadata->propose(ClusterState::section_name, ClusterState::cancel_command(node), deadline));
  co_return Status{};
}

void Node::report(MetricsPage& page) const {
  const Parts& parts = *parts_;
  const auto& replica = parts.replica->counters();
  page.counter("asterism_replica_writes_total", "Mutations taken by this replica.", replica.writes);
  page.counter("asterism_replica_flushes_total", "Flushes of the table store.", replica.flushes);
  page.gauge("asterism_replica_pending_bytes", "Mutations that wait for the log.",
             static_cast<double>(parts.replica->pending_bytes()));
  const auto& requests = parts.coordinator->counters();
  page.counter("asterism_coordinator_writes_total", "Writes coordinated here.", requests.writes);
  page.counter("asterism_coordinator_reads_total", "Reads coordinated here.", requests.reads);
  page.counter("asterism_coordinator_failures_total", "Requests that missed their consistency level.",
               requests.failures);
  page.counter("asterism_coordinator_digest_mismatches_total", "Reads whose replicas differed.",
               requests.digest_mismatches);
  page.counter("asterism_coordinator_speculations_total", "Reads asked of one more replica.", requests.speculations);
  const auto& hints = parts.hints->counters();
  page.counter("asterism_hints_stored_total", "Mutations kept for replicas that were down.", hints.stored);
  page.counter("asterism_hints_delivered_total", "Hints delivered.", hints.delivered);
  page.counter("asterism_hints_dropped_total", "Hints given up.", hints.dropped);
  page.gauge("asterism_hints_waiting", "Hints that wait.", static_cast<double>(parts.hints->waiting()));
  const auto& compared = parts.anti_entropy->counters();
  page.counter("asterism_anti_entropy_compared_total", "Comparisons of a table's shard with one peer.",
               compared.compared);
  page.counter("asterism_anti_entropy_differing_total", "Comparisons that found a difference.", compared.differing);
  const auto& moves = parts.mover->counters();
  page.counter("asterism_mover_caught_up_total", "Phases of moves of shards that this node ended.", moves.caught_up);
  page.counter("asterism_mover_failed_total", "Attempts to catch up with a shard that failed.", moves.failed);
  page.counter("asterism_mover_dropped_ranges_total", "Ranges deleted after they moved away.", moves.dropped_ranges);
  const auto& log = parts.wal->counters();
  page.counter("asterism_wal_records_total", "Records in the write-ahead log.", log.records);
  page.counter("asterism_wal_syncs_total", "Syncs of the write-ahead log.", log.syncs);
  page.counter("asterism_wal_bytes_total", "Bytes written to the write-ahead log.", log.bytes);
  const auto raft = parts.host->counters();
  page.gauge("asterism_raft_groups", "Raft groups on this node.", static_cast<double>(raft.groups));
  page.gauge("asterism_raft_groups_quiet", "Raft groups at rest.", static_cast<double>(raft.quiet));
  page.counter("asterism_raft_messages_total", "Raft messages sent.", raft.messages_sent);
  page.counter("asterism_raft_batches_total", "Batches of Raft messages sent.", raft.batches_sent);
  const datastore::RowCache& cache = parts.replica->cache();
  page.counter("asterism_row_cache_hits_total", "Rows found in the row cache.", cache.hits());
  page.counter("asterism_row_cache_misses_total", "Rows not found in the row cache.", cache.misses());
  page.gauge("asterism_row_cache_bytes", "Bytes of the row cache.", static_cast<double>(cache.bytes()));
  page.counter("asterism_wal_batches_total", "Batches of the write-ahead log, each written at once.", log.batches);
  page.gauge("asterism_store_file_bytes", "Bytes of the store's files.",
             static_cast<double>(parts.store->file_bytes()));
  page.gauge("asterism_shards", "Shards of the cluster.", static_cast<double>(parts.cluster.shards().size()));
  page.gauge("asterism_nodes_up", "Nodes that this one finds up, itself included.",
             static_cast<double>(std::ranges::count_if(
                 parts.cluster.nodes(), [&](const auto& entry) { return parts.liveness->up(entry.first); })));
  page.histogram("asterism_loop_lag_seconds", "How late the event loop runs what is due.", parts.loop_lag);
  if (parts.tuning.host != nullptr)
    if (auto bytes = parts.tuning.host->resident_bytes())
      page.gauge("asterism_resident_memory_bytes", "Physical memory of the process.", static_cast<double>(*bytes));
  page.gauge("asterism_store_memory_bytes", "Memory of memtables, block cache and table readers.",
             static_cast<double>(parts.store->approximate_memory()));
}

std::string Node::status_json() {
  Parts& parts = *parts_;
  const auto name_of = [&](NodeId id) {
    const NodeInfo* node = parts.cluster.node(id);
    return node != nullptr ? node->name : std::string();
  };
  boost::json::object status;
  status["name"] = parts.config.name;
  status["id"] = parts.config.id.value;
  status["state"] = to_string(parts.state());
  status["cluster"] = parts.config.cluster_name;
  status["uptime_s"] = static_cast<double>((parts.ports.executor.now() - parts.started).count()) * 1e-9;
  status["metadata"] = {{"leader", name_of(parts.metadata->leader())}, {"applied", parts.metadata->applied_index()}};
  boost::json::array nodes;
  for (const auto& [id, node] : parts.cluster.nodes())
    nodes.push_back({{"name", node.name},
                     {"address", node.host},
                     {"datacenter", node.place.datacenter},
                     {"rack", node.place.rack},
                     {"up", parts.liveness->up(id)}});
  status["nodes"] = std::move(nodes);
  status["next_node"] = parts.cluster.next_node().value;
  if (const auto& change = parts.cluster.change()) {
    boost::json::object out{{"node", name_of(change->subject())},
                            {"id", change->subject().value},
                            {"what", change->replaces() ? "replace"
                                     : change->comes    ? "add"
                                                        : "decommission"},
                            {"cancelled", change->cancelled},
                            {"ready", change->ready},
                            {"shards", change->shards},
                            {"moving", parts.cluster.moving()}};
    if (change->replaces()) out["replaces"] = name_of(change->leaves);
    if (change->comes) out["address"] = change->comes->host;
    status["change"] = std::move(out);
  }
  boost::json::object keyspaces;
  for (const auto& [keyspace, definition] : parts.schema.keyspaces())
    keyspaces[keyspace] = parts.cluster.shards_of(keyspace).size();
  status["shards"] = {{"total", parts.cluster.shards().size()}, {"keyspaces", std::move(keyspaces)}};
  status["hints"] = parts.hints->waiting();
  status["memory_bytes"] = parts.store->approximate_memory();
  status["load"] = parts.load_object();
  status["isolated"] = parts.isolation != nullptr && parts.isolation->isolated();
  return boost::json::serialize(status);
}

}  // namespace asterism
