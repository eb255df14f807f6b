#include "storage/memtable_tree.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <set>
#include <string>

#include "base/bytes.h"

namespace asterism {
namespace {

/// An entry as a memtable lays it out.
std::string entry_of(std::string_view user, uint64_t version) {
  Bytes bytes;
  ByteWriter out(bytes);
  out.varint(user.size() + 8);
  out.raw(user);
  out.u64_le(version);
  out.varint(5);
  out.raw("value");
  return bytes;
}

struct Less {
  bool operator()(const char* a, const char* b) const { return compare(EntryKey::of(a), EntryKey::of(b)) < 0; }
};

/// The tree beside a set of the same entries.
struct Compared {
  MemtableTree tree;
  std::set<const char*, Less> set;
  std::deque<std::string> entries;
  uint64_t state = 1;

  uint64_t random() { return state = state * 6364136223846793005 + 1442695040888963407, state >> 33; }
  void insert(std::string_view user, uint64_t version) {
    entries.push_back(entry_of(user, version));
    if (set.insert(entries.back().c_str()).second)
      tree.insert(entries.back().c_str());
    else
      entries.pop_back();
  }
  template <class Range>
  std::vector<const char*> upto(Range range, size_t most) {
    std::vector<const char*> out;
    for (const char* entry : range) {
      if (out.size() == most) break;
      out.push_back(entry);
    }
    return out;
  }
  void check_from(std::string_view user, uint64_t version, size_t most) {
    const std::string probe = entry_of(user, version);
    const EntryKey key = EntryKey::of(probe.c_str());
    EXPECT_EQ(tree.contains(key), set.contains(probe.c_str()));
    for (const bool strictly : {false, true}) {
      std::vector<const char*> got(most);
      got.resize(tree.at_or_after(key, strictly, got));
      auto from = strictly ? set.upper_bound(probe.c_str()) : set.lower_bound(probe.c_str());
      EXPECT_EQ(got, upto(std::ranges::subrange(from, set.end()), most));
      got.resize(most);
      got.resize(tree.at_or_before(key, strictly, got));
      auto behind = strictly ? set.lower_bound(probe.c_str()) : set.upper_bound(probe.c_str());
      EXPECT_EQ(got, upto(std::ranges::subrange(std::reverse_iterator(behind), set.rend()), most));
    }
  }
  void check_all() {
    std::vector<const char*> got(set.size() + 1);
    got.resize(tree.first(got));
    EXPECT_EQ(got, std::vector<const char*>(set.begin(), set.end()));
    got.resize(set.size() + 1);
    got.resize(tree.last(got));
    EXPECT_EQ(got, std::vector<const char*>(set.rbegin(), set.rend()));
  }
};

TEST(MemtableTree, KeysAscendAndVersionsDescend) {
  const auto key = [](std::string_view user, uint64_t version) { return EntryKey{user, version}; };
  EXPECT_LT(compare(key("a", 1), key("b", 9)), 0);
  EXPECT_LT(compare(key("a", 9), key("a", 1)), 0);
  EXPECT_LT(compare(key("a", 1), key(std::string_view("a\0", 2), 9)), 0);
  EXPECT_LT(compare(key("\x7f", 1), key("\x80", 1)), 0);
  EXPECT_EQ(compare(key("a", 1), key("a", 1)), 0);
}

TEST(MemtableTree, EmptyHasNothing) {
  Compared both;
  both.check_all();
  both.check_from("a", 1, 3);
}

TEST(MemtableTree, SameAsASetForKeysOfEveryShape) {
  for (const uint64_t seed : {1, 2, 3, 4, 5, 6}) {
    Compared both;
    both.state = seed;
    const auto any_key = [&]() -> std::string {
      switch ((both.random() + seed) % 4) {
        case 0:  // shorter than a prefix, zero bytes and high bytes among them
          return std::string(both.random() % 3, '\0') + std::string(both.random() % 3, '\xff');
        case 1:  // differ only behind the prefix
          return "the same sixteen bytes and then " + std::to_string(both.random() % 2000);
        case 2:
          return std::to_string(both.random());
        default:  // every length around the prefix's
          return std::string(both.random() % 40, static_cast<char>('a' + both.random() % 2));
      }
    };
    for (int i = 0; i < 6000; ++i) {
      both.insert(any_key(), both.random() % 50);
      if (i % 50 == 0) both.check_from(any_key(), both.random() % 50, both.random() % 200 + 1);
    }
    both.check_all();
  }
}

TEST(MemtableTree, TheNextOlderVersionGivesItsPlaceAway) {
  for (const uint64_t seed : {1, 2, 3, 4}) {
    Compared both;
    both.state = seed;
    const auto any = [](const char*) { return true; };
    uint64_t version = 0, older_ones = 0, replaced = 0;
    for (int i = 0; i < 20'000; ++i) {
      const std::string user = fmt::format("{:03}{}", both.random() % 700, both.random() % 3 == 0 ? "\xff" : "");
      const char* entry = both.entries.emplace_back(entry_of(user, ++version)).c_str();
      if (both.random() % 4 == 0) {
        both.tree.insert(entry);
      } else {
        auto older = both.set.upper_bound(entry);
        const bool is_there = older != both.set.end() && EntryKey::of(*older).user == user;
        const char* gone = both.tree.insert(entry, any);
        if (is_there) ++older_ones;
        if (gone != nullptr) {
          EXPECT_EQ(value_of(gone), "value");
          ASSERT_TRUE(is_there);
          ASSERT_EQ(gone, *older);
          both.set.erase(older);
          // Nothing may look at it again.
          std::fill_n(const_cast<char*>(gone), entry_bytes(gone), '\x01');
          ++replaced;
        }
      }
      both.set.insert(entry);
      if (i % 100 == 0) both.check_from(user, version - both.random() % 5, both.random() % 200 + 1);
    }
    both.check_all();
    EXPECT_GT(older_ones, 10'000u);
    // Of any one key however often it is written, be it the least or the greatest.
    const size_t before = both.set.size();
    for (const std::string_view user : {"", "000", "333", "\xff\xff"})
      for (int i = 0; i < 1000; ++i) {
        const char* entry = both.entries.emplace_back(entry_of(user, ++version)).c_str();
        both.set.insert(entry);
        if (const char* gone = both.tree.insert(entry, any)) both.set.erase(gone);
      }
    EXPECT_LT(both.set.size(), before + 10);
    both.check_all();
    EXPECT_GT(replaced, older_ones * 9 / 10);
  }
}

TEST(MemtableTree, AscendingAndDescendingKeys) {
  for (const bool ascending : {true, false}) {
    Compared both;
    for (int i = 0; i < 20'000; ++i) both.insert(fmt::format("{:08}", ascending ? i : 20'000 - i), 7);
    both.check_all();
    both.check_from("00012345", 7, 100);
    // Full leaves where keys only grow: little beside a pointer and a prefix for each.
    if (ascending) EXPECT_LT(both.tree.memory_bytes(), 20'000 * 30u);
  }
}

}  // namespace
}  // namespace asterism
