#include "datastore/replica_read.h"

#include "datastore/read_page.h"
#include "datastore/replica_test.h"
#include "runtime/sim/seeded_random.h"

namespace asterism::datastore {
namespace {

using namespace replica_test;

constexpr int wide_rows = 3000, partitions = 800;

/// One wide partition of the key "k", and many with a row or three.
Task<void> fill(Rig& rig) {
  std::vector<Bytes> mutations;
  for (int i = 0; i < wide_rows; ++i) mutations.push_back(mutation_of("k", i, Bytes(20 + i % 50, 'v'), 1));
  for (int p = 0; p < partitions; ++p)
    for (int i = 0; i < 1 + 2 * (p % 2); ++i) mutations.push_back(mutation_of(fmt::format("{:08}", p), i, "v", 1));
  must(co_await rig.replica->write_all(std::move(mutations)));
}

ReadCommand table_range() {
  ReadCommand command;
  command.table = table;
  command.single = false;
  return command;
}

ReadCommand keys(int from, int to, int step) {
  ReadCommand command = whole("k");
  command.slices.clear();
  for (int i = from; i < to; i += step) command.slices.push_back({clustering(i), after_prefix(clustering(i))});
  command.whole_keys = true;
  return command;
}

ReadCommand slices(int count) {
  ReadCommand command = whole("k");
  command.slices.clear();
  for (int i = 0; i < count; ++i) command.slices.push_back({clustering(i * 10), clustering(i * 10 + 5)});
  return command;
}

std::vector<ReadCommand> all_kinds() {
  std::vector<ReadCommand> kinds{whole("k"), keys(0, wide_rows, 2), keys(wide_rows, 2 * wide_rows, 1), slices(250),
                                 table_range()};
  kinds.push_back(table_range());
  kinds.back().per_partition_limit = 1;
  kinds.push_back(table_range());
  kinds.back().row_limit = 900;
  for (size_t i = 0, forward = 4; i < forward; ++i) {
    kinds.push_back(kinds[i]);
    kinds.back().reversed = true;
  }
  return kinds;
}

/// Reads slice by slice, `between` them whatever is wanted.
Result<Bytes> read_in_slices(
    Replica& replica, const ReadCommand& command, ReplicaRead::Bounds bounds, int& slices,
    const std::function<void()>& between = [] {}) {
  ReplicaRead read(replica, command, bounds);
  TRY(bool done, read.begin());
  for (slices = 1; !done; ++slices) {
    between();
    TRY(done, read.go_on());
  }
  return std::move(read).take();
}

TEST(ReplicaRead, SlicesGiveTheAnswerThatOneGives) {
  for (const uint64_t cache_bytes : {0, 8 << 20}) {
    Rig rig;
    rig.options.row_cache_bytes = rig.options.slice_cache_bytes = cache_bytes;
    rig.options.slice_time = 0ms;
    rig.run(rig.open());
    rig.run(fill(rig));
    int kind = 0;
    for (const ReadCommand& command : all_kinds()) {
      int slices = 0;
      const auto sliced = read_in_slices(*rig.replica, command, {1 << 20}, slices);
      ASSERT_TRUE(sliced);
      EXPECT_EQ(*sliced, *rig.replica->read(command)) << "kind " << kind;
      EXPECT_GT(slices, 5) << "kind " << kind;
      ++kind;
    }
  }
}

TEST(ReplicaRead, ShortReadsNeedOneSlice) {
  Rig rig;
  rig.options.slice_time = 0ms;
  rig.run(rig.open());
  rig.run(fill(rig));
  ReadCommand scan = table_range();
  scan.row_limit = 100;
  ReadCommand slice = whole("k");
  slice.row_limit = 200;
  for (const ReadCommand& command : {scan, slice, keys(0, 40, 1), whole("nothing")}) {
    ReplicaRead read(*rig.replica, command);
    EXPECT_TRUE(*read.begin());
  }
}

/// Equal replicas must give equal answers, whatever their caches hold; and page after page everything is read once.
TEST(ReplicaRead, BoundsCutTheSameWithAndWithoutCaches) {
  Rig rig;
  rig.options.slice_time = 0ms;
  rig.run(rig.open());
  rig.run(fill(rig));
  ReplicaOptions no_caches = rig.options;
  no_caches.row_cache_bytes = no_caches.slice_cache_bytes = 0;
  Replica plain(no_caches, rig.executor(), *rig.store, Log());
  for (const ReplicaRead::Bounds bounds : {ReplicaRead::Bounds{1 << 20, 1000}, {2000, UINT32_MAX}, {1, 1}}) {
    for (ReadCommand command : all_kinds()) {
      if (command.row_limit != UINT32_MAX) continue;
      const bool tiny = bounds.steps == 1;
      if (tiny && command.single) command.slices.resize(std::min<size_t>(command.slices.size(), 20));
      const auto expected = rows_of(*ReadResult::decode(*plain.read(command)));
      std::vector<int> got;
      bool complete = false;
      for (int pages = 0; pages < 20000 && !complete; ++pages) {
        int slices = 0;
        const auto cached = read_in_slices(*rig.replica, command, bounds, slices);
        ASSERT_EQ(*cached, *read_in_slices(plain, command, bounds, slices));
        const auto page = ReadResult::decode(*cached);
        for (const int row : rows_of(*page)) got.push_back(row);
        complete = page->complete;
        if (!complete) command = resume(command, page->next);
        if (command.single && command.slices.empty()) complete = true;
      }
      EXPECT_TRUE(complete);
      EXPECT_EQ(got, expected);
    }
  }
}

/// What is written between two slices is in the caches afterwards as it is in the store, and every row is whole.
TEST(ReplicaRead, WritesBetweenSlicesKeepTheCachesRight) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Rig rig(seed);
    rig.options.slice_time = 0ms;
    rig.run(rig.open());
    rig.run(fill(rig));
    ReplicaOptions no_caches = rig.options;
    no_caches.row_cache_bytes = no_caches.slice_cache_bytes = 0;
    Replica plain(no_caches, rig.executor(), *rig.store, Log());
    sim::SeededRandom random(seed);
    int64_t at = 2;
    const auto write_some = [&] {
      rig.run([](Rig& r, sim::SeededRandom& luck, int64_t stamp) -> Task<void> {
        const int row = static_cast<int>(luck.below(2 * wide_rows));
        must(co_await r.replica->write(mutation_of("k", row, "new", stamp)));
        if (luck.below(8) == 0)
          must(co_await r.replica->drop_range(partition_prefix(table, 8, "00000001"),
                                              partition_prefix(table, 8, "00000100")));
      }(rig, random, ++at));
    };
    for (const ReadCommand& command : all_kinds()) {
      int slices = 0;
      const auto sliced = read_in_slices(*rig.replica, command, {1 << 20}, slices, write_some);
      const auto result = ReadResult::decode(*sliced);
      ASSERT_TRUE(result);
      for (const auto& partition : result->partitions) {
        for (const auto& stored : partition.rows) {
          Row row;
          ASSERT_TRUE(decode_row(stored.row, row));
          const bool fresh = row.cells.at(0).value == "new";
          EXPECT_EQ(row.cells[0].timestamp_us > 1, fresh);
          EXPECT_EQ(row.marker.timestamp_us, row.cells[0].timestamp_us);
        }
        EXPECT_TRUE(std::ranges::is_sorted(partition.rows, [&](const auto& a, const auto& b) {
          return command.reversed ? b.clustering < a.clustering : a.clustering < b.clustering;
        }));
      }
    }
    for (const ReadCommand& command : all_kinds()) ASSERT_EQ(*rig.replica->read(command), *plain.read(command));
  }
}

}  // namespace
}  // namespace asterism::datastore
