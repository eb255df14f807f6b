#include "datastore/cql/system_tables.h"

#include "datastore/cql/server_test.h"

namespace asterism::cql::testing {
namespace {

using ::testing::HasSubstr;

class SystemTablesTest : public ServerTest {
 protected:
  void SetUp() override {
    serve();
    client_ = connect();
    make_table(*client_);
  }
  void TearDown() override { client_.reset(); }
  std::string run(std::string text) { return ask(*client_, std::move(text)); }

  std::unique_ptr<CqlClient> client_;
};

TEST_F(SystemTablesTest, LocalAndPeersDescribeTheNodes) {
  EXPECT_EQ(run("SELECT cluster_name, data_center, rack, partitioner, release_version, bootstrapped, cql_version, "
                "host_id, rpc_address, schema_version FROM system.local WHERE key='local'"),
            "constellation|dc1|r1|org.apache.cassandra.dht.Murmur3Partitioner|4.1.0|COMPLETED|3.4.7|" +
                Bytes(16, '\1') + "|" + inet_bytes(machine_.host()) + "|" + schema_.version() + "\n");
  const Bytes peer = inet_bytes(peer_machine_.host());
  EXPECT_EQ(run("SELECT peer, native_port, native_address, rack, schema_version FROM system.peers_v2"),
            peer + "|" + Bytes("\0\0\x23\x53", 4) + "|" + peer + "|r2|" + schema_.version() + "\n");
  EXPECT_EQ(run("SELECT peer, rpc_address, host_id FROM system.peers"),
            peer + "|" + peer + "|" + Bytes(16, '\2') + "\n");
  for (auto table : {"system.local", "system.peers"}) {
    const std::string tokens = run(std::string("SELECT tokens FROM ") + table);
    EXPECT_EQ(tokens.substr(0, 4), Bytes("\0\0\0\4", 4));
  }
}

TEST_F(SystemTablesTest, SchemaTablesListWhatThereIs) {
  const std::string keyspaces = run("SELECT keyspace_name, replication FROM system_schema.keyspaces");
  for (auto name : {"ks|", "system|", "system_schema|", "system_traces|", "SimpleStrategy", "LocalStrategy"})
    EXPECT_THAT(keyspaces, HasSubstr(name));
  EXPECT_EQ(run("SELECT table_name, comment FROM system_schema.tables WHERE keyspace_name = 'ks'"), "t|\n");
  EXPECT_EQ(
      run("SELECT column_name, clustering_order, kind, type FROM system_schema.columns WHERE keyspace_name = 'ks' "
          "AND table_name = 't'"),
      "k|none|partition_key|text\nv|none|regular|text\n");
  EXPECT_THAT(run("SELECT column_name FROM system_schema.columns WHERE keyspace_name = 'system_schema' AND table_name "
                  "= 'tables'"),
              HasSubstr("gc_grace_seconds\n"));
  for (auto name : {"system_schema.types", "system_schema.functions", "system_schema.aggregates", "system_schema.views",
                    "system_schema.indexes", "system_schema.triggers", "system_schema.dropped_columns",
                    "system.size_estimates", "system_traces.sessions", "system_traces.events"})
    EXPECT_EQ(run(std::string("SELECT * FROM ") + name), "") << name;
  EXPECT_EQ(run("SELECT * FROM system_virtual_schema.keyspaces"), "system_virtual_schema\n");
  EXPECT_EQ(run("SELECT table_name FROM system_virtual_schema.tables"), "columns\nkeyspaces\ntables\n");
  run("ALTER TABLE ks.t DROP v");
  EXPECT_EQ(run("SELECT table_name, column_name, kind, type FROM system_schema.dropped_columns"), "t|v|regular|text\n");
}

TEST_F(SystemTablesTest, PreparedStatementsAreListed) {
  reply_of(client_->prepare("SELECT v FROM ks.t WHERE k = ?", soon()));
  EXPECT_EQ(run("SELECT query_string FROM system.prepared_statements"), "SELECT v FROM ks.t WHERE k = ?\n");
}

}  // namespace
}  // namespace asterism::cql::testing
