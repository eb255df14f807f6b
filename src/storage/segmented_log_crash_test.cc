// Segmented logs against a simple model: random changes, crashes at any moment, failing disks.
#include <algorithm>
#include <map>
#include <set>

#include "storage/segmented_log.h"
#include "storage/test_rig.h"

namespace asterism {
namespace {

struct ModelBatch {
  uint64_t offset = 0;
  uint32_t records = 0;
  int64_t timestamp_ms = 0;
  Bytes payload;
  uint64_t end() const { return offset + records; }
  bool operator==(const ModelBatch&) const = default;
};

/// One log, its model, and what may be true after a crash.
class Subject {
 public:
  Subject(TestRig& rig, uint64_t number, Defects defects, bool errors)
      : rig_(rig), random_(rig.simulation.stream(100 + number)), errors_(errors) {
    options_.directory = fmt::format("logs/{}", number);
    options_.new_log_id = number + 1;
    options_.segment_bytes = 1500;
    options_.index_interval_bytes = 200;
    options_.segment_age_ms = number == 1 ? 5 : 0;
    options_.defects = defects;
  }

  const std::string& wrong() const { return wrong_; }
  uint64_t changes() const { return changes_; }
  uint64_t reopened_after_errors() const { return reopened_; }
  /// A process that was killed loses nothing but what was under way; without power only what is durable is sure.
  void crashed(sim::Crash kind) {
    if (kind == sim::Crash::power) written_end_ = std::min(written_end_, durable_end_);
  }

  /// Opens the log, and where `changes`, changes it until the crash.
  Task<void> live(LogFiles& files, bool changes) {
    while (wrong_.empty()) {
      std::unique_ptr<SegmentedLog> log;
      auto opened = co_await SegmentedLog::open(files, rig_.executor(), options_);
      if (!opened) {
        if (!errors_ || opened.error().code == ErrorCode::corrupt) complain("open: " + opened.error().to_string());
        if (!wrong_.empty()) co_return;
        co_await sleep_for(100us);
        continue;
      }
      log = std::move(*opened);
      adopt(*log);
      if (wrong_.empty()) co_await check_all(*log);
      if (!changes || !wrong_.empty()) co_return;
      TaskGroup readers(rig_.executor());
      readers.spawn(read_on(*log));
      while (wrong_.empty() && co_await change(*log)) {
        ++changes_;
        co_await sleep_for(Duration(random_.between(0, 300'000)));
      }
      ++reopened_;
    }
  }

 private:
  void complain(const std::string& what) {
    if (wrong_.empty()) wrong_ = fmt::format("seed {}, {}: {}", rig_.simulation.seed(), options_.directory, what);
  }

  /// What the log says after it was opened must be possible; then it is the truth.
  void adopt(const SegmentedLog& log) {
    const uint64_t start = log.start(), end = log.end();
    const bool anew = reset_to_ && ((start == *reset_to_ && end == start) || (start == 0 && end == 0));
    // What is left of a reset that did not come to its end is any prefix.
    const uint64_t lowest = reset_to_ ? 0 : written_end_;
    if (!anew) {
      if (end < lowest || end > model_end())
        complain(fmt::format("the end is {}, not between {} and {}", end, lowest, model_end()));
      const uint64_t least = std::min(start_, end);
      if (!reset_to_ && (start < least || start > upper_start_))
        complain(fmt::format("the start is {}, not between {} and {}", start, least, upper_start_));
      while (!batches_.empty() && batches_.back().end() > end) batches_.pop_back();
      if (model_end() != end && end != start) complain(fmt::format("the end, {}, is within a batch", end));
    }
    if (anew || batches_.empty()) batches_.clear();
    base_ = end;
    start_ = upper_start_ = start;
    durable_end_ = written_end_ = end;
    reset_to_.reset();
  }

  uint64_t model_end() const { return batches_.empty() ? base_ : batches_.back().end(); }

  /// A change has ended well: no doubt is left but about what is not durable.
  void settle(const SegmentedLog& log) {
    start_ = upper_start_ = log.start();
    durable_end_ = log.durable();
    written_end_ = log.end();
    reset_to_.reset();
    if (batches_.empty()) base_ = log.end();
    if (log.end() != model_end()) complain(fmt::format("the end is {} instead of {}", log.end(), model_end()));
  }

  bool failed(const Error& error, const char* what) {
    if (!errors_) complain(fmt::format("{}: {}", what, error.to_string()));
    if (error.code == ErrorCode::corrupt) complain(fmt::format("{}: {}", what, error.to_string()));
    return false;
  }

  /// One random change. False where the log has to be opened again.
  Task<bool> change(SegmentedLog& log) {
    const uint64_t dice = random_.below(100);
    if (dice < 55) co_return co_await append(log);
    if (dice < 72) co_return co_await sync(log);
    if (dice < 79) co_return co_await truncate_tail(log);
    if (dice < 86) co_return co_await truncate_head(log);
    if (dice < 91) co_return co_await retain(log);
    if (dice < 93) co_return co_await reset(log);
    if (dice < 97) co_return co_await close(log);
    co_await check_all(log);
    co_return true;
  }

  Task<bool> append(SegmentedLog& log) {
    std::vector<SegmentedLog::NewBatch> batches;
    const size_t before = batches_.size();
    const uint64_t end = model_end();
    for (uint64_t count = random_.between(1, 4); count > 0; --count) {
      ModelBatch batch;
      batch.offset = model_end();
      batch.records = static_cast<uint32_t>(random_.between(1, 5));
      batch.timestamp_ms = static_cast<int64_t>(batch.offset + random_.below(20));
      batch.payload = fmt::format("{} {}", batch.offset, Bytes(random_.below(random_.chance(0.1) ? 900 : 90), 'p'));
      batch.payload += std::to_string(random_.next());
      batches.push_back({batch.records, batch.timestamp_ms, batch.payload});
      ever_.insert({batch.offset, batch.payload});
      batches_.push_back(std::move(batch));
    }
    auto result = co_await log.append(std::move(batches));
    if (!result) {
      if (!log.failure()) {
        batches_.resize(before);
        settle(log);
      }
      failed(result.error(), "append");
      co_return !log.failure();
    }
    if (*result != end) complain(fmt::format("appended at {} instead of {}", *result, end));
    settle(log);
    co_return true;
  }

  Task<bool> sync(SegmentedLog& log) {
    auto result = co_await log.sync();
    if (!result) co_return failed(result.error(), "sync");
    settle(log);
    if (log.durable() != log.end()) complain("not durable after a sync");
    co_return true;
  }

  Task<bool> close(SegmentedLog& log) {
    auto result = co_await log.close();
    if (!result) co_return failed(result.error(), "close");
    settle(log);
    co_return true;
  }

  Task<bool> truncate_tail(SegmentedLog& log) {
    const uint64_t offset = random_.between(log.start(), log.end() + 1);
    auto kept = batches_;
    while (!kept.empty() && kept.back().end() > offset) kept.pop_back();
    const uint64_t end = kept.size() == batches_.size() ? model_end() : batches_[kept.size()].offset;
    durable_end_ = std::min(durable_end_, end);
    written_end_ = std::min(written_end_, end);
    auto result = co_await log.truncate_from(offset);
    if (!result) co_return failed(result.error(), "truncate_from") || !log.failure();
    base_ = end;
    batches_ = std::move(kept);
    if (*result != end) complain(fmt::format("cut at {} instead of {}", *result, end));
    settle(log);
    co_return true;
  }

  Task<bool> truncate_head(SegmentedLog& log) {
    const uint64_t offset = random_.between(log.start(), log.end());
    upper_start_ = offset;
    auto result = co_await log.truncate_before(offset);
    if (!result) co_return failed(result.error(), "truncate_before");
    settle(log);
    if (log.start() != offset) complain(fmt::format("the start is {} instead of {}", log.start(), offset));
    co_return true;
  }

  Task<bool> retain(SegmentedLog& log) {
    SegmentedLog::Retention retention;
    if (random_.chance(0.5)) retention.max_bytes = random_.below(6000);
    if (random_.chance(0.5)) retention.oldest_ms = static_cast<int64_t>(random_.between(log.start(), log.end() + 30));
    if (random_.chance(0.5)) retention.keep_from = random_.between(log.start(), log.end());
    const uint64_t most = std::max(log.start(), std::min(retention.keep_from, log.end()));
    upper_start_ = most;
    auto result = co_await log.retain(retention);
    if (!result) co_return failed(result.error(), "retain");
    if (log.start() < start_ || log.start() > most) complain(fmt::format("retention set the start to {}", log.start()));
    for (const ModelBatch& batch : batches_)
      if (batch.end() <= log.start() && batch.end() > start_ && batch.timestamp_ms >= retention.oldest_ms &&
          retention.max_bytes == UINT64_MAX)
        complain(fmt::format("retention took the batch at {}", batch.offset));
    settle(log);
    co_return true;
  }

  Task<bool> reset(SegmentedLog& log) {
    const uint64_t offset = random_.chance(0.5) ? log.end() + random_.below(50) : random_.below(log.end() + 1);
    reset_to_ = offset;
    auto result = co_await log.reset(offset);
    if (!result) co_return failed(result.error(), "reset");
    batches_.clear();
    base_ = offset;
    settle(log);
    if (log.start() != offset) complain("reset to another offset");
    co_return true;
  }

  /// Nothing changes meanwhile: the log must be the model.
  Task<void> check_all(SegmentedLog& log) {
    std::vector<ModelBatch> expected;
    for (const ModelBatch& batch : batches_)
      if (batch.end() > log.start()) expected.push_back(batch);
    std::vector<ModelBatch> found;
    for (uint64_t offset = log.start(); offset < log.end();) {
      auto read = co_await log.read(offset, {.max_bytes = random_.below(2000)});
      if (!read) co_return complain("read: " + read.error().to_string());
      if ((*read)->batches.empty()) co_return complain(fmt::format("nothing to read at {}", offset));
      for (const auto& batch : (*read)->batches)
        found.push_back({batch.offset, batch.records, batch.timestamp_ms, Bytes(batch.payload)});
      offset = (*read)->next;
    }
    if (found != expected) co_return complain("it reads something else than was written");
    for (int i = 0; i < 4; ++i) {
      const auto time = static_cast<int64_t>(random_.between(log.start(), log.end() + 20));
      auto first = std::ranges::find_if(expected, [&](const auto& batch) { return batch.timestamp_ms >= time; });
      auto batch = co_await log.find_time(time);
      if (!batch) co_return complain("find_time: " + batch.error().to_string());
      if (batch->has_value() != (first != expected.end()) || (*batch && (*batch)->offset != first->offset))
        co_return complain(fmt::format("time {} leads elsewhere", time));
      if (first == expected.end()) continue;
      auto extents = co_await log.locate(std::max(first->offset, log.start()), {.max_bytes = 1});
      if (!extents) co_return complain("locate: " + extents.error().to_string());
      if (extents->size() != 1 || extents->front().batch.offset != first->offset ||
          extents->front().bytes != first->payload.size())
        co_return complain(fmt::format("the extent of {} is elsewhere", first->offset));
    }
    auto damage = co_await log.verify();
    if (!damage) co_return complain("verify: " + damage.error().to_string());
    if (!damage->empty()) complain(fmt::format("damage: {} at {}", damage->front().file, damage->front().offset));
  }

  /// Reads beside the changes: only what was ever appended may be seen, in order.
  Task<void> read_on(SegmentedLog& log) {
    while (wrong_.empty()) {
      const uint64_t offset = random_.between(log.start(), log.end());
      auto read = co_await log.read(offset, {.max_bytes = random_.below(3000)});
      if (!read && read.error().code != ErrorCode::not_found)
        co_return complain("read beside: " + read.error().to_string());
      uint64_t next = UINT64_MAX;
      if (read) {
        for (const auto& batch : (*read)->batches) {
          if (next != UINT64_MAX && batch.offset != next) complain("a gap between batches");
          if (!ever_.contains({batch.offset, Bytes(batch.payload)})) complain("a batch that was never written");
          next = batch.offset + batch.records;
        }
      }
      co_await sleep_for(Duration(random_.between(0, 200'000)));
    }
  }

  TestRig& rig_;
  sim::SeededRandom random_;
  const bool errors_;
  SegmentedLog::Options options_;
  std::vector<ModelBatch> batches_;  // that may be there: the latest append is, before it has ended
  uint64_t base_ = 0;                // the end where there is no batch
  uint64_t start_ = 0, upper_start_ = 0;
  uint64_t durable_end_ = 0, written_end_ = 0;
  std::optional<uint64_t> reset_to_;
  std::set<std::pair<uint64_t, Bytes>> ever_;
  std::string wrong_;
  uint64_t changes_ = 0, reopened_ = 0;
};

/// Three logs that share few open files on one machine.
struct CrashRun {
  explicit CrashRun(uint64_t seed, Defects defects = {}, bool errors = false)
      : rig(seed), random(rig.simulation.stream(77)), with_errors(errors) {
    for (uint64_t i = 0; i < 3; ++i) subjects.push_back(std::make_unique<Subject>(rig, i, defects, errors));
  }

  Task<void> live(bool changes) {
    LogFiles files(rig.disk(), rig.machine.clock(), 3);
    TaskGroup group(rig.executor());
    for (auto& subject : subjects) group.spawn(subject->live(files, changes));
    co_await group.join();
  }

  std::string wrong() const {
    for (const auto& subject : subjects)
      if (!subject->wrong().empty()) return subject->wrong();
    return "";
  }

  std::string run(int lives) {
    for (int life = 0; life < lives && wrong().empty(); ++life) {
      rig.start(live(true));
      const bool early = random.chance(0.2);
      if (with_errors) rig.files().set_error_rates(0.01, 0, 0.01);
      rig.simulation.run_for(Duration(random.between(0, early ? 1'000'000 : 25'000'000)));
      rig.files().set_error_rates(0, 0, 0);
      const bool power = random.chance(0.7);
      rig.crash_and_restart(power ? sim::Crash::power : sim::Crash::kill);
      for (auto& subject : subjects) subject->crashed(power ? sim::Crash::power : sim::Crash::kill);
    }
    if (wrong().empty()) rig.run(live(false));
    return wrong();
  }

  uint64_t changes() const {
    uint64_t sum = 0;
    for (const auto& subject : subjects) sum += subject->changes();
    return sum;
  }

  TestRig rig;
  sim::SeededRandom random;
  bool with_errors;
  std::vector<std::unique_ptr<Subject>> subjects;
};

TEST(SegmentedLogCrash, NoCrashLosesOrInventsABatch) {
  uint64_t changes = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    CrashRun run(seed);
    ASSERT_EQ(run.run(6), "");
    changes += run.changes();
  }
  EXPECT_GT(changes, 30'000u);
}

TEST(SegmentedLogCrash, NorDoFailingWritesAndSyncs) {
  uint64_t reopened = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    CrashRun run(seed, {}, true);
    ASSERT_EQ(run.run(6), "");
    for (const auto& subject : run.subjects) reopened += subject->reopened_after_errors();
  }
  EXPECT_GT(reopened, 100u);
}

TEST(SegmentedLogCrash, PlantedBugsAreSeen) {
  for (Defect defect : {Defect::skip_sync, Defect::forget_replay}) {
    Defects defects;
    defects.plant(defect);
    size_t caught = 0;
    for (uint64_t seed = 1; seed <= 20; ++seed) caught += CrashRun(seed, defects).run(6).empty() ? 0 : 1;
    EXPECT_GT(caught, 10u) << to_string(defect);
  }
  size_t caught = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CrashRun run(seed);
    run.rig.files().set_sync_skipped(".log");
    caught += run.run(6).empty() ? 0 : 1;
  }
  EXPECT_GT(caught, 10u);
}

TEST(SegmentedLogCrash, TheSameSeedDoesTheSameFileOperations) {
  CrashRun first(5), second(5), other(6);
  EXPECT_EQ(first.run(5), "");
  EXPECT_EQ(second.run(5), "");
  EXPECT_EQ(other.run(5), "");
  EXPECT_EQ(first.rig.files().operations_hash(), second.rig.files().operations_hash());
  EXPECT_EQ(first.rig.simulation.trace_hash(), second.rig.simulation.trace_hash());
  EXPECT_NE(first.rig.files().operations_hash(), other.rig.files().operations_hash());
}

}  // namespace
}  // namespace asterism
