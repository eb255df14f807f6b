#include "cluster/metadata_service.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "cluster/rpc_methods.h"
#include "runtime/sim/faults.h"
#include "runtime/sim/machine.h"

namespace asterism {
namespace {

/// Appends what is unique; "fail…" fails.
struct Lines final : MetadataSection {
  std::vector<std::string> lines;
  Result<Bytes> apply(uint64_t, BytesView command) override {
    if (command.starts_with("fail")) return fail(ErrorCode::already_exists, "{}", command);
    lines.emplace_back(command);
    return std::to_string(lines.size());
  }
  Bytes snapshot() const override {
    Bytes all;
    ByteWriter out(all);
    for (const auto& line : lines) out.sized(line);
    return all;
  }
  Status restore(BytesView snapshot) override {
    lines.clear();
    for (ByteReader in(snapshot); !in.at_end();) {
      lines.emplace_back(in.sized());
      if (in.failed()) return fail(ErrorCode::corrupt, "lines");
    }
    return {};
  }
};

struct Node final : sim::Process {
  sim::Machine& machine;
  NodeId id;
  uint64_t snapshot_after_bytes;
  Rpc rpc;
  raft::Host host;
  MetadataService metadata;
  Lines a, b;
  std::unique_ptr<WriteAheadLog> wal;
  bool ready = false;
  TaskGroup tasks;

  static RpcOptions rpc_options(NodeId self) {
    RpcOptions options;
    options.self = self;
    return options;
  }
  static raft::HostOptions host_options(NodeId self, uint64_t snapshot_after_bytes) {
    raft::HostOptions options;
    options.self = self;
    options.snapshot_after_bytes = snapshot_after_bytes;
    return options;
  }
  Node(sim::Machine& m, uint64_t snapshot_bytes)
      : machine(m),
        id{m.index() + 1},
        snapshot_after_bytes(snapshot_bytes),
        rpc(rpc_options(id), m.executor(), m.network(), m.random(), Log()),
        host(
            host_options(id, snapshot_bytes), m.executor(), m.clock(), m.random(),
            [this](NodeId to, Bytes batch) { rpc.send(to, rpc_method::raft, std::move(batch)); }, Log()),
        metadata(id, m.executor(), rpc, host, Log()),
        tasks(m.executor()) {
    metadata.state().add_section("a", a);
    metadata.state().add_section("b", b);
    rpc.handle(rpc_method::raft, [this](RpcRequest request) { return on_raft(std::move(request)); });
    tasks.spawn(run());
  }
  /// Handlers may wait in the metadata.
  ~Node() override { rpc.stop(); }
  Task<Result<Bytes>> on_raft(RpcRequest request) {
    host.receive(request.from, request.payload);
    co_return Bytes{};
  }
  Task<void> run() { ready = (co_await open()).has_value(); }
  Task<Status> open() {
    WriteAheadLog::Options log;
    log.new_log_id = machine.random().next() | 1;
    CO_TRY(wal, co_await WriteAheadLog::open(machine.disk(), machine.executor(), log,
                                             [this](const Record& record) { return host.replay(record); }));
    host.start(*wal);
    raft::Configuration first;
    for (uint32_t i = 0; i < machine.simulation().machine_count(); ++i) {
      first.voters.push_back(NodeId{i + 1});
      rpc.set_peer(NodeId{i + 1}, machine.simulation().machine(i).address(7000));
    }
    CO_TRY_STATUS(metadata.start(first));
    co_return rpc.listen(machine.address(7000));
  }
};

struct Cluster {
  sim::Simulation simulation;
  explicit Cluster(size_t nodes = 3, uint64_t seed = 1, uint64_t snapshot_bytes = 4 << 20) : simulation(seed) {
    for (size_t i = 0; i < nodes; ++i)
      simulation.add_machine({}).set_process(
          [snapshot_bytes](sim::Machine& m) { return std::make_unique<Node>(m, snapshot_bytes); });
    for (size_t i = 0; i < nodes; ++i) simulation.machine(i).start();
    simulation.run_for(3s);
  }
  sim::Machine& machine(size_t i) { return simulation.machine(i); }
  Node& node(size_t i) { return static_cast<Node&>(*machine(i).process()); }
  Result<Bytes> propose(size_t at, const std::string& section, const std::string& command, Duration timeout = 10s) {
    std::optional<Result<Bytes>> out;
    machine(at).spawn(
        [](Node& n, std::string s, std::string c, Duration t, std::optional<Result<Bytes>>& into) -> Task<void> {
          into = co_await n.metadata.propose(s, c, n.machine.executor().now() + t);
        }(node(at), section, command, timeout, out));
    EXPECT_TRUE(simulation.run_until([&] { return out.has_value(); }, timeout + 5s));
    return out.value_or(fail(ErrorCode::internal, "no answer"));
  }
  Status barrier(size_t at, Duration timeout = 5s) {
    std::optional<Status> out;
    machine(at).spawn([](Node& n, Duration t, std::optional<Status>& into) -> Task<void> {
      into = co_await n.metadata.barrier(n.machine.executor().now() + t);
    }(node(at), timeout, out));
    EXPECT_TRUE(simulation.run_until([&] { return out.has_value(); }, timeout + 5s));
    return *out;
  }
};

TEST(MetadataService, AnyNodeProposesAndSeesItsOwnCommandApplied) {
  Cluster cluster;
  for (size_t i = 0; i < 9; ++i) {
    auto outcome = cluster.propose(i % 3, i % 2 ? "a" : "b", fmt::format("line {}", i));
    ASSERT_TRUE(outcome) << outcome.error().to_string();
    const auto& lines = i % 2 ? cluster.node(i % 3).a.lines : cluster.node(i % 3).b.lines;
    ASSERT_FALSE(lines.empty());
    EXPECT_EQ(lines.back(), fmt::format("line {}", i));
    EXPECT_EQ(*outcome, std::to_string(lines.size()));
  }
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(cluster.barrier(i));
    EXPECT_EQ(cluster.node(i).a.lines, cluster.node(0).a.lines);
    EXPECT_EQ(cluster.node(i).b.lines.size(), 5u);
  }
}

TEST(MetadataService, OutcomesThatAreErrorsReachTheProposerOnce) {
  Cluster cluster;
  for (size_t i = 0; i < 3; ++i) {
    auto outcome = cluster.propose(i, "a", "fail please");
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, ErrorCode::already_exists);
    EXPECT_EQ(outcome.error().message, "fail please");
    EXPECT_EQ(cluster.propose(i, "nobody", "x").error().code, ErrorCode::unsupported);
  }
}

TEST(MetadataService, WithoutAMajorityNothingIsDecided) {
  Cluster cluster;
  cluster.machine(1).crash(sim::Crash::kill);
  cluster.machine(2).crash(sim::Crash::kill);
  cluster.simulation.run_for(5s);
  // A leader that was cut off may hold the command already; anybody else did nothing.
  const auto refused = cluster.propose(0, "a", "x", 2s);
  ASSERT_FALSE(refused);
  const bool open = refused.error().code == ErrorCode::timeout || refused.error().code == ErrorCode::closed;
  EXPECT_TRUE(open || refused.error().code == ErrorCode::unavailable) << refused.error().to_string();
  EXPECT_EQ(cluster.barrier(0, 2s).error().code, ErrorCode::timeout);
  cluster.machine(1).start();
  EXPECT_TRUE(cluster.propose(0, "a", "y", 10s));
  cluster.machine(2).start();
  cluster.simulation.run_for(3s);
  ASSERT_TRUE(cluster.barrier(2));
  ASSERT_FALSE(cluster.node(2).a.lines.empty());
  EXPECT_EQ(cluster.node(2).a.lines.back(), "y");
  EXPECT_LE(cluster.node(2).a.lines.size(), open ? 2u : 1u);
}

/// Commands are never done twice, whatever is retried inside, and what was acknowledged stays.
TEST(MetadataService, StormsNeitherRepeatNorLoseCommands) {
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    Cluster cluster(3, seed, 3'000);
    std::vector<sim::Machine*> machines;
    for (size_t i = 0; i < 3; ++i) machines.push_back(&cluster.machine(i));
    sim::FaultPlan plan;
    plan.crash_kill = 2s;
    plan.crash_power = 4s;
    plan.cut_one = 3s;
    plan.reset = 1s;
    sim::Nemesis nemesis(cluster.simulation, machines, plan, 1);
    nemesis.start();
    std::vector<std::string> acknowledged;
    for (int i = 0; i < 150; ++i) {
      const size_t at = cluster.simulation.random().below(3);
      if (cluster.machine(at).running() && cluster.node(at).ready)
        cluster.machine(at).spawn([](Node& n, std::string line, std::vector<std::string>& done) -> Task<void> {
          if (co_await n.metadata.propose("a", line, n.machine.executor().now() + 3s)) done.push_back(line);
        }(cluster.node(at), fmt::format("line {}", i), acknowledged));
      cluster.simulation.run_for(Duration(cluster.simulation.random().below(100'000'000)));
    }
    nemesis.heal();
    cluster.simulation.run_for(10s);
    ASSERT_TRUE(cluster.propose(0, "a", "end", 20s)) << "seed " << seed;
    for (size_t i = 0; i < 3; ++i) {
      ASSERT_TRUE(cluster.barrier(i)) << "seed " << seed;
      auto lines = cluster.node(i).a.lines;
      EXPECT_EQ(lines, cluster.node(0).a.lines) << "seed " << seed;
      std::ranges::sort(lines);
      EXPECT_TRUE(std::ranges::adjacent_find(lines) == lines.end()) << "seed " << seed << ": done twice";
      for (const auto& line : acknowledged)
        EXPECT_TRUE(std::ranges::binary_search(lines, line)) << "seed " << seed << ": lost " << line;
    }
    EXPECT_GT(acknowledged.size(), 30u) << "seed " << seed;
  }
}

TEST(MetadataService, RestartsFromItsSnapshot) {
  Cluster cluster(1, 1, 5'000);
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(cluster.propose(0, "a", fmt::format("line {}", i)));
  EXPECT_GT(cluster.node(0).host.counters().snapshots, 1u);
  const auto lines = cluster.node(0).a.lines;
  cluster.machine(0).crash(sim::Crash::power);
  cluster.machine(0).start();
  ASSERT_TRUE(cluster.propose(0, "b", "x"));
  EXPECT_EQ(cluster.node(0).a.lines, lines);
}

TEST(MetadataService, LongLogsLoadFast) {
  Cluster cluster(1, 1, 1 << 30);
  constexpr int records = 100'000;
  int done = 0;
  for (int i = 0; i < records; ++i) {
    cluster.machine(0).spawn([](Node& n, int number, int& count) -> Task<void> {
      if (co_await n.metadata.propose("a", fmt::format("line {}", number), n.machine.executor().now() + 60s)) ++count;
    }(cluster.node(0), i, done));
    if (i % 1000 == 999) cluster.simulation.run_until([&] { return done == i + 1; }, 10s);
  }
  ASSERT_EQ(done, records);
  cluster.machine(0).crash(sim::Crash::kill);
  cluster.machine(0).start();
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(cluster.simulation.run_until([&] { return cluster.node(0).a.lines.size() == records; }, 60s));
  const auto took = std::chrono::steady_clock::now() - began;
  printf("%d metadata records load in %lld ms of real time\n", records, static_cast<long long>(took / 1ms));
  EXPECT_LT(took, 5s);
}

TEST(MetadataState, ASecondCommandIsAppliedOnlyBehindOneThatSucceeded) {
  Lines a, b;
  MetadataState state;
  state.add_section("a", a);
  state.add_section("b", b);
  EXPECT_EQ(state.apply(1, MetadataState::encode_records("a", "one", "b", "two")), "1");
  EXPECT_EQ(state.apply(2, MetadataState::encode_records("a", "fail", "b", "three")).error().code,
            ErrorCode::already_exists);
  EXPECT_EQ(state.apply(3, MetadataState::encode_records("a", "four", "b", "fail")), "2");
  EXPECT_EQ(state.apply(4, MetadataState::encode_records("a", "five", "nobody", "x")), "3");
  EXPECT_EQ(a.lines, (std::vector<std::string>{"one", "four", "five"}));
  EXPECT_EQ(b.lines, std::vector<std::string>{"two"});
  EXPECT_EQ(state.apply(5, "\xff\xff").error().code, ErrorCode::corrupt);
}

}  // namespace
}  // namespace asterism
