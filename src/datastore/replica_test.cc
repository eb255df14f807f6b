#include "datastore/replica.h"

#include <algorithm>
#include <set>

#include "datastore/merge_results.h"
#include "datastore/read_page.h"
#include "datastore/table_service.h"
#include "runtime/sim/seeded_random.h"
#include "storage/test_rig.h"

namespace asterism::datastore {
namespace {

constexpr uint32_t table = 20;
constexpr ShardId other_owner{5};

KeyValueStore::Options store_options(uint64_t memtable_bytes) {
  KeyValueStore::Options options;
  options.background_compaction = false;
  options.memtable_bytes = memtable_bytes;
  options.merge = merge_function();
  options.supersedes = version_supersedes;
  return options;
}

/// One machine's log, store and replica, which can be opened again and again.
struct Rig : TestRig {
  uint64_t segment_bytes = 4 << 20, memtable_bytes = 1 << 20;
  ReplicaOptions options;
  std::unique_ptr<KeyValueStore> store;
  std::unique_ptr<Replica> replica;
  std::unique_ptr<WriteAheadLog> wal;

  explicit Rig(uint64_t seed = 1) : TestRig(seed) {}
  ~Rig() { close(); }

  Task<void> open() {
    store = must(co_await KeyValueStore::open(disk(), store_options(memtable_bytes)));
    replica = std::make_unique<Replica>(options, executor(), *store, Log());
    WriteAheadLog::Options log_options;
    log_options.new_log_id = 7;
    log_options.segment_bytes = segment_bytes;
    wal = must(co_await WriteAheadLog::open(disk(), executor(), log_options, [this](const Record& record) {
      return record.owner == replica_owner ? replica->replay(record) : Status();
    }));
    // Nothing that the store lacks may be missing from the log.
    EXPECT_GE(store->flushed_position(), replica->required_position());
    must(co_await replica->start(*wal));
    wal->release(other_owner, Position::last());
  }
  void close() {
    wal.reset();
    replica.reset();
    store.reset();
  }
  void restart(sim::Crash kind) {
    close();
    crash_and_restart(kind);
    run(open());
  }
  Result<ReadResult> read(const ReadCommand& command) {
    TRY(const Bytes encoded, replica->read(command));
    return ReadResult::decode(encoded);
  }
};

Bytes clustering(int i) { return Bytes{static_cast<char>(i >> 8), static_cast<char>(i & 0xff)}; }

Row row_of(BytesView value, int64_t at) {
  Row row;
  row.has_marker = true;
  row.marker.timestamp_us = at;
  Cell cell;
  cell.column = 3;
  cell.timestamp_us = at;
  cell.value = value;
  row.cells.push_back(cell);
  return row;
}

Bytes mutation_of(BytesView key, int row, BytesView value, int64_t at) {
  Mutation mutation(table, static_cast<int64_t>(key.size()), key);
  mutation.add_row(clustering(row), row_of(value, at));
  return std::move(mutation).take();
}

ReadCommand whole(BytesView key) {
  ReadCommand command;
  command.table = table;
  command.token = static_cast<int64_t>(key.size());
  command.partition_key = Bytes(key);
  command.slices = {{Bytes(1, '\0'), {}}};
  return command;
}

std::vector<int> rows_of(const ReadResult& result) {
  std::vector<int> rows;
  for (const auto& partition : result.partitions)
    for (const auto& row : partition.rows)
      rows.push_back(static_cast<uint8_t>(row.clustering[0]) << 8 | static_cast<uint8_t>(row.clustering[1]));
  return rows;
}

std::vector<int> numbers(int from, int to, bool reversed = false) {
  std::vector<int> all;
  for (int i = from; i < to; ++i) all.push_back(i);
  if (reversed) std::ranges::reverse(all);
  return all;
}

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

TEST(Replica, AcknowledgedWritesSurviveCrashes) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Rig rig(seed);
    rig.segment_bytes = 64 << 10;
    rig.memtable_bytes = 64 << 10;
    rig.run(rig.open());
    std::map<int, int64_t> acknowledged;  // row → latest timestamp
    auto& random = rig.simulation.random();
    int64_t at = 1;
    for (int life = 0; life < 4; ++life) {
      const int writes = static_cast<int>(random.below(150));
      for (int i = 0; i < writes; ++i, ++at) {
        const int row = static_cast<int>(random.below(60));
        rig.start([](Rig& r, std::map<int, int64_t>& known, int n, int64_t stamp) -> Task<void> {
          if (co_await r.replica->write(mutation_of("k", n, Bytes(static_cast<size_t>(stamp % 2000), 'v'), stamp)))
            known[n] = std::max(known[n], stamp);
        }(rig, acknowledged, row, at));
        rig.simulation.run_for(Duration(random.below(500'000)));
      }
      if (random.chance(0.3)) rig.simulation.run_for(1s);
      rig.restart(random.chance(0.5) ? sim::Crash::power : sim::Crash::kill);
      auto result = rig.read(whole("k"));
      ASSERT_TRUE(result);
      std::map<int, int64_t> stored;
      const auto rows = rows_of(*result);
      for (size_t i = 0; i < rows.size(); ++i) {
        Row row;
        ASSERT_TRUE(decode_row(result->partitions[0].rows[i].row, row));
        stored[rows[i]] = row.cells.at(0).timestamp_us;
      }
      for (auto [row, stamp] : acknowledged) ASSERT_GE(stored[row], stamp) << "seed " << seed << " row " << row;
    }
  }
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
