#include "datastore/cql/prepared_cache.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace asterism::cql {
namespace {

PreparedPtr put(PreparedCache& cache, int i) {
  return cache.put("k", fmt::format("SELECT {}", i), std::make_shared<Plan>());
}

TEST(PreparedCache, WhatIsUsedStaysAndWhatIsNewStays) {
  PreparedCache cache(4, 1 << 20);
  const Bytes often = put(cache, 0)->id;
  for (int i = 1; i < 100; ++i) {
    const PreparedPtr latest = put(cache, i);
    EXPECT_TRUE(cache.find(often)) << i;
    EXPECT_TRUE(std::ranges::count(cache.statements(), latest) == 1) << i;
    EXPECT_LE(cache.size(), 4u);
    EXPECT_EQ(cache.statements().size(), cache.size());
  }
  EXPECT_EQ(cache.evictions(), 96u);
  EXPECT_FALSE(cache.find(prepared_id("k", "SELECT 50")));
  EXPECT_FALSE(cache.find("short"));
}

TEST(PreparedCache, WhatIsNewStaysWhereEverythingIsUsed) {
  PreparedCache cache(4, 1 << 20);
  for (int i = 0; i < 100; ++i) {
    const PreparedPtr latest = put(cache, i);
    for (const PreparedPtr& statement : cache.statements()) EXPECT_TRUE(cache.find(statement->id));
    EXPECT_EQ(cache.find(latest->id), latest);
    EXPECT_LE(cache.size(), 4u);
  }
}

TEST(PreparedCache, BytesAreBoundedAndOneStatementAlwaysFits) {
  PreparedCache cache(100, 10'000);
  for (int i = 0; i < 50; ++i) put(cache, i);
  EXPECT_LE(cache.bytes(), 10'000u);
  const PreparedPtr large = cache.put("k", std::string(20'000, 'x'), std::make_shared<Plan>());
  EXPECT_EQ(cache.find(large->id), large);
  EXPECT_EQ(cache.size(), 1u);
}

}  // namespace
}  // namespace asterism::cql
