// A CQL server and its clients on simulated machines, for tests.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "datastore/cql/client.h"
#include "datastore/cql/execute_test.h"
#include "datastore/cql/server.h"
#include "datastore/cql/system_tables.h"
#include "runtime/sim/machine.h"
#include "runtime/sim/sim_network.h"

namespace asterism::cql::testing {

/// Tables in memory that take their time and count how many requests are under way.
class SlowTables final : public datastore::TableService {
 public:
  Task<datastore::Served<void>> write(datastore::TablePtr table, datastore::Mutation mutation,
                                      datastore::Consistency consistency, Instant deadline) override {
    co_await pause();
    co_return co_await tables.write(std::move(table), std::move(mutation), consistency, deadline);
  }
  Task<datastore::Served<void>> write_all(std::vector<datastore::TableMutation> mutations, bool logged,
                                          datastore::Consistency consistency, Instant deadline) override {
    co_await pause();
    co_return co_await tables.write_all(std::move(mutations), logged, consistency, deadline);
  }
  Task<datastore::Served<datastore::ReadPage>> read(datastore::TablePtr table, datastore::ReadCommand command,
                                                    datastore::Consistency consistency, Instant deadline) override {
    co_await pause();
    co_return co_await tables.read(std::move(table), std::move(command), consistency, deadline);
  }

  MemoryTables tables;
  Duration delay{0};
  size_t under_way = 0, most_under_way = 0;

 private:
  Task<void> pause() {
    if (delay == 0ns) co_return;
    most_under_way = std::max(most_under_way, ++under_way);
    co_await sleep_for(delay);
    --under_way;
  }
};

class ServerTest : public ::testing::Test, public SchemaChanges {
 protected:
  ServerTest() {
    machine_.start();
    client_machine_.start();
    peer_machine_.start();
    metadata_.add_section(ClusterState::section_name, cluster_);
    metadata_.add_section(datastore::Schema::section_name, schema_);
    metadata_.add_section(AccessState::section_name, access_);
    NodeInfo self{NodeId{1}, "n1", machine_.host(), 7000, {{"cql", 9042}}, {"dc1", "r1"}, Bytes(16, '\1'), {}};
    NodeInfo peer{NodeId{2}, "n2", peer_machine_.host(), 7000, {{"cql", 9043}}, {"dc1", "r2"}, Bytes(16, '\2'), {}};
    apply(ClusterState::section_name, ClusterState::bootstrap_command({self, peer}, 4));
    add_system_tables(virtual_tables_, {NodeId{1}, "constellation", cluster_, schema_, prepared_});
    rpc_.set_peer(NodeId{2}, peer.rpc_address());
    liveness_.watch(NodeId{2});
  }
  ~ServerTest() override { server_.reset(); }

  void serve(CqlServerOptions options = {}, bool login_required = false) {
    options.self = NodeId{1};
    options.cluster_name = "constellation";
    server_ = std::make_unique<CqlServer>(options, machine_.executor(), machine_.network(), statements_, prepared_,
                                          cluster_, schema_, liveness_, metadata_,
                                          CqlAccess{access_, authenticator_, login_required, &limits_}, roles_, Log());
    ASSERT_TRUE(server_->listen(address_).has_value());
  }

  void apply(const char* section, const Bytes& command) {
    ASSERT_TRUE(metadata_.apply(++index_, MetadataState::encode_record(section, command)).has_value());
  }
  Task<Result<Bytes>> propose(Bytes record, Instant) override { co_return metadata_.apply(++index_, record); }

  /// Runs a task of the clients to its end.
  template <class T>
  T wait(Task<T> task) {
    std::optional<T> result;
    client_machine_.spawn(keep(std::move(task), result));
    EXPECT_TRUE(simulation_.run_until([&] { return result.has_value(); }, 600s));
    ASSERT(result.has_value());
    return std::move(*result);
  }
  Instant soon() { return client_machine_.executor().now() + 60s; }

  Result<std::unique_ptr<CqlClient>> try_connect(CqlClientOptions options = {}) {
    return wait(CqlClient::connect(client_machine_.executor(), client_machine_.network(), address_, soon(), options));
  }
  std::unique_ptr<CqlClient> connect(CqlClientOptions options = {}) {
    auto client = try_connect(options);
    if (!client) ADD_FAILURE() << client.error().to_string();
    return client ? std::move(*client) : nullptr;
  }
  CqlReply reply_of(Task<Result<CqlReply>> task) {
    auto reply = wait(std::move(task));
    EXPECT_TRUE(reply.has_value()) << reply.error().to_string();
    return reply ? std::move(*reply) : CqlReply{};
  }
  /// Rows as lines with '|' in between, cells as they are; "error: text".
  std::string ask(CqlClient& client, std::string text, CqlQueryOptions options = {}) {
    return print(reply_of(client.query(std::move(text), soon(), {}, options)));
  }
  static std::string print(const CqlReply& reply) {
    if (reply.error()) return "error: " + reply.error()->message;
    std::string text;
    for (const auto& row : reply.rows()) {
      for (size_t i = 0; i < row.size(); ++i) text += (i ? "|" : "") + row[i].value_or("null");
      text += "\n";
    }
    return text;
  }
  void make_table(CqlClient& client) {
    EXPECT_EQ(ask(client, "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"),
              "");
    EXPECT_EQ(ask(client, "CREATE TABLE ks.t (k text PRIMARY KEY, v text)"), "");
  }

  /// Raw bytes. Nothing is read before the first receive().
  struct Raw {
    std::unique_ptr<Stream> stream;
    Bytes bytes = {};
    bool reading = false, ended = false;
  };
  std::shared_ptr<Raw> dial() { return std::make_shared<Raw>(std::move(wait(dial_now())).value()); }
  void transmit(Raw& raw, Bytes bytes) { EXPECT_TRUE(wait(transmit_now(*raw.stream, std::move(bytes))).has_value()); }
  /// What arrives within `time`, without what was received before.
  Raw receive(const std::shared_ptr<Raw>& raw, Duration time) {
    if (!std::exchange(raw->reading, true)) client_machine_.spawn(pump(raw));
    simulation_.run_for(time);
    return {nullptr, std::exchange(raw->bytes, {}), true, raw->ended};
  }
  static wire::ErrorResponse error_in(BytesView bytes, wire::EnvelopeHeader* header = nullptr) {
    wire::FrameDecoder decoder({wire::Direction::response});
    decoder.feed(bytes);
    auto envelope = decoder.next();
    if (!envelope || !*envelope) return {};
    if (header) *header = (*envelope)->header;
    auto response = wire::decode_response((*envelope)->header, (*envelope)->body);
    auto* error = response ? std::get_if<wire::ErrorResponse>(&response->message) : nullptr;
    return error ? *error : wire::ErrorResponse{};
  }

  sim::Simulation simulation_{7};
  sim::Machine& machine_ = simulation_.add_machine({.name = "server"});
  sim::Machine& client_machine_ = simulation_.add_machine({.name = "client"});
  sim::Machine& peer_machine_ = simulation_.add_machine({.name = "peer"});
  Address address_ = machine_.address(9042);
  ClusterState cluster_;
  datastore::Schema schema_{cluster_};
  MetadataState metadata_;
  uint64_t index_ = 0;
  PreparedCache prepared_{100, 1 << 20};
  VirtualTables virtual_tables_;
  SlowTables tables_;
  StatementExecutor statements_{Catalog{schema_, virtual_tables_}, tables_, *this, machine_.clock(), machine_.random()};
  AccessState access_;
  struct Lines final : LogSink {
    std::vector<std::string> lines;
    void write(LogLevel, std::string_view, std::string_view message) override { lines.emplace_back(message); }
  } audited_;
  Authenticator authenticator_{access_, machine_.disk(), machine_.random(), Audit(Log(audited_, "audit")),
                               AuthenticatorOptions{.iterations = 4096}};
  RequestLimits limits_{access_};
  RoleStatements roles_{Catalog{schema_, virtual_tables_}, access_, *this, authenticator_};
  Rpc rpc_{{NodeId{1}, "constellation"}, machine_.executor(), machine_.network(), machine_.random(), Log()};
  Liveness liveness_{NodeId{1}, machine_.executor(), rpc_, Log()};
  std::unique_ptr<CqlServer> server_;

 private:
  template <class T>
  static Task<void> keep(Task<T> task, std::optional<T>& result) {
    result.emplace(co_await std::move(task));
  }
  Task<Result<std::unique_ptr<Stream>>> dial_now() {
    co_return co_await asterism::connect(client_machine_.network(), address_);
  }
  static Task<Status> transmit_now(Stream& stream, Bytes bytes) { co_return co_await write(stream, std::move(bytes)); }
  static Task<void> pump(std::shared_ptr<Raw> raw) {
    while (true) {
      auto bytes = co_await read(*raw->stream, 64 << 10);
      raw->ended = !bytes || bytes->empty();
      if (raw->ended) co_return;
      raw->bytes += *bytes;
    }
  }
};

}  // namespace asterism::cql::testing
