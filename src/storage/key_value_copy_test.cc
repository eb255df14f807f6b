#include <map>

#include "runtime/io.h"
#include "storage/key_value_store.h"
#include "storage/test_rig.h"

namespace asterism {
namespace {

using Model = std::map<Bytes, Bytes>;
using Copied = std::vector<KeyValueStore::CopiedFile>;

KeyValueStore::Options options_at(std::string path) {
  KeyValueStore::Options options;
  options.path = std::move(path);
  options.memtable_bytes = 64u << 10;
  options.background_compaction = false;
  options.merge = [](BytesView, const std::optional<BytesView>& existing, std::span<const BytesView> operands,
                     Bytes& merged) {
    if (existing) merged.assign(*existing);
    for (BytesView operand : operands) merged.append(operand);
    return true;
  };
  return options;
}

Model contents(const KeyValueStore& store) {
  Model out;
  auto each = store.iterate();
  for (each.seek_first(); each.valid(); each.next()) out.emplace(each.key(), each.value());
  must(each.status());
  return out;
}

std::vector<std::string> names_in(TestRig& rig, const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : must(rig.files().list(folder))) names.push_back(entry.name);
  return names;
}

void write(KeyValueStore& store, const Bytes& key, const Bytes& value) {
  KeyValueStore::Batch batch;
  batch.merge(key, value);
  must(store.apply(batch));
}

/// A store in three files and a memtable, and a copy of it in "copies/one".
struct Copy {
  TestRig rig;
  Model model;
  Copied files;

  Copy() { rig.run(make()); }

  Task<void> make() {
    auto store = must(co_await KeyValueStore::open(rig.disk(), options_at("store")));
    for (int i = 0; i < 400; ++i) {
      const Bytes key = fmt::format("key{}", i % 150), value = fmt::format("<{}>", i);
      write(*store, key, value);
      model[key] += value;
      if (i % 100 == 99 && i < 300) must(co_await store->flush());
    }
    must(co_await make_directory(rig.disk(), "copies"));
    must(co_await sync_directory(rig.disk(), ""));
    files = must(co_await store->copy_to("copies/one"));
    // What comes later is in the store alone, and what the store gives up stays in the copy.
    for (int i = 0; i < 150; ++i) write(*store, fmt::format("key{}", i), "later");
    must(co_await store->compact());
    KeyValueStore::Batch batch;
    batch.remove_range("a", "z");
    must(store->apply(batch));
    must(co_await store->compact());
    EXPECT_TRUE(contents(*store).empty());
  }
};

TEST(KeyValueStoreCopy, HoldsWhatWasAppliedBeforeItWhateverHappensToTheStoreAndSurvivesAPowerFailure) {
  Copy copy;
  copy.rig.crash_and_restart(sim::Crash::power);
  auto body = [&]() -> Task<void> {
    const auto before = names_in(copy.rig, "copies/one");
    auto opened = must(co_await KeyValueStore::open_copy(copy.rig.disk(), options_at("copies/one")));
    EXPECT_EQ(contents(*opened), copy.model);
    KeyValueStore::Batch batch;
    batch.put("key", "value");
    EXPECT_FALSE(opened->apply(batch)) << "it is for reading";
    opened.reset();
    EXPECT_EQ(names_in(copy.rig, "copies/one"), before) << "reading makes and changes no file";
    EXPECT_EQ(before.size(), copy.files.size()) << "every file is named";
    EXPECT_TRUE(must(co_await KeyValueStore::verify_copy(copy.rig.disk(), "copies/one", copy.files)).empty());
  };
  copy.rig.run(body());
}

TEST(KeyValueStoreCopy, AnyDamageIsFoundAndNamed) {
  Copy copy;
  auto body = [&]() -> Task<void> {
    Disk& disk = copy.rig.disk();
    size_t tables = 0;
    for (const auto& file : copy.files) {
      tables += file.name.ends_with(".sst");
      for (uint64_t offset = 0; offset < file.bytes; offset += 61) {
        must(copy.rig.files().corrupt("copies/one/" + file.name, offset));
        const auto bad = must(co_await KeyValueStore::verify_copy(disk, "copies/one", copy.files));
        must(copy.rig.files().corrupt("copies/one/" + file.name, offset));
        EXPECT_EQ(bad.size(), 1u);
        if (!bad.empty()) EXPECT_EQ(bad.front().file, "copies/one/" + file.name);
      }
    }
    EXPECT_GE(tables, 4u);
    must(co_await remove(disk, "copies/one/" + copy.files.front().name));
    const auto bad = must(co_await KeyValueStore::verify_copy(disk, "copies/one", copy.files));
    EXPECT_EQ(bad.size(), 1u);
    if (!bad.empty()) EXPECT_EQ(bad.front().what, "it is missing");
    const auto opened = co_await KeyValueStore::open_copy(disk, options_at("copies/one"));
    const auto absent = co_await KeyValueStore::open_copy(disk, options_at("copies/none"));
    EXPECT_FALSE(absent.has_value());
  };
  copy.rig.run(body());
}

TEST(KeyValueStoreCopy, ReplacesNothingAndIsRemovedForGood) {
  Copy copy;
  auto body = [&]() -> Task<void> {
    Disk& disk = copy.rig.disk();
    auto store = must(co_await KeyValueStore::open(disk, options_at("store")));
    const auto again = co_await store->copy_to("copies/one");
    EXPECT_FALSE(again.has_value());
    if (!again) EXPECT_EQ(again.error().code, ErrorCode::already_exists);
    must(co_await make_directory(disk, "copies/one/more"));
    must(co_await KeyValueStore::remove_folder(disk, "copies/one"));
    must(co_await KeyValueStore::remove_folder(disk, "copies/one"));
    must(co_await store->copy_to("copies/one"));
    must(co_await KeyValueStore::remove_folder(disk, "copies/one"));
  };
  copy.rig.run(body());
  copy.rig.crash_and_restart(sim::Crash::power);
  EXPECT_TRUE(names_in(copy.rig, "copies").empty());
}

}  // namespace
}  // namespace asterism
