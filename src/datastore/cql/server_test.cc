#include "datastore/cql/server.h"

#include <numeric>

#include "datastore/cql/server_test.h"

namespace asterism::cql::testing {

using wire::CqlErrorCode;
using wire::Version;

namespace {

Bytes header_of(uint8_t version, int16_t stream, wire::Opcode opcode, uint32_t size) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.u8(version);
  writer.u8(0);
  writer.u16_be(static_cast<uint16_t>(stream));
  writer.u8(static_cast<uint8_t>(opcode));
  writer.u32_be(size);
  return bytes;
}

Bytes request_bytes(wire::RequestMessage message, Version version, int16_t stream) {
  Bytes bytes;
  EXPECT_TRUE(wire::encode_request({std::move(message), false, {}}, version, stream, bytes).has_value());
  return bytes;
}

Bytes startup_bytes(Version version, int16_t stream, BytesView compression = "") {
  wire::Startup startup;
  startup.options.emplace_back("CQL_VERSION", "3.0.0");
  if (!compression.empty()) startup.options.emplace_back("COMPRESSION", compression);
  return request_bytes(startup, version, stream);
}

TEST_F(ServerTest, EveryVersionAndCompressionIsServed) {
  serve();
  make_table(*connect());
  for (Version version : {Version::v3, Version::v4, Version::v5}) {
    for (auto compression : {wire::Compression::none, wire::Compression::lz4}) {
      auto client = connect({.version = version, .compression = compression});
      ASSERT_TRUE(client);
      EXPECT_EQ(ask(*client, "SELECT release_version FROM system.local"), "4.1.0\n");
      const std::string large(300'000, 'x');  // more than one segment
      EXPECT_EQ(ask(*client, "INSERT INTO ks.t (k, v) VALUES ('large', '" + large + "')"), "");
      EXPECT_EQ(ask(*client, "SELECT v FROM ks.t WHERE k = 'large'"), large + "\n");
    }
  }
  EXPECT_EQ(server_->counters().errors.size(), 0u);
}

TEST_F(ServerTest, OptionsAreAnsweredBeforeStartup) {
  serve();
  auto stream = dial();
  transmit(*stream, request_bytes(wire::Options{}, Version::v4, 3));
  auto bytes = receive(stream, 1s).bytes;
  for (auto word : {"3.4.7", "lz4", "3/v3", "4/v4", "5/v5"}) EXPECT_NE(bytes.find(word), Bytes::npos) << word;
}

TEST_F(ServerTest, RequestsBeforeStartupAndASecondStartupAreProtocolErrors) {
  serve();
  auto stream = dial();
  transmit(*stream, request_bytes(wire::Query{"SELECT 1", {}}, Version::v4, 9));
  wire::EnvelopeHeader header;
  EXPECT_EQ(error_in(receive(stream, 1s).bytes, &header).code, CqlErrorCode::protocol_error);
  EXPECT_EQ(header.stream, 9);
  auto client = connect();
  wire::Startup startup;
  startup.options.emplace_back("CQL_VERSION", "3.0.0");
  auto reply = reply_of(client->call(startup, soon()));
  ASSERT_TRUE(reply.error());
  EXPECT_EQ(reply.error()->code, CqlErrorCode::protocol_error);
}

TEST_F(ServerTest, UnknownCompressionIsAProtocolError) {
  serve();
  auto stream = dial();
  transmit(*stream, startup_bytes(Version::v4, 1, "snappy"));
  EXPECT_EQ(error_in(receive(stream, 1s).bytes).code, CqlErrorCode::protocol_error);
}

TEST_F(ServerTest, AnUnknownVersionIsAnsweredInOneThatIsKnown) {
  serve();
  auto stream = dial();
  transmit(*stream, header_of(6, 12, wire::Opcode::options, 0));
  auto received = receive(stream, 2s);
  wire::EnvelopeHeader header;
  auto error = error_in(received.bytes, &header);
  EXPECT_EQ(error.code, CqlErrorCode::protocol_error);
  EXPECT_NE(error.message.find("unsupported protocol version"), std::string::npos);
  EXPECT_EQ(header.version, Version::v5);
  EXPECT_EQ(header.stream, 12);
  EXPECT_TRUE(received.ended);
}

TEST_F(ServerTest, AConnectionKeepsItsVersion) {
  serve();
  auto stream = dial();
  transmit(*stream, startup_bytes(Version::v4, 1));
  receive(stream, 1s);
  transmit(*stream, request_bytes(wire::Options{}, Version::v3, 2));
  auto received = receive(stream, 2s);
  EXPECT_EQ(error_in(received.bytes).code, CqlErrorCode::protocol_error);
  EXPECT_TRUE(received.ended);
}

TEST_F(ServerTest, AFrameOfTwoGibibytesIsRefusedAtOnce) {
  serve();
  for (uint32_t size : {0x7FFFFFFFu, 0x80000000u}) {
    auto stream = dial();
    transmit(*stream, header_of(4, 5, wire::Opcode::query, size));
    wire::EnvelopeHeader header;
    EXPECT_EQ(error_in(receive(stream, 100ms).bytes, &header).code, CqlErrorCode::protocol_error);
    EXPECT_EQ(header.stream, 5);
  }
}

TEST_F(ServerTest, GarbageEndsItsConnectionOnly) {
  serve();
  auto neighbour = connect();
  auto& random = simulation_.random();
  for (int round = 0; round < 50; ++round) {
    auto stream = dial();
    if (round % 2) transmit(*stream, startup_bytes(Version::v5, 1));
    Bytes garbage;
    for (int i = 0; i < 200; ++i) garbage.push_back(static_cast<char>(random.next()));
    transmit(*stream, garbage);
    receive(stream, 100ms);
  }
  EXPECT_EQ(ask(*neighbour, "SELECT key FROM system.local"), "local\n");
  simulation_.run_for(5s);
  EXPECT_EQ(server_->counters().connections_open, 1u);
}

TEST_F(ServerTest, RequestsOfOneConnectionRunAtOnce) {
  serve();
  auto client = connect();
  make_table(*client);
  tables_.delay = 100ms;
  size_t done = 0;
  auto insert = [](ServerTest&, CqlClient& of, Instant deadline, int i, size_t& count) -> Task<void> {
    auto reply = co_await of.query(fmt::format("INSERT INTO ks.t (k, v) VALUES ('{}', 'v')", i), deadline);
    if (reply && !reply->error()) ++count;
  };
  const Instant started = simulation_.now();
  for (int i = 0; i < 500; ++i) client_machine_.spawn(insert(*this, *client, soon(), i, done));
  EXPECT_TRUE(simulation_.run_until([&] { return done == 500; }, 60s));
  EXPECT_LT(simulation_.now() - started, 1s);
  EXPECT_EQ(tables_.most_under_way, 500u);
  EXPECT_EQ(server_->admission().open(), 0u);
}

TEST_F(ServerTest, ReadingStopsAtThePipelineBound) {
  serve({.pipeline_max = 8});
  auto client = connect();
  make_table(*client);
  tables_.delay = 10ms;
  size_t done = 0;
  auto insert = [](CqlClient& of, Instant deadline, int i, size_t& count) -> Task<void> {
    auto reply = co_await of.query(fmt::format("INSERT INTO ks.t (k, v) VALUES ('{}', 'v')", i), deadline);
    if (reply && !reply->error()) ++count;
  };
  for (int i = 0; i < 100; ++i) client_machine_.spawn(insert(*client, soon(), i, done));
  EXPECT_TRUE(simulation_.run_until([&] { return done == 100; }, 60s));
  EXPECT_EQ(tables_.most_under_way, 8u);
}

TEST_F(ServerTest, RequestsAboveTheNodesBoundAreOverloaded) {
  serve({.admission = {.most = 4}});
  auto client = connect();
  make_table(*client);
  tables_.delay = 10ms;
  size_t done = 0, overloaded = 0;
  auto insert = [](CqlClient& of, Instant deadline, size_t& count, size_t& refused) -> Task<void> {
    auto reply = co_await of.query("INSERT INTO ks.t (k, v) VALUES ('a', 'v')", deadline);
    ++count;
    if (reply && reply->error() && reply->error()->code == CqlErrorCode::overloaded) ++refused;
  };
  for (int i = 0; i < 10; ++i) client_machine_.spawn(insert(*client, soon(), done, overloaded));
  EXPECT_TRUE(simulation_.run_until([&] { return done == 10; }, 60s));
  EXPECT_EQ(overloaded, 6u);
}

TEST_F(ServerTest, ConnectionsThatAreRefusedMuchTakeTurns) {
  serve({.admission = {.most = 4}});
  std::vector<std::unique_ptr<CqlClient>> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(connect());
  make_table(*clients[0]);
  tables_.delay = 1h;
  std::vector<size_t> refused(clients.size());
  auto insist = [](CqlClient& of, Instant deadline, size_t& count) -> Task<void> {
    while (true) {
      auto reply = co_await of.query("INSERT INTO ks.t (k, v) VALUES ('a', 'v')", deadline);
      if (!reply) co_return;
      if (reply->error()) ++count;
    }
  };
  const Instant begun = simulation_.now();
  for (size_t i = 0; i < clients.size(); ++i)
    for (int j = 0; j < 32; ++j) client_machine_.spawn(insist(*clients[i], soon(), refused[i]));
  simulation_.run_for(200ms);
  auto light = connect();
  const Instant asked = simulation_.now();
  EXPECT_EQ(ask(*light, "SELECT key FROM system.local"), "local\n");
  EXPECT_LT(simulation_.now() - asked, 10ms);
  simulation_.run_until([&] { return simulation_.now() >= begun + 1s; }, 2s);
  // One turn in half a millisecond.
  const size_t all = std::accumulate(refused.begin(), refused.end(), size_t{0});
  EXPECT_LT(all, 2000u * 32);
  EXPECT_GT(all, 2000u * 32 / 2);
  for (size_t count : refused) EXPECT_GT(count, all / clients.size() / 2);
}

TEST_F(ServerTest, BytesAboveTheNodesBoundAreOverloaded) {
  serve({.node_request_bytes_max = 2000});
  auto client = connect();
  make_table(*client);
  tables_.delay = 10ms;
  size_t done = 0, overloaded = 0;
  auto insert = [](CqlClient& of, Instant deadline, size_t& count, size_t& refused) -> Task<void> {
    auto reply = co_await of.query("INSERT INTO ks.t (k, v) VALUES ('a', '" + std::string(900, 'v') + "')", deadline);
    ++count;
    if (reply && reply->error() && reply->error()->code == CqlErrorCode::overloaded) ++refused;
  };
  for (int i = 0; i < 10; ++i) client_machine_.spawn(insert(*client, soon(), done, overloaded));
  EXPECT_TRUE(simulation_.run_until([&] { return done == 10; }, 60s));
  EXPECT_EQ(overloaded, 8u);
  EXPECT_EQ(server_->counters().request_bytes_open, 0u);
  EXPECT_EQ(ask(*client, "INSERT INTO ks.t (k, v) VALUES ('a', '" + std::string(5000, 'v') + "')"), "")
      << "a larger one runs alone";
}

TEST_F(ServerTest, ANodeThatIsAboutToStopEndsWhatIsUnderWayAndTakesNothingNew) {
  serve();
  auto client = connect();
  make_table(*client);
  tables_.delay = 50ms;
  std::optional<bool> written;
  client_machine_.spawn([](CqlClient& of, Instant deadline, std::optional<bool>& out) -> Task<void> {
    auto reply = co_await of.query("INSERT INTO ks.t (k, v) VALUES ('a', 'v')", deadline);
    out = reply && reply->error() == nullptr;
  }(*client, soon(), written));
  EXPECT_TRUE(simulation_.run_until([&] { return server_->admission().open() == 1; }, 10s));
  server_->refuse_connections();
  EXPECT_FALSE(try_connect().has_value());
  server_->refuse_requests();
  auto reply = reply_of(client->query("SELECT * FROM ks.t", soon()));
  ASSERT_TRUE(reply.error());
  EXPECT_EQ(reply.error()->code, CqlErrorCode::is_bootstrapping);
  EXPECT_TRUE(simulation_.run_until([&] { return written.has_value(); }, 10s));
  EXPECT_EQ(written, true);
  EXPECT_EQ(server_->admission().open(), 0u);
  server_->stop();
  simulation_.run_for(1s);
  EXPECT_TRUE(client->closed());
}

TEST_F(ServerTest, TheConnectionAboveTheBoundIsClosed) {
  serve({.connections_max = 2});
  auto first = connect(), second = connect();
  EXPECT_FALSE(try_connect().has_value());
  EXPECT_EQ(ask(*first, "SELECT key FROM system.local"), "local\n");
  first.reset();
  simulation_.run_for(1s);
  EXPECT_TRUE(try_connect().has_value());
  EXPECT_EQ(server_->counters().connections_refused, 1u);
}

TEST_F(ServerTest, AClientThatNeverReadsIsCutOff) {
  serve({.backlog_bytes_max = 1 << 20, .backlog_time_max = 5s});
  auto client = connect();
  make_table(*client);
  ask(*client, "INSERT INTO ks.t (k, v) VALUES ('large', '" + std::string(200'000, 'x') + "')");
  const uint64_t reads = static_cast<uint64_t>(tables_.tables.reads);
  auto stream = dial();
  transmit(*stream, startup_bytes(Version::v4, 0));
  Bytes requests;
  for (int16_t i = 0; i < 1000; ++i)
    requests += request_bytes(wire::Query{"SELECT * FROM ks.t WHERE k = 'large'", {}}, Version::v4, i);
  transmit(*stream, requests);
  simulation_.run_for(3s);
  // What the network and the backlog hold.
  EXPECT_LT(static_cast<uint64_t>(tables_.tables.reads) - reads, 20u);
  EXPECT_EQ(server_->counters().connections_dropped, 0u);
  simulation_.run_for(10s);
  EXPECT_EQ(server_->counters().connections_dropped, 1u);
  EXPECT_EQ(server_->counters().connections_open, 1u);
  EXPECT_EQ(ask(*client, "SELECT k FROM ks.t"), "large\n");
}

TEST_F(ServerTest, ARequestOutlivesItsClient) {
  serve();
  auto client = connect();
  make_table(*client);
  tables_.delay = 1s;
  auto stream = dial();
  transmit(*stream, startup_bytes(Version::v4, 0) +
                        request_bytes(wire::Query{"INSERT INTO ks.t (k, v) VALUES ('left', 'x')", {}}, Version::v4, 1));
  simulation_.run_for(100ms);
  stream->stream->close();
  simulation_.run_for(2s);
  EXPECT_EQ(server_->admission().open(), 0u);
  tables_.delay = 0s;
  EXPECT_EQ(ask(*client, "SELECT k FROM ks.t"), "left\n");
}

TEST_F(ServerTest, KeyspacesOfConnectionsAndRequests) {
  serve();
  auto client = connect();
  make_table(*client);
  EXPECT_THAT(ask(*client, "SELECT * FROM t"), ::testing::StartsWith("error: "));
  EXPECT_EQ(ask(*client, "SELECT * FROM t", {.keyspace = "ks"}), "");
  auto use = reply_of(client->query("USE ks", soon()));
  ASSERT_TRUE(use.get<wire::SetKeyspace>());
  EXPECT_EQ(ask(*client, "SELECT * FROM t"), "");
  EXPECT_THAT(ask(*connect(), "SELECT * FROM t"), ::testing::StartsWith("error: "));
}

TEST_F(ServerTest, ErrorsKeepTheConnection) {
  serve();
  auto client = connect();
  auto syntax = reply_of(client->query("SELEC", soon()));
  ASSERT_TRUE(syntax.error());
  EXPECT_EQ(syntax.error()->code, CqlErrorCode::syntax_error);
  auto invalid = reply_of(client->query("SELECT * FROM nowhere.t", soon()));
  ASSERT_TRUE(invalid.error());
  EXPECT_EQ(invalid.error()->code, CqlErrorCode::invalid);
  EXPECT_EQ(ask(*client, "SELECT key FROM system.local"), "local\n");
  EXPECT_EQ(server_->counters().errors.at(CqlErrorCode::syntax_error), 1u);
}

TEST_F(ServerTest, PreparedStatementsAreSharedAndCanBeUnknown) {
  serve();
  for (Version version : {Version::v4, Version::v5}) {
    auto client = connect({.version = version}), other = connect({.version = version});
    if (version == Version::v4) make_table(*client);
    auto made = reply_of(client->prepare("INSERT INTO ks.t (k, v) VALUES (?, ?)", soon()));
    const auto* insert = made.get<wire::Prepared>();
    ASSERT_TRUE(insert) << print(made);
    EXPECT_EQ(insert->id.size(), 16u);
    EXPECT_EQ(insert->bind_markers.size(), 2u);
    EXPECT_EQ(insert->partition_key_indexes, std::vector<uint16_t>{0});
    EXPECT_EQ(print(reply_of(other->execute(*insert, {"a", "b"}, soon()))), "");
    EXPECT_EQ(ask(*client, "SELECT * FROM ks.t"), "a|b\n");

    wire::Prepared unknown = *insert;
    unknown.id = Bytes(16, 'u');
    auto reply = reply_of(client->execute(unknown, {}, soon()));
    ASSERT_TRUE(reply.error());
    EXPECT_EQ(reply.error()->code, CqlErrorCode::unprepared);
    EXPECT_EQ(std::get<wire::UnpreparedDetail>(reply.error()->detail).id, unknown.id);

    auto batch = reply_of(client->batch(
        wire::BatchType::logged,
        {{insert->id, true, {"c", "d"}}, {"INSERT INTO ks.t (k, v) VALUES ('e', 'f')", false, {}}}, soon()));
    EXPECT_EQ(print(batch), "");
    EXPECT_EQ(ask(*client, "SELECT v FROM ks.t WHERE k = 'c'"), "d\n");
    EXPECT_EQ(ask(*client, "SELECT v FROM ks.t WHERE k = 'e'"), "f\n");
    for (auto k : {"a", "c", "e"}) ask(*client, fmt::format("DELETE FROM ks.t WHERE k = '{}'", k));
  }
}

TEST_F(ServerTest, ColumnsThatChangedAfterPrepareAreDescribed) {
  serve();
  auto client = connect(), old_client = connect({.version = Version::v4});
  make_table(*client);
  ask(*client, "INSERT INTO ks.t (k, v) VALUES ('a', 'b')");
  auto made = reply_of(client->prepare("SELECT * FROM ks.t", soon()));
  const auto prepared = *made.get<wire::Prepared>();
  auto rows_of = [&](CqlClient& of) {
    auto reply = reply_of(of.execute(prepared, {}, soon(), {.skip_metadata = true}));
    return reply.get<wire::Rows>() ? reply.get<wire::Rows>()->metadata : wire::ResultMetadata{};
  };
  EXPECT_TRUE(rows_of(*client).no_metadata);
  EXPECT_TRUE(rows_of(*old_client).no_metadata);
  ask(*client, "ALTER TABLE ks.t ADD w text");
  auto changed = rows_of(*client);
  EXPECT_FALSE(changed.no_metadata);
  EXPECT_EQ(changed.columns.size(), 3u);
  ASSERT_TRUE(changed.new_metadata_id);
  EXPECT_NE(*changed.new_metadata_id, prepared.result_metadata_id);
  EXPECT_EQ(rows_of(*old_client).columns.size(), 3u);
}

TEST_F(ServerTest, PagesContinue) {
  serve();
  auto client = connect();
  make_table(*client);
  for (int i = 0; i < 25; ++i) ask(*client, fmt::format("INSERT INTO ks.t (k, v) VALUES ('{}', 'v')", i));
  auto rows = wait(client->query_all("SELECT * FROM ks.t", soon(), {.page_size = 4}));
  ASSERT_TRUE(rows.has_value());
  EXPECT_EQ(rows->size(), 25u);
  EXPECT_GE(server_->counters().requests.at(wire::Opcode::query), 7u);
}

TEST_F(ServerTest, SchemaEventsReachThoseWhoRegistered) {
  serve();
  auto client = connect(), registered = connect({.version = Version::v4});
  std::vector<std::string> seen;
  registered->on_event([&](const wire::Event& event) {
    if (auto* change = std::get_if<wire::SchemaChange>(&event.change))
      seen.push_back(fmt::format("{} {} {} {}", static_cast<int>(change->change), static_cast<int>(change->target),
                                 change->keyspace, change->name));
  });
  client->on_event([](const wire::Event&) { ADD_FAILURE() << "not registered"; });
  ASSERT_TRUE(reply_of(registered->register_events({wire::EventType::schema_change}, soon())).get<wire::Ready>());
  make_table(*client);
  ask(*client, "TRUNCATE ks.t");
  ask(*client, "ALTER TABLE ks.t ADD w text");
  ask(*client,
      "ALTER KEYSPACE ks WITH durable_writes = false AND replication = {'class': 'SimpleStrategy', "
      "'replication_factor': 1}");
  ask(*client, "DROP KEYSPACE ks");
  simulation_.run_for(1s);
  EXPECT_THAT(seen, ::testing::ElementsAre("0 0 ks ", "0 1 ks t", "1 1 ks t", "1 0 ks ", "2 1 ks t", "2 0 ks "));
}

TEST_F(ServerTest, StatusEventsFollowLiveness) {
  serve();
  auto client = connect();
  std::vector<bool> seen;
  wire::InetAddress address;
  client->on_event([&](const wire::Event& event) {
    if (auto* change = std::get_if<wire::StatusChange>(&event.change)) {
      seen.push_back(change->change == wire::StatusChange::Change::up);
      address = change->address;
    }
  });
  reply_of(client->register_events({wire::EventType::status_change, wire::EventType::topology_change}, soon()));
  std::optional<Rpc> rpc;
  std::optional<Liveness> liveness;
  auto up = [&] {
    rpc.emplace(RpcOptions{NodeId{2}, "constellation"}, peer_machine_.executor(), peer_machine_.network(),
                peer_machine_.random(), Log());
    liveness.emplace(NodeId{2}, peer_machine_.executor(), *rpc, Log());
    EXPECT_TRUE(rpc->listen(peer_machine_.address(7000)).has_value());
  };
  up();
  EXPECT_TRUE(simulation_.run_until([&] { return liveness_.up(NodeId{2}); }, 30s));
  EXPECT_THAT(seen, ::testing::IsEmpty()) << "its CQL port may not answer yet";
  simulation_.run_for(3s);
  EXPECT_THAT(seen, ::testing::ElementsAre(true));
  EXPECT_EQ(address, (wire::InetAddress{inet_bytes(peer_machine_.host()), 9043}));
  liveness.reset();
  rpc.reset();
  simulation_.run_for(10s);
  EXPECT_THAT(seen, ::testing::ElementsAre(true, false));
  up();
  simulation_.run_for(10s);
  EXPECT_THAT(seen, ::testing::ElementsAre(true, false, true));
}

TEST_F(ServerTest, ANodeThatSaysSoGoesAndComes) {
  serve();
  auto client = connect();
  std::vector<bool> seen;
  client->on_event([&](const wire::Event& event) {
    if (auto* change = std::get_if<wire::StatusChange>(&event.change))
      seen.push_back(change->change == wire::StatusChange::Change::up);
  });
  reply_of(client->register_events({wire::EventType::status_change}, soon()));
  Rpc rpc(RpcOptions{NodeId{2}, "constellation"}, peer_machine_.executor(), peer_machine_.network(),
          peer_machine_.random(), Log());
  Liveness liveness(NodeId{2}, peer_machine_.executor(), rpc, Log());
  ASSERT_TRUE(rpc.listen(peer_machine_.address(7000)).has_value());
  EXPECT_TRUE(simulation_.run_until([&] { return !seen.empty(); }, 30s));
  server_->announce(NodeId{2}, false);
  simulation_.run_for(5s);
  EXPECT_THAT(seen, ::testing::ElementsAre(true, false)) << "although it answers";
  server_->announce(NodeId{2}, true);
  simulation_.run_for(5s);
  EXPECT_THAT(seen, ::testing::ElementsAre(true, false, true));
}

TEST_F(ServerTest, ANodeThatMovesIsAnnounced) {
  serve();
  auto client = connect();
  std::vector<int> ports;
  client->on_event([&](const wire::Event& event) {
    if (auto* change = std::get_if<wire::TopologyChange>(&event.change))
      ports.push_back(change->change == wire::TopologyChange::Change::new_node ? change->address.port
                                                                               : -change->address.port);
  });
  reply_of(client->register_events({wire::EventType::topology_change}, soon()));
  NodeInfo peer = *cluster_.node(NodeId{2});
  peer.endpoints["cql"] = 9999;
  apply(ClusterState::section_name, ClusterState::update_node_command(peer));
  simulation_.run_for(1s);
  EXPECT_THAT(ports, ::testing::ElementsAre(-9043, 9999));
}

TEST_F(ServerTest, OtherTokensAreAnnounced) {
  apply(ClusterState::section_name, ClusterState::raise_level_command(newest_feature_level));
  serve();
  auto client = connect();
  std::vector<int> ports;
  client->on_event([&](const wire::Event& event) {
    auto* change = std::get_if<wire::TopologyChange>(&event.change);
    ASSERT_TRUE(change != nullptr && change->change == wire::TopologyChange::Change::moved_node);
    ports.push_back(change->address.port);
  });
  reply_of(client->register_events({wire::EventType::topology_change}, soon()));
  for (uint32_t id : {1u, 2u}) {
    const std::vector<int64_t> now = cluster_.node(NodeId{id})->tokens;
    std::vector<int64_t> tokens = now;
    tokens.front() += 1000;
    apply(ClusterState::section_name, ClusterState::move_tokens_command(NodeId{id}, now, tokens));
  }
  simulation_.run_for(1s);
  EXPECT_EQ(ports.size(), 2u) << "also of the node that tells it";
}

TEST_F(ServerTest, StatementsAreCountedByKindAndResultWithTheTimeTheyTook) {
  serve();
  auto client = connect();
  make_table(*client);
  const auto of = [&](StatementKind kind) -> const StatementCounters& {
    return server_->counters().statements[static_cast<size_t>(kind)];
  };
  EXPECT_EQ(of(StatementKind::schema).time.count(), 2u);
  tables_.delay = 3ms;
  ask(*client, "INSERT INTO ks.t (k, v) VALUES ('a', 'b')");
  ask(*client, "SELECT * FROM ks.t");
  ask(*client, "SELECT * FROM ks.t WHERE k = 'a'");
  ask(*client, "BEGIN BATCH INSERT INTO ks.t (k) VALUES ('c') APPLY BATCH");
  EXPECT_EQ(of(StatementKind::write).time.count(), 1u);
  EXPECT_EQ(of(StatementKind::read).time.count(), 2u);
  EXPECT_EQ(of(StatementKind::batch).time.count(), 1u);
  EXPECT_GE(of(StatementKind::read).time.quantile(0), 3ms);
  EXPECT_EQ(of(StatementKind::read).failed, 0u);
  tables_.tables.failure = datastore::RequestFailure{};
  ask(*client, "SELECT * FROM ks.t");
  ask(*client, "SELEKT");
  EXPECT_EQ(of(StatementKind::read).failed, 1u);
  EXPECT_EQ(of(StatementKind::read).time.count(), 3u);
  EXPECT_EQ(of(StatementKind::other).failed, 1u);
}

TEST_F(ServerTest, ManyIdleConnections) {
  serve();
  std::vector<std::unique_ptr<CqlClient>> clients;
  for (int i = 0; i < 300; ++i) clients.push_back(connect());
  EXPECT_EQ(server_->counters().connections_open, 300u);
  EXPECT_EQ(ask(*clients.back(), "SELECT key FROM system.local"), "local\n");
  server_.reset();
  simulation_.run_for(1s);
  for (const auto& client : clients) EXPECT_TRUE(client->closed());
}

}  // namespace
}  // namespace asterism::cql::testing
