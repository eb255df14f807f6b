// The Raft host over real RPC, write-ahead log and simulated machines.
#include <gtest/gtest.h>

#include <chrono>

#include "cluster/liveness.h"
#include "cluster/rpc_methods.h"
#include "raft/host.h"
#include "runtime/sim/faults.h"
#include "runtime/sim/linearizability.h"
#include "runtime/sim/machine.h"

namespace asterism::raft {
namespace {

constexpr ShardId foreign{UINT64_MAX};

/// Holds the last value that was agreed on.
struct Register final : StateMachine {
  std::string value;
  uint64_t applied = 0;
  LogIndex last;

  Result<Bytes> apply(LogIndex index, BytesView payload) override {
    EXPECT_GT(index, last);
    last = index;
    ++applied;
    return std::exchange(value, std::string(payload.substr(0, payload.find('|'))));
  }
  Bytes snapshot() const override { return fmt::format("{} {} {}", last.value, applied, value); }
  Status restore(BytesView bytes) override {
    char text[200] = "";
    unsigned long at = 0, count = 0;
    if (sscanf(std::string(bytes).c_str(), "%lu %lu %199s", &at, &count, text) < 2)
      return fail(ErrorCode::corrupt, "register");
    last = LogIndex{at};
    applied = count;
    value = text;
    return {};
  }
};

struct Settings {
  size_t machines = 3;
  uint64_t groups = 1;
  uint64_t snapshot_after_bytes = 4 << 20;
  uint64_t segment_bytes = 4 << 20;
  uint64_t max_pending_bytes = 64 << 20;
  bool watch = true;
};

struct Node final : sim::Process {
  sim::Machine& machine;
  Settings settings;
  NodeId id;
  std::map<ShardId, Register> registers;
  Rpc rpc;
  Host host;
  Liveness liveness;
  std::unique_ptr<WriteAheadLog> wal;
  bool ready = false;
  std::optional<Error> failed;
  TaskGroup tasks;

  static RpcOptions rpc_options(NodeId self) {
    RpcOptions options;
    options.self = self;
    return options;
  }
  static HostOptions host_options(NodeId self, const Settings& settings) {
    HostOptions options;
    options.self = self;
    options.snapshot_after_bytes = settings.snapshot_after_bytes;
    return options;
  }
  Node(sim::Machine& m, const Settings& s)
      : machine(m),
        settings(s),
        id{m.index() + 1},
        rpc(rpc_options(id), m.executor(), m.network(), m.random(), m.log("rpc")),
        host(
            host_options(id, s), m.executor(), m.clock(), m.random(),
            [this](NodeId to, Bytes batch) { rpc.send(to, rpc_method::raft, std::move(batch)); }, m.log("raft")),
        liveness(id, m.executor(), rpc, m.log("liveness")),
        tasks(m.executor()) {
    rpc.handle(rpc_method::raft, [this](RpcRequest request) { return on_raft(std::move(request)); });
    liveness.on_change(
        [this](NodeId node, bool up) { up ? host.report_reachable(node) : host.report_unreachable(node); });
    tasks.spawn(run());
  }
  Task<Result<Bytes>> on_raft(RpcRequest request) {
    if (ready) host.receive(request.from, request.payload);
    co_return Bytes{};
  }
  Task<void> run() {
    auto started = co_await open();
    if (!started) failed = started.error();
    if (failed && getenv("RAFT_VERBOSE")) printf("node %u: %s\n", id.value, failed->to_string().c_str());
  }
  Task<Status> open() {
    WriteAheadLog::Options options;
    options.new_log_id = machine.random().next();
    options.segment_bytes = settings.segment_bytes;
    options.max_pending_bytes = settings.max_pending_bytes;
    CO_TRY(wal, co_await WriteAheadLog::open(machine.disk(), machine.executor(), options, [this](const Record& record) {
             return record.owner == foreign ? Status() : host.replay(record);
           }));
    host.start(*wal);
    wal->release(foreign, Position::last());
    Configuration first;
    for (uint32_t i = 1; i <= settings.machines; ++i) first.voters.push_back(NodeId{i});
    for (uint64_t i = 0; i < settings.groups; ++i)
      CO_TRY_STATUS(host.add_group(ShardId{i}, first, registers[ShardId{i}]));
    CO_TRY_STATUS(rpc.listen(machine.address(7000)));
    for (uint32_t i = 0; i < settings.machines; ++i) {
      if (NodeId{i + 1} == id) continue;
      rpc.set_peer(NodeId{i + 1}, machine.simulation().machine(i).address(7000));
      if (settings.watch) liveness.watch(NodeId{i + 1});
    }
    ready = true;
    co_return Status{};
  }
};

struct Cluster {
  sim::Simulation simulation;
  Settings settings;
  explicit Cluster(Settings s = {}, uint64_t seed = 1) : simulation(seed), settings(s) {
    for (size_t i = 0; i < settings.machines; ++i)
      simulation.add_machine({}).set_process([s](sim::Machine& m) { return std::make_unique<Node>(m, s); });
    for (size_t i = 0; i < settings.machines; ++i) machine(i).start();
  }
  sim::Machine& machine(size_t i) { return simulation.machine(i); }
  bool runs(size_t i) { return machine(i).running() && machine(i).process() != nullptr && node(i).ready; }
  Node& node(size_t i) { return static_cast<Node&>(*machine(i).process()); }

  /// The machine that leads, once all that run agree; -1 where it takes too long.
  int leader(uint64_t group = 0, Duration limit = 20s) {
    NodeId found;
    simulation.run_until(
        [&] {
          found = {};
          for (size_t i = 0; i < settings.machines; ++i) {
            if (!runs(i)) continue;
            const NodeId seen = node(i).host.leader(ShardId{group});
            if (!seen || (found && found != seen) || !runs(seen.value - 1)) return false;
            found = seen;
          }
          return bool(found);
        },
        limit);
    return static_cast<int>(found.value) - 1;
  }
  struct Outcome {
    bool over = false;
    Result<Bytes> result;
  };
  std::shared_ptr<Outcome> start_write(size_t at, uint64_t group, Bytes value) {
    auto outcome = std::make_shared<Outcome>();
    machine(at).spawn([](Node& n, ShardId g, Bytes v, std::shared_ptr<Outcome> out) -> Task<void> {
      auto committed = co_await n.host.propose(g, std::move(v));
      if (committed)
        out->result = std::move(committed->outcome);
      else
        out->result = fail(committed.error());
      out->over = true;
    }(node(at), ShardId{group}, std::move(value), outcome));
    return outcome;
  }
  std::shared_ptr<Outcome> start_read(size_t at, uint64_t group) {
    auto outcome = std::make_shared<Outcome>();
    machine(at).spawn([](Node& n, ShardId g, std::shared_ptr<Outcome> out) -> Task<void> {
      Status barrier = co_await n.host.read_barrier(g);
      out->result = barrier ? Result<Bytes>(n.registers[g].value) : fail(barrier.error());
      out->over = true;
    }(node(at), ShardId{group}, outcome));
    return outcome;
  }
  Result<Bytes> finish(std::shared_ptr<Outcome> outcome) {
    if (!simulation.run_until([&] { return outcome->over; }, 20s)) return fail(ErrorCode::timeout, "no answer");
    return outcome->result;
  }
  Result<Bytes> write(size_t at, uint64_t group, Bytes value) {
    return finish(start_write(at, group, std::move(value)));
  }
  Result<Bytes> read(size_t at, uint64_t group) { return finish(start_read(at, group)); }
};

TEST(RaftHost, ElectsProposesAndReadsEverywhere) {
  Cluster cluster;
  const int leader = cluster.leader();
  ASSERT_GE(leader, 0);
  EXPECT_EQ(cluster.write(leader, 0, "a").value(), "");
  EXPECT_EQ(cluster.write(leader, 0, "b").value(), "a");
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(cluster.read(i, 0).value(), "b");
  const size_t follower = (leader + 1) % 3;
  EXPECT_EQ(cluster.write(follower, 0, "c").error().code, ErrorCode::not_leader);
  EXPECT_EQ(cluster.write(leader, 77, "c").error().code, ErrorCode::unavailable);
}

TEST(RaftHost, AcknowledgedWritesSurviveThePowerLossOfAll) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Cluster cluster({}, seed);
    std::string last;
    for (int round = 0; round < 4; ++round) {
      const int leader = cluster.leader();
      ASSERT_GE(leader, 0);
      for (int i = 0; i < 5; ++i) {
        const std::string value = fmt::format("{}-{}", round, i);
        auto outcome = cluster.write(leader, 0, value);
        ASSERT_TRUE(outcome) << outcome.error().to_string();
        EXPECT_EQ(*outcome, last);
        last = value;
      }
      for (size_t i = 0; i < 3; ++i) cluster.machine(i).crash(round % 2 ? sim::Crash::kill : sim::Crash::power);
      for (size_t i = 0; i < 3; ++i) cluster.machine(i).start();
    }
    ASSERT_GE(cluster.leader(), 0);
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(cluster.read(i, 0).value(), last);
  }
}

TEST(RaftHost, LeaderThatDiesIsReplacedAndComesBack) {
  Cluster cluster;
  const int first = cluster.leader();
  ASSERT_TRUE(cluster.write(first, 0, "a"));
  cluster.simulation.run_for(10s);  // at rest
  EXPECT_EQ(cluster.node(first).host.counters().quiet, 1u);
  cluster.machine(first).crash(sim::Crash::power);
  cluster.simulation.run_for(5s);
  const int second = cluster.leader();
  ASSERT_GE(second, 0);
  ASSERT_NE(second, first);
  ASSERT_TRUE(cluster.write(second, 0, "b"));
  cluster.machine(first).start();
  cluster.simulation.run_for(2s);
  EXPECT_EQ(cluster.read(first, 0).value(), "b");
}

TEST(RaftHost, HandsOverWhatItLeads) {
  Settings settings;
  settings.groups = 8;
  Cluster cluster(settings);
  for (uint64_t group = 0; group < settings.groups; ++group) {
    const int leader = cluster.leader(group);
    ASSERT_GE(leader, 0);
    EXPECT_TRUE(cluster.write(leader, group, "a"));
  }
  const auto led = [&] {
    size_t count = 0;
    for (uint64_t group = 0; group < settings.groups; ++group) count += cluster.node(0).host.is_leader(ShardId{group});
    return count;
  };
  for (int tries = 0; tries < 50 && cluster.node(0).host.hand_over() > 0; ++tries) cluster.simulation.run_for(200ms);
  EXPECT_EQ(led(), 0u);
  for (uint64_t group = 0; group < settings.groups; ++group) {
    const int leader = cluster.leader(group);
    ASSERT_GT(leader, 0);
    EXPECT_EQ(cluster.write(leader, group, "b").value(), "a");
  }
}

TEST(RaftHost, SnapshotsBoundTheLogAndServeALaggard) {
  Settings settings;
  settings.snapshot_after_bytes = 20'000;
  settings.segment_bytes = 64 << 10;
  Cluster cluster(settings);
  int leader = cluster.leader();
  const size_t laggard = (leader + 1) % 3;
  cluster.machine(laggard).crash(sim::Crash::power);
  for (int i = 0; i < 400; ++i) ASSERT_TRUE(cluster.write(leader, 0, fmt::format("v{}|{}", i, std::string(500, 'p'))));
  EXPECT_GT(cluster.node(leader).host.counters().snapshots, 5u);
  EXPECT_LE(cluster.node(leader).wal->segments(), 3u);
  cluster.machine(laggard).start();
  cluster.simulation.run_for(3s);
  EXPECT_EQ(cluster.node(laggard).registers[ShardId{0}].value, "v399");
  EXPECT_EQ(cluster.node(laggard).registers[ShardId{0}].applied, 400u);
  for (size_t i = 0; i < 3; ++i) cluster.machine(i).crash(sim::Crash::power);
  for (size_t i = 0; i < 3; ++i) cluster.machine(i).start();
  leader = cluster.leader();
  ASSERT_GE(leader, 0);
  EXPECT_EQ(cluster.read(laggard, 0).value(), "v399");
  EXPECT_EQ(cluster.node(laggard).registers[ShardId{0}].applied, 400u);
}

TEST(RaftHost, FrozenLeaderReadsNothingStaleWhenItThaws) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Cluster cluster({}, seed);
    const int old = cluster.leader();
    ASSERT_TRUE(cluster.write(old, 0, "old"));
    ASSERT_EQ(cluster.read(old, 0).value(), "old");
    cluster.machine(old).freeze(60s);
    auto stale = cluster.start_read(old, 0);  // runs first when it thaws
    int next = -1;
    ASSERT_TRUE(cluster.simulation.run_until(
        [&] {
          for (int i = 0; i < 3; ++i)
            if (i != old && cluster.node(i).host.is_leader(ShardId{0})) next = i;
          return next >= 0;
        },
        20s));
    ASSERT_TRUE(cluster.write(next, 0, "new"));
    auto late = cluster.start_read(old, 0);
    cluster.machine(old).thaw();
    for (auto& outcome : {late}) {
      auto value = cluster.finish(outcome);
      if (value) EXPECT_EQ(*value, "new") << "seed " << seed;
    }
  }
}

TEST(RaftHost, FullLogDelaysAndDoesNotStopIt) {
  Settings settings;
  settings.max_pending_bytes = 300'000;
  Cluster cluster(settings);
  const int leader = cluster.leader();
  auto& node = cluster.node(leader);
  std::vector<std::shared_ptr<Cluster::Outcome>> outcomes;
  for (int i = 0; i < 50; ++i) {
    while (node.wal->append(foreign, 1, Bytes(40'000, 'x'))) {
    }
    outcomes.push_back(cluster.start_write(leader, 0, fmt::format("v{}|{}", i, std::string(3000, 'p'))));
    cluster.simulation.run_for(1ms);
  }
  for (auto& outcome : outcomes) EXPECT_TRUE(cluster.finish(outcome));
  EXPECT_FALSE(node.host.stopped());
  EXPECT_EQ(cluster.read(leader, 0).value(), "v49");
}

TEST(RaftHost, RestingGroupsDoNotHoldOldSegments) {
  Settings settings;
  settings.groups = 200;
  settings.segment_bytes = 256 << 10;
  Cluster cluster(settings);
  cluster.simulation.run_for(20s);
  auto& node = cluster.node(0);
  EXPECT_EQ(node.host.counters().quiet, 200u);
  for (int i = 0; i < 400; ++i) {
    auto position = node.wal->append(foreign, 1, Bytes(64 << 10, 'x'));
    ASSERT_TRUE(position);
    node.wal->release(foreign, *position);
    cluster.simulation.run_for(50ms);
    if (i > 100) ASSERT_LE(node.wal->segments(), 12u) << i;
  }
  cluster.machine(0).crash(sim::Crash::power);
  cluster.machine(0).start();
  cluster.simulation.run_for(5s);
  ASSERT_TRUE(cluster.runs(0));
  EXPECT_GE(cluster.leader(199), 0);
}

TEST(RaftHost, OneSyncServesManyGroups) {
  Settings settings;
  settings.groups = 1000;
  Cluster cluster(settings);
  ASSERT_GE(cluster.leader(999), 0);
  cluster.simulation.run_for(20s);
  std::array<uint64_t, 3> syncs{}, writes{};
  for (size_t i = 0; i < 3; ++i) {
    syncs[i] = cluster.node(i).wal->counters().syncs;
    writes[i] = cluster.node(i).host.counters().writes;
  }
  std::vector<std::shared_ptr<Cluster::Outcome>> outcomes;
  for (uint64_t group = 0; group < 1000; ++group) {
    const int leader = cluster.leader(group);
    ASSERT_GE(leader, 0);
    outcomes.push_back(cluster.start_write(leader, group, "x"));
  }
  for (auto& outcome : outcomes) ASSERT_TRUE(cluster.finish(outcome));
  for (size_t i = 0; i < 3; ++i) {
    syncs[i] = cluster.node(i).wal->counters().syncs - syncs[i];
    writes[i] = cluster.node(i).host.counters().writes - writes[i];
    EXPECT_GE(writes[i], 1000u);
    EXPECT_LT(syncs[i] * 20, writes[i]) << "machine " << i << ": " << syncs[i] << " syncs";
  }
}

TEST(RaftHost, GroupsAtRestCostNothing) {
  uint64_t events[2];
  for (int many = 0; many < 2; ++many) {
    Settings settings;
    settings.groups = many ? 5000 : 1;
    settings.watch = false;
    Cluster cluster(settings);
    const auto began = std::chrono::steady_clock::now();
    cluster.simulation.run_for(30s);
    const auto took = std::chrono::steady_clock::now() - began;
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(cluster.node(i).host.counters().quiet, settings.groups);
    const uint64_t before = cluster.simulation.events_run();
    cluster.simulation.run_for(60s);
    events[many] = cluster.simulation.events_run() - before;
    size_t bytes = 0;
    for (uint64_t i = 0; i < settings.groups; ++i) bytes += cluster.node(0).host.raft(ShardId{i}).memory_bytes();
    if (many) {
      RecordProperty("bytes_per_group", static_cast<int>(bytes / settings.groups));
      EXPECT_LT(bytes / settings.groups, 2500u);
      EXPECT_LT(took, 20s);
      printf("5000 groups: %zu bytes of Raft each, election and rest in %lld ms of real time, %lu events in 60 s\n",
             bytes / settings.groups, static_cast<long long>(took / 1ms), static_cast<unsigned long>(events[1]));
    }
  }
  EXPECT_LT(events[1], events[0] + 100);
  EXPECT_LT(events[1], 1000u);
}

/// Clients that write and read registers while machines and links fail.
class Clients {
 public:
  explicit Clients(Cluster& cluster) : cluster_(cluster) {}
  void step() {
    const size_t at = cluster_.simulation.random().below(cluster_.settings.machines);
    if (!cluster_.runs(at)) return;
    const uint64_t group = cluster_.simulation.random().below(cluster_.settings.groups);
    const bool write = cluster_.simulation.random().chance(0.5);
    const size_t n = history_.size();
    history_.push_back({fmt::format("{}", group), write, write ? fmt::format("v{}", n) : "", now(), Instant::never()});
    void_.push_back(false);
    cluster_.machine(at).spawn(run(*this, cluster_.node(at), ShardId{group}, n));
  }
  std::vector<sim::RegisterOperation> history() const {
    std::vector<sim::RegisterOperation> kept;
    for (size_t i = 0; i < history_.size(); ++i)
      if (!void_[i]) kept.push_back(history_[i]);
    return kept;
  }
  size_t known = 0;

 private:
  Instant now() const { return cluster_.simulation.now(); }
  static Task<void> run(Clients& self, Node& node, ShardId group, size_t n) {
    ErrorCode code;
    if (self.history_[n].write) {
      auto committed = co_await node.host.propose(group, self.history_[n].value + "|" + std::string(100, 'p'));
      if (committed) co_return self.finish(n);
      code = committed.error().code;
    } else {
      Status barrier = co_await node.host.read_barrier(group);
      if (barrier) {
        self.history_[n].value = node.registers[group].value;
        co_return self.finish(n);
      }
      code = barrier.error().code;
    }
    // These promise that nothing was done, and nobody may see it.
    if (code == ErrorCode::not_leader || code == ErrorCode::unavailable || code == ErrorCode::overloaded)
      self.void_[n] = true;
  }
  void finish(size_t n) {
    history_[n].end = now();
    ++known;
  }
  Cluster& cluster_;
  std::vector<sim::RegisterOperation> history_;
  std::vector<bool> void_;
};

void storm(uint64_t seed) {
  Settings settings;
  settings.groups = 4;
  settings.snapshot_after_bytes = 10'000;
  settings.segment_bytes = 64 << 10;
  Cluster cluster(settings, seed);
  Clients clients(cluster);
  std::vector<sim::Machine*> machines;
  for (size_t i = 0; i < 3; ++i) machines.push_back(&cluster.machine(i));
  sim::Nemesis nemesis(cluster.simulation, machines, sim::FaultPlan::from(cluster.simulation.random(), 2s), 1);
  cluster.simulation.run_for(2s);
  nemesis.start();
  for (int i = 0; i < 600; ++i) {
    clients.step();
    cluster.simulation.run_for(Duration(cluster.simulation.random().below(40'000'000)));
  }
  nemesis.heal();
  cluster.simulation.run_for(2s);
  for (size_t i = 0; i < 3; ++i) {
    if (cluster.runs(i) && !cluster.node(i).host.stopped()) continue;
    if (cluster.machine(i).running()) cluster.machine(i).crash(sim::Crash::kill);
    cluster.machine(i).start();
  }
  for (uint64_t group = 0; group < settings.groups; ++group) {
    const int leader = cluster.leader(group, 60s);
    ASSERT_GE(leader, 0) << "seed " << seed << " group " << group << "\n" << nemesis.plan().describe();
    Result<Bytes> written = fail(ErrorCode::unavailable, "");
    for (int i = 0; i < 10 && !written; ++i) {
      written = cluster.write(cluster.leader(group, 60s), group, "end");
      cluster.simulation.run_for(200ms);
    }
    ASSERT_TRUE(written) << "seed " << seed << ": " << written.error().to_string();
    for (size_t i = 0; i < 3; ++i) {
      Result<Bytes> value = fail(ErrorCode::unavailable, "");
      for (int k = 0; k < 30 && !value; ++k) {
        value = cluster.read(i, group);
        if (!value) cluster.simulation.run_for(200ms);
      }
      EXPECT_EQ(value ? *value : value.error().to_string(), "end")
          << "seed " << seed << " group " << group << " on " << i << " led by " << cluster.leader(group, 1s);
    }
  }
  auto violation = sim::find_violation(clients.history());
  EXPECT_FALSE(violation) << "seed " << seed << ": " << *violation << nemesis.plan().describe();
  EXPECT_GT(clients.known, 20u) << "seed " << seed << " " << nemesis.plan().describe();
}

TEST(RaftHost, RegistersStayLinearizableInStorms) {
  const char* more = getenv("RAFT_SEEDS");
  const uint64_t seeds = more ? strtoull(more, nullptr, 10) : 100;
  for (uint64_t seed = 1; seed <= seeds && !::testing::Test::HasFailure(); ++seed) storm(seed);
}

}  // namespace
}  // namespace asterism::raft
