#include "datastore/slice_cache.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "datastore/row.h"

namespace asterism::datastore {

// ---- RowRun

RowRun::Row RowRun::row(size_t i) const {
  ByteReader in(encoded(i, i + 1));
  Row row;
  row.value = in.sized();
  row.clustering = in.sized();
  return row;
}

BytesView RowRun::encoded(size_t begin, size_t end) const {
  return BytesView(rows_).substr(begin_of(begin), begin_of(end) - begin_of(begin));
}

/// Orders as keys do, where two differ.
static uint64_t head_of(BytesView clustering) {
  char head[8] = {};
  std::memcpy(head, clustering.data(), std::min(sizeof(head), clustering.size()));
  return load_big_endian<uint64_t>(head);
}

size_t RowRun::lower_bound(BytesView clustering) const {
  const auto same = std::ranges::equal_range(heads_, head_of(clustering));
  auto low = static_cast<size_t>(same.begin() - heads_.begin()), high = low + same.size();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (row(middle).clustering < clustering)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

void RowRun::add(BytesView clustering, BytesView value) {
  ASSERT(!value.empty());
  begins_.push_back(static_cast<uint32_t>(rows_.size()));
  heads_.push_back(head_of(clustering));
  ByteWriter out(rows_);
  out.sized(value);
  out.sized(clustering);
  all_live_ = all_live_ && row_is_always_live(value);
}

void RowRun::append(const RowRun& next, size_t begin, size_t end) {
  const int64_t shift = static_cast<int64_t>(rows_.size()) - static_cast<int64_t>(next.begin_of(begin));
  for (size_t i = begin; i < end; ++i) begins_.push_back(static_cast<uint32_t>(next.begins_[i] + shift));
  heads_.insert(heads_.end(), next.heads_.begin() + static_cast<ptrdiff_t>(begin),
                next.heads_.begin() + static_cast<ptrdiff_t>(end));
  rows_.append(next.encoded(begin, end));
  all_live_ = all_live_ && next.all_live_;
}

void RowRun::reverse() {
  RowRun other;
  other.rows_.reserve(rows_.size());
  other.begins_.reserve(size());
  other.heads_.reserve(size());
  for (size_t i = size(); i > 0; --i) other.append(*this, i - 1, i);
  *this = std::move(other);
}

void RowRun::set(BytesView clustering, BytesView value) {
  ASSERT(!value.empty());
  const size_t i = lower_bound(clustering);
  const bool there = i < size() && row(i).clustering == clustering;
  Bytes encoded;
  ByteWriter out(encoded);
  out.sized(value);
  out.sized(clustering);
  const size_t begin = begin_of(i), old_bytes = there ? begin_of(i + 1) - begin : 0;
  rows_.replace(begin, old_bytes, encoded);
  if (!there) {
    begins_.insert(begins_.begin() + static_cast<ptrdiff_t>(i), static_cast<uint32_t>(begin));
    heads_.insert(heads_.begin() + static_cast<ptrdiff_t>(i), head_of(clustering));
  }
  for (size_t later = i + 1; later < size(); ++later)
    begins_[later] = static_cast<uint32_t>(begins_[later] + encoded.size() - old_bytes);
  all_live_ = all_live_ && row_is_always_live(value);
}

// ---- SliceCache

uint64_t SliceCache::cost_of(const Stretch& stretch) {
  constexpr uint64_t overhead = sizeof(Stretch) + 160;  // with the nodes of list and map, and the allocator's
  return overhead + stretch.from.capacity() + stretch.to.capacity() + stretch.run.rows_.capacity() +
         stretch.run.begins_.capacity() * sizeof(uint32_t) + stretch.run.heads_.capacity() * sizeof(uint64_t);
}

SliceCache::Index::const_iterator SliceCache::holder_of(BytesView key) const {
  auto found = by_key_.upper_bound(key);
  if (found == by_key_.begin()) return by_key_.end();
  --found;
  return key < found->second->to ? found : by_key_.end();
}

SliceCache::Index::const_iterator SliceCache::holder_before(BytesView key) const {
  auto found = by_key_.lower_bound(key);
  if (found == by_key_.begin()) return by_key_.end();
  --found;
  return key <= found->second->to ? found : by_key_.end();
}

const SliceCache::Stretch* SliceCache::use(Index::const_iterator found) {
  if (found == by_key_.end()) {
    ++misses_;
    return nullptr;
  }
  ++hits_;
  by_use_.splice(by_use_.begin(), by_use_, found->second);
  return &*found->second;
}

const SliceCache::Stretch* SliceCache::at(BytesView key) { return use(holder_of(key)); }
const SliceCache::Stretch* SliceCache::before(BytesView key) { return use(holder_before(key)); }

BytesView SliceCache::next_known(BytesView key, BytesView otherwise) const {
  const auto next = by_key_.lower_bound(key);
  return next == by_key_.end() ? otherwise : std::min(otherwise, next->first);
}

BytesView SliceCache::previous_known(BytesView key, BytesView otherwise) const {
  const auto next = by_key_.lower_bound(key);
  return next == by_key_.begin() ? otherwise : std::max(otherwise, BytesView(std::prev(next)->second->to));
}

void SliceCache::put(BytesView from, BytesView to, size_t prefix_bytes, const RowRun& run) {
  if (from >= to || run.bytes() > std::min<uint64_t>(run_bytes_max, max_bytes_ / 8)) return;
  Bytes begin_key(from);
  for (size_t begin = 0;;) {
    size_t end = begin;
    const size_t first = run.begin_of(begin);
    while (end < run.size() && (end == begin || run.begin_of(end + 1) - first <= stretch_bytes)) ++end;
    if (end == run.size()) return put_piece(begin_key, to, run, begin, end);
    Bytes end_key(from.substr(0, prefix_bytes));
    end_key.append(run.row(end).clustering);
    put_piece(begin_key, end_key, run, begin, end);
    begin_key = std::move(end_key);
    begin = end;
  }
}

/// Neighbours without a gap become one as long as that is not too large.
void SliceCache::put_piece(BytesView from, BytesView to, const RowRun& run, size_t begin, size_t end) {
  size_t bytes = run.begin_of(end) - run.begin_of(begin), rows = end - begin;
  const auto take_if_it_fits = [&](Index::const_iterator found) -> std::optional<Stretch> {
    if (found == by_key_.end() || found->second->run.bytes() + bytes > stretch_bytes) return std::nullopt;
    bytes += found->second->run.bytes();
    rows += found->second->run.size();
    return take(found->second);
  };
  Stretch piece{Bytes(from), Bytes(to), {}};
  const auto left = take_if_it_fits(holder_before(piece.from));
  const auto right = take_if_it_fits(by_key_.find(piece.to));
  piece.run.rows_.reserve(bytes);
  piece.run.begins_.reserve(rows);
  piece.run.heads_.reserve(rows);
  if (left) {
    piece.from = left->from;
    piece.run.append(left->run, 0, left->run.size());
  }
  piece.run.append(run, begin, end);
  if (right) {
    piece.to = right->to;
    piece.run.append(right->run, 0, right->run.size());
  }
  const uint64_t cost = cost_of(piece);
  while (!by_use_.empty() && bytes_ + cost > max_bytes_) take(std::prev(by_use_.end()));
  bytes_ += cost;
  by_use_.push_front(std::move(piece));
  by_key_.emplace(by_use_.front().from, by_use_.begin());
}

std::optional<BytesView> SliceCache::find(BytesView key, size_t prefix_bytes) const {
  const auto found = holder_of(key);
  if (found == by_key_.end()) return std::nullopt;
  const BytesView clustering = key.substr(prefix_bytes);
  const RowRun& run = found->second->run;
  const size_t i = run.lower_bound(clustering);
  if (i == run.size()) return BytesView();
  const RowRun::Row row = run.row(i);
  return row.clustering == clustering ? row.value : BytesView();
}

void SliceCache::update(BytesView key, size_t prefix_bytes, BytesView value) {
  const auto found = holder_of(key);
  if (found == by_key_.end()) return;
  const auto stretch = found->second;
  bytes_ -= cost_of(*stretch);
  stretch->run.set(key.substr(prefix_bytes), value);
  bytes_ += cost_of(*stretch);
  if (stretch->run.bytes() > 2 * stretch_bytes) take(stretch);
  while (bytes_ > max_bytes_) take(std::prev(by_use_.end()));
}

SliceCache::Stretch SliceCache::take(Stretches::iterator stretch) {
  bytes_ -= cost_of(*stretch);
  by_key_.erase(stretch->from);
  Stretch taken = std::move(*stretch);
  by_use_.erase(stretch);
  return taken;
}

void SliceCache::clear() {
  by_key_.clear();
  by_use_.clear();
  bytes_ = 0;
}

}  // namespace asterism::datastore
