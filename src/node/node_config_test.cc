#include "node/node_config.h"

#include <gtest/gtest.h>

namespace asterism {
namespace {

NodeConfig example() {
  NodeConfig config;
  config.id = NodeId{2};
  config.name = "n2";
  config.address = "127.0.0.2";
  config.place = {"Europe_1", "b"};
  config.memory_mib = 512;
  config.seeds = {{NodeId{1}, "n1", "127.0.0.1", 7000}, {NodeId{2}, "n2", "127.0.0.2", 7000, {"Europe_1", "b"}}};
  return config;
}

TEST(NodeConfig, SurvivesItsFormOnDisk) {
  auto read = parse_node_config(format_node_config(example()));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(*read, example());
}

TEST(NodeConfig, ANodeThatJoinedSaysSo) {
  NodeConfig config = example();
  config.joined = true;
  config.tls.certificate = "node.pem";
  config.tls.key = "node.key";
  config.most_feature_level = 1;
  auto read = parse_node_config(format_node_config(config));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(*read, config);
  std::string wrong = format_node_config(config);
  wrong.replace(wrong.find("joined = true"), 13, "joined = 1");
  read = parse_node_config(wrong);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("joined must be true or false"), std::string::npos) << read.error().message;
}

TEST(NodeConfig, RefusesUnknownMissingAndWrongSettingsByName) {
  const std::string good = format_node_config(example());
  auto message = [](const std::string& text) {
    auto read = parse_node_config(text);
    return read ? std::string() : read.error().message;
  };
  EXPECT_NE(message("colour = 1\n" + good).find("unknown setting colour"), std::string::npos);
  EXPECT_NE(message("node_id = 1").find("name is missing"), std::string::npos);
  std::string wrong = good;
  wrong.replace(wrong.find("cql_port = 9042"), 15, "cql_port = 99999");
  EXPECT_NE(message(wrong).find("cql_port must be a number"), std::string::npos);
  wrong = good;
  wrong.replace(wrong.find("memory_mib = 512"), 16, "memory_mib = 1");
  EXPECT_NE(message(wrong).find("memory_mib 1 must be from 64"), std::string::npos) << message(wrong);
  EXPECT_NE(message("node_id = [").find("line 1"), std::string::npos);
}

TEST(NodeConfig, HasOnePlaceForAllWhereNoneIsNamed) {
  NodeConfig config = example();
  config.place = config.seeds[1].place = default_place;
  std::string text = format_node_config(config);
  for (std::string line : {"datacenter = \"dc1\"\n", "rack = \"rack1\"\n"})
    for (size_t at = text.find(line); at != std::string::npos; at = text.find(line)) text.erase(at, line.size());
  auto read = parse_node_config(text);
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(*read, config);
}

TEST(NodeConfig, RefusesPlacesThatAreNoNamesOrDifferFromTheMembers) {
  for (const char* wrong : {"", "a b", "x\"y", "\n"}) {
    NodeConfig config = example();
    config.place.rack = config.seeds[1].place.rack = wrong;
    EXPECT_FALSE(check_node_config(config)) << wrong;
    config = example();
    config.seeds[0].place.datacenter = wrong;
    EXPECT_FALSE(check_node_config(config)) << wrong;
  }
  NodeConfig config = example();
  config.place.rack = "c";
  EXPECT_FALSE(check_node_config(config));
}

TEST(NodeConfig, RefusesMembersThatLackTheNodeOrAreThereTwice) {
  NodeConfig config = example();
  config.seeds.pop_back();
  EXPECT_FALSE(check_node_config(config));
  config.seeds = {example().seeds[1], example().seeds[1]};
  EXPECT_FALSE(check_node_config(config));
  config = example();
  config.name = "N 2\"";
  EXPECT_FALSE(check_node_config(config));
  config = example();
  config.rpc_port = config.cql_port;
  EXPECT_FALSE(check_node_config(config));
}

NodeConfig guarded() {
  NodeConfig config = example();
  config.authentication = config.insecure = true;
  config.admin =
      "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
      "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
  config.tls = {"node.pem", "node.key", "/etc/ssl/ca.pem", "required", "ca.pem"};
  return config;
}

TEST(NodeConfig, KeepsWhatGuardsIt) {
  auto read = parse_node_config(format_node_config(guarded()));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(*read, guarded());
}

TEST(NodeConfig, RefusesGuardsThatMakeNoSense) {
  auto refused = [](auto change) {
    NodeConfig config = guarded();
    change(config);
    return !check_node_config(config).has_value();
  };
  EXPECT_TRUE(refused([](NodeConfig& config) { config.admin = "secret"; }));
  EXPECT_TRUE(refused([](NodeConfig& config) { config.tls.client = "maybe"; }));
  EXPECT_TRUE(refused([](NodeConfig& config) { config.tls.ca.clear(); }));
  EXPECT_TRUE(refused([](NodeConfig& config) { config.tls.key.clear(); }));
  EXPECT_TRUE(refused([](NodeConfig& config) { config.tls.certificate = config.tls.key = config.tls.ca = ""; }));
  EXPECT_TRUE(refused([](NodeConfig& config) { config.tls.key = "a\"b"; }));
  const std::string text = format_node_config(guarded());
  EXPECT_FALSE(parse_node_config("authentication = 1\n" + format_node_config(example())));
  std::string unknown = text;
  unknown.replace(unknown.find("client ="), 8, "cleint =");
  auto read = parse_node_config(unknown);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("unknown setting cleint"), std::string::npos) << read.error().message;
}

TEST(NodeConfig, OtherAddressesThanLoopbackSayWhatIsUnprotected) {
  NodeConfig config = example();
  EXPECT_TRUE(check_exposure(config));
  config.address = "::1";
  EXPECT_TRUE(check_exposure(config));
  for (const char* address : {"0.0.0.0", "192.0.2.1", "::", "12.7.0.1"}) {
    config = example();
    config.address = address;
    Status exposed = check_exposure(config);
    ASSERT_FALSE(exposed) << address;
    for (const char* part : {address, "authentication = true", "[tls]", "insecure = true"})
      EXPECT_NE(exposed.error().message.find(part), std::string::npos) << exposed.error().message;
    config.insecure = true;
    EXPECT_TRUE(check_exposure(config));
  }
  config = guarded();
  config.address = "192.0.2.1";
  EXPECT_EQ(config.http().host, "192.0.2.1");
  config.insecure = false;
  EXPECT_TRUE(check_exposure(config));
  EXPECT_EQ(config.http().host, "127.0.0.1") << "it knows no login";
  config.tls.nodes.clear();
  Status exposed = check_exposure(config);
  ASSERT_FALSE(exposed) << "nodes would not authenticate one another";
  EXPECT_EQ(exposed.error().message.find("authentication = true"), std::string::npos) << exposed.error().message;
}

}  // namespace
}  // namespace asterism
