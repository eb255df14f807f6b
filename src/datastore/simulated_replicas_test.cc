#include "datastore/simulated_replicas.h"

#include <algorithm>

#include "cluster/rpc_methods.h"

namespace asterism::datastore {

namespace {

template <class Options>
Options of_node(NodeId self) {
  Options options;
  options.self = self;
  return options;
}

template <class Options>
Options with(Options options, Defects defects) {
  options.defects = defects;
  return options;
}

struct Node final : sim::Process {
  sim::Machine& machine;
  Defects defects;
  std::unique_ptr<KeyValueStore> store;
  std::unique_ptr<SimulatedServices> services;
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
    services = std::make_unique<SimulatedServices>(machine, *store, defects);
    SimulatedServices& s = *services;
    WriteAheadLog::Options log;
    log.new_log_id = machine.random().next() | 1;
    CO_TRY(wal, co_await WriteAheadLog::open(machine.disk(), machine.executor(), log, [&s](const Record& record) {
             return record.owner == replica_owner ? s.replica.replay(record) : s.host.replay(record);
           }));
    s.host.start(*wal);
    CO_TRY_STATUS(co_await s.replica.start(*wal));
    raft::Configuration first;
    for (uint32_t i = 1; i <= SimulatedReplicas::machines; ++i) first.voters.push_back(NodeId{i});
    for (uint32_t i = 0; i < SimulatedReplicas::machines; ++i)
      s.rpc.set_peer(NodeId{i + 1}, machine.simulation().machine(i).address(7000));
    CO_TRY_STATUS(s.metadata.start(first));
    CO_TRY_STATUS(s.rpc.listen(machine.address(7000)));
    for (uint32_t i = 1; i <= SimulatedReplicas::machines; ++i) s.liveness.watch(NodeId{i});
    CO_TRY_STATUS(co_await s.metadata.barrier(machine.executor().now() + 30s));
    CO_TRY_STATUS(s.hints.start());
    CO_TRY_STATUS(s.service.start());
    CO_TRY_STATUS(s.coordinator.start());
    co_return Status{};
  }
};

NodeInfo info(uint32_t i) {
  NodeInfo node;
  node.id = NodeId{i + 1};
  node.name = fmt::format("n{}", i + 1);
  node.place = {"dc1", "rack1"};
  node.host_id = Bytes(16, static_cast<char>(i));
  return node;
}

}  // namespace

SimulatedServices::SimulatedServices(sim::Machine& m, KeyValueStore& store, Defects defects)
    : machine(m),
      id{m.index() + 1},
      rpc(of_node<RpcOptions>(id), m.executor(), m.network(), m.random(), m.log("rpc")),
      host(
          of_node<raft::HostOptions>(id), m.executor(), m.clock(), m.random(),
          [this](NodeId to, Bytes batch) { rpc.send(to, asterism::rpc_method::raft, std::move(batch)); }, Log()),
      metadata(id, m.executor(), rpc, host, Log()),
      liveness(id, m.executor(), rpc, m.log("liveness")),
      replica(with(ReplicaOptions(), defects), m.executor(), store, Log()),
      service(id, rpc, metadata, cluster, schema, replica, defects),
      hints(with(HintsOptions(), defects), id, m.executor(), rpc, cluster, schema, metadata, liveness, replica, Log()),
      coordinator(with(of_node<CoordinatorOptions>(id), defects), m.executor(), rpc, metadata, cluster, schema,
                  liveness, service, replica, hints, m.random(), Log()),
      anti_entropy(with(AntiEntropyOptions(), defects), id, m.executor(), rpc, metadata, cluster, schema, liveness,
                   service, replica, Log()),
      mover(id, m.executor(), metadata, cluster, schema, anti_entropy, hints, coordinator, replica, Log()) {
  metadata.state().add_section(ClusterState::section_name, cluster);
  metadata.state().add_section(Schema::section_name, schema);
  cluster.plant(defects);
  rpc.handle(asterism::rpc_method::raft, [this](RpcRequest request) { return on_raft(std::move(request)); });
  liveness.on_change([this](NodeId n, bool up) { up ? host.report_reachable(n) : host.report_unreachable(n); });
}

Task<Result<Bytes>> SimulatedServices::on_raft(RpcRequest request) {
  host.receive(request.from, request.payload);
  co_return Bytes{};
}

SimulatedReplicas::SimulatedReplicas(uint64_t seed, std::optional<Defect> defect, uint32_t members) : simulation(seed) {
  Defects defects;
  if (defect) defects.plant(*defect);
  for (uint32_t i = 0; i < machines; ++i) simulation.add_machine({});
  set_defects(defects);
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

void SimulatedReplicas::add_third() {
  NodeInfo added = info(2);
  added.tokens = joining_tokens(node(0).cluster.ring(), added.place, 8, {2});
  propose(ClusterState::section_name, ClusterState::add_node_command(added));
}

void SimulatedReplicas::start_movers() {
  for (uint32_t i = 0; i < machines; ++i) node(i).mover.start();
}

std::string SimulatedReplicas::key_that_moves() {
  for (int i = 0;; ++i) {
    std::string key = fmt::format("moves{}", i);
    const Shard* shard = node(0).cluster.find("ks", token(key));
    if (shard->moving() && std::ranges::find(shard->target, NodeId{1}) == shard->target.end()) return key;
  }
}

SimulatedServices& SimulatedReplicas::node(size_t i) { return *static_cast<Node&>(*machine(i).process()).services; }

bool SimulatedReplicas::ready(size_t i) {
  return machine(i).running() && machine(i).process() && static_cast<Node&>(*machine(i).process()).ready;
}

void SimulatedReplicas::set_defects(Defects defects) {
  for (uint32_t i = 0; i < machines; ++i)
    machine(i).set_process([defects](sim::Machine& m) { return std::make_unique<Node>(m, defects); });
}

void SimulatedReplicas::settle() {
  ASSERT_TRUE(simulation.run_until([&] { return ready(0) && ready(1) && ready(2); }, 60s));
  simulation.run_for(2s);
}

void SimulatedReplicas::down(size_t i) {
  machine(i).crash(sim::Crash::kill);
  simulation.run_for(5s);
}

void SimulatedReplicas::up(size_t i) {
  machine(i).start();
  settle();
}

void SimulatedReplicas::propose(const std::string& section, Bytes command) {
  auto outcome = run(0, node(0).metadata.propose(section, std::move(command), machine(0).executor().now() + 10s));
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  simulation.run_for(200ms);
}

int64_t SimulatedReplicas::token(const std::string& key) {
  return static_cast<int64_t>(std::hash<std::string>{}(key) * 0x9e3779b97f4a7c15);
}

Served<void> SimulatedReplicas::write(size_t at, const std::string& key, const std::string& value, Consistency level,
                                      Duration timeout) {
  SimulatedServices& n = node(at);
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

Served<std::string> SimulatedReplicas::read(size_t at, const std::string& key, Consistency level, Duration timeout) {
  SimulatedServices& n = node(at);
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

std::map<Bytes, Bytes> SimulatedReplicas::stored(size_t at) {
  std::map<Bytes, Bytes> all;
  auto it = node(at).replica.iterate({token_key(16, INT64_MIN), {}, false});
  for (it.seek_first(); it.valid(); it.next()) all[Bytes(it.key())] = Bytes(it.value());
  return all;
}

std::map<Bytes, Bytes> SimulatedReplicas::rows_of(size_t at, const std::string& key) {
  const Bytes prefix = partition_prefix(16, token(key), key);
  auto rows = stored(at);
  std::erase_if(rows, [&](const auto& entry) { return !entry.first.starts_with(prefix); });
  return rows;
}

DivergedReplicas::DivergedReplicas(std::optional<Defect> more) : SimulatedReplicas(3, Defect::drop_hint) {
  EXPECT_TRUE(write(0, "old", "1", Consistency::all));
  EXPECT_TRUE(write(0, "gone", "1", Consistency::all));
  down(2);
  EXPECT_TRUE(write(0, "old", "2", Consistency::quorum));
  EXPECT_TRUE(write(0, "gone", "", Consistency::quorum));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(write(0, fmt::format("n{}", i), "v", Consistency::quorum));
  Defects defects;
  defects.plant(Defect::drop_hint);
  if (more) defects.plant(*more);
  set_defects(defects);
  for (uint32_t i = 0; i < machines; ++i) {
    if (i < 2) machine(i).crash(sim::Crash::kill);
    machine(i).start();
  }
  settle();
  EXPECT_FALSE(equal());
}

}  // namespace asterism::datastore
