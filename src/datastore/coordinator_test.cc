// Three nodes composed by hand: everything between a coordinator and the disks of its replicas.
#include "datastore/coordinator.h"

#include <gtest/gtest.h>

#include <map>

#include "cluster/rpc_methods.h"
#include "datastore/anti_entropy.h"
#include "datastore/mover.h"
#include "runtime/sim/machine.h"
#include "runtime/sim/sim_network.h"

namespace asterism::datastore {
namespace {

constexpr uint32_t machines = 3;

struct Services {
  sim::Machine& machine;
  NodeId id;
  Rpc rpc;
  raft::Host host;
  MetadataService metadata;
  Liveness liveness;
  ClusterState cluster;
  Schema schema{cluster};
  Replica replica;
  ReplicaService service;
  Hints hints;
  Coordinator coordinator;
  AntiEntropy anti_entropy;
  Mover mover;

  static RpcOptions rpc_options(NodeId self) {
    RpcOptions options;
    options.self = self;
    return options;
  }
  static raft::HostOptions host_options(NodeId self) {
    raft::HostOptions options;
    options.self = self;
    return options;
  }
  template <class Options>
  static Options with(Options options, Defects defects) {
    options.defects = defects;
    return options;
  }
  static CoordinatorOptions coordinator_options(NodeId self) {
    CoordinatorOptions options;
    options.self = self;
    return options;
  }
  Services(sim::Machine& m, KeyValueStore& store, Defects defects)
      : machine(m),
        id{m.index() + 1},
        rpc(rpc_options(id), m.executor(), m.network(), m.random(), m.log("rpc")),
        host(
            host_options(id), m.executor(), m.clock(), m.random(),
            [this](NodeId to, Bytes batch) { rpc.send(to, asterism::rpc_method::raft, std::move(batch)); }, Log()),
        metadata(id, m.executor(), rpc, host, Log()),
        liveness(id, m.executor(), rpc, m.log("liveness")),
        replica(with(ReplicaOptions(), defects), m.executor(), store, Log()),
        service(id, rpc, metadata, cluster, schema, replica, defects),
        hints(with(HintsOptions(), defects), id, m.executor(), rpc, cluster, schema, metadata, liveness, replica,
              Log()),
        coordinator(with(coordinator_options(id), defects), m.executor(), rpc, metadata, cluster, schema, liveness,
                    service, replica, hints, m.random(), Log()),
        anti_entropy(with(AntiEntropyOptions(), defects), id, m.executor(), rpc, metadata, cluster, schema, liveness,
                     service, replica, Log()),
        mover(id, m.executor(), metadata, cluster, schema, anti_entropy, hints, coordinator, replica, Log()) {
    metadata.state().add_section(ClusterState::section_name, cluster);
    metadata.state().add_section(Schema::section_name, schema);
    cluster.plant(defects);
    rpc.handle(asterism::rpc_method::raft, [this](RpcRequest request) { return on_raft(std::move(request)); });
    liveness.on_change([this](NodeId n, bool up) { up ? host.report_reachable(n) : host.report_unreachable(n); });
  }
  /// Handlers may wait in any of the others.
  ~Services() { rpc.stop(); }
  Task<Result<Bytes>> on_raft(RpcRequest request) {
    host.receive(request.from, request.payload);
    co_return Bytes{};
  }
};

struct Node final : sim::Process {
  sim::Machine& machine;
  Defects defects;
  std::unique_ptr<KeyValueStore> store;
  std::unique_ptr<Services> s;
  std::unique_ptr<WriteAheadLog> wal;
  bool ready = false;
  TaskGroup tasks;

  Node(sim::Machine& m, Defects planted) : machine(m), defects(planted), tasks(m.executor()) { tasks.spawn(run()); }
  Task<void> run() {
    Status started = co_await open();
    EXPECT_TRUE(started) << started.error().to_string();
    ready = started.has_value();
  }
  Task<Status> open() {
    KeyValueStore::Options options;
    options.background_compaction = false;
    options.merge = merge_function();
    options.supersedes = version_supersedes;
    CO_TRY(store, co_await KeyValueStore::open(machine.disk(), options));
    s = std::make_unique<Services>(machine, *store, defects);
    WriteAheadLog::Options log;
    log.new_log_id = machine.random().next() | 1;
    CO_TRY(wal, co_await WriteAheadLog::open(machine.disk(), machine.executor(), log, [this](const Record& record) {
             return record.owner == replica_owner ? s->replica.replay(record) : s->host.replay(record);
           }));
    s->host.start(*wal);
    CO_TRY_STATUS(co_await s->replica.start(*wal));
    raft::Configuration first;
    for (uint32_t i = 1; i <= machines; ++i) first.voters.push_back(NodeId{i});
    for (uint32_t i = 0; i < machines; ++i)
      s->rpc.set_peer(NodeId{i + 1}, machine.simulation().machine(i).address(7000));
    CO_TRY_STATUS(s->metadata.start(first));
    CO_TRY_STATUS(s->rpc.listen(machine.address(7000)));
    for (uint32_t i = 1; i <= machines; ++i) s->liveness.watch(NodeId{i});
    CO_TRY_STATUS(co_await s->metadata.barrier(machine.executor().now() + 30s));
    CO_TRY_STATUS(s->hints.start());
    CO_TRY_STATUS(s->service.start());
    CO_TRY_STATUS(s->coordinator.start());
    co_return Status{};
  }
};

struct Cluster {
  sim::Simulation simulation;
  int64_t clock = 1;

  /// The last machines may be no members yet.
  explicit Cluster(uint64_t seed = 1, std::optional<Defect> defect = std::nullopt, uint32_t members = machines)
      : simulation(seed) {
    Defects defects;
    if (defect) defects.plant(*defect);
    for (uint32_t i = 0; i < machines; ++i)
      simulation.add_machine({}).set_process([defects](sim::Machine& m) { return std::make_unique<Node>(m, defects); });
    for (uint32_t i = 0; i < machines; ++i) machine(i).start();
    settle();
    std::vector<NodeInfo> nodes;
    for (uint32_t i = 0; i < members; ++i) nodes.push_back(info(i));
    propose(ClusterState::section_name, ClusterState::bootstrap_command(nodes, 8));
    Keyspace keyspace;
    keyspace.name = "ks";
    keyspace.replication = {{"class", "SimpleStrategy"}, {"replication_factor", std::to_string(members)}};
    propose(Schema::section_name, Schema::create_keyspace(keyspace));
    Table table;
    table.keyspace = "ks";
    table.name = "t";
    table.id = Bytes(16, 'i');
    table.columns = {{0, "k", *DataType::parse("text"), ColumnKind::partition_key, 0, false},
                     {0, "v", *DataType::parse("text"), ColumnKind::regular, 0, false}};
    propose(Schema::section_name, Schema::create_table(table));
  }
  static NodeInfo info(uint32_t i) {
    NodeInfo node;
    node.id = NodeId{i + 1};
    node.name = fmt::format("n{}", i + 1);
    node.place = {"dc1", "rack1"};
    node.host_id = Bytes(16, static_cast<char>(i));
    return node;
  }
  /// The third machine joins two members.
  void add_third() {
    NodeInfo node = info(2);
    node.tokens = joining_tokens(this->node(0).cluster.ring(), node.place, 8, {2});
    propose(ClusterState::section_name, ClusterState::add_node_command(node));
  }
  void start_movers() {
    for (uint32_t i = 0; i < machines; ++i) node(i).mover.start();
  }
  /// Moves from the first node to the third.
  std::string key_that_moves() {
    for (int i = 0;; ++i) {
      const std::string key = fmt::format("moves{}", i);
      const Shard* shard = node(0).cluster.find("ks", token(key));
      if (shard->moving() && std::ranges::find(shard->target, NodeId{1}) == shard->target.end()) return key;
    }
  }
  std::map<Bytes, Bytes> rows_of(size_t at, const std::string& key) {
    const Bytes prefix = partition_prefix(16, token(key), key);
    auto rows = stored(at);
    std::erase_if(rows, [&](const auto& entry) { return !entry.first.starts_with(prefix); });
    return rows;
  }
  bool stores(size_t at, const std::string& key) { return !rows_of(at, key).empty(); }
  sim::Machine& machine(size_t i) { return simulation.machine(i); }
  Services& node(size_t i) { return *static_cast<Node&>(*machine(i).process()).s; }
  bool ready(size_t i) {
    return machine(i).running() && machine(i).process() && static_cast<Node&>(*machine(i).process()).ready;
  }
  void settle() {
    ASSERT_TRUE(simulation.run_until([&] { return ready(0) && ready(1) && ready(2); }, 60s));
    simulation.run_for(2s);
  }
  template <class T>
  T run(size_t at, Task<T> task) {
    std::optional<T> out;
    machine(at).spawn([](Task<T> inner, std::optional<T>& into) -> Task<void> {
      into.emplace(co_await std::move(inner));
    }(std::move(task), out));
    EXPECT_TRUE(simulation.run_until([&] { return out.has_value(); }, 120s));
    return std::move(*out);
  }
  void propose(const std::string& section, Bytes command) {
    auto outcome = run(0, node(0).metadata.propose(section, std::move(command), machine(0).executor().now() + 10s));
    ASSERT_TRUE(outcome) << outcome.error().to_string();
    simulation.run_for(200ms);
  }
  static int64_t token(const std::string& key) {
    return static_cast<int64_t>(std::hash<std::string>{}(key) * 0x9e3779b97f4a7c15);
  }
  /// A write of "" deletes the row.
  Served<void> write(size_t at, const std::string& key, const std::string& value, Consistency level,
                     Duration timeout = 2s) {
    Services& n = node(at);
    TablePtr table = n.schema.table("ks", "t");
    Mutation mutation(table->number, token(key), key);
    Row row;
    const int64_t stamp = clock++;
    if (value.empty()) {
      row.deletion = {stamp, stamp};
    } else {
      Cell cell;
      cell.column = 2;
      cell.timestamp_us = stamp;
      cell.value = value;
      row.cells.push_back(cell);
    }
    mutation.add_row("", row);
    return run(at, n.coordinator.write(table, std::move(mutation), level, machine(at).executor().now() + timeout));
  }
  Served<std::string> read(size_t at, const std::string& key, Consistency level, Duration timeout = 2s) {
    Services& n = node(at);
    TablePtr table = n.schema.table("ks", "t");
    ReadCommand command;
    command.table = table->number;
    command.token = token(key);
    command.partition_key = key;
    command.slices = {{}};
    command.whole_keys = true;
    auto page = run(at, n.coordinator.read(table, command, level, machine(at).executor().now() + timeout));
    if (!page) return std::unexpected(page.error());
    if (page->partitions.empty() || page->partitions[0].rows.empty()) return "";
    Row row;
    EXPECT_TRUE(page->partitions[0].read(page->partitions[0].rows[0], row));
    return std::string(row.cells.at(0).value);
  }
  /// What one node stores, tombstones included.
  std::map<Bytes, Bytes> stored(size_t at) {
    std::map<Bytes, Bytes> all;
    auto it = node(at).replica.iterate({token_key(16, INT64_MIN), {}, false});
    for (it.seek_first(); it.valid(); it.next()) all[Bytes(it.key())] = Bytes(it.value());
    return all;
  }
  void down(size_t i) {
    machine(i).crash(sim::Crash::kill);
    simulation.run_for(5s);
  }
  void up(size_t i) {
    machine(i).start();
    settle();
  }
  bool equal() { return stored(0) == stored(1) && stored(1) == stored(2); }
};

using Kind = RequestFailure::Kind;

TEST(Coordinator, EveryLevelWorksWithAllUp) {
  Cluster cluster;
  for (Consistency level :
       {Consistency::one, Consistency::two, Consistency::three, Consistency::quorum, Consistency::all,
        Consistency::local_quorum, Consistency::each_quorum, Consistency::local_one}) {
    for (size_t at = 0; at < machines; ++at) {
      const std::string key = fmt::format("{}-{}", to_string(level), at);
      ASSERT_TRUE(cluster.write(at, key, "v", level)) << key;
      EXPECT_EQ(cluster.read(at, key, Consistency::quorum).value_or("none"), "v") << key;
      auto got = cluster.read(at, key, level);
      ASSERT_TRUE(got) << key;
    }
  }
  ASSERT_TRUE(cluster.write(0, "any", "v", Consistency::any));
  EXPECT_EQ(cluster.read(0, "any", Consistency::any).error().kind, Kind::invalid);
  EXPECT_EQ(cluster.write(0, "serial", "v", Consistency::serial).error().kind, Kind::invalid);
  cluster.simulation.run_for(1s);
  EXPECT_TRUE(cluster.equal());
}

TEST(Coordinator, NodesThatAreDownMakeLevelsUnavailableAtOnce) {
  Cluster cluster;
  cluster.down(2);
  ASSERT_TRUE(cluster.write(0, "a", "v", Consistency::quorum));
  ASSERT_TRUE(cluster.write(0, "a", "v", Consistency::two));
  auto all = cluster.write(0, "a", "v", Consistency::all);
  ASSERT_FALSE(all);
  EXPECT_EQ(all.error().kind, Kind::unavailable);
  EXPECT_EQ(all.error().required, 3u);
  EXPECT_EQ(all.error().received, 2u);
  EXPECT_EQ(cluster.read(1, "a", Consistency::three).error().kind, Kind::unavailable);
  EXPECT_EQ(cluster.read(1, "a", Consistency::quorum).value_or("none"), "v");
  cluster.down(1);
  EXPECT_EQ(cluster.write(0, "b", "v", Consistency::quorum).error().kind, Kind::unavailable);
  EXPECT_EQ(cluster.read(0, "b", Consistency::quorum).error().kind, Kind::unavailable);
  ASSERT_TRUE(cluster.write(0, "b", "v", Consistency::one));
  EXPECT_EQ(cluster.read(0, "b", Consistency::local_one).value_or("none"), "v");
}

TEST(Coordinator, SilentReplicasTimeOutBeforeTheyAreSuspected) {
  Cluster cluster;
  cluster.machine(1).freeze(60s);
  cluster.machine(2).freeze(60s);
  auto written = cluster.write(0, "a", "v", Consistency::quorum, 300ms);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind, Kind::timeout);
  EXPECT_EQ(written.error().received, 1u);
  EXPECT_EQ(written.error().required, 2u);
  auto read = cluster.read(0, "a", Consistency::quorum, 100ms);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind, Kind::timeout);
  EXPECT_TRUE(read.error().data_present);
  cluster.simulation.run_for(5s);
  EXPECT_EQ(cluster.write(0, "a", "v", Consistency::quorum).error().kind, Kind::unavailable);
}

TEST(Coordinator, ReadsGoRoundASlowReplica) {
  Cluster cluster;
  ASSERT_TRUE(cluster.write(0, "a", "v", Consistency::all));
  cluster.machine(1).freeze(400ms);
  const Instant began = cluster.simulation.now();
  EXPECT_EQ(cluster.read(0, "a", Consistency::quorum).value_or("none"), "v");
  EXPECT_LT(cluster.simulation.now() - began, 300ms);
}

TEST(Coordinator, HintsArriveWhenTheReplicaIsBackEvenAfterARestartOfTheirHolder) {
  for (bool dropped : {false, true}) {
    Cluster cluster(1, dropped ? std::optional(Defect::drop_hint) : std::nullopt);
    cluster.down(2);
    for (int i = 0; i < 300; ++i) ASSERT_TRUE(cluster.write(0, fmt::format("k{}", i), "v", Consistency::quorum));
    ASSERT_TRUE(cluster.write(0, "k7", "", Consistency::quorum));
    cluster.simulation.run_for(1s);
    if (!dropped) EXPECT_EQ(cluster.node(0).hints.waiting(), 301u);
    cluster.machine(0).crash(sim::Crash::power);
    cluster.machine(0).start();
    cluster.up(2);
    cluster.simulation.run_for(20s);
    EXPECT_EQ(cluster.equal(), !dropped) << "the planted bug is seen";
    EXPECT_EQ(cluster.node(0).hints.waiting(), 0u);
  }
}

TEST(Coordinator, WhoWritesAtOneReadsAtOneWhatHeWrote) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Cluster cluster(seed);
    for (size_t at = 0; at < machines; ++at) {
      const std::string key = fmt::format("own{}", at);
      ASSERT_TRUE(cluster.write(at, key, "v", Consistency::one));
      EXPECT_EQ(cluster.read(at, key, Consistency::local_one).value_or("none"), "v") << seed << " " << at;
    }
  }
}

TEST(Coordinator, AnyIsContentWithAHint) {
  Cluster cluster;
  cluster.down(1);
  cluster.down(2);
  ASSERT_TRUE(cluster.write(0, "a", "v", Consistency::any));
  cluster.machine(1).start();
  cluster.up(2);
  cluster.simulation.run_for(10s);
  EXPECT_TRUE(cluster.equal());
}

/// Replicas that differ: hints are planted to be dropped, so only reads and comparison can repair.
struct Diverged : Cluster {
  explicit Diverged(std::optional<Defect> more = std::nullopt) : Cluster(3, Defect::drop_hint), second(more) {
    EXPECT_TRUE(write(0, "old", "1", Consistency::all));
    EXPECT_TRUE(write(0, "gone", "1", Consistency::all));
    down(2);
    EXPECT_TRUE(write(0, "old", "2", Consistency::quorum));
    EXPECT_TRUE(write(0, "gone", "", Consistency::quorum));
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(write(0, fmt::format("n{}", i), "v", Consistency::quorum));
    Defects defects;
    defects.plant(Defect::drop_hint);
    if (more) defects.plant(*more);
    for (uint32_t i = 0; i < machines; ++i) {
      machine(i).set_process([defects](sim::Machine& m) { return std::make_unique<Node>(m, defects); });
      if (i < 2) machine(i).crash(sim::Crash::kill);
      machine(i).start();
    }
    settle();
    EXPECT_FALSE(equal());
  }
  std::optional<Defect> second;
};

TEST(Coordinator, ReadRepairRepairsBeforeItAnswers) {
  Diverged cluster;
  EXPECT_EQ(cluster.read(2, "old", Consistency::one).value_or("none"), "1") << "the stale replica asks itself";
  EXPECT_EQ(cluster.read(2, "old", Consistency::quorum).value_or("none"), "2");
  EXPECT_EQ(cluster.read(2, "old", Consistency::one).value_or("none"), "2");
  EXPECT_EQ(cluster.read(2, "gone", Consistency::all).value_or("none"), "");
  EXPECT_EQ(cluster.read(2, "gone", Consistency::one).value_or("none"), "");
  EXPECT_GT(cluster.node(2).coordinator.counters().read_repairs, 0u);
}

TEST(Coordinator, StaleReadRepairIsSeen) {
  Diverged cluster(Defect::stale_read_repair);
  EXPECT_EQ(cluster.read(2, "old", Consistency::quorum).value_or("none"), "1");
}

TEST(Coordinator, QuorumOffByOneIsSeen) {
  Diverged cluster(Defect::quorum_off_by_one);
  EXPECT_EQ(cluster.read(2, "old", Consistency::quorum).value_or("none"), "1");
}

TEST(AntiEntropy, MakesReplicasEqualToTheByte) {
  for (bool planted : {false, true}) {
    Diverged cluster(planted ? std::optional(Defect::repair_ignores_tombstones) : std::nullopt);
    auto before = cluster.run(0, cluster.node(0).anti_entropy.verify(cluster.machine(0).executor().now() + 60s));
    ASSERT_TRUE(before);
    EXPECT_FALSE(before->empty());
    Status rebuilt = cluster.run(2, cluster.node(2).anti_entropy.rebuild(cluster.machine(2).executor().now() + 100s));
    ASSERT_TRUE(rebuilt) << rebuilt.error().to_string();
    EXPECT_EQ(cluster.equal(), !planted);
    EXPECT_EQ(cluster.read(2, "gone", Consistency::one).value_or("none"), planted ? "1" : "");
    auto after = cluster.run(1, cluster.node(1).anti_entropy.verify(cluster.machine(1).executor().now() + 60s));
    ASSERT_TRUE(after);
    EXPECT_EQ(after->empty(), !planted);
  }
}

TEST(AntiEntropy, GoesRoundByItself) {
  Diverged cluster;
  for (size_t i = 0; i < machines; ++i) cluster.node(i).anti_entropy.start();
  cluster.simulation.run_for(60s);
  EXPECT_TRUE(cluster.equal());
}

TEST(ReplicaService, RequestsOfAnotherEpochAreRefused) {
  for (bool planted : {false, true}) {
    Cluster cluster(1, planted ? std::optional(Defect::accept_wrong_epoch) : std::nullopt);
    auto& node = cluster.node(1);
    const Shard* shard = node.cluster.find("ks", 5);
    TablePtr table = node.schema.table("ks", "t");
    Mutation mutation(table->number, 5, "k");
    Row row;
    row.deletion = {1, 1};
    mutation.add_row("", row);
    const RequestView stale{0, {{shard->id, Epoch{shard->epoch.value + 1}}}};
    Status written =
        cluster.run(1, node.service.write(stale, mutation.encoded(), cluster.machine(1).executor().now() + 1s));
    EXPECT_EQ(written.has_value(), planted);
    if (!written) EXPECT_EQ(written.error().code, ErrorCode::wrong_epoch);
    const RequestView future{node.metadata.applied_index() + 100, {{shard->id, shard->epoch}}};
    Status waited =
        cluster.run(1, node.service.write(future, mutation.encoded(), cluster.machine(1).executor().now() + 1s));
    if (!planted) EXPECT_EQ(waited.error().code, ErrorCode::timeout);
  }
}

/// Keys whose tokens lie in one shard.
std::vector<std::string> neighbours(Cluster& cluster, size_t count) {
  std::vector<std::string> keys;
  const Shard* shard = cluster.node(0).cluster.find("ks", Cluster::token("n0"));
  for (int i = 0; keys.size() < count; ++i)
    if (const std::string key = fmt::format("n{}", i); shard->range.contains(Cluster::token(key))) keys.push_back(key);
  return keys;
}

Bytes version_of(const std::string& key, const std::string& value, int64_t written_us) {
  Mutation mutation(16, Cluster::token(key), key);
  Row row;
  Cell cell;
  cell.column = 2;
  cell.timestamp_us = written_us;
  cell.value = value;
  row.cells.push_back(cell);
  mutation.add_row("", row);
  return std::move(mutation).take();
}

Served<void> write_versions(Cluster& cluster, size_t at, std::vector<Bytes> versions, Consistency level) {
  Services& node = cluster.node(at);
  return cluster.run(at, node.coordinator.write_versions(node.schema.table("ks", "t"), std::move(versions), level,
                                                         cluster.machine(at).executor().now() + 2s));
}

TEST(Coordinator, VersionsOfRowsKeepTheirTimestampsAndReachReplicasThatWereDown) {
  Cluster cluster;
  const auto keys = neighbours(cluster, 50);
  cluster.clock = 1000;
  ASSERT_TRUE(cluster.write(0, keys[0], "newer", Consistency::all));
  cluster.down(2);
  std::vector<Bytes> versions;
  for (const std::string& key : keys) versions.push_back(version_of(key, "restored", 500));
  for (int again = 0; again < 2; ++again) ASSERT_TRUE(write_versions(cluster, 0, versions, Consistency::quorum));
  EXPECT_EQ(cluster.read(1, keys[0], Consistency::quorum).value(), "newer");
  EXPECT_EQ(cluster.read(1, keys[49], Consistency::quorum).value(), "restored");
  auto refused = write_versions(cluster, 0, versions, Consistency::all);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, RequestFailure::Kind::unavailable);
  cluster.machine(2).start();
  cluster.settle();
  EXPECT_TRUE(cluster.simulation.run_until([&] { return cluster.node(0).hints.waiting() == 0; }, 60s));
  EXPECT_TRUE(cluster.equal());
  EXPECT_TRUE(cluster.stores(2, keys[49]));
}

TEST(Coordinator, VersionsOfSeveralShardsAreRefusedAtOnce) {
  Cluster cluster;
  const auto keys = neighbours(cluster, 2);
  std::vector<Bytes> versions{version_of(keys[0], "v", 1)};
  const Shard* shard = cluster.node(0).cluster.find("ks", Cluster::token(keys[0]));
  for (int i = 0; versions.size() < 2; ++i)
    if (const std::string key = fmt::format("x{}", i); !shard->range.contains(Cluster::token(key)))
      versions.push_back(version_of(key, "v", 1));
  auto refused = write_versions(cluster, 0, versions, Consistency::one);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, RequestFailure::Kind::timeout);
  EXPECT_FALSE(cluster.stores(0, keys[0]));
}

TEST(Mover, AShardThatMovesIsWrittenTwiceAndReadWhereItWas) {
  Cluster cluster(31, std::nullopt, 2);
  cluster.add_third();
  const std::string key = cluster.key_that_moves();
  ASSERT_TRUE(cluster.write(0, key, "v", Consistency::quorum));
  EXPECT_TRUE(cluster.stores(0, key) && cluster.stores(1, key) && cluster.stores(2, key));
  EXPECT_EQ(cluster.read(2, key, Consistency::all).value(), "v") << "of the replicas that were";
  cluster.down(2);
  auto refused = cluster.write(0, key, "w", Consistency::quorum);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, RequestFailure::Kind::unavailable) << "two of the future replicas must answer";
  EXPECT_EQ(cluster.read(0, key, Consistency::all).value(), "v");
  ASSERT_TRUE(cluster.write(0, key, "x", Consistency::one));
  EXPECT_GE(cluster.node(0).hints.waiting(), 1u);
}

TEST(Mover, ForgettingTheSecondWriteIsSeen) {
  Cluster cluster(31, Defect::forget_double_write, 2);
  cluster.add_third();
  const std::string key = cluster.key_that_moves();
  ASSERT_TRUE(cluster.write(0, key, "v", Consistency::quorum));
  EXPECT_FALSE(cluster.stores(2, key));
}

TEST(Mover, ARequestFromBeforeTheMoveIsRefused) {
  for (const bool planted : {false, true}) {
    Cluster cluster(35, planted ? std::optional(Defect::keep_epoch) : std::nullopt, 2);
    const ClusterState& state = cluster.node(0).cluster;
    std::map<std::string, Shard> before;
    for (int i = 0; i < 200; ++i) {
      const std::string key = fmt::format("moves{}", i);
      before[key] = *state.find("ks", Cluster::token(key));
    }
    cluster.add_third();
    // A range that the new tokens did not split.
    for (const auto& [key, old] : before) {
      const Shard* shard = state.find("ks", Cluster::token(key));
      if (shard->id != old.id || shard->range != old.range || !shard->moving()) continue;
      const RequestView view{1, {{old.id, old.epoch}}};
      Mutation mutation(16, Cluster::token(key), key);
      Row row;
      row.has_marker = true;
      row.marker.timestamp_us = 1;
      mutation.add_row("", row);
      Services& replica = cluster.node(0);
      const Status written = cluster.run(
          0, replica.service.write(view, std::move(mutation).take(), cluster.machine(0).executor().now() + 1s));
      EXPECT_EQ(written.has_value(), planted) << key;
    }
  }
}

TEST(Mover, WhatASettlingShardIsAskedBothSetsAnswer) {
  Cluster cluster(32, std::nullopt, 2);
  cluster.add_third();
  const std::string key = cluster.key_that_moves();
  ASSERT_TRUE(cluster.write(0, key, "v", Consistency::quorum));
  const Shard* shard = cluster.node(0).cluster.find("ks", Cluster::token(key));
  cluster.propose(ClusterState::section_name, ClusterState::caught_up_command(NodeId{3}, {{shard->id, shard->epoch}}));
  ASSERT_TRUE(shard->settling);
  EXPECT_EQ(cluster.read(0, key, Consistency::quorum).value(), "v");
  cluster.down(2);
  auto unread = cluster.read(0, key, Consistency::quorum);
  ASSERT_FALSE(unread);
  EXPECT_EQ(unread.error().kind, RequestFailure::Kind::unavailable);
}

TEST(Mover, AHintForAReplicaThatGoesReachesTheOneThatComes) {
  Cluster cluster(36, std::nullopt, 2);
  cluster.add_third();
  const std::string key = cluster.key_that_moves();
  const Shard* shard = cluster.node(0).cluster.find("ks", Cluster::token(key));
  for (const bool settling : {false, true}) {
    ASSERT_EQ(shard->settling, settling);
    Mutation mutation(16, Cluster::token(key), key);
    Row row;
    row.has_marker = true;
    row.marker.timestamp_us = settling ? 2 : 1;
    mutation.add_row("", row);
    // As of a write at ANY that was acknowledged while the first node was down.
    ASSERT_TRUE(cluster.run(1, cluster.node(1).hints.store(NodeId{1}, std::move(mutation).take())));
    ASSERT_TRUE(cluster.simulation.run_until([&] { return cluster.node(1).hints.waiting() == 0; }, 30s));
    EXPECT_TRUE(cluster.stores(0, key));
    EXPECT_EQ(cluster.rows_of(0, key), cluster.rows_of(2, key));
    if (!settling)
      cluster.propose(ClusterState::section_name,
                      ClusterState::caught_up_command(NodeId{3}, {{shard->id, shard->epoch}}));
  }
}

TEST(Mover, ANodeThatJoinsEndsUpWithItsRowsAndTheOthersWithoutThem) {
  Cluster cluster(33, std::nullopt, 2);
  std::vector<std::string> keys;
  for (int i = 0; i < 120; ++i) {
    keys.push_back(fmt::format("k{}", i));
    ASSERT_TRUE(cluster.write(i % 2, keys.back(), keys.back(), Consistency::quorum));
  }
  cluster.add_third();
  cluster.start_movers();
  ASSERT_TRUE(cluster.simulation.run_until([&] { return !cluster.node(0).cluster.change(); }, 60s));
  cluster.simulation.run_for(5s);
  EXPECT_EQ(cluster.node(0).cluster.nodes().size(), 3u);
  for (const std::string& key : keys) {
    const Shard* shard = cluster.node(0).cluster.find("ks", Cluster::token(key));
    for (uint32_t i = 0; i < machines; ++i)
      EXPECT_EQ(cluster.stores(i, key), shard->has_replica(NodeId{i + 1})) << key << " on n" << i + 1;
    EXPECT_EQ(cluster.read(0, key, Consistency::all).value(), key);
  }
  for (uint32_t i = 0; i < machines; ++i) EXPECT_NEAR(static_cast<double>(cluster.stored(i).size()), 80, 20);
}

TEST(Mover, ShardsMoveAsFastAsTheClusterAllows) {
  std::map<uint32_t, Duration> took;
  uint64_t moved_bytes = 0;
  for (const uint32_t mib : {1u, 1000u}) {
    Cluster cluster(37, std::nullopt, 2);
    cluster.propose(ClusterState::section_name, ClusterState::raise_level_command(newest_feature_level));
    cluster.propose(ClusterState::section_name, ClusterState::set_command("move_mib_per_second", std::to_string(mib)));
    for (int i = 0; i < 100; ++i)
      ASSERT_TRUE(cluster.write(i % 2, fmt::format("k{}", i), std::string(100'000, 'v'), Consistency::quorum));
    const Instant began = cluster.simulation.now();
    cluster.add_third();
    cluster.start_movers();
    ASSERT_TRUE(cluster.simulation.run_until([&] { return !cluster.node(0).cluster.change(); }, 100s));
    took[mib] = cluster.simulation.now() - began;
    moved_bytes = cluster.node(2).anti_entropy.counters().moved_bytes;
  }
  EXPECT_GT(moved_bytes, 5u << 20);
  EXPECT_GT(took[1], std::chrono::seconds(moved_bytes >> 20));
  EXPECT_LT(took[1], std::chrono::seconds(3 * (moved_bytes >> 20)));
  EXPECT_LT(took[1000], took[1] / 2);
}

TEST(Mover, ANodeThatLostItsFenceCatchesUpOnceItKnowsItAgain) {
  Cluster cluster(34, std::nullopt, 2);
  std::vector<std::string> keys;
  for (int i = 0; i < 40; ++i) {
    keys.push_back(fmt::format("k{}", i));
    ASSERT_TRUE(cluster.write(i % 2, keys.back(), keys.back(), Consistency::quorum));
  }
  cluster.node(2).service.fence_lost();
  cluster.add_third();
  cluster.start_movers();
  EXPECT_FALSE(cluster.write(0, cluster.key_that_moves(), "v", Consistency::quorum, 2s)) << "the third does not answer";
  cluster.simulation.run_for(20s);
  ASSERT_TRUE(cluster.node(0).cluster.change());
  ASSERT_TRUE(cluster.run(2, cluster.node(2).service.renew_fence()));
  ASSERT_TRUE(cluster.simulation.run_until([&] { return !cluster.node(0).cluster.change(); }, 60s));
  for (const std::string& key : keys) EXPECT_EQ(cluster.read(0, key, Consistency::all).value(), key);
}

TEST(ReplicaService, ARenewedFenceHoldsAfterARestart) {
  Cluster cluster;
  Services& node = cluster.node(1);
  node.service.fence_lost();
  const Shard& shard = *node.cluster.find("ks", 5);
  const RequestView view{0, {{shard.id, shard.epoch}}};
  const auto admit = [&](Duration limit) {
    Services& asked = cluster.node(1);
    return cluster.run(1, asked.service.admit(view, cluster.machine(1).executor().now() + limit));
  };
  EXPECT_EQ(admit(5s).error().code, ErrorCode::timeout);
  EXPECT_EQ(cluster.run(1, node.service.fence()).error().code, ErrorCode::unavailable);
  ASSERT_TRUE(cluster.run(1, node.service.renew_fence()));
  EXPECT_TRUE(admit(5s));
  cluster.down(1);
  cluster.up(1);
  // The metadata is here again, so it serves; with a fence above that it would wait.
  EXPECT_TRUE(admit(5s));
  ASSERT_TRUE(cluster.node(1).replica.get(fence_key()).value());
}

constexpr int batch_rows = 20;

std::vector<TableMutation> batch_for(Services& node) {
  TablePtr table = node.schema.table("ks", "t");
  std::vector<TableMutation> batch;
  for (int i = 0; i < batch_rows; ++i) {
    const std::string key = fmt::format("b{}", i);
    Mutation mutation(table->number, Cluster::token(key), key);
    Row row;
    Cell cell;
    cell.column = 2;
    cell.timestamp_us = 1;
    cell.value = "v";
    row.cells.push_back(cell);
    mutation.add_row("", row);
    batch.push_back({table, std::move(mutation)});
  }
  return batch;
}

Task<Served<void>> write_logged(Services& node, std::vector<TableMutation> batch) {
  const Instant deadline = node.machine.executor().now() + 5s;
  co_return co_await node.coordinator.write_all(std::move(batch), true, Consistency::quorum, deadline);
}

int rows_there(Cluster& cluster, size_t at) {
  int there = 0;
  for (int i = 0; i < batch_rows; ++i)
    there += cluster.read(at, fmt::format("b{}", i), Consistency::quorum).value_or("none") == "v";
  return there;
}

size_t batches_kept(Cluster& cluster, size_t at) {
  size_t count = 0;
  auto it = cluster.node(at).replica.iterate(
      {token_key(batches_table, INT64_MIN).substr(0, 4), token_key(batches_table + 1, INT64_MIN).substr(0, 4), false});
  for (it.seek_first(); it.valid(); it.next()) ++count;
  return count;
}

void begin_batch(Cluster& cluster) {
  cluster.machine(0).spawn([](Services& node, std::vector<TableMutation> batch) -> Task<void> {
    (void)co_await write_logged(node, std::move(batch));
  }(cluster.node(0), batch_for(cluster.node(0))));
}

TEST(Coordinator, LoggedBatchesFinishAfterTheCoordinatorDied) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Cluster cluster(seed);
    begin_batch(cluster);
    cluster.simulation.run_for(Duration(cluster.simulation.random().below(3'000'000)));
    cluster.machine(0).crash(sim::Crash::power);
    cluster.machine(0).start();
    cluster.settle();
    cluster.simulation.run_for(5s);
    const int there = rows_there(cluster, 1);
    EXPECT_TRUE(there == 0 || there == batch_rows) << "seed " << seed << ": " << there;
  }
}

TEST(Coordinator, LoggedBatchesFinishWithoutTheCoordinatorToo) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Cluster cluster(seed);
    begin_batch(cluster);
    auto kept = [&] { return batches_kept(cluster, 1) + batches_kept(cluster, 2); };
    ASSERT_TRUE(cluster.simulation.run_until([&] { return kept() == 1; }, 1s));
    // No mutation has left it yet, because it does not know that the batch is kept.
    cluster.machine(0).crash(sim::Crash::power);
    cluster.simulation.run_for(BatchLog::take_over_after / 2);
    EXPECT_EQ(rows_there(cluster, 1), 0);
    cluster.simulation.run_for(BatchLog::take_over_after);
    EXPECT_EQ(rows_there(cluster, 1), batch_rows) << "seed " << seed;
    EXPECT_EQ(kept(), 0u) << "seed " << seed;
  }
}

TEST(Coordinator, LoggedBatchesAreForgottenOnceTheyAreWritten) {
  Cluster cluster;
  ASSERT_TRUE(cluster.run(0, write_logged(cluster.node(0), batch_for(cluster.node(0)))));
  cluster.simulation.run_for(100ms);
  for (size_t at = 0; at < machines; ++at) EXPECT_EQ(batches_kept(cluster, at), 0u);
  // Nobody else is up: one copy has to do.
  cluster.down(1);
  cluster.down(2);
  EXPECT_FALSE(cluster.run(0, write_logged(cluster.node(0), batch_for(cluster.node(0)))));
  cluster.machine(1).start();
  cluster.machine(2).start();
  cluster.settle();
  cluster.simulation.run_for(5s);
  EXPECT_EQ(batches_kept(cluster, 0), 0u);
  EXPECT_EQ(rows_there(cluster, 1), batch_rows);
}

TEST(Coordinator, RangeReadsSeeEveryRowOnce) {
  Cluster cluster;
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(cluster.write(i % 3, fmt::format("k{}", i), "v", Consistency::quorum));
  auto& node = cluster.node(1);
  TablePtr table = node.schema.table("ks", "t");
  for (uint32_t limit : {1000u, 7u}) {
    ReadCommand command;
    command.table = table->number;
    command.single = false;
    command.row_limit = limit;
    std::map<Bytes, int> seen;
    for (int pages = 0; pages < 300; ++pages) {
      auto page = cluster.run(
          1, node.coordinator.read(table, command, Consistency::quorum, cluster.machine(1).executor().now() + 2s));
      ASSERT_TRUE(page);
      for (auto& partition : page->partitions) ++seen[Bytes(partition.key)];
      if (page->complete) break;
      command = resume(command, page->next);
    }
    EXPECT_EQ(seen.size(), 200u);
    for (auto& [key, times] : seen) EXPECT_EQ(times, 1) << key;
  }
}

}  // namespace
}  // namespace asterism::datastore
