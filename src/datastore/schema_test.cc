#include "datastore/schema.h"

#include <gtest/gtest.h>

namespace asterism::datastore {
namespace {

struct Rig {
  ClusterState cluster;
  Schema schema{cluster};
  uint64_t index = 0;

  Rig() {
    std::vector<NodeInfo> nodes;
    for (uint32_t i = 1; i <= 3; ++i) {
      NodeInfo node;
      node.id = NodeId{i};
      node.place = {"dc1", "rack1"};
      nodes.push_back(node);
    }
    EXPECT_TRUE(cluster.apply(++index, ClusterState::bootstrap_command(nodes, 4)));
  }
  ErrorCode apply(const Bytes& command) {
    auto outcome = schema.apply(++index, command);
    return outcome ? ErrorCode::internal : outcome.error().code;
  }
  static constexpr ErrorCode fine = ErrorCode::internal;
};

Keyspace keyspace(std::map<std::string, std::string> replication) {
  Keyspace out;
  out.name = "ks";
  out.replication = std::move(replication);
  return out;
}
Keyspace simple(const std::string& factor) {
  return keyspace({{"class", "org.apache.cassandra.locator.SimpleStrategy"}, {"replication_factor", factor}});
}

Table table(const std::string& name) {
  Table out;
  out.keyspace = "ks";
  out.name = name;
  out.id = Bytes(16, 'i');
  out.columns = {{0, "v", *DataType::parse("text"), ColumnKind::regular, 0, false},
                 {0, "s", *DataType::parse("int"), ColumnKind::static_, 0, false},
                 {0, "c", *DataType::parse("int"), ColumnKind::clustering, 0, true},
                 {0, "k2", *DataType::parse("text"), ColumnKind::partition_key, 1, false},
                 {0, "k1", *DataType::parse("text"), ColumnKind::partition_key, 0, false}};
  return out;
}

TEST(Schema, KeyspacesPlaceShards) {
  Rig rig;
  EXPECT_EQ(rig.apply(Schema::create_keyspace(simple("2"))), Rig::fine);
  EXPECT_EQ(rig.apply(Schema::create_keyspace(simple("2"))), ErrorCode::already_exists);
  EXPECT_EQ(rig.schema.keyspace("ks")->replication.at("class"), "SimpleStrategy");
  EXPECT_EQ(rig.cluster.shards_of("ks").size(), 12u);
  for (const Shard* shard : rig.cluster.shards_of("ks")) EXPECT_EQ(shard->replicas.size(), 2u);
  EXPECT_EQ(rig.apply(Schema::alter_keyspace(simple("3"))), Rig::fine);
  for (const Shard* shard : rig.cluster.shards_of("ks")) {
    EXPECT_EQ(shard->replicas.size(), 3u);
    EXPECT_EQ(shard->epoch, Epoch{2});
  }
  EXPECT_EQ(rig.apply(Schema::alter_keyspace(keyspace({{"class", "NetworkTopologyStrategy"}, {"dc1", "1"}}))),
            Rig::fine);
  for (const Shard* shard : rig.cluster.shards_of("ks")) EXPECT_EQ(shard->replicas.size(), 1u);
  EXPECT_EQ(rig.apply(Schema::drop_keyspace("ks")), Rig::fine);
  EXPECT_TRUE(rig.cluster.shards().empty());
  EXPECT_EQ(rig.apply(Schema::drop_keyspace("ks")), ErrorCode::not_found);
}

TEST(Schema, SenselessReplicationIsRefusedAndChangesNothing) {
  Rig rig;
  const Bytes before = rig.schema.version();
  for (const auto& replication : std::vector<std::map<std::string, std::string>>{
           {},
           {{"class", "Nonsense"}, {"replication_factor", "1"}},
           {{"class", "SimpleStrategy"}},
           {{"class", "SimpleStrategy"}, {"replication_factor", "0"}},
           {{"class", "SimpleStrategy"}, {"replication_factor", "-1"}},
           {{"class", "SimpleStrategy"}, {"replication_factor", "3x"}},
           {{"class", "SimpleStrategy"}, {"replication_factor", ""}},
           {{"class", "SimpleStrategy"}, {"replication_factor", "99999999999999999999"}},
           {{"class", "SimpleStrategy"}, {"replication_factor", "1"}, {"dc1", "1"}},
           {{"class", "NetworkTopologyStrategy"}, {"dc1", "many"}}})
    EXPECT_EQ(rig.apply(Schema::create_keyspace(keyspace(replication))), ErrorCode::invalid_argument);
  EXPECT_EQ(rig.schema.version(), before);
  EXPECT_TRUE(rig.schema.keyspaces().empty());
}

TEST(Schema, NetworkTopologyFactorForAllDatacenters) {
  Rig rig;
  ASSERT_EQ(
      rig.apply(Schema::create_keyspace(keyspace({{"class", "NetworkTopologyStrategy"}, {"replication_factor", "2"}}))),
      Rig::fine);
  for (const Shard* shard : rig.cluster.shards_of("ks")) EXPECT_EQ(shard->replicas.size(), 2u);
  EXPECT_EQ(rig.schema.keyspace("ks")->replication.count("replication_factor"), 0u);
  EXPECT_EQ(rig.schema.keyspace("ks")->replication.at("dc1"), "2");
}

TEST(Schema, TablesKeepColumnIdsAndNumbersApart) {
  Rig rig;
  EXPECT_EQ(rig.apply(Schema::create_table(table("t"))), ErrorCode::not_found);
  ASSERT_EQ(rig.apply(Schema::create_keyspace(simple("3"))), Rig::fine);
  ASSERT_EQ(rig.apply(Schema::create_table(table("t"))), Rig::fine);
  EXPECT_EQ(rig.apply(Schema::create_table(table("t"))), ErrorCode::already_exists);
  Table keyless = table("u");
  keyless.columns.resize(1);
  EXPECT_EQ(rig.apply(Schema::create_table(keyless)), ErrorCode::invalid_argument);
  TablePtr t = rig.schema.table("ks", "t");
  ASSERT_TRUE(t);
  EXPECT_EQ(t->partition_column(0).name, "k1");
  EXPECT_EQ(t->partition_column(1).name, "k2");
  EXPECT_EQ(t->clustering_column(0).name, "c");
  EXPECT_TRUE(t->clustering_column(0).descending);
  EXPECT_GE(t->number, Schema::first_table);
  const uint32_t old_id = t->find("v")->id;
  AlterTableCommand alter;
  alter.keyspace = "ks";
  alter.table = "t";
  alter.drop = {"v"};
  alter.dropped_us = 77;
  ASSERT_EQ(rig.apply(Schema::alter_table(alter)), Rig::fine);
  alter.drop = {};
  alter.add = {{0, "v", *DataType::parse("int"), ColumnKind::regular, 0, false}};
  ASSERT_EQ(rig.apply(Schema::alter_table(alter)), Rig::fine);
  EXPECT_NE(rig.schema.table("ks", "t")->find("v")->id, old_id) << "old cells must not come back as the new column";
  alter.add = {};
  alter.drop = {"k1"};
  EXPECT_EQ(rig.apply(Schema::alter_table(alter)), ErrorCode::invalid_argument);
  alter.drop = {};
  alter.rename = {{"c", "k1"}};
  EXPECT_EQ(rig.apply(Schema::alter_table(alter)), ErrorCode::already_exists);
  alter.rename = {{"c", "d"}};
  EXPECT_EQ(rig.apply(Schema::alter_table(alter)), Rig::fine);
  EXPECT_EQ(t->clustering_column(0).name, "c") << "who holds a table keeps it as it was";

  const uint32_t number = t->number;
  ASSERT_EQ(rig.apply(Schema::truncate("ks", "t")), Rig::fine);
  EXPECT_NE(rig.schema.table("ks", "t")->number, number);
  EXPECT_EQ(rig.schema.table(number), nullptr);
  EXPECT_EQ(rig.schema.take_abandoned(), std::vector<uint32_t>{number});
  ASSERT_EQ(rig.apply(Schema::drop_table("ks", "t")), Rig::fine);
  EXPECT_EQ(rig.schema.take_abandoned().size(), 1u);
  EXPECT_EQ(rig.apply(Schema::drop_table("ks", "t")), ErrorCode::not_found);
}

TEST(Schema, SnapshotsRestoreEverything) {
  Rig rig;
  ASSERT_EQ(rig.apply(Schema::create_keyspace(simple("3"))), Rig::fine);
  for (int i = 0; i < 20; ++i) ASSERT_EQ(rig.apply(Schema::create_table(table(fmt::format("t{}", i)))), Rig::fine);
  ASSERT_EQ(rig.apply(Schema::truncate("ks", "t3")), Rig::fine);
  Rig other;
  ASSERT_TRUE(other.cluster.restore(rig.cluster.snapshot()));
  ASSERT_TRUE(other.schema.restore(rig.schema.snapshot()));
  EXPECT_EQ(other.schema.version(), rig.schema.version());
  EXPECT_EQ(other.schema.snapshot().size(), rig.schema.snapshot().size());
  EXPECT_EQ(other.schema.table("ks", "t3")->number, rig.schema.table("ks", "t3")->number);
  // Both go on alike.
  const Bytes next = Schema::create_table(table("next"));
  rig.schema.apply(100, next).value();
  other.schema.apply(100, next).value();
  EXPECT_EQ(other.schema.table("ks", "next")->number, rig.schema.table("ks", "next")->number);
  EXPECT_EQ(other.cluster.shards().size(), rig.cluster.shards().size());
  const Bytes snapshot = rig.schema.snapshot();
  for (size_t size = 1; size < snapshot.size(); size += 7) {
    Rig torn;
    (void)torn.schema.restore(BytesView(snapshot).substr(0, size));  // refuses or not, but never crashes
  }
}

TEST(Schema, CreationsAreToldFromOtherCommands) {
  Keyspace keyspace;
  keyspace.name = "ks";
  keyspace.replication = {{"class", "SimpleStrategy"}, {"replication_factor", "1"}};
  EXPECT_TRUE(Schema::check_creation(Schema::create_keyspace(keyspace)));
  EXPECT_TRUE(Schema::check_creation(Schema::create_table(table("t"))));
  Table nameless = table("");
  EXPECT_FALSE(Schema::check_creation(Schema::create_table(nameless)));
  keyspace.replication["replication_factor"] = "many";
  EXPECT_FALSE(Schema::check_creation(Schema::create_keyspace(keyspace)));
  for (const Bytes& other : {Schema::drop_keyspace("ks"), Schema::drop_table("ks", "t"), Schema::truncate("ks", "t"),
                             Schema::alter_keyspace(keyspace), Bytes(), Bytes("x")})
    EXPECT_FALSE(Schema::check_creation(other));
}

TEST(Schema, GarbageCommandsAreRefused) {
  Rig rig;
  for (const Bytes& garbage : {Bytes(), Bytes("x"), Bytes(100, '\xff'), Bytes(1000, '\x0a')})
    EXPECT_FALSE(rig.schema.apply(1, garbage));
}

}  // namespace
}  // namespace asterism::datastore
