#include "cluster/rpc.h"

#include <gtest/gtest.h>

#include "cluster/isolation.h"
#include "cluster/rpc_frame.h"
#include "runtime/channel.h"
#include "runtime/io.h"
#include "runtime/sim/machine.h"
#include "runtime/sim/sim_network.h"

namespace asterism {
namespace {

constexpr uint16_t port = 7000;
constexpr RpcMethod echo = 1, refuse = 2, slow = 3, big = 4, count = 5;

struct Node final : sim::Process {
  sim::Machine& machine;
  IsolatingNetwork network;
  Rpc rpc;
  uint64_t served = 0, slow_started = 0;
  std::vector<std::string> order;

  static RpcOptions options(uint32_t id, const std::string& cluster) {
    RpcOptions options;
    options.self = NodeId{id};
    options.cluster = cluster;
    options.max_serving = 64;
    return options;
  }
  Node(sim::Machine& m, uint32_t id, const std::string& cluster)
      : machine(m), network(m.network()), rpc(options(id, cluster), m.executor(), network, m.random(), m.log("rpc")) {
    rpc.handle(echo, [this](RpcRequest request) { return on_echo(std::move(request)); });
    rpc.handle(refuse, [](RpcRequest) -> Task<Result<Bytes>> {
      co_return fail(ErrorCode::wrong_epoch, "{}", std::string(200'000, 'x'));
    });
    rpc.handle(slow, [this](RpcRequest request) { return on_slow(std::move(request)); });
    rpc.handle(big,
               [](RpcRequest request) -> Task<Result<Bytes>> { co_return Bytes(std::stoull(request.payload), 'b'); });
    rpc.handle(count, [this](RpcRequest request) { return on_count(std::move(request)); });
    EXPECT_TRUE(rpc.listen(m.address(port)));
  }
  Task<Result<Bytes>> on_echo(RpcRequest request) {
    ++served;
    co_return fmt::format("{}:{}", request.from, request.payload);
  }
  Task<Result<Bytes>> on_slow(RpcRequest request) {
    ++slow_started;
    co_await sleep_for(10s);
    co_return std::move(request.payload);
  }
  Task<Result<Bytes>> on_count(RpcRequest request) {
    order.push_back(request.payload.substr(0, 8));
    ++served;
    co_return Bytes{};
  }
};

struct Cluster {
  sim::Simulation simulation;
  explicit Cluster(size_t nodes = 2, uint64_t seed = 1) : simulation(seed) {
    for (uint32_t i = 0; i < nodes; ++i) {
      auto& machine = simulation.add_machine({});
      machine.set_process([i](sim::Machine& m) { return std::make_unique<Node>(m, i + 1, "test"); });
      machine.start();
    }
    for (size_t i = 0; i < nodes; ++i) introduce(i);
  }
  void introduce(size_t i) {
    for (uint32_t peer = 0; peer < simulation.machine_count(); ++peer)
      node(i).rpc.set_peer(NodeId{peer + 1}, simulation.machine(peer).address(port));
  }
  sim::Machine& machine(size_t i) { return simulation.machine(i); }
  Node& node(size_t i) { return static_cast<Node&>(*machine(i).process()); }

  struct Answer {
    std::optional<Result<Bytes>> result;
    Instant at;
    ErrorCode code() const { return result && !*result ? result->error().code : ErrorCode::internal; }
    bool ok() const { return result && result->has_value(); }
  };
  std::shared_ptr<Answer> start(size_t from, uint32_t to, RpcMethod method, Bytes payload, Duration timeout = 2s) {
    auto answer = std::make_shared<Answer>();
    machine(from).spawn([](sim::Simulation& s, Node& n, uint32_t target, RpcMethod m, Bytes p, Duration t,
                           std::shared_ptr<Answer> out) -> Task<void> {
      out->result = co_await n.rpc.call(NodeId{target}, m, std::move(p), n.machine.executor().now() + t);
      out->at = s.now();
    }(simulation, node(from), to, method, std::move(payload), timeout, answer));
    return answer;
  }
  std::shared_ptr<Answer> call(size_t from, uint32_t to, RpcMethod method, Bytes payload, Duration timeout = 2s) {
    auto answer = start(from, to, method, std::move(payload), timeout);
    EXPECT_TRUE(simulation.run_until([&] { return answer->result.has_value(); }, timeout + 10s));
    return answer;
  }
};

TEST(Rpc, CallsAnswerInBothDirectionsAndToOneself) {
  Cluster cluster;
  EXPECT_EQ(cluster.call(0, 2, echo, "a")->result->value(), "1:a");
  EXPECT_EQ(cluster.call(1, 1, echo, "b")->result->value(), "2:b");
  EXPECT_EQ(cluster.call(0, 1, echo, "c")->result->value(), "1:c");
  EXPECT_EQ(cluster.call(0, 2, echo, "")->result->value(), "1:");
  EXPECT_TRUE(cluster.node(0).rpc.connected(NodeId{2}));
}

TEST(Rpc, WhoCallsIsCalledBackWhereItListens) {
  Cluster cluster;
  cluster.machine(0).crash(sim::Crash::kill);
  cluster.machine(0).start();
  EXPECT_EQ(cluster.call(0, 2, echo, "a")->code(), ErrorCode::not_found);
  EXPECT_TRUE(cluster.call(1, 1, echo, "b")->ok());
  EXPECT_EQ(cluster.call(0, 2, echo, "c")->result->value(), "1:c");
}

TEST(Rpc, ErrorsTravelWithTheirCodeAndACutMessage) {
  Cluster cluster;
  auto refused = cluster.call(0, 2, refuse, "");
  ASSERT_EQ(refused->code(), ErrorCode::wrong_epoch);
  EXPECT_EQ(refused->result->error().message.substr(0, 3), "xxx");
  EXPECT_EQ(cluster.call(0, 2, 77, "")->code(), ErrorCode::unsupported);
  EXPECT_EQ(cluster.call(0, 9, echo, "")->code(), ErrorCode::not_found);
  EXPECT_TRUE(cluster.call(0, 2, echo, "still works")->ok());
}

TEST(Rpc, DeadlinesHoldAndLateAnswersHarmNobody) {
  Cluster cluster;
  const Instant began = cluster.simulation.now();
  auto answer = cluster.call(0, 2, slow, "x", 500ms);
  EXPECT_EQ(answer->code(), ErrorCode::timeout);
  EXPECT_LT(answer->at - began, 600ms);
  EXPECT_EQ(cluster.call(0, 1, slow, "x", 500ms)->code(), ErrorCode::timeout);
  EXPECT_EQ(cluster.call(0, 2, echo, "x", 0ms)->code(), ErrorCode::timeout);
  cluster.simulation.run_for(15s);
  EXPECT_TRUE(cluster.call(0, 2, echo, "y")->ok());
}

TEST(Rpc, ManyCallsAtOnceFindTheirAnswers) {
  Cluster cluster;
  std::vector<std::shared_ptr<Cluster::Answer>> answers;
  for (int i = 0; i < 1000; ++i) answers.push_back(cluster.start(0, 2, echo, std::to_string(i)));
  cluster.simulation.run_for(1s);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(answers[i]->ok());
    EXPECT_EQ(**answers[i]->result, "1:" + std::to_string(i));
  }
}

TEST(Rpc, AnIsolatedNodeReachesNobodyAndIsReachedByNobodyUntilItIsHealed) {
  Cluster cluster(3);
  EXPECT_TRUE(cluster.call(0, 2, echo, "a")->ok());
  EXPECT_TRUE(cluster.call(1, 1, echo, "a")->ok());
  auto under_way = cluster.start(0, 2, slow, "x", 20s);
  cluster.simulation.run_for(100ms);
  cluster.node(1).network.isolate(true);
  cluster.simulation.run_for(100ms);
  EXPECT_EQ(under_way->code(), ErrorCode::closed);
  EXPECT_EQ(cluster.node(1).served, 1u);
  EXPECT_FALSE(cluster.call(0, 2, echo, "b")->ok());
  EXPECT_FALSE(cluster.call(1, 1, echo, "b")->ok());
  EXPECT_FALSE(cluster.call(1, 3, echo, "b")->ok());
  EXPECT_TRUE(cluster.call(1, 2, echo, "itself")->ok());
  EXPECT_TRUE(cluster.call(0, 3, echo, "others")->ok());
  EXPECT_EQ(cluster.node(1).served, 2u);
  cluster.node(1).network.isolate(false);
  cluster.simulation.run_for(1s);
  EXPECT_TRUE(cluster.call(0, 2, echo, "c")->ok());
  EXPECT_TRUE(cluster.call(1, 1, echo, "c")->ok());
}

TEST(Rpc, NobodyThereIsUnavailable) {
  Cluster cluster;
  cluster.machine(1).crash(sim::Crash::kill);
  EXPECT_EQ(cluster.call(0, 2, echo, "x")->code(), ErrorCode::unavailable);
  EXPECT_FALSE(cluster.node(0).rpc.connected(NodeId{2}));
}

TEST(Rpc, PeerThatDiesMidCallIsClosedAndComesBack) {
  Cluster cluster;
  auto answer = cluster.start(0, 2, slow, "x", 60s);
  cluster.simulation.run_for(1s);
  ASSERT_EQ(cluster.node(1).slow_started, 1u);
  cluster.machine(1).crash(sim::Crash::kill);
  ASSERT_TRUE(cluster.simulation.run_until([&] { return answer->result.has_value(); }, 1s));
  EXPECT_EQ(answer->code(), ErrorCode::closed);
  cluster.machine(1).start();
  cluster.introduce(1);
  EXPECT_TRUE(cluster.call(0, 2, echo, "again")->ok());
}

TEST(Rpc, FrozenPeerTimesOutAndResetMakesTheCallClosed) {
  Cluster cluster;
  ASSERT_TRUE(cluster.call(0, 2, echo, "x")->ok());
  cluster.machine(1).freeze(30s);
  EXPECT_EQ(cluster.call(0, 2, echo, "x", 1s)->code(), ErrorCode::timeout);
  auto answer = cluster.start(0, 2, echo, "y", 20s);
  cluster.simulation.run_for(100ms);
  cluster.node(0).rpc.reset(NodeId{2});
  ASSERT_TRUE(cluster.simulation.run_until([&] { return answer->result.has_value(); }, 1s));
  EXPECT_EQ(answer->code(), ErrorCode::closed);
  cluster.machine(1).thaw();
  EXPECT_TRUE(cluster.call(0, 2, echo, "z", 5s)->ok());
}

TEST(Rpc, PartitionDelaysThenHeals) {
  Cluster cluster;
  ASSERT_TRUE(cluster.call(0, 2, echo, "x")->ok());
  cluster.simulation.network().partition({0}, {1});
  EXPECT_EQ(cluster.call(0, 2, echo, "x", 1s)->code(), ErrorCode::timeout);
  cluster.simulation.network().heal();
  EXPECT_TRUE(cluster.call(0, 2, echo, "z", 5s)->ok());
}

TEST(Rpc, PartitionBeforeTheFirstConnectionIsUnavailable) {
  Cluster cluster;
  cluster.simulation.network().partition({0}, {1});
  EXPECT_EQ(cluster.call(0, 2, echo, "x", 5s)->code(), ErrorCode::unavailable);
}

TEST(Rpc, AnotherClusterOrNodeIsRefusedAndServesNothing) {
  Cluster cluster(1);
  for (auto [id, name] : {std::pair{2u, "other"}, std::pair{3u, "test"}}) {
    auto& machine = cluster.simulation.add_machine({});
    machine.set_process([id, name](sim::Machine& m) { return std::make_unique<Node>(m, id, name); });
    machine.start();
  }
  cluster.node(0).rpc.set_peer(NodeId{2}, cluster.machine(1).address(port));
  cluster.node(0).rpc.set_peer(NodeId{5}, cluster.machine(2).address(port));  // it is node 3
  EXPECT_EQ(cluster.call(0, 2, echo, "x")->code(), ErrorCode::unavailable);
  EXPECT_EQ(cluster.call(0, 5, echo, "x")->code(), ErrorCode::unavailable);
  EXPECT_EQ(cluster.node(1).served + cluster.node(2).served, 0u);
  cluster.node(0).rpc.set_peer(NodeId{3}, cluster.machine(2).address(port));
  EXPECT_TRUE(cluster.call(0, 3, echo, "x")->ok());
}

TEST(Rpc, NewAddressOfAPeerTakesOver) {
  Cluster cluster(3);
  auto waiting = cluster.start(0, 2, slow, "x", 30s);
  cluster.simulation.run_for(100ms);
  cluster.machine(2).crash(sim::Crash::kill);
  cluster.machine(2).set_process([](sim::Machine& m) { return std::make_unique<Node>(m, 2, "test"); });
  cluster.machine(2).start();
  cluster.node(0).rpc.set_peer(NodeId{2}, cluster.machine(2).address(port));
  cluster.simulation.run_for(100ms);
  EXPECT_EQ(waiting->code(), ErrorCode::closed);
  EXPECT_EQ(cluster.call(0, 2, echo, "x")->result->value(), "1:x");
  EXPECT_EQ(cluster.node(2).served, 1u);
  auto removed = cluster.start(0, 2, slow, "x", 30s);
  cluster.simulation.run_for(100ms);
  cluster.node(0).rpc.remove_peer(NodeId{2});
  cluster.simulation.run_for(100ms);
  EXPECT_EQ(removed->code(), ErrorCode::closed);
  EXPECT_EQ(cluster.call(0, 2, echo, "x")->code(), ErrorCode::not_found);
}

TEST(Rpc, FullQueueIsOverloadedAndTooLargeIsRefused) {
  Cluster cluster;
  ASSERT_TRUE(cluster.call(0, 2, echo, "x")->ok());
  EXPECT_EQ(cluster.call(0, 2, echo, Bytes((64 << 20) + 1, 'x'))->code(), ErrorCode::too_large);
  cluster.machine(1).freeze(60s);
  std::vector<std::shared_ptr<Cluster::Answer>> answers;
  for (int i = 0; i < 90; ++i) answers.push_back(cluster.start(0, 2, count, Bytes(1 << 20, 'x'), 20s));
  cluster.simulation.run_for(1s);
  size_t overloaded = 0;
  for (auto& answer : answers) overloaded += answer->code() == ErrorCode::overloaded;
  EXPECT_GT(overloaded, 10u);
  EXPECT_LT(overloaded, 40u);
  cluster.machine(1).thaw();
  cluster.simulation.run_for(5s);
  size_t ok = 0;
  for (auto& answer : answers) ok += answer->ok();
  EXPECT_EQ(ok + overloaded, answers.size());
}

TEST(Rpc, AnswersBeyondTheQueueDoNotStallTheConnection) {
  Cluster cluster;
  EXPECT_EQ(cluster.call(0, 2, big, std::to_string((64 << 20) + 1), 20s)->code(), ErrorCode::too_large);
  std::vector<std::shared_ptr<Cluster::Answer>> answers;
  for (int i = 0; i < 6; ++i) answers.push_back(cluster.start(0, 2, big, std::to_string(30 << 20), 30s));
  cluster.simulation.run_for(100ms);
  for (int i = 0; i < 6; ++i) answers.push_back(cluster.start(0, 2, echo, "x", 30s));
  cluster.simulation.run_for(10s);
  for (auto& answer : answers) EXPECT_TRUE(answer->ok());
}

TEST(Rpc, ServingIsBounded) {
  Cluster cluster;
  for (int i = 0; i < 200; ++i) cluster.start(0, 2, slow, "x", 100s);
  cluster.simulation.run_for(5s);
  EXPECT_EQ(cluster.node(1).slow_started, 64u);
  cluster.simulation.run_for(40s);
  EXPECT_EQ(cluster.node(1).slow_started, 200u);
}

TEST(Rpc, HigherClassesOvertake) {
  Cluster cluster;
  ASSERT_TRUE(cluster.call(0, 2, echo, "x")->ok());
  auto& rpc = cluster.node(0).rpc;
  for (int i = 0; i < 20; ++i) rpc.send(NodeId{2}, count, "bulk----" + Bytes(512 << 10, 'x'), RpcPriority::bulk);
  for (int i = 0; i < 20; ++i) rpc.send(NodeId{2}, count, "request-" + Bytes(512 << 10, 'x'), RpcPriority::request);
  rpc.send(NodeId{2}, count, "control-", RpcPriority::control);
  cluster.simulation.run_for(5s);
  const auto& order = cluster.node(1).order;
  ASSERT_EQ(order.size(), 41u);
  EXPECT_EQ(order.front(), "control-");
  EXPECT_EQ(order.back(), "bulk----");
}

TEST(Rpc, OneWayToOneselfAndToOthersArrives) {
  Cluster cluster;
  cluster.node(0).rpc.send(NodeId{1}, count, "a");
  cluster.node(0).rpc.send(NodeId{2}, count, "b");
  cluster.node(0).rpc.send(NodeId{7}, count, "c");
  cluster.simulation.run_for(1s);
  EXPECT_EQ(cluster.node(0).served, 1u);
  EXPECT_EQ(cluster.node(1).served, 1u);
}

TEST(Rpc, EndsWithEverythingUnderWay) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Cluster cluster(3, seed);
    for (int i = 0; i < 100; ++i)
      for (uint32_t to = 1; to <= 3; ++to) {
        cluster.start(0, to, slow, Bytes(10'000, 'x'), 60s);
        cluster.start(1, to, echo, Bytes(100'000, 'x'), 60s);
      }
    cluster.simulation.run_for(Duration(cluster.simulation.random().below(20'000'000)));
    cluster.machine(1).crash(sim::Crash::kill);
    cluster.simulation.run_for(Duration(cluster.simulation.random().below(20'000'000)));
    cluster.machine(0).crash(sim::Crash::power);
  }
}

/// Speaks raw bytes to a node and says whether the node closed the connection.
bool closes_after(const Bytes& bytes) {
  Cluster cluster(1);
  auto& client = cluster.simulation.add_machine({});
  client.start();
  bool closed = false;
  client.spawn([](sim::Machine& m, Address to, Bytes all, bool& out) -> Task<void> {
    auto stream = co_await connect(m.network(), to);
    EXPECT_TRUE(stream);
    co_await write(**stream, std::move(all));
    while (true) {
      auto got = co_await read(**stream, 4096);
      if (!got || got->empty()) break;
    }
    out = true;
  }(client, cluster.machine(0).address(port), bytes, closed));
  cluster.simulation.run_for(5s);
  EXPECT_EQ(cluster.node(0).served, 0u);
  auto& second = cluster.simulation.add_machine({});
  second.set_process([](sim::Machine& m) { return std::make_unique<Node>(m, 9, "test"); });
  second.start();
  static_cast<Node&>(*second.process()).rpc.set_peer(NodeId{1}, cluster.machine(0).address(port));
  EXPECT_TRUE(cluster.call(2, 1, echo, "x")->ok()) << "others are not harmed";
  return closed;
}

Bytes frame(rpc::Header::Kind kind, Bytes payload = {}) {
  rpc::Header header;
  header.set_kind(kind);
  header.set_method(echo);
  header.set_cluster("test");
  header.set_node(2);
  header.set_expected(1);
  return encode_rpc_head(header, payload) + payload;
}

TEST(Rpc, CorruptAndForeignFramesEndTheConnection) {
  EXPECT_TRUE(closes_after(Bytes(100, 'x'))) << "oversize lengths";
  EXPECT_TRUE(closes_after(frame(rpc::Header::REQUEST))) << "no hello";
  EXPECT_TRUE(closes_after(frame(rpc::Header::HELLO) + frame(rpc::Header::HELLO)));
  EXPECT_TRUE(closes_after(frame(rpc::Header::HELLO) + frame(rpc::Header::REPLY)));
  Bytes damaged = frame(rpc::Header::HELLO) + frame(rpc::Header::REQUEST, "payload");
  damaged.back() ^= 1;
  EXPECT_TRUE(closes_after(damaged));
  EXPECT_FALSE(closes_after(frame(rpc::Header::HELLO)));
}

TEST(RpcFrame, DecodesInAnyPieces) {
  Bytes stream;
  for (int i = 0; i < 50; ++i) stream += frame(rpc::Header::REQUEST, Bytes(static_cast<size_t>(i * i), 'p'));
  for (size_t step : {1, 7, 100, 100000}) {
    RpcFrameDecoder decoder;
    RpcFrame frame;
    size_t frames = 0;
    for (size_t at = 0; at < stream.size(); at += step) {
      decoder.feed(stream.substr(at, step));
      while (true) {
        auto next = decoder.next(frame);
        ASSERT_TRUE(next);
        if (!*next) break;
        EXPECT_EQ(frame.payload.size(), frames * frames);
        ++frames;
      }
    }
    EXPECT_EQ(frames, 50u);
  }
}

TEST(RpcFrame, PlainHeadersAreWhatProtocolBuffersWrite) {
  for (auto kind :
       {rpc::Header::HELLO, rpc::Header::REQUEST, rpc::Header::REPLY, rpc::Header::ERROR, rpc::Header::ONE_WAY}) {
    for (uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{127}, uint64_t{128}, uint64_t{65535}, UINT64_MAX}) {
      rpc::Header header;
      header.set_kind(kind);
      header.set_request(value);
      header.set_method(static_cast<uint32_t>(value & 0xffff));
      header.set_timeout_us(value / 3);
      const Bytes head = encode_rpc_head(header, "payload");
      EXPECT_EQ(head.substr(16), header.SerializeAsString());
      RpcFrameDecoder decoder;
      decoder.feed(head + "payload");
      RpcFrame decoded;
      // A header that came before leaves nothing behind.
      decoded.header.set_error_message("old");
      decoded.header.set_node(7);
      auto taken = decoder.next(decoded);
      ASSERT_TRUE(taken && *taken);
      EXPECT_EQ(decoded.header.SerializeAsString(), header.SerializeAsString());
      EXPECT_EQ(decoded.payload, "payload");
    }
  }
}

}  // namespace
}  // namespace asterism
