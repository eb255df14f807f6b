// The order of a memtable's entries: a B+ tree of pointers to them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace asterism {

/// An entry's place in the order: user keys ascend bytewise, of one key the newer version comes first.
struct EntryKey {
  std::string_view user;
  uint64_t version = 0;  // sequence number and kind, as RocksDB packs them

  /// Of an entry in a memtable: a varint32 length, the user key, the version as 8 bytes little-endian, the value.
  static EntryKey of(const char* entry);
  /// Of a user key followed by a version.
  static EntryKey of_internal(std::string_view internal_key);
};

std::string_view value_of(const char* entry);
/// Of an entry as a whole.
size_t entry_bytes(const char* entry);

/// Negative, 0 or positive.
int compare(const EntryKey& a, const EntryKey& b);

/// Beside each pointer a node holds the first 16 bytes of the user key, so that a search looks at few entries. Entries
/// belong to the caller and must outlive the tree. One thread at a time.
class MemtableTree {
 public:
  MemtableTree();
  ~MemtableTree();
  MemtableTree(MemtableTree&&) = delete;

  void insert(const char* entry) { insert(entry, nullptr); }
  /// Where the tree has an older entry of the same user key, the next older one nearly always is asked about: if it may
  /// go, the new one gets its place, and it is returned, because the tree does not know it any more.
  const char* insert(const char* entry, const std::function<bool(const char* older)>& may_go);
  bool contains(const EntryKey& key) const;

  // Reads of runs: fill `out` and return how many there are, fewer than asked for only at the end.

  /// From the first entry on.
  size_t first(std::span<const char*> out) const;
  /// Ascending, from the first entry at or behind the key; `after`: behind it.
  size_t at_or_after(const EntryKey& key, bool after, std::span<const char*> out) const;
  /// Descending, from the last entry.
  size_t last(std::span<const char*> out) const;
  /// Descending, from the last entry at or before the key; `before`: before it.
  size_t at_or_before(const EntryKey& key, bool before, std::span<const char*> out) const;

  size_t memory_bytes() const;

 private:
  struct Node;
  struct Leaf;
  struct Inner;
  struct Probe;
  struct Place {
    const Leaf* leaf;
    size_t at;
  };

  static size_t lower_bound(const Node& node, size_t from, const Probe& probe);
  void put(Leaf* leaf, size_t at, const char* entry);
  Leaf* descend(const Probe& probe, std::vector<Inner*>* path) const;
  Place find(const EntryKey& key, bool after) const;
  static size_t copy_forward(Place place, std::span<const char*> out);
  static size_t copy_backward(Place place, std::span<const char*> out);
  void grow(std::vector<Inner*>& path, Node* right);

  std::vector<std::unique_ptr<Leaf>> leaves_;
  std::vector<std::unique_ptr<Inner>> inner_;
  Node* root_;
  Leaf* first_;
  Leaf* last_;
  size_t height_ = 0;  // inner nodes above each leaf
  std::vector<Inner*> path_;
};

}  // namespace asterism
