#include <gtest/gtest.h>

#include "runtime/io.h"
#include "runtime/sim/machine.h"
#include "runtime/sim/sim_network.h"
#include "runtime/timeout.h"

namespace asterism::sim {
namespace {

struct NetworkTest : testing::Test {
  Simulation simulation{11};
  Machine& server = simulation.add_machine({.name = "server"});
  Machine& client = simulation.add_machine({.name = "client"});
  NetworkFabric& network = simulation.network();
  Bytes received;
  std::optional<ErrorCode> server_error, client_error;
  bool ended = false;
  size_t sent = 0;

  void SetUp() override {
    server.start();
    client.start();
  }

  /// Reads everything from one connection, at the pace that `pause` gives.
  Task<void> receive(Duration pause) {
    auto listener = std::move(server.network().listen(server.address(80)).value());
    auto stream = (co_await accept(*listener)).value();
    while (true) {
      auto bytes = co_await read(*stream, 10'000);
      if (!bytes) {
        server_error = bytes.error().code;
        co_return;
      }
      if (bytes->empty()) {
        ended = true;
        co_return;
      }
      received += *bytes;
      if (pause > 0ns) co_await sleep_for(pause);
    }
  }
  Task<void> transmit(size_t pieces, size_t size, bool close_after = true) {
    auto stream = co_await connect(client.network(), server.address(80));
    if (!stream) {
      client_error = stream.error().code;
      co_return;
    }
    for (size_t i = 0; i < pieces; ++i) {
      Bytes piece(size, static_cast<char>('a' + i % 26));
      if (auto status = co_await write(**stream, std::move(piece)); !status) {
        client_error = status.error().code;
        co_return;
      }
      sent += size;
    }
    if (!close_after) co_await sleep_for(1h);
  }
  Bytes expected(size_t pieces, size_t size) {
    Bytes all;
    for (size_t i = 0; i < pieces; ++i) all += Bytes(size, static_cast<char>('a' + i % 26));
    return all;
  }
};

TEST_F(NetworkTest, BytesArriveOnceAndInOrderThenTheEnd) {
  network.options().link.loss = 0.05;
  server.spawn(receive(0ns));
  client.spawn(transmit(200, 5000));
  ASSERT_TRUE(simulation.run_until([&] { return ended; }, 300s)) << received.size();
  EXPECT_TRUE(received == expected(200, 5000));
  EXPECT_GT(simulation.counted(Fault::retransmission), 0u);
}

TEST_F(NetworkTest, ASlowReaderHoldsTheWriterBack) {
  server.spawn(receive(100ms));
  client.spawn(transmit(100, 50'000));
  simulation.run_for(1s);
  EXPECT_LE(sent, received.size() + network.options().window_bytes + 50'000);
  ASSERT_TRUE(simulation.run_until([&] { return ended; }, 300s));
  EXPECT_TRUE(received == expected(100, 50'000));
}

TEST_F(NetworkTest, TryWriteRespectsTheWindowAndKeepsTheOrder) {
  const Bytes all = expected(100, 50'000);
  server.spawn(receive(100ms));
  client.spawn([](NetworkTest& test, const Bytes& bytes) -> Task<void> {
    auto stream = (co_await connect(test.client.network(), test.server.address(80))).value();
    while (test.sent < bytes.size()) {
      auto taken = stream->try_write(BytesView(bytes).substr(test.sent));
      EXPECT_TRUE(taken);
      test.sent += *taken;
      if (*taken > 0) continue;
      // What blocks takes no byte; a write waits for room.
      EXPECT_TRUE(co_await write(*stream, bytes.substr(test.sent, 1000)));
      test.sent = std::min(test.sent + 1000, bytes.size());
    }
  }(*this, all));
  simulation.run_for(1s);
  EXPECT_GT(sent, 0u);
  EXPECT_LE(sent, received.size() + network.options().window_bytes + 50'000);
  ASSERT_TRUE(simulation.run_until([&] { return ended; }, 300s));
  EXPECT_TRUE(received == all);
}

TEST_F(NetworkTest, NobodyListensIsRefusedAndNoPowerIsATimeout) {
  client.spawn(transmit(1, 1));
  simulation.run_for(1s);
  EXPECT_EQ(client_error, ErrorCode::unavailable);
  EXPECT_EQ(simulation.counted(Fault::connection_refused), 1u);
  client_error.reset();
  server.crash(Crash::power);
  client.spawn(transmit(1, 1));
  simulation.run_for(10s);
  EXPECT_FALSE(client_error);
  simulation.run_for(20s);
  EXPECT_EQ(client_error, ErrorCode::unavailable);
  EXPECT_EQ(simulation.counted(Fault::connection_timeout), 1u);
}

TEST_F(NetworkTest, AConnectionWaitsForAPartitionToHeal) {
  network.partition({server.index()}, {client.index()});
  server.spawn(receive(0ns));
  client.spawn(transmit(1, 10));
  simulation.run_for(5s);
  EXPECT_FALSE(client_error);
  network.heal();
  EXPECT_TRUE(simulation.run_until([&] { return ended; }, 20s));
}

TEST_F(NetworkTest, AShortPartitionOnlyDelays) {
  server.spawn(receive(0ns));
  client.spawn(transmit(100, 20'000));
  ASSERT_TRUE(simulation.run_until([&] { return received.size() > 100'000; }, 1s));
  network.block(client.index(), server.index());
  const size_t before = received.size();
  simulation.run_for(10s);
  EXPECT_EQ(received.size(), before);
  network.unblock(client.index(), server.index());
  ASSERT_TRUE(simulation.run_until([&] { return ended; }, 60s));
  EXPECT_TRUE(received == expected(100, 20'000));
}

TEST_F(NetworkTest, WithoutAcknowledgementsTheWriterStallsAndIsReset) {
  server.spawn(receive(0ns));
  client.spawn(transmit(1000, 20'000));
  ASSERT_TRUE(simulation.run_until([&] { return received.size() > 100'000; }, 1s));
  network.block(server.index(), client.index());
  simulation.run_for(5s);
  EXPECT_LT(sent, 20'000'000u);
  EXPECT_FALSE(client_error);
  simulation.run_for(40s);
  EXPECT_EQ(client_error, ErrorCode::closed);
}

TEST_F(NetworkTest, AKilledPeerIsSeenAtOnceAndAPowerFailureIsNot) {
  for (Crash kind : {Crash::kill, Crash::power}) {
    received.clear();
    ended = false;
    server_error.reset();
    server.spawn(receive(0ns));
    client.spawn(transmit(1, 10, false));
    ASSERT_TRUE(simulation.run_until([&] { return received.size() == 10; }, 5s));
    client.crash(kind);
    simulation.run_for(5s);
    EXPECT_EQ(ended || server_error, kind == Crash::kill);
    client.start();
    simulation.run_for(1s);
  }
  EXPECT_EQ(simulation.counted(Fault::half_open), 1u);
}

TEST_F(NetworkTest, AReturningMachineResetsOldConnections) {
  server.spawn(receive(0ns));
  client.spawn(transmit(100'000, 1000));
  ASSERT_TRUE(simulation.run_until([&] { return received.size() > 10'000; }, 5s));
  server.crash(Crash::power);
  simulation.run_for(2s);
  EXPECT_FALSE(client_error);
  server.start();
  simulation.run_for(5s);
  EXPECT_EQ(client_error, ErrorCode::closed);
}

TEST_F(NetworkTest, AFrozenPeersBuffersFill) {
  server.spawn(receive(0ns));
  client.spawn(transmit(1000, 10'000));
  ASSERT_TRUE(simulation.run_until([&] { return received.size() > 10'000; }, 5s));
  server.freeze(3s);
  const size_t before = received.size();
  simulation.run_for(2s);
  EXPECT_EQ(received.size(), before);
  EXPECT_LE(sent, before + network.options().window_bytes + 20'000);
  ASSERT_TRUE(simulation.run_until([&] { return ended; }, 60s));
  EXPECT_EQ(received.size(), 10'000'000u);
}

TEST_F(NetworkTest, ResetsReachBothEnds) {
  server.spawn(receive(0ns));
  client.spawn(transmit(1'000'000, 1000));
  ASSERT_TRUE(simulation.run_until([&] { return received.size() > 10'000; }, 5s));
  EXPECT_EQ(network.reset(server.index(), client.index()), 1u);
  simulation.run_for(1s);
  EXPECT_EQ(client_error, ErrorCode::closed);
  EXPECT_EQ(server_error, ErrorCode::closed);
  EXPECT_EQ(network.connection_count(), 0u);
}

TEST_F(NetworkTest, PortsAreExclusiveAndClosedStreamsSaySo) {
  auto listener = server.network().listen(server.address(0)).value();
  EXPECT_GT(listener->local_address().port, 0);
  auto second = server.network().listen(listener->local_address());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::already_exists);
  bool done = false;
  client.spawn([](Machine& self, Address to, bool& flag) -> Task<void> {
    auto stream = (co_await connect(self.network(), to)).value();
    stream->close();
    stream->close();
    EXPECT_EQ((co_await read(*stream, 10)).error().code, ErrorCode::closed);
    EXPECT_EQ((co_await write(*stream, Bytes("x"))).error().code, ErrorCode::closed);
    EXPECT_EQ(stream->try_write("x").error().code, ErrorCode::closed);
    flag = true;
  }(client, listener->local_address(), done));
  EXPECT_TRUE(simulation.run_until([&] { return done; }, 1s));
}

}  // namespace
}  // namespace asterism::sim
