// Stretches of partitions that were read of late: all rows that the store holds between two keys, merged. A slice
// within them is copied, without the store's iterators and merging.
#pragma once

#include <list>
#include <map>
#include <optional>
#include <vector>

#include "base/bytes.h"

namespace asterism::datastore {

/// Rows in the order of their clustering keys, each encoded as in a ReadResult.
class RowRun {
 public:
  struct Row {
    BytesView clustering, value;
  };
  size_t size() const { return begins_.size(); }
  size_t bytes() const { return rows_.size(); }
  /// Views hold until the run changes.
  Row row(size_t i) const;
  /// Rows [begin, end) as they are encoded.
  BytesView encoded(size_t begin, size_t end) const;
  /// The first row whose clustering key is not less; size() where there is none.
  size_t lower_bound(BytesView clustering) const;
  /// Every row is live as long as nothing outside of it deletes it.
  bool all_live() const { return all_live_; }

  /// Behind the last row.
  void add(BytesView clustering, BytesView value);
  void append(const RowRun& next, size_t begin, size_t end);
  /// Turns the order of the rows round.
  void reverse();
  /// The row's new value; it is never empty. A row that was not there is inserted.
  void set(BytesView clustering, BytesView value);

 private:
  friend class SliceCache;
  size_t begin_of(size_t i) const { return i < begins_.size() ? begins_[i] : rows_.size(); }

  Bytes rows_;
  std::vector<uint32_t> begins_;
  std::vector<uint64_t> heads_;  // of the clustering keys, so that a search need not touch the rows
  bool all_live_ = true;
};

/// Keys are those of the store, of rows. Its owner keeps it equal to the store. Forgets the stretches that were used
/// longest ago when it passes its bound. Used by one core.
class SliceCache {
 public:
  /// A run that was read is kept in stretches of about so many bytes, and not at all where it is larger than the
  /// second.
  static constexpr size_t stretch_bytes = 16 << 10, run_bytes_max = 128 << 10;

  struct Stretch {
    Bytes from, to;  // [from, to), of one partition
    RowRun run;
  };

  /// `max_bytes` counts rows, keys and what it takes to keep them. With 0 it keeps nothing.
  explicit SliceCache(uint64_t max_bytes) : max_bytes_(max_bytes) {}
  SliceCache(const SliceCache&) = delete;

  bool enabled() const { return max_bytes_ > 0; }
  /// The stretch in which the key lies, or null. Holds until the cache changes. Counts as a use.
  const Stretch* at(BytesView key);
  /// The one in which all keys directly before this one lie.
  const Stretch* before(BytesView key);
  /// The nearest key from which on, or up to which, something is known; `otherwise` where that is nearer.
  BytesView next_known(BytesView key, BytesView otherwise) const;
  BytesView previous_known(BytesView key, BytesView otherwise) const;

  /// What the store holds of a partition's rows in [from, to), where nothing was known so far. `prefix_bytes` is the
  /// length of the keys without the clustering key.
  void put(BytesView from, BytesView to, size_t prefix_bytes, const RowRun& run);
  /// None: not known. Empty: there is no such row.
  std::optional<BytesView> find(BytesView key, size_t prefix_bytes) const;
  /// The row's new value, where its stretch is known.
  void update(BytesView key, size_t prefix_bytes, BytesView value);
  void clear();

  uint64_t bytes() const { return bytes_; }
  uint64_t hits() const { return hits_; }
  uint64_t misses() const { return misses_; }

 private:
  using Stretches = std::list<Stretch>;
  using Index = std::map<BytesView, Stretches::iterator>;

  static uint64_t cost_of(const Stretch& stretch);
  Index::const_iterator holder_of(BytesView key) const;
  Index::const_iterator holder_before(BytesView key) const;
  const Stretch* use(Index::const_iterator found);
  void put_piece(BytesView from, BytesView to, const RowRun& run, size_t begin, size_t end);
  Stretch take(Stretches::iterator stretch);

  uint64_t max_bytes_;
  uint64_t bytes_ = 0, hits_ = 0, misses_ = 0;
  Stretches by_use_;  // the newest first
  Index by_key_;      // by `from`
};

}  // namespace asterism::datastore
