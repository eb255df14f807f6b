#include "storage/memtable_tree.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace asterism {

namespace {

constexpr size_t fanout = 64;
constexpr size_t version_bytes = 8;

using Prefix = unsigned __int128;

/// The first 16 bytes of a key as a number; the order of two that differ is the order of their keys.
Prefix prefix_of(std::string_view key) {
  uint64_t words[2] = {};
  std::memcpy(words, key.data(), std::min(key.size(), sizeof words));
  return static_cast<Prefix>(__builtin_bswap64(words[0])) << 64 | __builtin_bswap64(words[1]);
}

uint64_t load_version(const char* at) {
  uint64_t version;
  std::memcpy(&version, at, sizeof version);
  return version;
}

/// Reads on behind it.
uint32_t varint(const char*& at) {
  uint32_t number = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(*at++);
    number |= static_cast<uint32_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return number;
  }
}

}  // namespace

EntryKey EntryKey::of(const char* entry) {
  const uint32_t length = varint(entry);
  return of_internal({entry, length});
}

std::string_view value_of(const char* entry) {
  const uint32_t key = varint(entry);
  entry += key;
  const uint32_t size = varint(entry);
  return {entry, size};
}

size_t entry_bytes(const char* entry) {
  const std::string_view value = value_of(entry);
  return static_cast<size_t>(value.end() - entry);
}

EntryKey EntryKey::of_internal(std::string_view internal_key) {
  const size_t user = internal_key.size() - version_bytes;
  return {internal_key.substr(0, user), load_version(internal_key.data() + user)};
}

int compare(const EntryKey& a, const EntryKey& b) {
  if (const int users = a.user.compare(b.user); users != 0) return users;
  return a.version > b.version ? -1 : a.version < b.version ? 1 : 0;
}

/// What is looked for: the key, and whether its equal is on the left of the place.
struct MemtableTree::Probe {
  Prefix prefix;
  EntryKey key;
  bool after;

  Probe(const EntryKey& of, bool behind) : prefix(prefix_of(of.user)), key(of), after(behind) {}
  /// Whether that entry is on the left of the place.
  bool passes(Prefix its_prefix, const char* entry) const {
    if (its_prefix != prefix) return its_prefix < prefix;
    const int order = compare(EntryKey::of(entry), key);
    return after ? order <= 0 : order < 0;
  }
};

/// Of a leaf: its entries. Of an inner node: the least entry that each child had when it was split off.
struct MemtableTree::Node {
  size_t count = 0;
  Prefix prefixes[fanout];
  const char* entries[fanout];

  void put(size_t at, const char* entry) {
    std::copy_backward(prefixes + at, prefixes + count, prefixes + count + 1);
    std::copy_backward(entries + at, entries + count, entries + count + 1);
    prefixes[at] = prefix_of(EntryKey::of(entry).user);
    entries[at] = entry;
    ++count;
  }
  void move_from(Node& left, size_t at) {
    count = left.count - at;
    std::copy(left.prefixes + at, left.prefixes + left.count, prefixes);
    std::copy(left.entries + at, left.entries + left.count, entries);
    left.count = at;
  }
};

struct MemtableTree::Leaf : Node {
  Leaf* next = nullptr;
  Leaf* previous = nullptr;
};

struct MemtableTree::Inner : Node {
  Node* children[fanout];

  void put_child(size_t at, const char* entry, Node* child) {
    std::copy_backward(children + at, children + count, children + count + 1);
    children[at] = child;
    put(at, entry);
  }
};

MemtableTree::MemtableTree() {
  leaves_.push_back(std::make_unique<Leaf>());
  root_ = first_ = last_ = leaves_.back().get();
}

MemtableTree::~MemtableTree() = default;

/// The first place, `from` or behind it, whose entry the probe does not pass.
size_t MemtableTree::lower_bound(const Node& node, size_t from, const Probe& probe) {
  size_t low = from, high = node.count;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (probe.passes(node.prefixes[middle], node.entries[middle]))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/// The leaf that the probe's place is in, and the nodes above it from the root on.
MemtableTree::Leaf* MemtableTree::descend(const Probe& probe, std::vector<Inner*>* path) const {
  Node* node = root_;
  for (size_t level = 0; level < height_; ++level) {
    auto* inner = static_cast<Inner*>(node);
    if (path != nullptr) path->push_back(inner);
    // The first child takes everything below the second.
    node = inner->children[lower_bound(*inner, 1, probe) - 1];
  }
  return static_cast<Leaf*>(node);
}

const char* MemtableTree::insert(const char* entry, const std::function<bool(const char*)>& may_go) {
  const EntryKey key = EntryKey::of(entry);
  const Probe probe(key, true);
  path_.clear();
  Leaf* leaf = descend(probe, &path_);
  const size_t at = lower_bound(*leaf, 0, probe);
  // Nodes above know a leaf by its first entry. That one stays: what comes before it has its place at the end of the
  // leaf before. Only in the first leaf it may go, because nobody compares with what the first child begins with.
  if (may_go && at < leaf->count && leaf->prefixes[at] == probe.prefix &&
      EntryKey::of(leaf->entries[at]).user == key.user && may_go(leaf->entries[at]))
    return std::exchange(leaf->entries[at], entry);
  put(leaf, at, entry);
  return nullptr;
}

/// `path_` leads to the leaf.
void MemtableTree::put(Leaf* leaf, size_t at, const char* entry) {
  if (leaf->count == fanout) {
    // Keys that only grow leave full leaves behind.
    const bool at_the_end = leaf == last_ && at == fanout;
    leaves_.push_back(std::make_unique<Leaf>());
    Leaf* right = leaves_.back().get();
    right->move_from(*leaf, at_the_end ? fanout : fanout / 2);
    right->next = leaf->next;
    right->previous = leaf;
    (leaf->next != nullptr ? leaf->next->previous : last_) = right;
    leaf->next = right;
    const bool goes_right = at_the_end || at > leaf->count;
    if (goes_right) at -= leaf->count;
    (goes_right ? right : leaf)->put(at, entry);
    grow(path_, right);
    return;
  }
  leaf->put(at, entry);
}

/// A node was split: its right half becomes known to the nodes above, which may split as well.
void MemtableTree::grow(std::vector<Inner*>& path, Node* right) {
  const char* least = right->entries[0];
  while (!path.empty()) {
    Inner* parent = path.back();
    path.pop_back();
    size_t at = lower_bound(*parent, 1, Probe(EntryKey::of(least), true));
    if (parent->count < fanout) return parent->put_child(at, least, right);
    inner_.push_back(std::make_unique<Inner>());
    Inner* split = inner_.back().get();
    const bool at_the_end = at == fanout;
    const size_t keep = at_the_end ? fanout - 1 : fanout / 2;
    std::copy(parent->children + keep, parent->children + parent->count, split->children);
    split->move_from(*parent, keep);
    if (at > keep)
      split->put_child(at - keep, least, right);
    else
      parent->put_child(at, least, right);
    least = split->entries[0];
    right = split;
  }
  inner_.push_back(std::make_unique<Inner>());
  Inner* top = inner_.back().get();
  // The entry that the root began with may be gone.
  top->put_child(0, first_->entries[0], root_);
  top->put_child(1, least, right);
  root_ = top;
  ++height_;
}

MemtableTree::Place MemtableTree::find(const EntryKey& key, bool after) const {
  const Probe probe(key, after);
  const Leaf* leaf = descend(probe, nullptr);
  return {leaf, lower_bound(*leaf, 0, probe)};
}

size_t MemtableTree::copy_forward(Place place, std::span<const char*> out) {
  size_t filled = 0;
  for (const Leaf* leaf = place.leaf; leaf != nullptr && filled < out.size(); leaf = leaf->next, place.at = 0) {
    const size_t some = std::min(leaf->count - place.at, out.size() - filled);
    std::copy_n(leaf->entries + place.at, some, out.data() + filled);
    filled += some;
  }
  return filled;
}

/// What is on the left of the place.
size_t MemtableTree::copy_backward(Place place, std::span<const char*> out) {
  size_t filled = 0;
  while (filled < out.size()) {
    for (; place.at > 0 && filled < out.size(); --place.at) out[filled++] = place.leaf->entries[place.at - 1];
    if (place.leaf->previous == nullptr) break;
    place.leaf = place.leaf->previous;
    place.at = place.leaf->count;
  }
  return filled;
}

bool MemtableTree::contains(const EntryKey& key) const {
  const char* found;
  return at_or_after(key, false, {&found, 1}) == 1 && compare(EntryKey::of(found), key) == 0;
}

size_t MemtableTree::first(std::span<const char*> out) const { return copy_forward({first_, 0}, out); }

size_t MemtableTree::at_or_after(const EntryKey& key, bool after, std::span<const char*> out) const {
  return copy_forward(find(key, after), out);
}

size_t MemtableTree::last(std::span<const char*> out) const { return copy_backward({last_, last_->count}, out); }

size_t MemtableTree::at_or_before(const EntryKey& key, bool before, std::span<const char*> out) const {
  return copy_backward(find(key, !before), out);
}

size_t MemtableTree::memory_bytes() const { return leaves_.size() * sizeof(Leaf) + inner_.size() * sizeof(Inner); }

}  // namespace asterism
