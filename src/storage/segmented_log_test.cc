#include "storage/segmented_log.h"

#include <algorithm>

#include "runtime/io.h"
#include "storage/test_rig.h"

namespace asterism {
namespace {

using Log = std::unique_ptr<SegmentedLog>;
using Bounds = SegmentedLog::Bounds;

SegmentedLog::Options small_segments(std::string directory = "logs/a") {
  SegmentedLog::Options options;
  options.directory = std::move(directory);
  options.segment_bytes = 2000;
  options.index_interval_bytes = 300;
  return options;
}

Bytes payload_of(uint64_t offset) {
  return fmt::format("payload of the batch at offset {}, {}", offset, Bytes(50, 'x'));
}

/// Batches of three records, the batch at offset n with timestamp n * 10.
Task<void> fill(SegmentedLog& log, uint64_t until) {
  while (log.end() < until) {
    const uint64_t offset = log.end();
    SegmentedLog::NewBatch batch{3, static_cast<int64_t>(offset) * 10, payload_of(offset)};
    EXPECT_EQ(must(co_await log.append(std::move(batch))), offset);
  }
}

/// Reads everything and checks it against what fill() wrote. Returns the offset of the first batch.
Task<uint64_t> check_filled(SegmentedLog& log, uint64_t max_bytes = 1000) {
  uint64_t first = UINT64_MAX;
  for (uint64_t offset = log.start(); offset < log.end();) {
    auto read = must(co_await log.read(offset, {.max_bytes = max_bytes}));
    if (read->batches.empty()) {
      ADD_FAILURE() << "nothing at " << offset;
      break;
    }
    for (const auto& batch : read->batches) {
      first = std::min(first, batch.offset);
      EXPECT_LE(batch.offset, offset);
      EXPECT_EQ(batch.records, 3u);
      EXPECT_EQ(batch.timestamp_ms, static_cast<int64_t>(batch.offset) * 10);
      EXPECT_EQ(batch.payload, payload_of(batch.offset));
      offset = batch.offset + 3;
    }
    EXPECT_EQ(read->next, offset);
  }
  co_return first;
}

struct Rig : TestRig {
  explicit Rig(uint64_t seed = 1, size_t max_open = 16)
      : TestRig(seed), files(machine.disk(), machine.clock(), max_open) {}
  Task<Result<Log>> open(SegmentedLog::Options options = small_segments()) {
    return SegmentedLog::open(files, executor(), std::move(options));
  }
  std::vector<std::string> names(const std::string& ending, const std::string& directory = "logs/a") {
    std::vector<std::string> found;
    for (const auto& entry : must(TestRig::files().list(directory)))
      if (entry.name.ends_with(ending)) found.push_back(directory + "/" + entry.name);
    return found;
  }
  sim::FileStore& store() { return TestRig::files(); }
  LogFiles files;
};

TEST(SegmentedLog, AnEmptyLogHasNoFiles) {
  Rig rig;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await rig.open());
    EXPECT_EQ(log->start(), 0u);
    EXPECT_EQ(log->end(), 0u);
    EXPECT_TRUE(must(co_await log->read(0, {}))->batches.empty());
    EXPECT_EQ((co_await log->read(1, {})).error().code, ErrorCode::not_found);
    EXPECT_FALSE(must(co_await log->find_time(0)));
    EXPECT_EQ(must(co_await log->sync()), 0u);
    EXPECT_EQ(must(co_await log->truncate_from(0)), 0u);
    must(co_await log->truncate_before(0));
    EXPECT_EQ(must(co_await log->retain({.max_bytes = 0, .oldest_ms = INT64_MAX})), 0u);
    must(co_await log->close());
    EXPECT_FALSE(rig.store().list("logs"));
  };
  rig.run(body());
}

TEST(SegmentedLog, ReadsWhatWasAppendedAcrossSegments) {
  Rig rig;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await rig.open());
    co_await fill(*log, 300);
    EXPECT_GT(log->segments(), 5u);
    EXPECT_EQ(log->end(), 300u);
    for (uint64_t max_bytes : {uint64_t{0}, uint64_t{1}, uint64_t{500}, uint64_t{1} << 20}) {
      const uint64_t first = co_await check_filled(*log, max_bytes);
      EXPECT_EQ(first, 0u);
    }
    // From the middle of a batch, and bounded by a high-water mark.
    auto read = must(co_await log->read(100, {.max_bytes = 1 << 20, .before = 104}));
    EXPECT_EQ(read->batches.size(), 1u);
    EXPECT_EQ(read->batches.front().offset, 99u);
    EXPECT_EQ(read->next, 102u);
    EXPECT_TRUE(must(co_await log->read(102, {.before = 104}))->batches.empty());
    EXPECT_TRUE(must(co_await log->read(300, {}))->batches.empty());
    EXPECT_EQ((co_await log->read(301, {})).error().code, ErrorCode::not_found);
    EXPECT_TRUE(must(co_await log->verify()).empty());
  };
  rig.run(body());
}

TEST(SegmentedLog, BatchesLargerThanTheBoundAndTheSegmentAreReadWhole) {
  Rig rig;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await rig.open());
    std::vector<SegmentedLog::NewBatch> batches;
    batches.push_back({1, 5, Bytes(300'000, 'a')});
    batches.push_back({2, 6, ""});
    batches.push_back({3, 7, Bytes(3000, 'b')});
    EXPECT_EQ(must(co_await log->append(std::move(batches))), 0u);
    EXPECT_EQ(log->end(), 6u);
    auto read = must(co_await log->read(0, {.max_bytes = 10}));
    EXPECT_EQ(read->batches.size(), 1u);
    EXPECT_EQ(read->batches.front().payload, Bytes(300'000, 'a'));
    read = must(co_await log->read(read->next, {.max_bytes = 1'000'000}));
    EXPECT_EQ(read->batches.size(), 2u);
    EXPECT_EQ(read->batches.at(1).payload, Bytes(3000, 'b'));
    EXPECT_EQ((co_await log->append({1, 0, Bytes(max_batch_payload_bytes + 1, 'x')})).error().code,
              ErrorCode::too_large);
    EXPECT_EQ((co_await log->append({0, 0, "x"})).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(log->end(), 6u);
  };
  rig.run(body());
}

TEST(SegmentedLog, ExtentsAreThePayloadsInTheFiles) {
  Rig rig;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await rig.open());
    co_await fill(*log, 150);
    must(co_await log->sync());
    size_t seen = 0;
    for (uint64_t offset = 0; offset < log->end();) {
      auto extents = must(co_await log->locate(offset, {.max_bytes = 700}));
      EXPECT_FALSE(extents.empty());
      if (extents.empty()) break;
      for (const auto& extent : extents) {
        EXPECT_EQ(must(co_await read_at(*extent.segment->file, extent.file_offset, extent.bytes)),
                  payload_of(extent.batch.offset));
        EXPECT_EQ(extent.batch.offset, offset);
        offset += extent.batch.records;
        ++seen;
      }
    }
    EXPECT_EQ(seen, 50u);
  };
  rig.run(body());
}

TEST(SegmentedLog, FindsTheFirstBatchAtOrAfterATime) {
  Rig rig;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await rig.open());
    std::vector<std::pair<uint64_t, int64_t>> written;
    for (uint64_t i = 0; i < 120; ++i) {
      const auto timestamp = static_cast<int64_t>(i * 10 + (i % 5) * 25);
      written.emplace_back(must(co_await log->append({2, timestamp, payload_of(i)})), timestamp);
    }
    auto check = [&](uint64_t start) -> Task<void> {
      for (int64_t time = -5; time < 1350; time += 7) {
        auto expected = std::ranges::find_if(
            written, [&](const auto& batch) { return batch.first + 2 > start && batch.second >= time; });
        const auto found = must(co_await log->find_time(time));
        EXPECT_EQ(found.has_value(), expected != written.end()) << time;
        if (found && expected != written.end()) EXPECT_EQ(found->offset, expected->first) << time;
      }
    };
    co_await check(0);
    must(co_await log->close());
    co_await check(0);
    must(co_await log->truncate_before(101));
    co_await check(101);
    log = nullptr;
    log = must(co_await rig.open());
    co_await check(101);
  };
  rig.run(body());
}

TEST(SegmentedLog, ConcurrentSyncsAreOne) {
  Rig rig;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await rig.open());
    co_await fill(*log, 9);
    const uint64_t syncs = rig.store().counters().syncs;
    TaskGroup group(rig.executor());
    auto one = [&log]() -> Task<void> { EXPECT_EQ(must(co_await log->sync()), 9u); };
    for (int i = 0; i < 50; ++i) group.spawn(one());
    co_await group.join();
    EXPECT_EQ(rig.store().counters().syncs, syncs + 1);
    EXPECT_EQ(log->durable(), 9u);
  };
  rig.run(body());
}

TEST(SegmentedLog, WhatWasSyncedSurvivesAndWhatWasNotIsAPrefix) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Rig rig(seed);
    auto write = [&]() -> Task<void> {
      auto log = must(co_await rig.open());
      co_await fill(*log, 60);
      must(co_await log->sync());
      co_await fill(*log, 75);
    };
    rig.run(write());
    rig.crash_and_restart(seed % 2 ? sim::Crash::power : sim::Crash::kill);
    auto check = [&]() -> Task<void> {
      auto log = must(co_await rig.open());
      EXPECT_GE(log->end(), seed % 2 ? 60u : 75u);
      EXPECT_EQ(log->end() % 3, 0u);
      EXPECT_EQ(log->durable(), log->end());
      EXPECT_EQ(co_await check_filled(*log), 0u);
      EXPECT_TRUE(must(co_await log->verify()).empty());
      co_await fill(*log, 120);
    };
    rig.run(check());
  }
}

TEST(SegmentedLog, TruncatesTheTailAtABatch) {
  Rig rig;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await rig.open());
    co_await fill(*log, 150);
    must(co_await log->sync());
    EXPECT_EQ(must(co_await log->truncate_from(150)), 150u);
    EXPECT_EQ(must(co_await log->truncate_from(149)), 147u);
    EXPECT_EQ(co_await check_filled(*log), 0u);
    const size_t before = log->segments();
    EXPECT_EQ(must(co_await log->truncate_from(60)), 60u);
    EXPECT_LT(log->segments(), before);
    EXPECT_EQ(log->durable(), 60u);
    EXPECT_EQ((co_await log->read(61, {})).error().code, ErrorCode::not_found);
    EXPECT_FALSE(must(co_await log->find_time(600)));
    EXPECT_TRUE(must(co_await log->find_time(570)));
  };
  rig.run(body());
  rig.crash_and_restart(sim::Crash::power);
  auto again = [&]() -> Task<void> {
    auto log = must(co_await rig.open());
    EXPECT_EQ(log->end(), 60u);
    EXPECT_EQ(co_await check_filled(*log), 0u);
    co_await fill(*log, 200);
    EXPECT_EQ(must(co_await log->truncate_from(0)), 0u);
    EXPECT_EQ(log->segments(), 1u);
    co_await fill(*log, 20);
    EXPECT_EQ(co_await check_filled(*log), 0u);
  };
  rig.run(again());
}

TEST(SegmentedLog, TruncatesTheHeadAndFreesSegments) {
  Rig rig;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await rig.open());
    co_await fill(*log, 150);
    const uint64_t bytes = log->stored_bytes();
    must(co_await log->truncate_before(100));
    EXPECT_EQ(log->start(), 100u);
    EXPECT_LT(log->stored_bytes(), bytes / 2);
    EXPECT_EQ((co_await log->read(99, {})).error().code, ErrorCode::not_found);
    EXPECT_EQ(must(co_await log->read(100, {}))->batches.front().offset, 99u);
    EXPECT_EQ((co_await log->truncate_from(99)).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ((co_await log->truncate_before(151)).error().code, ErrorCode::invalid_argument);
    must(co_await log->truncate_before(20));
    EXPECT_EQ(log->start(), 100u);
  };
  rig.run(body());
  rig.crash_and_restart(sim::Crash::power);
  auto again = [&]() -> Task<void> {
    auto log = must(co_await rig.open());
    EXPECT_EQ(log->start(), 100u);
    // The batch goes in which the start is: the start goes back to where the next record will be.
    EXPECT_EQ(must(co_await log->truncate_from(101)), 99u);
    EXPECT_EQ(log->start(), 99u);
    co_await fill(*log, 160);
    log = nullptr;
    log = must(co_await rig.open());
    EXPECT_EQ(log->start(), 99u);
    EXPECT_EQ(co_await check_filled(*log), 99u);
    must(co_await log->truncate_before(log->end()));
    EXPECT_EQ(log->segments(), 1u);
    EXPECT_LT(log->stored_bytes(), 100u);
    EXPECT_EQ(rig.names(".log").size(), 1u);
    log = nullptr;
    log = must(co_await rig.open());
    EXPECT_EQ(log->start(), log->end());
    EXPECT_EQ(log->end(), 162u);
  };
  rig.run(again());
}

TEST(SegmentedLog, RetainsByBytesAndByAge) {
  Rig rig;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await rig.open());
    co_await fill(*log, 300);
    EXPECT_EQ(must(co_await log->retain({})), 0u);
    EXPECT_GT(must(co_await log->retain({.max_bytes = 6000})), 0u);
    EXPECT_GE(log->stored_bytes(), 6000u);
    EXPECT_LT(log->stored_bytes(), 8200u);
    const uint64_t start = log->start();
    EXPECT_EQ(must(co_await log->retain({.oldest_ms = static_cast<int64_t>(start) * 10})), 0u);
    EXPECT_EQ(must(co_await log->retain({.oldest_ms = INT64_MAX, .keep_from = start})), 0u);
    EXPECT_EQ(must(co_await log->retain({.oldest_ms = static_cast<int64_t>(start + 100) * 10})), 2u);
    EXPECT_EQ(co_await check_filled(*log), log->start());
    must(co_await log->close());
    EXPECT_GT(must(co_await log->retain({.oldest_ms = INT64_MAX})), 0u);
    EXPECT_EQ(log->start(), 300u);
    EXPECT_EQ(log->segments(), 1u);
    EXPECT_EQ(must(co_await log->retain({.max_bytes = 0, .oldest_ms = INT64_MAX})), 0u);
    EXPECT_EQ(must(co_await log->append({3, 3000, payload_of(300)})), 300u);
  };
  rig.run(body());
}

TEST(SegmentedLog, SegmentsRollByAge) {
  Rig rig;
  auto body = [&]() -> Task<void> {
    auto options = small_segments();
    options.segment_age_ms = 60'000;
    auto log = must(co_await rig.open(options));
    co_await fill(*log, 3);
    co_await sleep_for(59s);
    co_await fill(*log, 6);
    EXPECT_EQ(log->segments(), 1u);
    co_await sleep_for(2s);
    co_await fill(*log, 9);
    EXPECT_EQ(log->segments(), 2u);
    must(co_await log->close());
    co_await sleep_for(61s);
    co_await fill(*log, 12);
    EXPECT_EQ(log->segments(), 3u);
  };
  rig.run(body());
}

TEST(SegmentedLog, ResetBeginsAnew) {
  Rig rig;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await rig.open());
    co_await fill(*log, 150);
    must(co_await log->truncate_before(70));
    for (uint64_t offset : {uint64_t{900}, uint64_t{30}}) {
      must(co_await log->reset(offset));
      EXPECT_EQ(log->start(), offset);
      EXPECT_EQ(log->end(), offset);
      EXPECT_EQ(rig.names(".log").size(), 1u);
      co_await fill(*log, offset + 90);
      EXPECT_EQ(co_await check_filled(*log), offset);
      log = nullptr;
      log = must(co_await rig.open());
      EXPECT_EQ(log->start(), offset);
      EXPECT_EQ(co_await check_filled(*log), offset);
    }
    must(co_await log->erase());
    EXPECT_EQ((co_await log->append({1, 1, "x"})).error().code, ErrorCode::closed);
    EXPECT_TRUE(must(rig.store().list("logs/a")).empty());
  };
  rig.run(body());
}

TEST(SegmentedLog, ReadsGoOnWhileTheLogIsCutAndAppendedTo) {
  Rig rig;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await rig.open());
    co_await fill(*log, 150);
    bool done = false;
    size_t reads = 0;
    TaskGroup readers(rig.executor());
    auto reader = [&](uint64_t step) -> Task<void> {
      while (!done) {
        for (uint64_t offset = log->start(); offset < log->end();) {
          auto read = co_await log->read(offset, {.max_bytes = 400});
          if (!read) EXPECT_EQ(read.error().code, ErrorCode::not_found) << read.error().to_string();
          if (!read || (*read)->batches.empty()) break;
          for (const auto& batch : (*read)->batches) EXPECT_EQ(batch.payload, payload_of(batch.offset));
          offset = (*read)->next + step;
          ++reads;
        }
        co_await sleep_for(10us);
      }
    };
    for (uint64_t step : {0, 3, 10, 40}) readers.spawn(reader(step));
    for (int i = 0; i < 60; ++i) {
      co_await fill(*log, log->end() + 60);
      if (i % 3 == 0) must(co_await log->sync());
      must(co_await log->truncate_from(log->end() - 40));
      must(co_await log->truncate_before(log->end() - 120));
      if (i % 7 == 0) must(co_await log->close());
    }
    done = true;
    co_await readers.join();
    EXPECT_GT(reads, 500u);
  };
  rig.run(body());
}

TEST(SegmentedLog, IdleLogsHoldNoFilesAndFewBytes) {
  Rig rig(1, 20);
  auto body = [&]() -> Task<void> {
    std::vector<Log> logs;
    for (int i = 0; i < 500; ++i) {
      logs.push_back(must(co_await rig.open(small_segments(fmt::format("logs/{}", i)))));
      co_await fill(*logs.back(), 30);
      EXPECT_LE(rig.files.open_files(), 20u);
    }
    for (int round = 0; round < 2; ++round) {
      for (auto& log : logs) {
        EXPECT_EQ(co_await check_filled(*log), 0u);
        if (round == 0) co_await fill(*log, 60);
        EXPECT_LE(rig.files.open_files(), 20u);
      }
    }
    for (auto& log : logs) must(co_await log->close());
    EXPECT_EQ(rig.files.open_files(), 0u);
    EXPECT_LE(sizeof(SegmentedLog), 400u);
  };
  rig.run(body());
  // After a clean end nothing is read but headers, indexes and the list of files.
  rig.crash_and_restart(sim::Crash::power);
  auto again = [&]() -> Task<void> {
    auto log = must(co_await rig.open(small_segments("logs/7")));
    const uint64_t appends = rig.store().counters().appends;
    EXPECT_EQ(co_await check_filled(*log), 0u);
    EXPECT_EQ(rig.store().counters().appends, appends);
  };
  rig.run(again());
}

TEST(SegmentedLog, AFullDiskUndoesTheAppendAndBreaksNothing) {
  Rig rig;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await rig.open());
    co_await fill(*log, 90);
    for (uint64_t room : {10u, 60u, 100u, 170u, 300u, 1000u}) {
      rig.store().set_capacity(rig.store().used_bytes() + room);
      Result<uint64_t> result;
      while (true) {
        SegmentedLog::NewBatch batch{3, static_cast<int64_t>(log->end()) * 10, payload_of(log->end())};
        result = co_await log->append(std::move(batch));
        if (!result) break;
      }
      EXPECT_EQ(result.error().code, ErrorCode::no_space);
      EXPECT_FALSE(log->failure());
      EXPECT_EQ(co_await check_filled(*log), 0u);
      must(co_await log->sync());
      rig.store().set_capacity(UINT64_MAX);
      co_await fill(*log, log->end() + 30);
    }
  };
  rig.run(body());
  rig.crash_and_restart(sim::Crash::kill);
  auto again = [&]() -> Task<void> {
    auto log = must(co_await rig.open());
    EXPECT_EQ(co_await check_filled(*log), 0u);
    EXPECT_TRUE(must(co_await log->verify()).empty());
  };
  rig.run(again());
}

TEST(SegmentedLog, AFailedSyncBreaksTheLogUntilItIsOpenedAgain) {
  Rig rig;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await rig.open());
    co_await fill(*log, 30);
    rig.store().set_error_rates(0, 0, 1);
    EXPECT_EQ((co_await log->sync()).error().code, ErrorCode::io);
    rig.store().set_error_rates(0, 0, 0);
    EXPECT_EQ(log->durable(), 0u);
    EXPECT_EQ((co_await log->append({1, 1, "x"})).error().code, ErrorCode::io);
    EXPECT_EQ((co_await log->sync()).error().code, ErrorCode::io);
    EXPECT_EQ(co_await check_filled(*log), 0u);
    log = nullptr;
    // What the kernel took for clean is read, and must be durable from now on.
    log = must(co_await rig.open());
    EXPECT_EQ(log->durable(), 30u);
    EXPECT_EQ(co_await check_filled(*log), 0u);
  };
  rig.run(body());
  rig.crash_and_restart(sim::Crash::power);
  auto again = [&]() -> Task<void> {
    auto log = must(co_await rig.open());
    EXPECT_EQ(log->end(), 30u);
    EXPECT_EQ(co_await check_filled(*log), 0u);
  };
  rig.run(again());
}

TEST(SegmentedLog, AChangeThatIsGivenUpBreaksTheLog) {
  Rig rig;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await rig.open());
    co_await fill(*log, 30);
    {
      TaskGroup group(rig.executor());
      group.spawn(fill(*log, 60));
      co_await sleep_for(1us);
    }
    EXPECT_EQ((co_await log->append({1, 1, "x"})).error().code, ErrorCode::closed);
    const uint64_t end = log->end();
    EXPECT_EQ(co_await check_filled(*log), 0u);
    log = nullptr;
    log = must(co_await rig.open());
    EXPECT_GE(log->end(), end);
    EXPECT_EQ(co_await check_filled(*log), 0u);
  };
  rig.run(body());
}

/// A log of a few segments, whose process was killed after a sync, or which was closed.
struct Sample : Rig {
  explicit Sample(bool closed) {
    auto body = [this, closed]() -> Task<void> {
      auto log = must(co_await open());
      co_await fill(*log, 150);
      must(co_await log->truncate_before(4));
      must(co_await log->sync());
      if (closed) must(co_await log->close());
    };
    run(body());
    crash_and_restart(sim::Crash::kill);
  }
  uint64_t size_of(const std::string& path) { return store().size(*must(store().find(path))); }
};

TEST(SegmentedLog, NoFlippedByteIsEverServed) {
  size_t refused = 0, noticed = 0, harmless = 0;
  for (bool closed : {true, false}) {
    Sample whole(closed);
    EXPECT_GE(whole.names(".log").size(), 3u);
    for (const std::string& path : whole.names("")) {
      const bool index = path.ends_with(".index");
      for (uint64_t offset = 0; offset < whole.size_of(path); offset += 1 + offset % 3) {
        Sample sample(closed);
        must(sample.store().corrupt(path, offset, 0x10));
        auto body = [&]() -> Task<void> {
          auto log = co_await sample.open();
          if (!log) {
            EXPECT_FALSE(index);
            EXPECT_EQ(log.error().code, ErrorCode::corrupt) << log.error().to_string();
            EXPECT_TRUE(log.error().message.starts_with(path + " is damaged at byte ")) << log.error().to_string();
            ++refused;
            co_return;
          }
          EXPECT_EQ((*log)->start(), 4u);
          EXPECT_EQ((*log)->end(), 150u) << path << " " << offset;
          const auto damage = must(co_await (*log)->verify());
          size_t bad = 0;
          for (uint64_t at = (*log)->start(); at < (*log)->end(); at += 3) {
            auto read = co_await (*log)->read(at, {.max_bytes = 0});
            if (read) {
              EXPECT_EQ((*read)->batches.front().payload, payload_of((*read)->batches.front().offset));
            } else {
              EXPECT_EQ(read.error().code, ErrorCode::corrupt);
              EXPECT_TRUE(read.error().message.starts_with(path + " is damaged at byte ")) << read.error().to_string();
              ++bad;
            }
          }
          // The payload of a batch that was given up is not read, but it is verified.
          const bool given_up = damage.size() == 1 && damage[0].offset == log_segment_header_bytes;
          EXPECT_TRUE(damage.empty() == (bad == 0) || given_up) << path << " " << offset << " " << closed;
          if (!damage.empty()) {
            EXPECT_EQ(damage.front().file, path);
            EXPECT_LE(damage.front().offset, offset);
          }
          if (index) EXPECT_EQ(bad, 0u);
          ++(bad ? noticed : harmless);
        };
        sample.run(body());
      }
    }
  }
  EXPECT_GT(refused, 300u);
  EXPECT_GT(noticed, 500u);
  EXPECT_GT(harmless, 100u);  // indexes, and the mark at the end
}

TEST(SegmentedLog, AMissingSegmentIsNamed) {
  for (size_t missing : {1u, 2u}) {
    Sample sample(true);
    const auto paths = sample.names(".log");
    EXPECT_EQ(paths.size(), 4u);
    must(sample.store().remove(paths.at(missing)));
    auto body = [&]() -> Task<void> {
      auto log = co_await sample.open();
      if (missing == 2) {
        EXPECT_EQ(log.error().code, ErrorCode::corrupt);
        EXPECT_NE(log.error().message.find(paths.at(2).substr(7)), std::string::npos) << log.error().to_string();
        co_return;
      }
      const auto damage = must(co_await (*log)->verify());
      EXPECT_EQ(damage.size(), 1u);
      EXPECT_EQ(damage.at(0).file, paths.at(0));
      EXPECT_NE(damage.at(0).what.find("the next ones begin at"), std::string::npos);
      EXPECT_EQ((co_await (*log)->read(4, {})).error().code, ErrorCode::corrupt);
    };
    sample.run(body());
  }
}

TEST(SegmentedLog, IndexesAreBuiltAgainWhereTheyAreMissing) {
  Sample sample(true);
  EXPECT_GE(sample.names(".index").size(), 3u);
  for (const std::string& path : sample.names(".index")) must(sample.store().remove(path));
  auto body = [&]() -> Task<void> {
    auto log = must(co_await sample.open());
    EXPECT_EQ(log->end(), 150u);
    EXPECT_EQ(co_await check_filled(*log), 3u);
    EXPECT_EQ(must(co_await log->find_time(400))->offset, 42u);
    co_await fill(*log, 120);
    must(co_await log->truncate_from(40));
    co_await fill(*log, 90);
    EXPECT_EQ(co_await check_filled(*log), 3u);
  };
  sample.run(body());
}

TEST(SegmentedLog, AnotherLogsFilesAreRefused) {
  Rig rig;
  auto body = [&]() -> Task<void> {
    for (uint64_t id : {1u, 2u}) {
      auto options = small_segments(fmt::format("logs/{}", id));
      options.new_log_id = id;
      auto log = must(co_await rig.open(options));
      co_await fill(*log, 60);
      must(co_await log->close());
    }
    const std::string name = "/00000000000000000000.log";
    must(rig.store().remove("logs/1" + name));
    must(rig.store().rename("logs/2" + name, "logs/1" + name));
    auto log = must(co_await rig.open(small_segments("logs/1")));
    EXPECT_EQ((co_await log->read(0, {})).error().code, ErrorCode::corrupt);
    EXPECT_EQ(must(co_await log->verify()).size(), 1u);
  };
  rig.run(body());
}

}  // namespace
}  // namespace asterism
