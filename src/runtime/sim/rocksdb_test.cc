#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include "runtime/io.h"
#include "runtime/sim/machine.h"

namespace asterism::sim {
namespace {

rocksdb::Options options_for(SimDisk& disk) {
  rocksdb::Options options;
  options.env = disk.rocksdb_env();
  options.create_if_missing = true;
  options.disable_auto_compactions = true;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.write_buffer_size = 1 << 20;
  return options;
}

Status to_status(const rocksdb::Status& status) {
  if (status.ok()) return {};
  return fail(ErrorCode::io, "{}", status.ToString());
}

/// Writes rounds of keys, each flushed as a whole; `flushed` is the last round that was acknowledged.
struct Writer : Process {
  explicit Writer(Machine& on, uint64_t& flushed_rounds) : machine(on), flushed(flushed_rounds) {
    machine.spawn(run());
  }

  Task<void> run() {
    SimDisk& disk = machine.disk();
    if (!co_await make_directory(disk, "db")) co_return;
    if (!co_await sync_directory(disk, "")) co_return;
    const Status opened = co_await run_blocking(disk, [this]() -> Status {
      rocksdb::DB* raw = nullptr;
      auto status = rocksdb::DB::Open(options_for(machine.disk()), machine.disk().rocksdb_path("db"), &raw);
      db.reset(raw);
      return to_status(status);
    });
    EXPECT_TRUE(opened) << opened.error().to_string() << "\n" << disk.store().describe();
    if (!opened) co_return;
    uint64_t round = check();
    while (true) {
      ++round;
      rocksdb::WriteOptions without_log;
      without_log.disableWAL = true;
      for (int key = 0; key < 50; ++key)
        EXPECT_TRUE(db->Put(without_log, fmt::format("key{:03}", key), std::to_string(round)).ok());
      Status done = co_await run_blocking(disk, [this, round]() -> Status {
        TRY_STATUS(to_status(db->Flush({})));
        if (round % 5 == 0) TRY_STATUS(to_status(db->CompactRange({}, nullptr, nullptr)));
        return {};
      });
      if (!done) co_return;
      flushed = round;
    }
  }

  /// What was acknowledged is there; a later round may be as well, but only as a whole.
  uint64_t check() {
    uint64_t found = 0;
    for (int key = 0; key < 50; ++key) {
      std::string value;
      auto status = db->Get({}, fmt::format("key{:03}", key), &value);
      const uint64_t round = status.ok() ? std::stoull(value) : 0;
      if (key == 0) found = round;
      EXPECT_EQ(round, found);
    }
    EXPECT_GE(found, flushed);
    return found;
  }

  Machine& machine;
  uint64_t& flushed;
  std::unique_ptr<rocksdb::DB> db;
};

struct Outcome {
  uint64_t hash, flushed;
};

Outcome run(uint64_t seed, Crash kind) {
  Simulation simulation(seed);
  Machine& machine = simulation.add_machine({});
  uint64_t flushed = 0;
  machine.set_process([&](Machine& on) { return std::make_unique<Writer>(on, flushed); });
  for (int crash = 0; crash < 5; ++crash) {
    machine.start();
    simulation.run_for(random_between(simulation.random(), 5ms, 60ms));
    machine.crash(kind);
  }
  machine.start();
  simulation.run_for(50ms);
  return {simulation.trace_hash(), flushed};
}

TEST(RocksDbInSimulation, RecoversEverythingFlushedAndRunsTheSameTwice) {
  uint64_t flushed = 0;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const Outcome first = run(seed, Crash::power), second = run(seed, Crash::power);
    EXPECT_EQ(first.hash, second.hash) << seed;
    EXPECT_EQ(first.flushed, second.flushed);
    flushed += first.flushed;
  }
  EXPECT_GT(flushed, 20u);
}

TEST(RocksDbInSimulation, AKillLosesOnlyWhatWasInMemory) {
  for (uint64_t seed = 100; seed < 103; ++seed) EXPECT_GT(run(seed, Crash::kill).flushed, 0u);
}

}  // namespace
}  // namespace asterism::sim
