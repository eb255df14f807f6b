#include "datastore/row_cache.h"

#include <cstring>
#include <new>
#include <utility>

#include "base/hash.h"

namespace asterism::datastore {

constexpr size_t first_buckets = 64;
constexpr uint64_t allocation_overhead = 8 + sizeof(void*);  // the allocator's, and a place in the table

/// The bytes of key and value follow it in one allocation; `capacity` of them are there for the value.
struct RowCache::Entry {
  Entry* chain;
  Entry *newer, *older;
  uint32_t hash;
  uint32_t key_bytes, value_bytes, capacity;

  char* data() { return reinterpret_cast<char*>(this + 1); }
  BytesView key() { return {data(), key_bytes}; }
  BytesView value() { return {data() + key_bytes, value_bytes}; }
  uint64_t bytes() const { return sizeof(Entry) + key_bytes + capacity + allocation_overhead; }
};

RowCache::RowCache(uint64_t max_bytes) : max_bytes_(max_bytes), buckets_(first_buckets) {}

RowCache::~RowCache() { clear(); }

RowCache::Entry** RowCache::place_of(BytesView key, uint32_t hash) {
  Entry** place = &buckets_[hash & (buckets_.size() - 1)];
  while (*place != nullptr && ((*place)->hash != hash || (*place)->key() != key)) place = &(*place)->chain;
  return place;
}

static uint32_t hash_of(BytesView key) { return static_cast<uint32_t>(xxh3(key)); }

/// Makes the entry the newest; it may be linked already.
void RowCache::use(Entry* entry) {
  if (entry == newest_) return;
  if (entry->newer != nullptr) {
    entry->newer->older = entry->older;
    (entry->older != nullptr ? entry->older->newer : oldest_) = entry->newer;
  }
  entry->newer = nullptr;
  entry->older = newest_;
  (newest_ != nullptr ? newest_->newer : oldest_) = entry;
  newest_ = entry;
}

std::optional<BytesView> RowCache::find(BytesView key) {
  Entry* entry = *place_of(key, hash_of(key));
  if (entry == nullptr) {
    ++misses_;
    return std::nullopt;
  }
  ++hits_;
  use(entry);
  return entry->value();
}

RowCache::Entry* RowCache::make(BytesView key, BytesView value, uint32_t hash) {
  void* memory = ::operator new(sizeof(Entry) + key.size() + value.size());
  auto* entry = new (memory) Entry{nullptr,
                                   nullptr,
                                   nullptr,
                                   hash,
                                   static_cast<uint32_t>(key.size()),
                                   static_cast<uint32_t>(value.size()),
                                   static_cast<uint32_t>(value.size())};
  std::memcpy(entry->data(), key.data(), key.size());
  std::memcpy(entry->data() + key.size(), value.data(), value.size());
  return entry;
}

void RowCache::put(BytesView key, BytesView value) {
  const uint32_t hash = hash_of(key);
  Entry** place = place_of(key, hash);
  if (Entry* known = *place; known != nullptr) {
    // Overwritten rows mostly keep their size.
    if (value.size() <= known->capacity && known->capacity - value.size() <= 64) {
      std::memcpy(known->data() + known->key_bytes, value.data(), value.size());
      known->value_bytes = static_cast<uint32_t>(value.size());
      return use(known);
    }
    remove(place);
  }
  const uint64_t bytes = sizeof(Entry) + key.size() + value.size() + allocation_overhead;
  if (bytes > max_bytes_ / 8) return;
  while (bytes_ + bytes > max_bytes_) remove(place_of(oldest_->key(), oldest_->hash));
  if (size_ >= buckets_.size()) grow();
  Entry* entry = make(key, value, hash);
  Entry*& bucket = buckets_[hash & (buckets_.size() - 1)];
  entry->chain = std::exchange(bucket, entry);
  use(entry);
  bytes_ += bytes;
  ++size_;
}

void RowCache::erase(BytesView key) {
  Entry** place = place_of(key, hash_of(key));
  if (*place != nullptr) remove(place);
}

void RowCache::remove(Entry** place) {
  Entry* entry = *place;
  *place = entry->chain;
  (entry->newer != nullptr ? entry->newer->older : newest_) = entry->older;
  (entry->older != nullptr ? entry->older->newer : oldest_) = entry->newer;
  bytes_ -= entry->bytes();
  --size_;
  ::operator delete(entry);
}

void RowCache::clear() {
  for (Entry* entry = newest_; entry != nullptr;) ::operator delete(std::exchange(entry, entry->older));
  newest_ = oldest_ = nullptr;
  buckets_.assign(first_buckets, nullptr);
  bytes_ = 0;
  size_ = 0;
}

void RowCache::grow() {
  std::vector<Entry*> buckets(buckets_.size() * 2);
  for (Entry* entry = newest_; entry != nullptr; entry = entry->older) {
    Entry*& bucket = buckets[entry->hash & (buckets.size() - 1)];
    entry->chain = std::exchange(bucket, entry);
  }
  buckets_ = std::move(buckets);
}

}  // namespace asterism::datastore
