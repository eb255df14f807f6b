#include "storage/key_value_store.h"

#include <algorithm>
#include <map>

#include "runtime/io.h"
#include "storage/test_rig.h"
#include "storage/write_ahead_log.h"

namespace asterism {
namespace {

using Store = std::unique_ptr<KeyValueStore>;
using Model = std::map<Bytes, Bytes>;

/// Appends operands to the value: order matters, and it is associative.
bool concatenate(BytesView, const std::optional<BytesView>& existing, std::span<const BytesView> operands,
                 Bytes& merged) {
  if (existing) merged.assign(*existing);
  for (BytesView operand : operands) {
    if (operand == "malformed") return false;
    merged.append(operand);
  }
  return true;
}

KeyValueStore::Options test_options() {
  KeyValueStore::Options options;
  options.memtable_bytes = 64u << 10;
  options.block_cache_bytes = 256u << 10;
  options.background_compaction = false;
  options.merge = concatenate;
  return options;
}

Bytes some_key(Random& random) { return fmt::format("key{:03}", random.below(200)); }

/// A change in a form that can be logged: kind, then key and value.
struct Change {
  uint8_t kind = 0;  // 0 put, 1 remove, 2 merge, 3 remove_range
  Bytes key, value;

  static Change random(Random& random) {
    Change change{static_cast<uint8_t>(random.below(10)), some_key(random), fmt::format("<{}>", random.below(1000))};
    if (change.kind > 3) change.kind = change.kind % 2 == 0 ? 0 : 2;
    if (change.kind == 3) {
      change.value = some_key(random);
      if (random.chance(0.7)) change.kind = 1;
    }
    return change;
  }
  Bytes encode() const {
    Bytes out;
    ByteWriter writer(out);
    writer.sized(key);
    writer.sized(value);
    return out;
  }
  static Change decode(const Record& record) {
    ByteReader reader(record.payload);
    const BytesView key = reader.sized(), value = reader.sized();
    return {record.kind, Bytes(key), Bytes(value)};
  }
  void apply(KeyValueStore::Batch& batch) const {
    if (kind == 0) batch.put(key, value);
    if (kind == 1) batch.remove(key);
    if (kind == 2) batch.merge(key, value);
    if (kind == 3) batch.remove_range(key, value);
  }
  void apply(Model& model) const {
    if (kind == 0) model[key] = value;
    if (kind == 1) model.erase(key);
    if (kind == 2) model[key] += value;
    if (kind == 3 && key < value) model.erase(model.lower_bound(key), model.lower_bound(value));
  }
};

Model contents(const KeyValueStore& store) {
  Model out;
  auto each = store.iterate();
  for (each.seek_first(); each.valid(); each.next()) out.emplace(each.key(), each.value());
  must(each.status());
  return out;
}

TEST(KeyValueStore, DoesWhatAMapDoes) {
  TestRig rig;
  auto body = [&]() -> Task<void> {
    auto store = must(co_await KeyValueStore::open(rig.disk(), test_options()));
    sim::SeededRandom random = rig.simulation.stream(1);
    Model model;
    for (int step = 0; step < 3000; ++step) {
      KeyValueStore::Batch batch;
      for (uint64_t i = random.below(4); i > 0; --i) {
        const Change change = Change::random(random);
        change.apply(batch);
        change.apply(model);
      }
      must(store->apply(batch));
      EXPECT_TRUE(batch.empty());
      if (random.chance(0.01)) must(co_await store->flush());
      if (random.chance(0.003)) must(co_await store->compact());
      const Bytes key = some_key(random);
      auto found = must(store->get(key));
      EXPECT_EQ(found.has_value(), model.contains(key));
      if (found) EXPECT_EQ(*found, model[key]);
      if (step % 100 == 0) EXPECT_EQ(contents(*store), model);
    }
    EXPECT_EQ(contents(*store), model);
    const BytesView keys[] = {"key000", "key100", "absent"};
    const auto many = store->multi_get(keys);
    for (size_t i = 0; i < 3; ++i) {
      auto expected = model.find(Bytes(keys[i]));
      EXPECT_EQ(must(many[i]), expected == model.end() ? std::nullopt : std::optional(expected->second));
    }
  };
  rig.run(body());
}

TEST(KeyValueStore, IteratorsKeepToTheirBoundsAndTheirSnapshot) {
  TestRig rig;
  auto body = [&]() -> Task<void> {
    auto store = must(co_await KeyValueStore::open(rig.disk(), test_options()));
    KeyValueStore::Batch batch;
    for (const char* key : {"a", "b", "c", "d", "e"}) batch.put(key, key);
    must(store->apply(batch, Position{5}));
    auto all = store->iterate();
    auto some = store->iterate({.lower = "b", .upper = "d"});
    batch.remove_range("a", "z");
    must(store->apply(batch));
    some.seek("a");
    EXPECT_EQ(some.key(), "b");
    some.next();
    EXPECT_EQ(some.key(), "c");
    some.next();
    EXPECT_FALSE(some.valid());
    some.seek_last();
    EXPECT_EQ(some.key(), "c");
    some.seek_for_previous("z");
    EXPECT_EQ(some.key(), "c");
    some.previous();
    some.previous();
    EXPECT_FALSE(some.valid());
    must(some.status());
    all.seek_for_previous("cc");
    EXPECT_EQ(all.key(), "c");
    all.seek_last();
    EXPECT_EQ(all.key(), "e");
    all.seek_for_previous("\xff\xff\xff");
    EXPECT_EQ(all.key(), "e");
    EXPECT_TRUE(contents(*store).empty());
  };
  rig.run(body());
}

TEST(KeyValueStore, RefusesReservedKeysAndMergesWithoutAFunction) {
  TestRig rig;
  auto body = [&]() -> Task<void> {
    auto options = test_options();
    options.merge = nullptr;
    auto store = must(co_await KeyValueStore::open(rig.disk(), options));
    KeyValueStore::Batch batch;
    batch.put("\xff\xffposition", "mine");
    EXPECT_EQ(store->apply(batch).error().code, ErrorCode::invalid_argument);
    batch.clear();
    batch.remove_range("a", "\xff\xff\xff");
    EXPECT_EQ(store->apply(batch).error().code, ErrorCode::invalid_argument);
    batch.clear();
    batch.merge("k", "v");
    EXPECT_EQ(store->apply(batch, Position{9}).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(store->applied_position(), Position{});
    batch.clear();
    batch.put("k", "v");
    must(store->apply(batch, Position{9}));
    EXPECT_EQ(must(store->get("k")), "v");
    EXPECT_EQ(must(store->get("\xff\xffposition")), std::nullopt);
  };
  rig.run(body());
}

TEST(KeyValueStore, MalformedOperandsAreCorruptAndHarmNoOtherKey) {
  TestRig rig;
  auto body = [&]() -> Task<void> {
    auto store = must(co_await KeyValueStore::open(rig.disk(), test_options()));
    KeyValueStore::Batch batch;
    batch.merge("bad", "malformed");
    batch.merge("bad", "x");
    batch.merge("good", "x");
    must(store->apply(batch));
    EXPECT_EQ(store->get("bad").error().code, ErrorCode::corrupt);
    EXPECT_EQ(must(store->get("good")), "x");
  };
  rig.run(body());
}

TEST(KeyValueStore, OnlyFlushedDataAndItsPositionSurvive) {
  TestRig rig;
  auto first = [&]() -> Task<void> {
    auto store = must(co_await KeyValueStore::open(rig.disk(), test_options()));
    KeyValueStore::Batch batch;
    batch.put("a", "1");
    must(store->apply(batch, Position{10}));
    EXPECT_EQ(store->flushed_position(), Position{});
    must(co_await store->flush());
    EXPECT_EQ(store->flushed_position(), Position{10});
    batch.put("b", "2");
    must(store->apply(batch, Position{20}));
    EXPECT_EQ(store->flushed_position(), Position{10});
    EXPECT_EQ(store->applied_position(), Position{20});
  };
  rig.run(first());
  rig.crash_and_restart(sim::Crash::power);
  auto second = [&]() -> Task<void> {
    auto store = must(co_await KeyValueStore::open(rig.disk(), test_options()));
    EXPECT_EQ(store->flushed_position(), Position{10});
    EXPECT_EQ(store->applied_position(), Position{10});
    EXPECT_EQ(contents(*store), (Model{{"a", "1"}}));
  };
  rig.run(second());
}

TEST(KeyValueStore, MemoryIsBounded) {
  TestRig rig;
  auto body = [&]() -> Task<void> {
    auto store = must(co_await KeyValueStore::open(rig.disk(), test_options()));
    EXPECT_LT(store->approximate_memory(), 1u << 20);
    KeyValueStore::Batch batch;
    Status status;
    uint64_t bytes = 0;
    while (status && bytes < 4u << 20) {
      batch.put(fmt::format("{}", bytes), Bytes(1000, 'x'));
      status = store->apply(batch);
      bytes += 1000;
    }
    EXPECT_EQ(status.error().code, ErrorCode::overloaded);
    EXPECT_TRUE(store->should_flush());
    EXPECT_LT(store->approximate_memory(), 1u << 20);
    must(co_await store->flush());
    EXPECT_FALSE(store->should_flush());
    must(store->apply(batch));
  };
  rig.run(body());
}

TEST(KeyValueStore, RowsWrittenOverAndOverDoNotFillTheMemtable) {
  TestRig rig;
  auto body = [&]() -> Task<void> {
    auto store = must(co_await KeyValueStore::open(rig.disk(), test_options()));
    sim::SeededRandom random = rig.simulation.stream(1);
    Model model;
    KeyValueStore::Batch batch;
    for (int round = 0; round < 20'000; ++round) {
      const Bytes key = fmt::format("{:02}", random.below(50)), value(20 + random.below(60), static_cast<char>(round));
      if (random.chance(0.1)) {
        batch.remove(key);
        model.erase(key);
      } else {
        batch.put(key, value);
        model[key] = value;
      }
      must(store->apply(batch, Position{static_cast<uint64_t>(round) + 1}));
    }
    EXPECT_FALSE(store->should_flush());
    EXPECT_LT(store->approximate_memory(), 512u << 10);
    EXPECT_EQ(contents(*store), model);
    must(co_await store->flush());
    EXPECT_EQ(contents(*store), model);
    EXPECT_EQ(store->flushed_position(), Position{20'000});
  };
  rig.run(body());
}

TEST(KeyValueStore, OperandsGoThatANewerOneSupersedes) {
  TestRig rig;
  auto body = [&]() -> Task<void> {
    KeyValueStore::Options options = test_options();
    // The largest operand, and what was put, is the value.
    options.merge = [](BytesView, const std::optional<BytesView>& existing, std::span<const BytesView> operands,
                       Bytes& merged) {
      if (existing) merged = *existing;
      for (BytesView operand : operands) merged = std::max(BytesView(merged), operand);
      return true;
    };
    bool careless = false;
    options.supersedes = [&](BytesView, BytesView older, BytesView newer) { return careless || older <= newer; };
    auto store = must(co_await KeyValueStore::open(rig.disk(), options));
    sim::SeededRandom random = rig.simulation.stream(1);
    Model model;
    KeyValueStore::Batch batch;
    for (int round = 0; round < 20'000; ++round) {
      const Bytes key = fmt::format("{:02}", random.below(50));
      // Most operands are greater than those before.
      const Bytes value = fmt::format("{:06} and some more bytes", random.chance(0.99) ? round : random.below(20'000));
      const uint64_t kind = random.below(1000);
      if (kind == 0) {
        batch.put(key, value);
        model[key] = value;
      } else if (kind == 1) {
        batch.remove(key);
        model.erase(key);
      } else {
        batch.merge(key, value);
        model[key] = std::max(model[key], value);
      }
      must(store->apply(batch));
      if (round == 10'000) must(co_await store->flush());
      if (round % 1000 == 0) EXPECT_EQ(contents(*store), model);
    }
    EXPECT_FALSE(store->should_flush());
    EXPECT_EQ(contents(*store), model);
    must(co_await store->flush());
    EXPECT_EQ(contents(*store), model);
    // That it was asked is what made the difference.
    careless = true;
    for (const char* value : {"9", "8"}) {
      batch.merge("key", value);
      must(store->apply(batch));
    }
    EXPECT_EQ(must(store->get("key")), "8");
  };
  rig.run(body());
}

TEST(KeyValueStore, AnOpenIteratorKeepsWhatItReadsWhileRowsAreWrittenOver) {
  TestRig rig;
  auto body = [&]() -> Task<void> {
    auto store = must(co_await KeyValueStore::open(rig.disk(), test_options()));
    KeyValueStore::Batch batch;
    const auto write_all = [&](std::string_view value) {
      for (int i = 0; i < 30; ++i) batch.put(fmt::format("{:02}", i), fmt::format("{} {:02}", value, i));
      must(store->apply(batch));
    };
    write_all("first");
    {
      auto reading = store->iterate();
      reading.seek_first();
      for (int i = 0; i < 30; ++i, reading.next()) {
        write_all(fmt::format("other {}", i));
        EXPECT_EQ(reading.value(), fmt::format("first {:02}", i));
      }
      EXPECT_FALSE(reading.valid());
    }
    write_all("last");
    for (const auto& [key, value] : contents(*store)) EXPECT_EQ(value, fmt::format("last {}", key));
    co_return;
  };
  rig.run(body());
}

TEST(KeyValueStore, CompactionGathersSmallFiles) {
  for (const bool background : {false, true}) {
    TestRig rig;
    auto body = [&]() -> Task<void> {
      auto options = test_options();
      options.background_compaction = background;
      auto store = must(co_await KeyValueStore::open(rig.disk(), options));
      KeyValueStore::Batch batch;
      Model model;
      for (int round = 0; round < 20; ++round) {
        for (int i = 0; i < 20; ++i) {
          const Bytes key = fmt::format("{}", i);
          batch.merge(key, "x");
          model[key] += "x";
        }
        must(store->apply(batch, Position{round + 1ull}));
        must(co_await store->flush());
      }
      if (!background) {
        EXPECT_TRUE(store->should_compact());
        must(co_await store->compact());
      }
      co_await sleep_for(1s);
      EXPECT_FALSE(store->should_compact());
      EXPECT_EQ(contents(*store), model);
      EXPECT_EQ(store->flushed_position(), Position{20});
    };
    rig.run(body());
  }
}

/// Logs and applies changes, flushes, compacts and crashes; after every start the store must hold the model's contents
/// of what the log replays. Returns the hash of all file operations.
uint64_t crash_and_replay(uint64_t seed) {
  TestRig rig(seed);
  sim::SeededRandom random = rig.simulation.stream(2);
  std::map<Position, Change> logged;  // all that was ever appended
  Position acknowledged;
  auto live = [&]() -> Task<void> {
    auto store = must(co_await KeyValueStore::open(rig.disk(), test_options()));
    Model model;
    Position replayed;
    auto log = must(co_await WriteAheadLog::open(rig.disk(), rig.executor(), {}, [&](const Record& record) -> Status {
      const Change change = Change::decode(record);
      change.apply(model);
      replayed = record.position;
      if (record.position <= store->flushed_position()) return {};
      KeyValueStore::Batch batch;
      change.apply(batch);
      return store->apply(batch, record.position);
    }));
    EXPECT_GE(replayed, acknowledged) << "seed " << seed;
    EXPECT_EQ(contents(*store), model) << "seed " << seed;
    while (true) {
      const Change change = Change::random(random);
      const Position position = must(co_await log->append_durably(ShardId{1}, change.kind, change.encode()));
      acknowledged = position;
      KeyValueStore::Batch batch;
      change.apply(batch);
      must(store->apply(batch, position));
      if (random.chance(0.05)) must(co_await store->flush());
      if (random.chance(0.01)) must(co_await store->compact());
    }
  };
  for (int life = 0; life < 6; ++life) {
    rig.start(live());
    rig.simulation.run_for(Duration(random.between(0, 80'000'000)));
    rig.crash_and_restart(random.chance(0.8) ? sim::Crash::power : sim::Crash::kill);
  }
  EXPECT_GT(acknowledged, Position{});
  return rig.files().operations_hash();
}

TEST(KeyValueStore, ReplayAfterTheFlushedPositionRestoresEverything) {
  for (uint64_t seed = 1; seed <= 40; ++seed) crash_and_replay(seed);
}

TEST(KeyValueStore, TheSameSeedDoesTheSameFileOperations) {
  EXPECT_EQ(crash_and_replay(11), crash_and_replay(11));
  EXPECT_NE(crash_and_replay(11), crash_and_replay(12));
}

struct Filled {
  TestRig rig{9};
  Model model;
  Filled() {
    auto body = [this]() -> Task<void> {
      auto store = must(co_await KeyValueStore::open(rig.disk(), test_options()));
      KeyValueStore::Batch batch;
      for (int i = 0; i < 300; ++i) {
        const Bytes key = fmt::format("key{:04}", i), value(100, static_cast<char>('a' + i % 26));
        batch.put(key, value);
        model[key] = value;
      }
      must(store->apply(batch, Position{7}));
      must(co_await store->flush());
    };
    rig.run(body());
  }
};

TEST(KeyValueStore, VerifyNamesTheFileOfAnyFlippedByte) {
  Filled filled;
  auto body = [&]() -> Task<void> {
    auto store = must(co_await KeyValueStore::open(filled.rig.disk(), test_options()));
    EXPECT_TRUE(must(co_await store->verify()).empty());
    size_t tables = 0;
    for (const auto& entry : must(filled.rig.files().list("store"))) {
      const std::string path = "store/" + entry.name;
      const bool table = entry.name.ends_with(".sst");
      if (!table && entry.name != "CURRENT" && !entry.name.starts_with("MANIFEST")) continue;
      tables += table;
      for (uint64_t offset = 0; offset < entry.size; offset += table ? 97 : 1) {
        must(filled.rig.files().corrupt(path, offset));
        const auto bad = must(co_await store->verify());
        EXPECT_EQ(bad.size(), 1u) << path << " " << offset;
        if (!bad.empty()) EXPECT_EQ(bad.front().file, path) << offset;
        must(filled.rig.files().corrupt(path, offset));
      }
    }
    EXPECT_GE(tables, 1u);
    EXPECT_TRUE(must(co_await store->verify()).empty());
  };
  filled.rig.run(body());
}

TEST(KeyValueStore, AFlippedByteIsNeverServedAndAQuarantinedStoreCanBeReplaced) {
  size_t refused = 0;
  for (uint64_t part = 0; part < 40; ++part) {
    Filled filled;
    std::string path;
    uint64_t size = 0;
    for (const auto& entry : must(filled.rig.files().list("store")))
      if (entry.name.ends_with(".sst")) path = "store/" + entry.name, size = entry.size;
    must(filled.rig.files().corrupt(path, size * part / 40));
    auto body = [&]() -> Task<void> {
      auto store = co_await KeyValueStore::open(filled.rig.disk(), test_options());
      bool wrong = !store;
      if (store) {
        for (const auto& [key, value] : filled.model) {
          auto found = (*store)->get(key);
          if (found)
            EXPECT_EQ(*found, value);
          else {
            EXPECT_EQ(found.error().code, ErrorCode::corrupt);
            EXPECT_NE(found.error().message.find(path.substr(6)), std::string::npos) << found.error().message;
            wrong = true;
          }
        }
        store->reset();
      }
      refused += wrong;
      EXPECT_EQ(must(co_await KeyValueStore::quarantine(filled.rig.disk(), "store")), "store.damaged-1");
      auto empty = must(co_await KeyValueStore::open(filled.rig.disk(), test_options()));
      EXPECT_TRUE(contents(*empty).empty());
      EXPECT_EQ(empty->flushed_position(), Position{});
    };
    filled.rig.run(body());
  }
  EXPECT_GT(refused, 20u);
}

TEST(KeyValueStore, AFullDiskEndsWritingWhileReadsGoOnAndTheStoreCanBeOpenedAgain) {
  std::array<uint64_t, 2> traces{};
  for (uint64_t& trace : traces) {
    TestRig rig;
    auto body = [&]() -> Task<void> {
      auto store = must(co_await KeyValueStore::open(rig.disk(), test_options()));
      KeyValueStore::Batch batch;
      batch.put("old", "1");
      must(store->apply(batch, Position{1}));
      must(co_await store->flush());
      batch.put("new", Bytes(20'000, 'n'));
      must(store->apply(batch, Position{2}));
      rig.files().set_capacity(rig.files().used_bytes() + 700);
      Status flushed = co_await store->flush();
      EXPECT_EQ(flushed.error().code, ErrorCode::no_space);
      EXPECT_EQ(must(store->get("old")), "1");
      EXPECT_EQ(must(store->get("new"))->size(), 20'000u);
      EXPECT_EQ(store->flushed_position(), Position{1});
      // Nothing goes on by itself, even where there is room again.
      rig.files().set_capacity(UINT64_MAX);
      co_await sleep_for(60s);
      EXPECT_EQ(store->flushed_position(), Position{1});
      batch.put("more", "3");
      EXPECT_EQ(store->apply(batch, Position{3}).error().code, ErrorCode::no_space);
      store.reset();
      store = must(co_await KeyValueStore::open(rig.disk(), test_options()));
      EXPECT_EQ(store->flushed_position(), Position{1});
      EXPECT_EQ(must(store->get("old")), "1");
      batch.clear();
      batch.put("new", "2");
      must(store->apply(batch, Position{2}));
      must(co_await store->flush());
      EXPECT_TRUE(must(co_await store->verify()).empty());
    };
    rig.run(body());
    trace = rig.simulation.trace_hash();
  }
  EXPECT_EQ(traces[0], traces[1]);
}

}  // namespace
}  // namespace asterism
