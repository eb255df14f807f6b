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

}  // namespace
}  // namespace asterism
