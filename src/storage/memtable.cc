#include "storage/memtable.h"

#include <array>
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

EntryKey key_of(const rocksdb::Slice& internal_key, const char* entry) {
  return entry != nullptr ? EntryKey::of(entry) : EntryKey::of_internal({internal_key.data(), internal_key.size()});
}

class Memtable final : public rocksdb::MemTableRep {
 public:
  explicit Memtable(rocksdb::Allocator* allocator) : MemTableRep(allocator) {}

  void Insert(rocksdb::KeyHandle handle) override {
    const std::scoped_lock lock(mutex_);
    tree_.insert(static_cast<const char*>(handle));
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

  mutable std::mutex mutex_;  // against RocksDB's own threads; hardly ever waited for
  MemtableTree tree_;
};

/// Holds a run of entries, which never change or go away while the memtable is there. What is inserted into the run
/// meanwhile is newer than whoever reads by this iterator.
class Memtable::Cursor final : public rocksdb::MemTableRep::Iterator {
 public:
  explicit Cursor(const Memtable* table) : table_(table) {}

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
  using MemTableRepFactory::CreateMemTableRep;
  const char* Name() const override { return "asterism.memtable"; }
  rocksdb::MemTableRep* CreateMemTableRep(const rocksdb::MemTableRep::KeyComparator&, rocksdb::Allocator* allocator,
                                          const rocksdb::SliceTransform*, rocksdb::Logger*) override {
    return new Memtable(allocator);
  }
};

}  // namespace

std::shared_ptr<rocksdb::MemTableRepFactory> make_memtable_factory() { return std::make_shared<MemtableFactory>(); }

}  // namespace asterism
