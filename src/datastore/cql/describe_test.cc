#include "datastore/cql/describe.h"

#include "datastore/cql/parser.h"
#include "datastore/cql/server_test.h"

namespace asterism::cql::testing {
namespace {

using ::testing::HasSubstr;

class DescribeTest : public ServerTest {
 protected:
  void SetUp() override {
    serve();
    client_ = connect();
    EXPECT_EQ(run("CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"), "");
    EXPECT_EQ(run("CREATE TABLE ks.plain (k int PRIMARY KEY, v text)"), "");
    EXPECT_EQ(run("CREATE TABLE ks.\"Full\" (a int, b text, c timestamp, \"D\" uuid, s text STATIC, "
                  "m map<text, frozen<list<int>>>, PRIMARY KEY ((a, b), c, \"D\")) WITH CLUSTERING ORDER BY (c DESC, "
                  "\"D\" ASC) AND comment = 'it''s' AND gc_grace_seconds = 60"),
              "");
  }
  void TearDown() override { client_.reset(); }
  std::string run(std::string text) { return ask(*client_, std::move(text)); }

  std::unique_ptr<CqlClient> client_;
};

TEST_F(DescribeTest, TablesAsCassandraPrintsThem) {
  const std::string text = run("DESCRIBE TABLE ks.plain");
  EXPECT_THAT(text, ::testing::StartsWith("ks|table|plain|CREATE TABLE ks.plain (\n"
                                          "    k int PRIMARY KEY,\n"
                                          "    v text\n"
                                          ") WITH additional_write_policy = '99p'\n"
                                          "    AND bloom_filter_fp_chance = 0.01\n"
                                          "    AND caching = {'keys': 'ALL', 'rows_per_partition': 'NONE'}\n"));
  EXPECT_THAT(text, HasSubstr("\n    AND speculative_retry = '99p';\n"));
  const std::string full = run("DESC TABLE ks.\"Full\"");
  EXPECT_THAT(full, ::testing::StartsWith("ks|table|\"Full\"|CREATE TABLE ks.\"Full\" (\n"
                                          "    a int,\n"
                                          "    b text,\n"
                                          "    c timestamp,\n"
                                          "    \"D\" uuid,\n"
                                          "    s text static,\n"
                                          "    m map<text, frozen<list<int>>>,\n"
                                          "    PRIMARY KEY ((a, b), c, \"D\")\n"
                                          ") WITH CLUSTERING ORDER BY (c DESC, \"D\" ASC)\n"));
  EXPECT_THAT(full, HasSubstr("AND comment = 'it''s'\n"));
  EXPECT_THAT(full, HasSubstr("AND gc_grace_seconds = 60\n"));
}

TEST_F(DescribeTest, WhatIsPrintedMakesAnEqualTable) {
  for (auto name : {"plain", "Full"}) {
    const std::string printed = create_statement(*schema_.table("ks", name));
    EXPECT_EQ(run(fmt::format("DROP TABLE ks.\"{}\"", name)), "");
    EXPECT_EQ(run(printed), "") << printed;
    ASSERT_TRUE(schema_.table("ks", name));
    EXPECT_EQ(create_statement(*schema_.table("ks", name)), printed);
  }
  const std::string keyspace = create_statement(*schema_.keyspace("ks"));
  EXPECT_EQ(keyspace,
            "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': '1'}  AND "
            "durable_writes = true;");
  EXPECT_TRUE(parse(keyspace).has_value());
}

TEST_F(DescribeTest, Lists) {
  EXPECT_EQ(run("DESCRIBE KEYSPACES"),
            "ks|keyspace|ks\nsystem|keyspace|system\nsystem_schema|keyspace|system_schema\n"
            "system_traces|keyspace|system_traces\nsystem_virtual_schema|keyspace|system_virtual_schema\n");
  EXPECT_THAT(run("DESCRIBE TABLES"), HasSubstr("system|table|peers_v2\n"));
  run("USE ks");
  EXPECT_EQ(run("DESCRIBE TABLES"), "ks|table|\"Full\"\nks|table|plain\n");
  EXPECT_EQ(run("DESCRIBE TYPES"), "");
  EXPECT_EQ(run("DESCRIBE CLUSTER"),
            "constellation|org.apache.cassandra.dht.Murmur3Partitioner|GossipingPropertyFileSnitch\n");
}

TEST_F(DescribeTest, KeyspacesAndSchemas) {
  const std::string text = run("DESCRIBE KEYSPACE ks");
  EXPECT_THAT(text, ::testing::StartsWith("ks|keyspace|ks|CREATE KEYSPACE ks WITH"));
  EXPECT_THAT(text, HasSubstr("\nks|table|plain|CREATE TABLE ks.plain ("));
  EXPECT_EQ(run("DESCRIBE SCHEMA"), text);
  EXPECT_EQ(run("DESCRIBE ks"), text);
  EXPECT_THAT(run("DESCRIBE ONLY KEYSPACE ks"), ::testing::Not(HasSubstr("table")));
  EXPECT_THAT(run("DESCRIBE FULL SCHEMA"), HasSubstr("CREATE TABLE system.local (\n    key text PRIMARY KEY,"));
  EXPECT_THAT(run("DESCRIBE system_virtual_schema.tables"), HasSubstr("is a virtual table and cannot be recreated"));
  EXPECT_THAT(run("DESCRIBE TABLE ks.plain WITH INTERNALS"), HasSubstr("WITH ID = "));
}

TEST_F(DescribeTest, WhatIsNotThere) {
  EXPECT_EQ(run("DESCRIBE KEYSPACE nowhere"), "error: 'nowhere' not found in keyspaces");
  EXPECT_EQ(run("DESCRIBE TABLE ks.nothing"), "error: Table 'nothing' not found in keyspace 'ks'");
  EXPECT_EQ(run("DESCRIBE nothing"), "error: 'nothing' not found in keyspaces");
  EXPECT_EQ(run("DESCRIBE ks.nothing"), "error: 'nothing' not found in keyspace 'ks'");
  EXPECT_EQ(run("DESCRIBE KEYSPACE"), "error: No keyspace specified and no current keyspace");
  EXPECT_EQ(run("DESCRIBE TYPE ks.nothing"), "error: User defined type 'nothing' not found in keyspace 'ks'");
}

}  // namespace
}  // namespace asterism::cql::testing
