#include "datastore/replica_test.h"

#include <set>

#include "datastore/merge_results.h"
#include "datastore/read_page.h"
#include "datastore/table_service.h"
#include "runtime/sim/seeded_random.h"

namespace asterism::datastore {
namespace {

using namespace replica_test;

TEST(Replica, ReadsSlicesInBothDirectionsWithLimits) {
  Rig rig;
  rig.run(rig.open());
  rig.run([](Rig& r) -> Task<void> {
    for (int i = 0; i < 100; ++i) must(co_await r.replica->write(mutation_of("k", i, "v", 1)));
  }(rig));
  ReadCommand command = whole("k");
  EXPECT_EQ(rows_of(*rig.read(command)), numbers(0, 100));
  command.reversed = true;
  EXPECT_EQ(rows_of(*rig.read(command)), numbers(0, 100, true));
  for (bool reversed : {false, true}) {
    command = whole("k");
    command.reversed = reversed;
    command.slices = {{clustering(10), clustering(20)}, {clustering(30), clustering(35)}, {clustering(95), {}}};
    std::vector<int> expected = numbers(10, 20);
    for (int i : numbers(30, 35)) expected.push_back(i);
    for (int i : numbers(95, 100)) expected.push_back(i);
    if (reversed) std::ranges::reverse(expected);
    for (uint32_t limit : {1u, 3u, 7u, 100u}) {
      std::vector<int> got;
      ReadCommand page = command;
      page.row_limit = limit;
      for (int pages = 0; pages < 100; ++pages) {
        auto result = rig.read(page);
        ASSERT_TRUE(result);
        const auto rows = rows_of(*result);
        EXPECT_LE(rows.size(), limit);
        got.insert(got.end(), rows.begin(), rows.end());
        if (result->complete) break;
        page = resume(page, result->next);
      }
      EXPECT_EQ(got, expected) << limit << (reversed ? " reversed" : "");
    }
  }
  command = whole("nothing");
  EXPECT_TRUE(rig.read(command)->partitions.empty());
}

TEST(Replica, ReadsRangesOfPartitionsPageByPage) {
  Rig rig;
  rig.run(rig.open());
  rig.run([](Rig& r) -> Task<void> {
    for (int p = 1; p <= 20; ++p)
      for (int i = 0; i < p; ++i) must(co_await r.replica->write(mutation_of(Bytes(p, 'k'), i, "v", 1)));
  }(rig));
  for (uint32_t limit : {1u, 4u, 50u, 1000u}) {
    ReadCommand command;
    command.table = table;
    command.single = false;
    command.row_limit = limit;
    size_t rows = 0;
    std::set<Bytes> keys;
    for (int pages = 0; pages < 1000; ++pages) {
      auto result = rig.read(command);
      ASSERT_TRUE(result);
      for (auto& partition : result->partitions) keys.insert(partition.key);
      rows += rows_of(*result).size();
      if (result->complete) break;
      command = resume(command, result->next);
    }
    EXPECT_EQ(rows, 210u);
    EXPECT_EQ(keys.size(), 20u);
  }
}

TEST(Replica, HugeHeadDoesNotStopAPagedRead) {
  Rig rig;
  rig.options.max_result_bytes = 1000;
  rig.run(rig.open());
  rig.run([](Rig& r) -> Task<void> {
    PartitionHead head;
    std::vector<RangeDeletion> ranges;
    for (int i = 1000; i < 1200; ++i) ranges.push_back({clustering(2 * i), clustering(2 * i + 1), {5, i}});
    head.add(ranges);
    Mutation mutation(table, 1, "k");
    mutation.add_head(head);
    must(co_await r.replica->write(std::move(mutation).take()));
    for (int i = 0; i < 50; ++i) must(co_await r.replica->write(mutation_of("k", i, "v", 10)));
  }(rig));
  for (bool single : {true, false}) {
    ReadCommand command = whole("k");
    command.single = single;
    std::vector<int> got;
    for (int pages = 0; pages < 200; ++pages) {
      auto result = rig.read(command);
      ASSERT_TRUE(result);
      for (int row : rows_of(*result)) got.push_back(row);
      if (result->complete) break;
      command = resume(command, result->next);
    }
    EXPECT_EQ(got, numbers(0, 50)) << single;
  }
}

/// Writes through several crashes and returns how many acknowledged ones were lost. Relaxed ones count where the
/// process was killed, and, where the power failed, once they were due to be synced.
size_t lost_in_crashes(uint64_t seed, bool believe_relaxed) {
  struct Written {
    int row = 0;
    int64_t stamp = 0;
    bool relaxed = false;
    Instant acknowledged;
  };
  Rig rig(seed);
  rig.segment_bytes = 64 << 10;
  rig.memtable_bytes = 64 << 10;
  rig.run(rig.open());
  std::map<int, int64_t> kept;  // row → latest timestamp
  auto& random = rig.simulation.random();
  int64_t at = 1;
  size_t lost = 0;
  for (int life = 0; life < 4; ++life) {
    std::vector<Written> written;
    const int writes = static_cast<int>(random.below(150));
    for (int i = 0; i < writes; ++i, ++at) {
      const Written next{static_cast<int>(random.below(60)), at, random.chance(0.5), {}};
      rig.start([](Rig& r, std::vector<Written>& known, Written one) -> Task<void> {
        if (!co_await r.replica->write(
                mutation_of("k", one.row, Bytes(static_cast<size_t>(one.stamp % 2000), 'v'), one.stamp),
                one.relaxed ? Durability::relaxed : Durability::synced))
          co_return;
        one.acknowledged = r.executor().now();
        known.push_back(one);
      }(rig, written, next));
      rig.simulation.run_for(Duration(random.below(500'000)));
    }
    if (random.chance(0.3)) rig.simulation.run_for(1s);
    const bool power = random.chance(0.5);
    const Instant synced = rig.executor().now() - WriteAheadLog::Options{}.sync_relaxed_after - 50ms;
    for (const Written& one : written)
      if (believe_relaxed || !power || !one.relaxed || one.acknowledged < synced)
        kept[one.row] = std::max(kept[one.row], one.stamp);
    rig.restart(power ? sim::Crash::power : sim::Crash::kill);
    const ReadResult result = must(rig.read(whole("k")));
    std::map<int, int64_t> stored;
    const auto rows = rows_of(result);
    for (size_t i = 0; i < rows.size(); ++i) {
      Row row;
      must(decode_row(result.partitions[0].rows[i].row, row));
      stored[rows[i]] = row.cells.at(0).timestamp_us;
    }
    for (auto [row, stamp] : kept) lost += stored[row] < stamp;
  }
  return lost;
}

TEST(Replica, AcknowledgedWritesSurviveCrashes) {
  size_t believed = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    ASSERT_EQ(lost_in_crashes(seed, false), 0u) << "seed " << seed;
    believed += lost_in_crashes(seed, true);
  }
  EXPECT_GT(believed, 0u) << "no failure of power ever came before a sync";
}

/// After a failure of power, before which syncs of the log were skipped.
void restart_unsynced(Rig& rig) {
  rig.close();
  rig.crash_and_restart(sim::Crash::power);
  rig.files().clear_sync_skipped();
  rig.run(rig.open());
}

TEST(Replica, SettlingMakesRelaxedWritesDurable) {
  for (const bool settles : {true, false}) {
    Rig rig;
    rig.run(rig.open());
    rig.run([](Rig& r, bool settled) -> Task<void> {
      must(co_await r.replica->write(mutation_of("k", 1, "v", 1), Durability::relaxed));
      EXPECT_EQ(rows_of(*r.read(whole("k"))), numbers(1, 2));
      if (settled) must(co_await r.replica->settle());
      r.files().set_sync_skipped(".wal");
    }(rig, settles));
    restart_unsynced(rig);
    EXPECT_EQ(rig.read(whole("k"))->partitions.empty(), !settles);
  }
}

/// The store may be flushed further than what the log has synced; then the log is shorter than what the store says.
TEST(Replica, AFlushAheadOfTheLogHidesNoLaterWrite) {
  Rig rig;
  rig.run(rig.open());
  rig.run([](Rig& r) -> Task<void> {
    for (int i = 0; i < 20; ++i)
      must(co_await r.replica->write(mutation_of("k", i, Bytes(1000, 'v'), 1), Durability::relaxed));
    r.files().set_sync_skipped(".wal");
    must(co_await r.store->flush());
  }(rig));
  restart_unsynced(rig);
  EXPECT_EQ(rows_of(*rig.read(whole("k"))), numbers(0, 20));
  rig.run([](Rig& r) -> Task<void> { must(co_await r.replica->write(mutation_of("k", 20, "v", 1))); }(rig));
  rig.restart(sim::Crash::power);
  EXPECT_EQ(rows_of(*rig.read(whole("k"))), numbers(0, 21));
}

TEST(Replica, ForgottenReplayAndEarlyAcknowledgementAreSeen) {
  auto lost = [](std::optional<Defect> defect) {
    int runs = 0;
    for (uint64_t seed = 1; seed <= 10; ++seed) {
      Rig rig(seed);
      if (defect) rig.options.defects.plant(*defect);
      rig.run(rig.open());
      rig.run([](Rig& r) -> Task<void> { must(co_await r.replica->write(mutation_of("k", 1, "v", 1))); }(rig));
      rig.restart(sim::Crash::power);
      runs += rig.read(whole("k"))->partitions.empty();
    }
    return runs;
  };
  EXPECT_GT(lost(Defect::forget_replay), 0);
  EXPECT_GT(lost(Defect::acknowledge_before_durable), 0);
  EXPECT_EQ(lost(std::nullopt), 0);
}

TEST(Replica, RestartsWithoutWritesLoseNoSegmentThatTheStoreNeeds) {
  Rig rig;
  rig.segment_bytes = 64 << 10;
  rig.run(rig.open());
  rig.run([](Rig& r) -> Task<void> { must(co_await r.replica->write(mutation_of("k", 1, "v", 1))); }(rig));
  for (int life = 0; life < 12; ++life) {
    // Others fill the log and let go of it.
    for (int i = 0; i < 10; ++i) {
      auto position = rig.wal->append(other_owner, 1, Bytes(20'000, 'x'));
      ASSERT_TRUE(position);
      rig.simulation.run_for(50ms);
      rig.wal->release(other_owner, *position);
    }
    EXPECT_LE(rig.wal->segments(), 8u);
    if (life % 2) rig.run([](Rig& r) -> Task<void> { must(co_await r.store->flush()); }(rig));
    rig.restart(life % 3 ? sim::Crash::kill : sim::Crash::power);
    EXPECT_EQ(rows_of(*rig.read(whole("k"))), numbers(1, 2)) << life;
  }
}

TEST(Replica, LargeReplayIsAppliedBeforeItServes) {
  Rig rig;
  rig.memtable_bytes = 64 << 10;
  rig.run(rig.open());
  // More than the store takes without a flush, all of it durable and none of it flushed.
  for (int i = 0; i < 300; ++i)
    rig.start([](Rig& r, int n) -> Task<void> {
      co_await r.replica->write(mutation_of("k", n, Bytes(10'000, 'v'), 1));
    }(rig, i));
  rig.machine.disk().set_slowness(1);
  while (rig.wal->counters().records < 300 && rig.simulation.step()) {
  }
  while (rig.wal->durable_end() < rig.wal->end() && rig.simulation.step()) {
  }
  rig.restart(sim::Crash::kill);
  EXPECT_EQ(rows_of(*rig.read([] {
              ReadCommand command = whole("k");
              command.slices = {{clustering(0), clustering(90)}};
              return command;
            }()))
                .size(),
            90u);
}

TEST(Replica, DropsTablesButNotItsOwn) {
  Rig rig;
  rig.run(rig.open());
  rig.run([](Rig& r) -> Task<void> {
    must(co_await r.replica->write(mutation_of("k", 1, "v", 1)));
    Mutation kept(table + 1, 1, "k");
    kept.add_row(clustering(1), row_of("v", 1));
    must(co_await r.replica->write(std::move(kept).take()));
    Bytes key;
    ByteWriter(key).u32_be(hints_table);
    std::vector<Replica::Change> own;
    own.push_back({key + "hint", "value"});
    must(co_await r.replica->write_own(std::move(own)));
  }(rig));
  ASSERT_TRUE(rig.replica->drop_tables([](uint32_t number) { return number == table + 1; }));
  EXPECT_TRUE(rig.read(whole("k"))->partitions.empty());
  ReadCommand kept = whole("k");
  kept.table = table + 1;
  EXPECT_EQ(rows_of(*rig.read(kept)), numbers(1, 2));
  Bytes key;
  ByteWriter(key).u32_be(hints_table);
  EXPECT_EQ(rig.replica->get(key + "hint")->value(), "value");
}

Mutation random_change(Random& random, int64_t at) {
  const Bytes key = "p" + std::to_string(random.below(4));
  const bool clustered = key < "p2";
  Mutation mutation(table, 1, key);
  const Bytes value(random.below(40), static_cast<char>('a' + random.below(26)));
  const Bytes row = clustered ? clustering(static_cast<int>(random.below(6))) : Bytes();
  switch (random.below(5)) {
    case 0: {
      PartitionHead head;
      if (random.chance(0.3)) head.deletion = {at, at};
      head.add({{clustering(1), clustering(static_cast<int>(2 + random.below(3))), {at, at}}});
      mutation.add_head(head);
      break;
    }
    case 1:
      mutation.add_static(row_of(value, at));
      break;
    case 2: {
      Row deleted;
      deleted.deletion = {at, at};
      mutation.add_row(row, deleted);
      break;
    }
    default:
      mutation.add_row(row, row_of(value, at));
  }
  return mutation;
}

/// Every way to read gives the same bytes with a cache as without one, whatever was read and written before.
TEST(Replica, TheRowCacheChangesNothing) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Rig cached(seed), plain(seed);
    cached.options.row_cache_bytes = seed % 3 == 0 ? 1000 : 1 << 20;
    plain.options.row_cache_bytes = 0;
    cached.run(cached.open());
    plain.run(plain.open());
    sim::SeededRandom random(seed);
    for (int step = 0; step < 300; ++step) {
      if (random.chance(0.4)) {
        const Mutation change = random_change(random, static_cast<int64_t>(random.below(1000)));
        for (Rig* rig : {&cached, &plain})
          rig->run([](Rig& r, Bytes bytes) -> Task<void> { must(co_await r.replica->write(std::move(bytes))); }(
                                               *rig, change.encoded()));
        continue;
      }
      ReadCommand command;
      command.table = table;
      command.single = random.chance(0.9);
      command.token = 1;
      command.partition_key = "p" + std::to_string(random.below(4));
      command.reversed = command.single && random.chance(0.3);
      command.whole_keys = command.single && random.chance(0.7);
      if (command.single && command.whole_keys && command.partition_key < "p2") {
        for (int row = 0; row < 6; ++row)
          if (random.chance(0.4)) command.slices.push_back({clustering(row), after_prefix(clustering(row))});
      } else if (command.single) {
        command.slices = {{}};
      }
      ASSERT_EQ(*cached.replica->read(command), *plain.replica->read(command)) << "seed " << seed << " step " << step;
      if (step == 60 || step == 150)
        for (Rig* rig : {&cached, &plain}) rig->restart(sim::Crash::kill);
    }
    if (seed % 3 != 0) EXPECT_GT(cached.replica->cache().hits(), 50u);
  }
}

/// Pages of slices, in both directions and with all limits, over writes and deletions between them.
TEST(Replica, TheSliceCacheChangesNothing) {
  constexpr uint64_t rows = 60;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Rig cached(seed), plain(seed);
    cached.options.slice_cache_bytes = seed % 3 == 0 ? 20'000 : 1 << 20;
    cached.options.row_cache_bytes = seed % 2 == 0 ? 0 : 1 << 20;
    plain.options.slice_cache_bytes = plain.options.row_cache_bytes = 0;
    cached.options.max_result_bytes = plain.options.max_result_bytes = seed % 4 == 0 ? 700 : 1 << 20;
    cached.run(cached.open());
    plain.run(plain.open());
    sim::SeededRandom random(seed);
    for (int step = 0; step < 400; ++step) {
      const Bytes key = "p" + std::to_string(random.below(2));
      if (step < 80 || random.chance(0.3)) {
        Mutation change(table, 1, key);
        const Bytes value(random.below(600), static_cast<char>('a' + random.below(26)));
        const Bytes row = clustering(static_cast<int>(random.below(rows)));
        Row written = row_of(value, step);
        if (random.chance(0.1)) {
          written = Row();
          written.deletion = {step, step};
        }
        if (random.chance(0.1)) written.has_marker = false;
        if (random.chance(0.03)) {
          PartitionHead head;
          head.add({{clustering(1), row, {step, step}}});
          change.add_head(head);
        } else {
          change.add_row(row, written);
        }
        for (Rig* rig : {&cached, &plain})
          rig->run([](Rig& r, Bytes bytes) -> Task<void> { must(co_await r.replica->write(std::move(bytes))); }(
                                               *rig, change.encoded()));
        continue;
      }
      ReadCommand command = whole(key);
      command.token = 1;
      command.reversed = random.chance(0.4);
      if (random.chance(0.7)) {
        command.slices.clear();
        for (uint64_t from = random.below(rows); from < rows; from += 1 + random.below(rows)) {
          const uint64_t to = from + random.below(rows);
          const bool last = random.chance(0.3);
          command.slices.push_back(
              {clustering(static_cast<int>(from)), last ? Bytes() : clustering(static_cast<int>(to))});
          if (last) break;
          from = to;
        }
      }
      if (random.chance(0.5)) command.row_limit = static_cast<uint32_t>(random.below(30));
      if (random.chance(0.2)) command.per_partition_limit = static_cast<uint32_t>(1 + random.below(30));
      while (true) {
        const Bytes answer = *plain.replica->read(command);
        ASSERT_EQ(*cached.replica->read(command), answer) << "seed " << seed << " step " << step;
        const ReadResult page = *ReadResult::decode(answer);
        if (page.complete || command.row_limit == 0 || random.chance(0.2)) break;
        command = resume(std::move(command), page.next);
      }
      if (step == 150 || step == 250)
        for (Rig* rig : {&cached, &plain}) rig->restart(sim::Crash::kill);
    }
    if (seed % 3 != 0) EXPECT_GT(cached.replica->slices().hits(), 100u);
  }
}

}  // namespace
}  // namespace asterism::datastore
