#include "storage/write_ahead_log.h"

#include <algorithm>

#include "runtime/io.h"
#include "storage/test_rig.h"

namespace asterism {
namespace {

struct Copy {
  Position position;
  ShardId owner;
  uint8_t kind = 0;
  Bytes payload;
  bool operator==(const Copy&) const = default;
};

using Log = std::unique_ptr<WriteAheadLog>;

Task<Result<Log>> open_log(TestRig& rig, std::vector<Copy>& replayed, WriteAheadLog::Options options = {}) {
  return WriteAheadLog::open(rig.disk(), rig.executor(), options, [&replayed](const Record& record) -> Status {
    replayed.push_back({record.position, record.owner, record.kind, Bytes(record.payload)});
    return {};
  });
}

WriteAheadLog::Options small_segments() {
  WriteAheadLog::Options options;
  options.segment_bytes = 2048;
  return options;
}

std::vector<std::string> segment_files(TestRig& rig) {
  std::vector<std::string> paths;
  for (const auto& entry : must(rig.files().list("wal"))) paths.push_back("wal/" + entry.name);
  return paths;
}

TEST(WriteAheadLog, ReplaysInOrderAfterPowerLoss) {
  TestRig rig;
  std::vector<Copy> written, replayed;
  auto write = [&]() -> Task<void> {
    auto log = must(co_await open_log(rig, replayed));
    for (uint8_t i = 0; i < 10; ++i) {
      const Bytes payload(i * 100, static_cast<char>('a' + i));
      const Position position = must(co_await log->append_durably(ShardId{i % 3u}, i, payload));
      EXPECT_LT(position, log->durable_end());
      written.push_back({position, ShardId{i % 3u}, i, payload});
    }
  };
  rig.run(write());
  EXPECT_TRUE(replayed.empty());
  for (int life = 0; life < 3; ++life) {
    rig.crash_and_restart(sim::Crash::power);
    auto check = [&]() -> Task<void> {
      replayed.clear();
      auto log = must(co_await open_log(rig, replayed));
      EXPECT_EQ(replayed, written);
      EXPECT_GT(log->end(), written.back().position);
    };
    rig.run(check());
  }
}

TEST(WriteAheadLog, ALoneRecordIsWrittenAtOnceWithOneSync) {
  TestRig rig;
  std::vector<Copy> replayed;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await open_log(rig, replayed));
    const uint64_t syncs = rig.files().counters().syncs;
    EXPECT_FALSE(rig.executor().next_deadline());
    const Position position = must(log->append(ShardId{1}, 1, "lone"));
    EXPECT_FALSE(rig.executor().next_deadline());
    must(co_await log->durable(position));
    EXPECT_EQ(rig.files().counters().syncs, syncs + 1);
  };
  rig.run(body());
}

TEST(WriteAheadLog, GroupCommitSharesSyncsAmongAllOwners) {
  TestRig rig;
  std::vector<Copy> replayed;
  size_t acknowledged = 0;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await open_log(rig, replayed));
    TaskGroup writers(rig.executor());
    auto writer = [&log, &acknowledged](uint64_t owner) -> Task<void> {
      must(co_await log->append_durably(ShardId{owner}, 1, "a mutation"));
      ++acknowledged;
    };
    const uint64_t syncs = log->counters().syncs;
    for (uint64_t owner = 0; owner < 1000; ++owner) writers.spawn(writer(owner));
    co_await writers.join();
    EXPECT_EQ(acknowledged, 1000u);
    EXPECT_LE(log->counters().syncs - syncs, 3u);
    EXPECT_EQ(log->counters().records, 1000u);
  };
  rig.run(body());
}

Task<Status> stored(WriteAheadLog& log, Position position) {
  co_return co_await async<void>([&](auto done) { log.when_stored(position, std::move(done)); });
}

TEST(WriteAheadLog, ARelaxedRecordIsWrittenAtOnceAndSyncedSoon) {
  TestRig rig;
  std::vector<Copy> replayed;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await open_log(rig, replayed));
    const uint64_t syncs = rig.files().counters().syncs;
    const Position position = must(log->append(ShardId{1}, 1, "relaxed", Durability::relaxed));
    must(co_await stored(*log, position));
    EXPECT_EQ(rig.files().counters().syncs, syncs);
    EXPECT_GT(log->stored_end(), position);
    EXPECT_LE(log->durable_end(), position);
    EXPECT_EQ((co_await log->read(position)).error().code, ErrorCode::not_found);
    co_await sleep_for(WriteAheadLog::Options{}.sync_relaxed_after + 5ms);
    EXPECT_EQ(rig.files().counters().syncs, syncs + 1);
    EXPECT_GT(log->durable_end(), position);
    must(co_await log->read(position));
    co_await sleep_for(1s);
    EXPECT_EQ(rig.files().counters().syncs, syncs + 1);
  };
  rig.run(body());
}

TEST(WriteAheadLog, ARelaxedRecordOutlivesTheProcess) {
  for (const auto kind : {sim::Crash::kill, sim::Crash::power}) {
    TestRig rig;
    std::vector<Copy> replayed;
    auto body = [&]() -> Task<void> {
      auto log = must(co_await open_log(rig, replayed));
      must(co_await log->append_durably(ShardId{1}, 1, "synced"));
      const Position position = must(log->append(ShardId{1}, 1, "relaxed", Durability::relaxed));
      must(co_await stored(*log, position));
      rig.files().set_sync_skipped(".wal");
    };
    rig.run(body());
    rig.crash_and_restart(kind);
    rig.files().clear_sync_skipped();
    auto again = [&]() -> Task<void> { must(co_await open_log(rig, replayed)); };
    rig.run(again());
    EXPECT_EQ(replayed.size(), kind == sim::Crash::kill ? 2u : 1u);
  }
}

TEST(WriteAheadLog, ASyncTakesRelaxedRecordsAlong) {
  TestRig rig;
  std::vector<Copy> replayed;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await open_log(rig, replayed));
    const uint64_t syncs = rig.files().counters().syncs;
    const Position relaxed = must(log->append(ShardId{1}, 1, "relaxed", Durability::relaxed));
    must(co_await stored(*log, relaxed));
    must(co_await log->append_durably(ShardId{1}, 1, "synced"));
    EXPECT_EQ(rig.files().counters().syncs, syncs + 1);
    const Position again = must(log->append(ShardId{1}, 1, "relaxed", Durability::relaxed));
    must(co_await stored(*log, again));
    const Instant before = rig.executor().now();
    must(co_await log->durable(again));
    EXPECT_LT(rig.executor().now() - before, WriteAheadLog::Options{}.sync_relaxed_after);
    EXPECT_EQ(rig.files().counters().syncs, syncs + 2);
    must(log->append(ShardId{1}, 1, "relaxed", Durability::relaxed));
    must(co_await log->close());
  };
  rig.run(body());
  rig.crash_and_restart(sim::Crash::power);
  auto again = [&]() -> Task<void> { must(co_await open_log(rig, replayed)); };
  rig.run(again());
  EXPECT_EQ(replayed.size(), 4u);
}

TEST(WriteAheadLog, CallbacksComeInOrderAndNeverInsideTheCall) {
  TestRig rig;
  std::vector<Copy> replayed;
  std::vector<int> order;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await open_log(rig, replayed));
    std::vector<Position> positions;
    for (int i = 0; i < 5; ++i) {
      positions.push_back(must(log->append(ShardId{1}, 1, "x")));
      log->when_durable(positions.back(), [&order, i](Status status) {
        EXPECT_TRUE(status);
        order.push_back(i);
      });
      if (i == 2) co_await yield_now();
    }
    EXPECT_TRUE(order.empty());
    must(co_await log->durable(positions.back()));
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
    log->when_durable(positions.front(), [&order](Status) { order.push_back(9); });
    EXPECT_EQ(order.size(), 5u);
    co_await sleep_for(1ms);
    EXPECT_EQ(order.back(), 9);
  };
  rig.run(body());
}

TEST(WriteAheadLog, BoundsWhatWaits) {
  TestRig rig;
  std::vector<Copy> replayed;
  auto body = [&]() -> Task<void> {
    WriteAheadLog::Options options;
    options.max_pending_bytes = 1000;
    auto log = must(co_await open_log(rig, replayed, options));
    const Bytes payload(400, 'x');
    must(log->append(ShardId{1}, 1, payload));
    must(log->append(ShardId{1}, 1, payload));
    auto refused = log->append(ShardId{1}, 1, payload);
    EXPECT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::overloaded);
    must(co_await log->room(400));
    must(log->append(ShardId{1}, 1, payload));
    auto huge = log->append(ShardId{1}, 1, Bytes(max_payload_bytes + 1, 'x'));
    EXPECT_EQ(huge.error().code, ErrorCode::too_large);
    must(co_await log->close());
    EXPECT_EQ(log->append(ShardId{1}, 1, payload).error().code, ErrorCode::closed);
  };
  rig.run(body());
}

TEST(WriteAheadLog, ReadsSingleRecordsOfAnySegment) {
  TestRig rig;
  std::vector<Copy> replayed;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await open_log(rig, replayed, small_segments()));
    std::vector<Position> positions;
    for (int i = 0; i < 40; ++i)
      positions.push_back(must(co_await log->append_durably(ShardId{1}, 7, fmt::format("record {}", i))));
    positions.push_back(must(co_await log->append_durably(ShardId{1}, 7, Bytes(3'000'000, 'z'))));
    EXPECT_GT(log->segments(), 2u);
    for (int i = 39; i >= 0; --i)
      EXPECT_EQ(must(co_await log->read(positions[i])).payload, fmt::format("record {}", i));
    EXPECT_EQ(must(co_await log->read(positions.back())).payload.size(), 3'000'000u);
    EXPECT_EQ((co_await log->read({positions[3].value + 1})).error().code, ErrorCode::corrupt);
    EXPECT_EQ((co_await log->read(log->end())).error().code, ErrorCode::not_found);
    EXPECT_TRUE(must(co_await log->verify()).empty());
  };
  rig.run(body());
  rig.crash_and_restart(sim::Crash::power);
  auto again = [&]() -> Task<void> {
    auto log = must(co_await open_log(rig, replayed, small_segments()));
    EXPECT_EQ(replayed.size(), 41u);
    EXPECT_EQ(replayed.back().payload.size(), 3'000'000u);
  };
  rig.run(again());
}

TEST(WriteAheadLog, ReleasedSegmentsAreDeletedFromTheOldestOn) {
  TestRig rig;
  std::vector<Copy> replayed;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await open_log(rig, replayed, small_segments()));
    const Position slow = must(co_await log->append_durably(ShardId{9}, 1, "the slow owner"));
    for (int i = 0; i < 100; ++i) must(co_await log->append_durably(ShardId{1}, 1, Bytes(200, 'x')));
    const size_t before = log->segments();
    EXPECT_GT(before, 5u);
    log->release(ShardId{1}, Position::last());
    co_await sleep_for(10ms);
    EXPECT_EQ(log->segments(), before);
    EXPECT_EQ(log->oldest_live().holders, std::vector<ShardId>{ShardId{9}});
    log->release(ShardId{9}, {slow.value});
    EXPECT_EQ(log->oldest_live().holders, std::vector<ShardId>{ShardId{9}});
    log->release(ShardId{9}, {slow.value + 1});
    co_await sleep_for(100ms);
    EXPECT_EQ(log->segments(), 1u);
    EXPECT_EQ(segment_files(rig).size(), 1u);
    EXPECT_LT(log->stored_bytes(), 3000u);
    EXPECT_EQ((co_await log->read(slow)).error().code, ErrorCode::not_found);
    must(co_await log->append_durably(ShardId{1}, 1, "after"));
    EXPECT_EQ(log->oldest_live().holders, std::vector<ShardId>{ShardId{1}});
  };
  rig.run(body());
  rig.crash_and_restart(sim::Crash::power);
  auto again = [&]() -> Task<void> { must(co_await open_log(rig, replayed, small_segments())); };
  rig.run(again());
  EXPECT_EQ(replayed.back().payload, "after");
}

TEST(WriteAheadLog, AFailedSyncIsFinal) {
  TestRig rig;
  std::vector<Copy> replayed;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await open_log(rig, replayed));
    must(co_await log->append_durably(ShardId{1}, 1, "good"));
    rig.files().set_error_rates(0, 0, 1);
    EXPECT_EQ((co_await log->append_durably(ShardId{1}, 1, "lost")).error().code, ErrorCode::io);
    rig.files().set_error_rates(0, 0, 0);
    EXPECT_EQ(log->append(ShardId{1}, 1, "refused").error().code, ErrorCode::io);
    EXPECT_EQ((co_await log->close()).error().code, ErrorCode::io);
  };
  rig.run(body());
  // The kernel took the pages for clean: what is read now is not on the disk, and a second sync does not change that.
  std::vector<Copy> first, second;
  auto open_into = [&](std::vector<Copy>& into) -> Task<void> { must(co_await open_log(rig, into)); };
  rig.run(open_into(first));
  EXPECT_GE(first.size(), 1u);
  rig.crash_and_restart(sim::Crash::power);
  rig.run(open_into(second));
  EXPECT_EQ(first, second);
}

TEST(WriteAheadLog, AFullDiskIsReportedAndWhatWasAcknowledgedSurvives) {
  TestRig rig;
  std::vector<Copy> replayed;
  size_t acknowledged = 0;
  auto body = [&]() -> Task<void> {
    auto log = must(co_await open_log(rig, replayed));
    rig.files().set_capacity(rig.files().used_bytes() + 5000);
    Result<Position> result;
    while ((result = co_await log->append_durably(ShardId{1}, 1, Bytes(333, 'f')))) ++acknowledged;
    EXPECT_EQ(result.error().code, ErrorCode::no_space);
  };
  rig.run(body());
  EXPECT_GT(acknowledged, 3u);
  rig.files().set_capacity(UINT64_MAX);
  rig.crash_and_restart(sim::Crash::power);
  auto again = [&]() -> Task<void> { must(co_await open_log(rig, replayed)); };
  rig.run(again());
  EXPECT_GE(replayed.size(), acknowledged);
}

/// One machine that appends, releases, crashes and comes back, checked against what it was told. Returns what is wrong.
class CrashRun {
 public:
  explicit CrashRun(uint64_t seed) : rig_(seed), random_(rig_.simulation.stream(77)) {}

  std::string run(int lives, bool skip_syncs = false) {
    if (skip_syncs) rig_.files().set_sync_skipped(".wal");
    for (int life = 0; life < lives && wrong_.empty(); ++life) {
      opened_ = false;
      rig_.start(live());
      // Some crashes hit the opening itself.
      const bool early = random_.chance(0.2);
      rig_.simulation.run_for(Duration(random_.between(0, early ? 1'000'000 : 30'000'000)));
      const bool power = random_.chance(0.7);
      if (!power) certain_ = std::max(certain_, stored_);
      stored_ = {};
      rig_.crash_and_restart(power ? sim::Crash::power : sim::Crash::kill);
    }
    if (wrong_.empty()) rig_.run(open_only());
    return wrong_;
  }
  uint64_t hash() { return hash_combine_all(); }
  size_t acknowledged() const { return acknowledged_; }
  size_t segments_deleted() const { return deleted_; }

 private:
  uint64_t hash_combine_all() { return rig_.files().operations_hash() ^ rig_.simulation.trace_hash(); }

  WriteAheadLog::Options options() {
    WriteAheadLog::Options options;
    options.segment_bytes = 4096;
    options.max_batch_bytes = 1500;
    return options;
  }

  void check_replay(const std::vector<Copy>& replayed) {
    // What was replayed before or acknowledged since must come back, in order, unless its owner released it.
    size_t next = 0;
    for (const Copy& copy : replayed) {
      while (next < known_.size() && known_[next].position < copy.position) {
        if (must_survive(known_[next])) return wrong("lost", known_[next]);
        ++next;
      }
      if (next == known_.size() || known_[next] != copy) return wrong("invented", copy);
      ++next;
    }
    bool tail = false;
    for (; next < known_.size(); ++next) {
      tail = true;
      if (must_survive(known_[next])) return wrong("lost at the end", known_[next]);
    }
    if (tail) ++torn_;
    known_ = replayed;
    if (!known_.empty()) certain_ = std::max(certain_, known_.back().position);
  }
  bool must_survive(const Copy& copy) {
    auto released = released_.find(copy.owner);
    return copy.position <= certain_ && (released == released_.end() || copy.position >= released->second);
  }
  void wrong(const char* what, const Copy& copy) {
    wrong_ =
        fmt::format("seed {}: {}: position {} owner {}", rig_.simulation.seed(), what, copy.position.value, copy.owner);
  }

  Task<Result<Log>> open_checked() {
    std::vector<Copy> replayed;
    auto log = co_await open_log(rig_, replayed, options());
    if (!log) {
      wrong_ = fmt::format("seed {}: {}", rig_.simulation.seed(), log.error().to_string());
      co_return log;
    }
    check_replay(replayed);
    if (!known_.empty() && (*log)->end() <= highest_) wrong_ = "a position is used twice";
    opened_ = true;
    co_return log;
  }
  Task<void> open_only() { (void)co_await open_checked(); }

  Task<void> live() {
    auto log = co_await open_checked();
    if (!log || !wrong_.empty()) co_return;
    TaskGroup writers(rig_.executor());
    for (uint64_t owner = 0; owner < 4; ++owner) writers.spawn(write(**log, ShardId{owner}));
    co_await writers.join();
  }

  Task<void> write(WriteAheadLog& log, ShardId owner) {
    while (true) {
      const Bytes payload(random_.below(random_.chance(0.1) ? 3000 : 200), static_cast<char>(random_.next()));
      const auto kind = static_cast<uint8_t>(random_.below(4));
      const bool relaxed = random_.chance(0.5);
      const Position position =
          must(log.append(owner, kind, payload, relaxed ? Durability::relaxed : Durability::synced));
      highest_ = std::max(highest_, position);
      known_.push_back({position, owner, kind, payload});
      if (random_.chance(0.25)) {
        must(co_await log.durable(position));
        certain_ = std::max(certain_, position);
        ++acknowledged_;
      } else if (random_.chance(0.33)) {
        must(co_await async<void>([&](auto done) { log.when_stored(position, std::move(done)); }));
        Position& reached = relaxed ? stored_ : certain_;
        reached = std::max(reached, position);
        ++acknowledged_;
      }
      if (random_.chance(0.1) && certain_ > Position{}) {
        const size_t before = log.segments();
        released_[owner] = std::max(released_[owner], certain_);
        log.release(owner, certain_);
        co_await sleep_for(Duration(random_.between(0, 2'000'000)));
        if (log.segments() < before) ++deleted_;
      }
      co_await sleep_for(Duration(random_.between(0, 500'000)));
    }
  }

  TestRig rig_;
  sim::SeededRandom random_;
  std::vector<Copy> known_;  // that may be on the disk, in order
  Position certain_;         // everything up to here is durable: acknowledged as such, or replayed
  Position stored_;          // everything up to here outlives the process
  Position highest_;
  std::map<ShardId, Position> released_;
  std::string wrong_;
  bool opened_ = false;
  size_t acknowledged_ = 0, deleted_ = 0, torn_ = 0;
};

TEST(WriteAheadLog, NoCrashLosesOrInventsARecord) {
  size_t acknowledged = 0, deleted = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    CrashRun run(seed);
    ASSERT_EQ(run.run(6), "");
    acknowledged += run.acknowledged();
    deleted += run.segments_deleted();
  }
  EXPECT_GT(acknowledged, 10'000u);
  EXPECT_GT(deleted, 20u);
}

TEST(WriteAheadLog, TheCrashTestSeesASkippedSync) {
  size_t caught = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) caught += CrashRun(seed).run(6, true).empty() ? 0 : 1;
  EXPECT_GT(caught, 10u);
}

TEST(WriteAheadLog, TheSameSeedDoesTheSameFileOperations) {
  CrashRun first(5), second(5), other(6);
  EXPECT_EQ(first.run(5), "");
  EXPECT_EQ(second.run(5), "");
  EXPECT_EQ(other.run(5), "");
  EXPECT_EQ(first.hash(), second.hash());
  EXPECT_NE(first.hash(), other.hash());
}

/// Writes a log of a few segments and batches, and kills its process.
struct Sample {
  TestRig rig{3};
  std::vector<Copy> written;
  Sample() {
    auto body = [this]() -> Task<void> {
      std::vector<Copy> replayed;
      WriteAheadLog::Options options;
      options.segment_bytes = 300;
      auto log = must(co_await open_log(rig, replayed, options));
      for (uint8_t i = 0; i < 12; ++i) {
        const Bytes payload = fmt::format("payload {}", i);
        written.push_back({must(log->append(ShardId{i}, 1, payload)), ShardId{i}, 1, payload});
        if (i % 3 == 2) must(co_await log->durable(written.back().position));
      }
      co_await sleep_for(10ms);
    };
    rig.run(body());
    rig.crash_and_restart(sim::Crash::kill);
  }
};

TEST(WriteAheadLog, NoFlippedByteIsEverServed) {
  constexpr uint64_t reserved_tried = 40;
  size_t named = 0, harmless = 0;
  Sample whole;
  for (const std::string& path : segment_files(whole.rig)) {
    const auto file = must(whole.rig.files().find(path));
    const uint64_t last = must(whole.rig.files().read(*file, 0, UINT64_MAX)).find_last_not_of('\0');
    // Also in the zeros that are reserved behind the records.
    for (uint64_t offset = 0; offset < std::min(whole.rig.files().size(*file), last + reserved_tried); ++offset) {
      Sample sample;
      must(sample.rig.files().corrupt(path, offset, 0x10));
      auto body = [&]() -> Task<void> {
        std::vector<Copy> replayed;
        auto log = co_await open_log(sample.rig, replayed);
        if (log) {
          // Only a mark that nothing follows is in no acknowledged record.
          EXPECT_EQ(replayed, sample.written) << path << " " << offset;
          EXPECT_GT(offset + mark_bytes, last);
          ++harmless;
        } else {
          EXPECT_EQ(log.error().code, ErrorCode::corrupt) << log.error().to_string();
          EXPECT_NE(log.error().message.find(path + " is damaged at byte "), std::string::npos)
              << log.error().to_string();
          EXPECT_TRUE(std::ranges::equal(replayed, std::span(sample.written).first(replayed.size())));
          ++named;
        }
      };
      sample.rig.run(body());
    }
  }
  EXPECT_GT(named, 700u);
  EXPECT_LE(harmless, segment_files(whole.rig).size() * (mark_bytes + reserved_tried));
}

TEST(WriteAheadLog, AMissingSegmentIsNamed) {
  Sample sample;
  const auto paths = segment_files(sample.rig);
  ASSERT_GE(paths.size(), 3u);
  must(sample.rig.files().remove(paths[1]));
  auto body = [&]() -> Task<void> {
    std::vector<Copy> replayed;
    auto log = co_await open_log(sample.rig, replayed);
    EXPECT_EQ(log.error().code, ErrorCode::corrupt);
    EXPECT_NE(log.error().message.find(paths[1].substr(4)), std::string::npos) << log.error().to_string();
  };
  sample.rig.run(body());
}

TEST(WriteAheadLog, VerifyAndReadNameDamageInAnOpenLog) {
  Sample sample;
  const auto paths = segment_files(sample.rig);
  auto body = [&]() -> Task<void> {
    std::vector<Copy> replayed;
    auto log = must(co_await open_log(sample.rig, replayed));
    EXPECT_TRUE(must(co_await log->verify()).empty());
    must(sample.rig.files().corrupt(paths[1], segment_header_bytes + mark_bytes + 3));
    const auto damage = must(co_await log->verify());
    EXPECT_EQ(damage.size(), 1u);
    EXPECT_EQ(damage.at(0).file, paths[1]);
    EXPECT_EQ(damage.at(0).offset, segment_header_bytes + mark_bytes);
    size_t bad = 0;
    for (const Copy& copy : replayed) {
      auto stored = co_await log->read(copy.position);
      if (!stored)
        ++bad;
      else
        EXPECT_EQ(stored->payload, copy.payload);
    }
    EXPECT_EQ(bad, 1u);
  };
  sample.rig.run(body());
}

}  // namespace
}  // namespace asterism
