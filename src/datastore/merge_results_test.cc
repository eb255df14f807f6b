#include "datastore/merge_results.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "datastore/read_page.h"
#include "runtime/sim/seeded_random.h"

namespace asterism::datastore {
namespace {

constexpr uint32_t table = 20;

/// A replica as a map from storage keys to values.
struct Model {
  std::map<Bytes, Bytes> stored;

  void put(const Bytes& key, BytesView value) {
    Bytes merged;
    std::vector<BytesView> versions;
    if (auto it = stored.find(key); it != stored.end()) versions.push_back(it->second);
    versions.push_back(value);
    ASSERT_TRUE(merge_versions(key, versions, merged));
    stored[key] = merged;
  }
  void write(BytesView mutation) {
    auto view = MutationView::decode(mutation);
    ASSERT_TRUE(view);
    for (const auto& change : view->changes) {
      Bytes key = partition_prefix(view->table, view->token, view->partition_key);
      key.push_back(static_cast<char>(change.place));
      put(key + Bytes(change.clustering), change.value);
    }
  }
  /// What a replica answers, with a limit on live rows.
  ReadResult read(const ReadCommand& command) const {
    ReadResult result;
    uint64_t live = 0;
    std::map<Bytes, std::vector<std::pair<KeyParts, const Bytes*>>> partitions;
    for (const auto& [key, value] : stored) {
      const KeyParts parts = *split_key(key);
      partitions[Bytes(parts.prefix)].push_back({parts, &value});
    }
    for (auto& [prefix, places] : partitions) {
      if (command.single && prefix != partition_prefix(table, command.token, command.partition_key)) continue;
      const Bytes row_prefix = prefix + '\2';
      if (!command.single && after_prefix(row_prefix) <= command.from) continue;
      if (!command.single && live >= command.row_limit) {
        result.complete = false;
        result.next = prefix;
        return result;
      }
      ReadResult::Partition partition{places[0].first.token, Bytes(places[0].first.partition_key), {}, {}, {}};
      PartitionHead head;
      bool static_live = false;
      uint64_t live_here = 0;
      if (command.reversed) std::ranges::reverse(places);
      for (auto& [parts, value] : places)
        if (parts.place == Place::head) {
          partition.head = *value;
          head = *decode_head(*value);
        }
      for (auto& [parts, value] : places) {
        if (parts.place == Place::static_row) {
          partition.static_row = *value;
          Row row;
          EXPECT_TRUE(decode_row(*value, row));
          row.hide(head.deletion);
          static_live = row.is_live(command.now_s);
        }
        if (parts.place != Place::row || !result.complete) continue;
        if (!command.single && row_prefix + Bytes(parts.clustering) < command.from) continue;
        if (command.single && std::ranges::none_of(command.slices, [&](const Slice& slice) {
              return slice.from <= parts.clustering && (slice.to.empty() || parts.clustering < slice.to);
            }))
          continue;
        if (live >= command.row_limit) {
          result.complete = false;
          result.next = command.single ? Bytes(parts.clustering) : row_prefix + Bytes(parts.clustering);
          if (command.reversed) result.next.push_back('\0');
          continue;
        }
        Row row;
        EXPECT_TRUE(decode_row(*value, row));
        row.hide(head.deletion_of(parts.clustering));
        live += row.is_live(command.now_s);
        live_here += row.is_live(command.now_s);
        partition.rows.push_back({Bytes(parts.clustering), *value});
      }
      if (live_here == 0 && static_live) ++live;
      if (!partition.rows.empty() || !partition.head.empty() || !partition.static_row.empty())
        result.partitions.push_back(std::move(partition));
      if (!result.complete) return result;
    }
    return result;
  }
};

using LiveRows = std::map<std::pair<Bytes, Bytes>, Bytes>;  // partition and clustering → value

void collect(const ReadPage& page, LiveRows& out) {
  for (const auto& partition : page.partitions)
    for (const auto& stored : partition.rows) {
      Row row;
      ASSERT_TRUE(partition.read(stored, row));
      out[{Bytes(partition.key), Bytes(stored.clustering)}] =
          row.cells.empty() ? Bytes("-") : Bytes(row.cells[0].value);
    }
}

Bytes random_mutation(Random& random, int64_t at) {
  const Bytes key(1, static_cast<char>('a' + random.below(3)));
  Mutation mutation(table, key[0], key);
  const Bytes clustering(1, static_cast<char>('A' + random.below(12)));
  const double dice = random.unit();
  Row row;
  const Bytes value = std::to_string(at);
  if (dice < 0.55) {
    row.has_marker = true;
    row.marker.timestamp_us = at;
    Cell cell;
    cell.column = 3;
    cell.timestamp_us = at;
    cell.value = value;
    row.cells.push_back(cell);
    mutation.add_row(clustering, row);
  } else if (dice < 0.75) {
    row.deletion = {at, at};
    mutation.add_row(clustering, row);
  } else if (dice < 0.85) {
    Cell cell;
    cell.column = 2;
    cell.timestamp_us = at;
    cell.value = value;
    row.cells.push_back(cell);
    mutation.add_static(row);
  } else {
    PartitionHead head;
    if (dice < 0.88) head.deletion = {at, at};
    Bytes to(1, static_cast<char>(clustering[0] + 3));
    head.add({{clustering, random.chance(0.2) ? Bytes() : to, {at, at}}});
    mutation.add_head(head);
  }
  return std::move(mutation).take();
}

/// Every mutation reached some replicas. Paging through merged answers, with repairs, must show exactly what a replica
/// that got everything shows, and leave the replicas that were asked equal to it where they were read.
TEST(MergeResults, PagesOfAnyReplicasShowWhatAllKnowTogether) {
  for (uint64_t seed = 1; seed <= 600; ++seed) {
    sim::SeededRandom random(seed);
    std::vector<Model> replicas(2 + random.below(2));
    Model all;
    const size_t writes = 1 + random.below(60);
    for (size_t i = 0; i < writes; ++i) {
      const Bytes mutation = random_mutation(random, static_cast<int64_t>(1 + random.below(40)));
      all.write(mutation);
      bool anywhere = false;
      for (auto& replica : replicas)
        if (random.chance(0.5)) {
          replica.write(mutation);
          anywhere = true;
        }
      if (!anywhere) replicas[random.below(replicas.size())].write(mutation);
    }
    ReadCommand command;
    command.table = table;
    command.row_limit = static_cast<uint32_t>(random.chance(0.3) ? 1000 : 1 + random.below(6));
    command.single = random.chance(0.6);
    if (command.single) {
      command.partition_key = "a";
      command.token = 'a';
      command.slices = {{"A", random.chance(0.5) ? Bytes("H") : Bytes()}};
      command.reversed = random.chance(0.5);
    }
    ReadCommand everything = command;
    everything.row_limit = UINT32_MAX;
    LiveRows expected, got;
    collect(*live_page(all.read(everything).encode(), 0), expected);
    std::vector<Bytes> order;
    int pages = 0;
    for (; pages < 500; ++pages) {
      std::vector<ReadResult> answers;
      for (auto& replica : replicas) answers.push_back(replica.read(command));
      auto merged = merge_results(command, std::move(answers));
      ASSERT_TRUE(merged);
      for (size_t i = 0; i < replicas.size(); ++i)
        for (const Bytes& repair : merged->repairs[i]) replicas[i].write(repair);
      auto page = live_page(merged->merged.encode(), 0);
      ASSERT_TRUE(page);
      limit_page(command, *page);
      size_t rows = 0;
      for (const auto& partition : page->partitions)
        for (const auto& row : partition.rows) {
          ++rows;
          order.push_back(Bytes(row.clustering));
        }
      ASSERT_LE(rows, command.row_limit) << "seed " << seed;
      collect(*page, got);
      if (page->complete) break;
      const uint32_t limit = command.row_limit;
      if (!command.single) {
        ASSERT_GT(page->next, command.from) << "seed " << seed;
        command.from = page->next;
      } else if (command.reversed) {
        command.slices[0].to = page->next;
      } else {
        command.slices[0].from = page->next;
      }
      command.row_limit = limit;
    }
    ASSERT_LT(pages, 500) << "seed " << seed << " gets nowhere";
    ASSERT_EQ(got, expected) << "seed " << seed;
    ASSERT_EQ(order.size(), expected.size()) << "seed " << seed << ": no row twice";
    if (command.single) ASSERT_TRUE(std::ranges::is_sorted(order) || command.reversed) << "seed " << seed;
    if (!command.single) {
      for (const auto& replica : replicas) ASSERT_EQ(replica.stored, all.stored) << "seed " << seed;
    }
    // Once more: nothing is left to repair.
    std::vector<ReadResult> answers;
    for (auto& replica : replicas) answers.push_back(replica.read(everything));
    auto merged = merge_results(everything, std::move(answers));
    ASSERT_TRUE(merged);
    for (const auto& repairs : merged->repairs) ASSERT_TRUE(repairs.empty()) << "seed " << seed;
  }
}

TEST(MergeResults, LargeRepairsAreCut) {
  Model full, empty;
  for (int i = 0; i < 64; ++i) {
    Mutation mutation(table, 'a', "a");
    Row row;
    Cell cell;
    cell.column = 3;
    cell.timestamp_us = 1;
    const Bytes value(500'000, 'v');
    cell.value = value;
    row.cells.push_back(cell);
    mutation.add_row(Bytes(1, static_cast<char>(i + 1)), row);
    full.write(mutation.encoded());
  }
  ReadCommand command;
  command.table = table;
  command.token = 'a';
  command.partition_key = "a";
  command.slices = {{Bytes(1, '\1'), {}}};
  auto merged = merge_results(command, {full.read(command), empty.read(command)});
  ASSERT_TRUE(merged);
  EXPECT_TRUE(merged->repairs[0].empty());
  EXPECT_GT(merged->repairs[1].size(), 10u);
  for (const Bytes& repair : merged->repairs[1]) {
    EXPECT_LT(repair.size(), 2u << 20);
    empty.write(repair);
  }
  EXPECT_EQ(full.stored, empty.stored);
}

TEST(MergeResults, DamagedAnswersAreCorrupt) {
  ReadCommand command;
  command.table = table;
  ReadResult a, b;
  a.partitions = {{1, "k", "", "", {{"c", "garbage"}}}};
  b.partitions = {{1, "k", "", "", {{"c", "rubbish"}}}};
  EXPECT_FALSE(merge_results(command, {a, b}));
  EXPECT_FALSE(live_page(a.encode(), 0));
}

}  // namespace
}  // namespace asterism::datastore
