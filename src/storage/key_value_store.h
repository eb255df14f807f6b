// An ordered key-value store: RocksDB behind an interface of our own. Its redo log is the write-ahead log, not
// RocksDB's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ports/disk.h"
#include "runtime/task.h"
#include "storage/record.h"

namespace asterism {

/// Folds operands, oldest first, into `existing` (none: there is no value below them, or it is not known yet) and
/// writes the outcome to `merged`, which is empty. Must be associative: what it writes must serve as an operand as well
/// as a value; an operand alone is the value that it is. False: the bytes are malformed, and whoever reads the key gets
/// `corrupt`. Pure: called from any thread.
using MergeFunction = std::function<bool(BytesView key, const std::optional<BytesView>& existing,
                                         std::span<const BytesView> operands, Bytes& merged)>;
/// Whether folding both gives the operand `newer`, so that `older` need not be kept. No is always right. Pure.
using SupersedesFunction = std::function<bool(BytesView key, BytesView older, BytesView newer)>;

/// Keys are any bytes but those that begin with ff ff, in the order of unsigned bytes. Reading may block on the disk
/// where the block cache misses. Used by one core only; only flush, compact and verify work away from the core.
class KeyValueStore {
  struct Engine;
  enum class Purpose : uint8_t { use, read_copy };

 public:
  struct Options {
    std::string path = "store";
    /// should_flush() says yes beyond this; apply() answers `overloaded` beyond two and a half times as much.
    uint64_t memtable_bytes = 8u << 20;
    uint64_t block_cache_bytes = 8u << 20;
    uint32_t max_open_files = 256;
    uint32_t bloom_bits_per_key = 10;
    /// RocksDB compacts in a thread of its own. Off where runs must repeat exactly: then compact() is the only way.
    bool background_compaction = true;
    MergeFunction merge;            // without it Batch::merge is refused
    SupersedesFunction supersedes;  // without it every operand is kept until it is merged
  };

  /// Makes the store where there is none. The disk must outlive it. Errors: corrupt (names the file where it is known),
  /// io, no_space.
  static Task<Result<std::unique_ptr<KeyValueStore>>> open(Disk& disk, Options options);
  /// Moves the files of a store that is not open to the folder "path.damaged-N", so that an empty one can be opened in
  /// its place and filled from replicas. Returns that folder's name.
  static Task<Result<std::string>> quarantine(Disk& disk, const std::string& path);
  /// Closes without flushing: what was applied since the last flush must come from the write-ahead log again.
  ~KeyValueStore();

  /// Changes that take effect together, in the order of the calls. Move-only, can be used again after clear().
  class Batch {
   public:
    Batch();
    Batch(Batch&&) noexcept;
    Batch& operator=(Batch&&) noexcept;
    ~Batch();
    void put(BytesView key, BytesView value);
    void remove(BytesView key);
    void merge(BytesView key, BytesView operand);
    /// Removes the keys in [from, to).
    void remove_range(BytesView from, BytesView to);
    void clear();
    bool empty() const;
    size_t bytes() const;

   private:
    friend class KeyValueStore;
    struct Changes;
    std::unique_ptr<Changes> changes_;
  };

  /// Applies the batch and clears it. It is visible at once and durable with the next flush. `through`: with it, the
  /// store holds the effects of every record up to this position, so positions must not go back (a bug).
  /// Errors: overloaded (flush first; nothing was applied), invalid_argument (reserved key, merge without a function).
  Status apply(Batch& batch, Position through);
  /// For changes whose progress the batch itself records (a Raft group's applied index).
  Status apply(Batch& batch);

  /// The value, or none. Errors: corrupt, io.
  Result<std::optional<Bytes>> get(BytesView key) const;
  /// One answer for each key.
  std::vector<Result<std::optional<Bytes>>> multi_get(std::span<const BytesView> keys) const;

  /// Walks a snapshot: sees nothing that is applied later. Must not outlive the store. key() and value() are views
  /// until the next move.
  class Iterator {
   public:
    Iterator(Iterator&&) noexcept;
    Iterator& operator=(Iterator&&) noexcept;
    ~Iterator();
    void seek_first();
    void seek_last();
    void seek(BytesView key);               // the first key at or after
    void seek_for_previous(BytesView key);  // the last key at or before
    void next();
    void previous();
    /// False at either end and after an error: check status() then.
    bool valid() const;
    BytesView key() const;
    BytesView value() const;
    Status status() const;

   private:
    friend class KeyValueStore;
    struct State;
    explicit Iterator(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
  };
  struct Bounds {
    Bytes lower;             // inclusive
    Bytes upper;             // exclusive; empty: no bound
    bool fill_cache = true;  // false for scans that should not push out what others read
  };
  /// Positioned nowhere: seek first.
  Iterator iterate(Bounds bounds) const;
  Iterator iterate() const { return iterate(Bounds{}); }

  /// Makes everything applied before the call durable, with its position. Applying may go on meanwhile.
  Task<Status> flush();
  /// Rewrites all files into the fewest. Applying and reading may go on meanwhile.
  Task<Status> compact();
  /// The records up to and including this position are in the files: replay the write-ahead log after it.
  Position flushed_position() const;
  Position applied_position() const { return applied_; }
  /// The first damaged file that a read came upon, if one did: what it held is lost here.
  const std::optional<Error>& damage() const;

  /// Bytes of memory in memtables, block cache, and readers of open files.
  uint64_t approximate_memory() const;
  /// Bytes of its files of rows on the disk.
  uint64_t file_bytes() const;
  /// Of these the bytes between two keys, about; what is in no file yet does not count.
  uint64_t file_bytes_between(BytesView from, BytesView to) const;
  bool should_flush() const;
  /// Many small files wait to be compacted: with background_compaction off, call compact().
  bool should_compact() const;

  struct BadFile {
    std::string file;  // relative to the disk's folder
    std::string what;
  };
  /// Reads every file whole and compares it with its checksum. Empty: all is well. Errors: io.
  Task<Result<std::vector<BadFile>>> verify() const;

  // Copies (key_value_copy.cc; open_copy() beside open()).

  struct CopiedFile {
    std::string name;  // in the copy's folder
    uint64_t bytes = 0;
    std::string crc32c;  // 8 hexadecimal digits
  };
  /// Makes a copy of the store as it is in the folder `path`, which must not exist: everything applied before the call,
  /// durable when it completes. Files of rows become hard links, or are copied where the file system has none. What a
  /// failed call leaves is for remove_folder(). Applying and reading may go on meanwhile. Errors: already_exists,
  /// no_space, io.
  Task<Result<std::vector<CopiedFile>>> copy_to(std::string path);
  /// Opens a copy to read it. Nothing in its folder is changed or made. Errors: as open().
  static Task<Result<std::unique_ptr<KeyValueStore>>> open_copy(Disk& disk, Options options);
  /// Reads every file of a copy whole and compares it with what copy_to() said. Errors: io.
  static Task<Result<std::vector<BadFile>>> verify_copy(Disk& disk, std::string path, std::vector<CopiedFile> files);
  /// Removes a folder and everything in it, durably; succeeds where there is none. Errors: io.
  static Task<Status> remove_folder(Disk& disk, std::string path);

 private:
  KeyValueStore(Disk& disk, std::shared_ptr<Engine> engine, Position applied);
  static Task<Result<std::unique_ptr<KeyValueStore>>> open(Disk& disk, Options options, Purpose purpose);

  Disk& disk_;
  std::shared_ptr<Engine> engine_;  // shared with work that is away from the core
  Position applied_;
};

}  // namespace asterism
