#include "cluster/ring.h"

#include <gtest/gtest.h>

#include <set>

namespace asterism {
namespace {

Ring three_nodes() {
  Ring ring;
  auto tokens = even_tokens(3, 16);
  for (uint32_t i = 0; i < 3; ++i) ring.add(NodeId{i + 1}, {"dc1", "rack" + std::to_string(i)}, tokens[i]);
  return ring;
}

TEST(Ring, EvenTokensGiveEveryNodeTheSameShare) {
  std::map<NodeId, unsigned __int128> share;
  Ring ring = three_nodes();
  for (auto range : ring.ranges())
    share[ring.tokens().at(range.to)] += static_cast<uint64_t>(range.to) - static_cast<uint64_t>(range.after);
  ASSERT_EQ(share.size(), 3u);
  const auto third = (static_cast<unsigned __int128>(1) << 64) / 3;
  for (auto& [node, size] : share) {
    EXPECT_LT(size, third + third / 100);
    EXPECT_GT(size, third - third / 100);
  }
}

TEST(Ring, RangesCoverEveryTokenOnce) {
  Ring ring = three_nodes();
  for (int64_t token : {INT64_MIN + 1, int64_t{-1}, int64_t{0}, int64_t{12345}, INT64_MAX}) {
    int holders = 0;
    for (auto range : ring.ranges()) holders += range.contains(token);
    EXPECT_EQ(holders, 1) << token;
  }
}

TEST(Ring, SimplePlacementWalksToDistinctNodes) {
  Ring ring = three_nodes();
  const auto first = ring.tokens().begin()->first;
  EXPECT_EQ(ring.place_simple(first, 2), (std::vector{NodeId{1}, NodeId{2}}));
  EXPECT_EQ(ring.place_simple(first + 1, 3), (std::vector{NodeId{2}, NodeId{3}, NodeId{1}}));
  EXPECT_EQ(ring.place_simple(0, 5).size(), 3u);
}

TEST(Ring, RackAwarePlacementUsesEveryRackBeforeRepeatingOne) {
  Ring ring;
  auto tokens = even_tokens(6, 8);
  for (uint32_t i = 0; i < 6; ++i) ring.add(NodeId{i + 1}, {"dc1", i < 4 ? "a" : i == 4 ? "b" : "c"}, tokens[i]);
  for (auto range : ring.ranges()) {
    std::set<std::string> racks;
    auto replicas = ring.place_by_rack(range.to, {{"dc1", 3}});
    ASSERT_EQ(replicas.size(), 3u);
    for (NodeId node : replicas) racks.insert(node.value <= 4 ? "a" : node.value == 5 ? "b" : "c");
    EXPECT_EQ(racks.size(), 3u);
    EXPECT_EQ(ring.place_by_rack(range.to, {{"dc1", 5}}).size(), 5u);
  }
  EXPECT_TRUE(ring.place_by_rack(0, {{"elsewhere", 3}}).empty());
}

}  // namespace
}  // namespace asterism
