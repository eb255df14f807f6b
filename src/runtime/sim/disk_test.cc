#include <gtest/gtest.h>

#include "runtime/io.h"
#include "runtime/sim/machine.h"

namespace asterism::sim {
namespace {

struct DiskTest : testing::Test {
  Simulation simulation{1};
};

/// Appends numbered records for ever, syncs after each few, and says how far it is synced.
Task<void> write_records(SimDisk& disk, uint64_t& synced, uint64_t& written) {
  auto file = (co_await open(disk, "log", OpenMode::append)).value_or(nullptr);
  if (!file) {
    file = std::move((co_await open(disk, "log", OpenMode::create)).value());
    (void)(co_await sync_directory(disk, "")).has_value();
  }
  for (uint64_t i = file->size() / 8;; ++i) {
    Bytes record;
    ByteWriter(record).u64_be(i);
    if (!co_await append(*file, std::move(record))) co_return;
    written = i + 1;
    if (i % 5 == 4) {
      if (!co_await sync(*file)) co_return;
      synced = i + 1;
    }
  }
}

/// How many records in front are whole; cuts off the rest.
uint64_t recover(FileStore& store) {
  auto inode = store.find("log");
  if (!inode) return 0;
  Bytes data = store.read(**inode, 0, UINT64_MAX).value();
  uint64_t whole = 0;
  while ((whole + 1) * 8 <= data.size() && load_big_endian<uint64_t>(data.data() + whole * 8) == whole) ++whole;
  EXPECT_TRUE(store.truncate(**inode, whole * 8));
  EXPECT_TRUE(store.sync(**inode));
  return whole;
}

/// Whether synced records survived all power failures of one run.
bool survives(uint64_t seed, bool skip_sync, Crash kind, uint64_t* lost = nullptr) {
  Simulation simulation(seed);
  Machine& machine = simulation.add_machine({});
  if (skip_sync) machine.disk().store().set_sync_skipped("log");
  for (int round = 0; round < 5; ++round) {
    uint64_t synced = 0, written = 0;
    machine.start();
    machine.spawn(write_records(machine.disk(), synced, written));
    simulation.run_for(random_between(simulation.random(), 1ms, 20ms));
    machine.crash(kind);
    machine.disk().store().connect();
    const uint64_t whole = recover(machine.disk().store());
    if (whole < synced) return false;
    if (kind == Crash::kill && whole < written) return false;
    if (lost && whole < written) ++*lost;
  }
  return true;
}

TEST_F(DiskTest, SyncedBytesAlwaysSurvive) {
  uint64_t lost = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) EXPECT_TRUE(survives(seed, false, Crash::power, &lost)) << seed;
  EXPECT_GT(lost, 100u) << "unsynced bytes are never lost: the fault model does nothing";
}

TEST_F(DiskTest, AKilledProcessLosesNothing) {
  for (uint64_t seed = 0; seed < 50; ++seed) EXPECT_TRUE(survives(seed, false, Crash::kill)) << seed;
}

TEST_F(DiskTest, PlantedBugASkippedSyncIsSeen) {
  int seen = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) seen += !survives(seed, true, Crash::power);
  EXPECT_GT(seen, 10);
}

TEST_F(DiskTest, ReservedZerosStayBehindWhatIsLost) {
  size_t torn = 0, zeros = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    Simulation world(seed);
    Machine& machine = world.add_machine({});
    machine.start();
    machine.spawn([](SimDisk& disk) -> Task<void> {
      auto file = std::move((co_await open(disk, "log", OpenMode::create)).value());
      (void)co_await sync_directory(disk, "");
      (void)co_await append(*file, Bytes("synced"));
      file->reserve(1000);
      (void)co_await sync(*file);
      EXPECT_EQ(file->size(), 6u);
      (void)co_await append(*file, Bytes(700, 'x'));
      (void)co_await async<void>([](auto) {});
    }(machine.disk()));
    world.run_for(1s);
    machine.crash(Crash::power);
    machine.disk().store().connect();
    auto inode = machine.disk().store().find("log");
    EXPECT_EQ(machine.disk().store().size(**inode), 1006u);
    const Bytes data = machine.disk().store().read(**inode, 0, UINT64_MAX).value();
    EXPECT_TRUE(data.starts_with("synced"));
    EXPECT_EQ(data.size(), 1006u);
    EXPECT_EQ(data.substr(706), Bytes(300, '\0'));
    torn += data[6] == 'x' && data[705] != 'x';
    zeros += data.substr(6) == Bytes(1000, '\0');
  }
  EXPECT_GT(torn, 5u);
  EXPECT_GT(zeros, 5u);
}

TEST_F(DiskTest, NamesNeedASyncOfTheirFolder) {
  int kept = 0, undone = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    FileStore store(seed, {});
    auto durable = store.create("durable", false).value();
    ASSERT_TRUE(store.append(*durable, "x") && store.sync(*durable) && store.sync_directory(""));
    auto loose = store.create("loose", false).value();
    ASSERT_TRUE(store.append(*loose, "y") && store.sync(*loose));
    ASSERT_TRUE(store.rename("durable", "renamed"));
    store.lose_power();
    // In order: the rename is there only where the creation before it is.
    const bool created = store.find("loose").has_value();
    const bool renamed = store.find("renamed").has_value();
    EXPECT_NE(renamed, store.find("durable").has_value());
    EXPECT_TRUE(created || !renamed);
    (created ? kept : undone) += 1;
  }
  EXPECT_GT(kept, 10);
  EXPECT_GT(undone, 10);
}

TEST_F(DiskTest, TornTailsHoldPrefixesZerosOrGarbage) {
  int partial = 0, damaged = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    FileStore store(seed, {});
    auto file = store.create("f", false).value();
    ASSERT_TRUE(store.append(*file, Bytes(1000, 'a')) && store.sync(*file) && store.sync_directory(""));
    ASSERT_TRUE(store.append(*file, Bytes(4000, 'b')));
    store.lose_power();
    const Bytes data = store.read(*file, 0, UINT64_MAX).value();
    ASSERT_EQ(data.substr(0, 1000), Bytes(1000, 'a'));
    const Bytes tail = data.substr(1000);
    partial += !tail.empty() && tail.size() < 4000;
    damaged += tail.find_first_not_of('b') != Bytes::npos;
  }
  EXPECT_GT(partial, 20);
  EXPECT_GT(damaged, 10);
}

TEST_F(DiskTest, AnUnsyncedTruncationMayBeUndone) {
  int undone = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    FileStore store(seed, {});
    auto file = store.create("f", false).value();
    ASSERT_TRUE(store.append(*file, "0123456789") && store.sync(*file) && store.sync_directory(""));
    ASSERT_TRUE(store.truncate(*file, 7) && store.truncate(*file, 4) && store.append(*file, "xy"));
    store.lose_power();
    const Bytes data = store.read(*file, 0, 100).value();
    EXPECT_TRUE(data == "0123456789" || BytesView("0123xy").starts_with(data) || data.starts_with("0123")) << data;
    undone += data == "0123456789";
  }
  EXPECT_GT(undone, 10);
}

TEST_F(DiskTest, AFullDiskRefusesAppendsAndRecovers) {
  FileStore store(1, {.capacity_bytes = 100});
  auto file = store.create("f", false).value();
  ASSERT_TRUE(store.append(*file, Bytes(90, 'a')));
  auto refused = store.append(*file, Bytes(20, 'b'));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::no_space);
  EXPECT_LE(store.size(*file), 100u);
  ASSERT_TRUE(store.truncate(*file, 90) && store.sync(*file));
  EXPECT_EQ(store.used_bytes(), 90u);
  store.set_capacity(200);
  EXPECT_TRUE(store.append(*file, Bytes(20, 'b')));
  ASSERT_TRUE(store.remove("f"));
  EXPECT_EQ(store.used_bytes(), 0u);
}

TEST_F(DiskTest, AFailedSyncIsNotMadeGoodByTheNext) {
  bool lost = false;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    FileStore store(seed, {.torn = 0, .kept = 0});
    auto file = store.create("f", false).value();
    ASSERT_TRUE(store.sync_directory("") && store.append(*file, "abc"));
    store.set_error_rates(0, 0, 1);
    ASSERT_FALSE(store.sync(*file));
    store.set_error_rates(0, 0, 0);
    ASSERT_TRUE(store.sync(*file));
    store.lose_power();
    lost |= store.size(*file) == 0;
  }
  EXPECT_TRUE(lost);
}

TEST_F(DiskTest, DamageFlipsOneBit) {
  FileStore store(1, {});
  auto file = store.create("f", false).value();
  ASSERT_TRUE(store.append(*file, Bytes(100, '\0')));
  EXPECT_FALSE(store.is_damaged("f"));
  EXPECT_TRUE(store.flip_random_byte(simulation.random()).starts_with("f:"));
  EXPECT_TRUE(store.is_damaged("f"));
  EXPECT_FALSE(store.is_damaged("g"));
  const Bytes data = store.read(*file, 0, 100).value();
  EXPECT_EQ(std::count(data.begin(), data.end(), '\0'), 99);
  EXPECT_FALSE(store.corrupt("f", 100));
  ASSERT_TRUE(store.rename("f", "aside"));
  EXPECT_FALSE(store.is_damaged("f"));
}

TEST_F(DiskTest, PortErrorsAndListing) {
  Machine& machine = simulation.add_machine({});
  machine.start();
  bool done = false;
  machine.spawn([](SimDisk& disk, bool& flag) -> Task<void> {
    EXPECT_EQ((co_await open(disk, "a/b", OpenMode::read)).error().code, ErrorCode::not_found);
    EXPECT_TRUE(co_await make_directory(disk, "a/b"));
    auto file = (co_await open(disk, "a/b/f", OpenMode::create)).value();
    EXPECT_EQ((co_await open(disk, "a/b/f", OpenMode::create)).error().code, ErrorCode::already_exists);
    std::vector<Bytes> pieces{"ab", "cd"};
    EXPECT_TRUE(co_await append(*file, std::move(pieces)));
    EXPECT_EQ(file->size(), 4u);
    EXPECT_EQ((co_await read_at(*file, 1, 2)).value(), "bc");
    EXPECT_EQ((co_await read_at(*file, 3, 10)).value(), "d");
    EXPECT_TRUE(co_await truncate(*file, 3));
    EXPECT_TRUE(co_await rename(disk, "a/b/f", "a/g"));
    auto entries = (co_await list(disk, "a")).value();
    EXPECT_EQ(entries.size(), 2u);
    EXPECT_TRUE(entries[0].directory && entries[0].name == "b");
    EXPECT_TRUE(entries[1].size == 3 && entries[1].name == "g");
    EXPECT_TRUE(co_await remove(disk, "a/g"));
    EXPECT_EQ((co_await remove(disk, "a/g")).error().code, ErrorCode::not_found);
    EXPECT_EQ((co_await run_blocking(disk, [] { return Status(fail(ErrorCode::io, "no")); })).error().code,
              ErrorCode::io);
    flag = true;
  }(machine.disk(), done));
  EXPECT_TRUE(simulation.run_until([&] { return done; }, 1s)) << simulation.story();
}

}  // namespace
}  // namespace asterism::sim
