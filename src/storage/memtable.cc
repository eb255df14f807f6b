#include "storage/memtable.h"

#include <array>
#include <cstring>
#include <mutex>

#include "storage/memtable_tree.h"

namespace rocksdb {

/// Declared here as far as it is used: RocksDB exports it, but installs no header of it. An iterator that is given an
/// arena must live there, because it is destroyed but never freed.
class Arena {
 public:
  char* AllocateAligned(size_t bytes, size_t huge_page_size, Logger* logger);
};

}  // namespace rocksdb

namespace asterism {

namespace {

/// As RocksDB packs it into a version.
enum class Kind : uint8_t { deletion = 0, value = 1, operand = 2 };

Kind kind_of(const char* entry) { return static_cast<Kind>(EntryKey::of(entry).version & 0xff); }

/// Memory of entries that went, by size, for those that come.
class FreeEntries {
 public:
  /// Sizes are made multiples of this, so that an entry of nearly the same size fits.
  static constexpr size_t grain = 16;
  static constexpr size_t rounded(size_t bytes) { return (bytes + grain - 1) / grain * grain; }

  char* take(size_t bytes) {
    const size_t at = rounded(bytes) / grain;
    if (at >= first_.size() || first_[at] == nullptr) return nullptr;
    char* taken = first_[at];
    std::memcpy(&first_[at], taken, sizeof(char*));
    return taken;
  }
  /// False if it is too large to be kept.
  bool add(char* entry, size_t bytes) {
    const size_t at = rounded(bytes) / grain;
    if (at >= first_.size()) return false;
    std::memcpy(entry, &first_[at], sizeof(char*));
    first_[at] = entry;
    return true;
  }

 private:
  static_assert(grain >= sizeof(char*));
  std::array<char*, 256> first_{};  // each list goes on in the first bytes of its entries
};

EntryKey key_of(const rocksdb::Slice& internal_key, const char* entry) {
  return entry != nullptr ? EntryKey::of(entry) : EntryKey::of_internal({internal_key.data(), internal_key.size()});
}

class Memtable final : public rocksdb::MemTableRep {
 public:
  Memtable(rocksdb::Allocator* allocator, MemtableReuse& reuse, const SupersedesFunction& supersedes)
      : MemTableRep(allocator), reuse_(reuse), supersedes_(supersedes) {}

  rocksdb::KeyHandle Allocate(size_t bytes, char** entry) override {
    *entry = free_.take(bytes);
    return *entry != nullptr ? *entry : MemTableRep::Allocate(FreeEntries::rounded(bytes), entry);
  }
  void Insert(rocksdb::KeyHandle handle) override {
    const auto* entry = static_cast<const char*>(handle);
    const std::scoped_lock lock(mutex_);
    if (cursors_ > 0) return tree_.insert(entry);
    const char* older = tree_.insert(entry, [this, entry](const char* next) { return replaces(entry, next); });
    if (older == nullptr) return;
    const size_t bytes = entry_bytes(older);
    if (!free_.add(const_cast<char*>(older), bytes)) return;
    ++reuse_.entries;
    reuse_.bytes += bytes;
  }
  bool Contains(const char* key) const override {
    const std::scoped_lock lock(mutex_);
    return tree_.contains(EntryKey::of(key));
  }
  size_t ApproximateMemoryUsage() override {
    const std::scoped_lock lock(mutex_);
    return tree_.memory_bytes();
  }
  Iterator* GetIterator(rocksdb::Arena* arena) override;
  Iterator* GetDynamicPrefixIterator(rocksdb::Arena*) override;

 private:
  class Cursor;

  bool replaces(const char* entry, const char* older) const {
    switch (kind_of(entry)) {
      case Kind::deletion:
      case Kind::value:
        return true;
      case Kind::operand:
        // On a value it would be one itself.
        return supersedes_ && kind_of(older) == Kind::operand &&
               supersedes_(EntryKey::of(entry).user, value_of(older), value_of(entry));
    }
    return false;
  }

  MemtableReuse& reuse_;
  const SupersedesFunction& supersedes_;
  FreeEntries free_;
  mutable std::mutex mutex_;    // guards what follows, against RocksDB's own threads; hardly ever waited for
  mutable size_t cursors_ = 0;  // open iterators, which may hold any entry
  MemtableTree tree_;
};

/// Holds a run of entries, which never change or go away while the memtable is there. What is inserted into the run
/// meanwhile is newer than whoever reads by this iterator.
class Memtable::Cursor final : public rocksdb::MemTableRep::Iterator {
 public:
  /// Of the table's iterators, or with none for lookups that end before the next write.
  explicit Cursor(const Memtable* table) : table_(table), counted_(table != nullptr) {
    if (counted_) count(1);
  }
  Cursor(Cursor&&) = delete;
  ~Cursor() override {
    if (counted_) count(-1);
  }

  void read_from(const Memtable* table) {
    table_ = table;
    at_ = count_ = 0;
  }

  bool Valid() const override { return at_ < count_; }
  const char* key() const override { return run_[at_]; }
  void Next() override { step(Direction::ascending); }
  void Prev() override { step(Direction::descending); }
  void Seek(const rocksdb::Slice& internal_key, const char* entry) override {
    const EntryKey key = key_of(internal_key, entry);
    fill(Direction::ascending, few, [&](auto out) { return table_->tree_.at_or_after(key, false, out); });
  }
  void SeekForPrev(const rocksdb::Slice& internal_key, const char* entry) override {
    const EntryKey key = key_of(internal_key, entry);
    fill(Direction::descending, few, [&](auto out) { return table_->tree_.at_or_before(key, false, out); });
  }
  void SeekToFirst() override {
    fill(Direction::ascending, few, [&](auto out) { return table_->tree_.first(out); });
  }
  void SeekToLast() override {
    fill(Direction::descending, few, [&](auto out) { return table_->tree_.last(out); });
  }

 private:
  enum class Direction : uint8_t { ascending, descending };
  static constexpr size_t few = 4;  // most reads want no more

  void count(int change) {
    const std::scoped_lock lock(table_->mutex_);
    table_->cursors_ += static_cast<size_t>(change);
  }
  void fill(Direction direction, size_t most, auto read) {
    const std::scoped_lock lock(table_->mutex_);
    direction_ = direction;
    at_ = 0;
    count_ = read(std::span(run_).first(most));
  }
  void step(Direction direction) {
    const char* from = key();
    if (direction == direction_ && ++at_ < count_) return;
    const EntryKey key = EntryKey::of(from);
    fill(direction, run_.size(), [&](auto out) {
      return direction == Direction::ascending ? table_->tree_.at_or_after(key, true, out)
                                               : table_->tree_.at_or_before(key, true, out);
    });
  }

  const Memtable* table_;
  const bool counted_;
  size_t at_ = 0, count_ = 0;
  Direction direction_ = Direction::ascending;
  std::array<const char*, 64> run_;
};

rocksdb::MemTableRep::Iterator* Memtable::GetIterator(rocksdb::Arena* arena) {
  if (arena == nullptr) return new Cursor(this);
  return new (arena->AllocateAligned(sizeof(Cursor), 0, nullptr)) Cursor(this);
}

/// In a store without prefixes only MemTableRep::Get() asks for one, for a lookup of its own, and never frees it.
rocksdb::MemTableRep::Iterator* Memtable::GetDynamicPrefixIterator(rocksdb::Arena*) {
  thread_local Cursor lookup(nullptr);
  lookup.read_from(this);
  return &lookup;
}

class MemtableFactory final : public rocksdb::MemTableRepFactory {
 public:
  MemtableFactory(MemtableReuse& reuse, SupersedesFunction supersedes)
      : reuse_(reuse), supersedes_(std::move(supersedes)) {}
  using MemTableRepFactory::CreateMemTableRep;
  const char* Name() const override { return "asterism.memtable"; }
  rocksdb::MemTableRep* CreateMemTableRep(const rocksdb::MemTableRep::KeyComparator&, rocksdb::Allocator* allocator,
                                          const rocksdb::SliceTransform*, rocksdb::Logger*) override {
    return new Memtable(allocator, reuse_, supersedes_);
  }

 private:
  MemtableReuse& reuse_;
  SupersedesFunction supersedes_;
};

}  // namespace

std::shared_ptr<rocksdb::MemTableRepFactory> make_memtable_factory(MemtableReuse& reuse,
                                                                   SupersedesFunction supersedes) {
  return std::make_shared<MemtableFactory>(reuse, std::move(supersedes));
}

}  // namespace asterism
