// What the store holds under keys that were read or written of late, merged: most reads of single rows then touch
// neither skip lists nor blocks.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"

namespace asterism::datastore {

/// Maps keys to values and forgets what was used longest ago when it passes its bound. An empty value is the knowledge
/// that there is none. Its owner keeps it equal to the store. Used by one core.
class RowCache {
 public:
  /// `max_bytes` counts keys, values and what it takes to keep them. With 0 it keeps nothing.
  explicit RowCache(uint64_t max_bytes);
  RowCache(const RowCache&) = delete;
  ~RowCache();

  /// None: not known. The view holds until the next put, erase or clear. Counts as a use.
  std::optional<BytesView> find(BytesView key);
  /// Neither may point into the cache. Entries larger than an eighth of the bound are not kept.
  void put(BytesView key, BytesView value);
  void erase(BytesView key);
  void clear();

  size_t size() const { return size_; }
  uint64_t bytes() const { return bytes_; }
  uint64_t hits() const { return hits_; }
  uint64_t misses() const { return misses_; }

 private:
  struct Entry;

  Entry** place_of(BytesView key, uint32_t hash);
  Entry* make(BytesView key, BytesView value, uint32_t hash);
  void remove(Entry** place);
  void use(Entry* entry);
  void grow();

  uint64_t max_bytes_;
  uint64_t bytes_ = 0;
  size_t size_ = 0;
  uint64_t hits_ = 0, misses_ = 0;
  std::vector<Entry*> buckets_;
  Entry* newest_ = nullptr;
  Entry* oldest_ = nullptr;
};

}  // namespace asterism::datastore
