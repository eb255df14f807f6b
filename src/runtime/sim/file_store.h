// The bytes and names of one simulated disk, and what a crash may do to them.
//
// Which faults are legal, and why. A correct program must survive every one of these:
//
// 1. Bytes that were appended and not synced may, when the power fails, be there in full (the kernel wrote them back),
//    be gone, or be torn: a prefix is there, and of the sectors (512 bytes) after it each may hold its bytes, zeros
//    (the size was written before the data) or, rarely, garbage. File systems promise nothing else.
// 2. Synced bytes never change and never vanish. The sector on the border between synced and unsynced bytes keeps its
//    synced part: drives write sectors whole or not at all. Zeros that were reserved behind the data and synced stay,
//    and are what is left where appended bytes are gone.
// 3. A truncation that was not synced may be undone: the old synced tail is back and what was appended later is gone.
// 4. A name that was created, renamed or removed without a later sync of its folder may be undone. Changes in one
//    folder survive as a prefix in the order in which they were made, as in every journaling file system, and a rename
//    survives whole or not at all. Syncing a file does not make its name durable. A folder whose own name is lost
//    takes what is in it along.
// 5. An operation under way at the crash may or may not have taken effect; operations on one file in order.
// 6. A killed process (not the machine) loses nothing that it had written.
// 7. A failed sync leaves the bytes readable, but a later sync that succeeds need not have written them: the kernel
//    marked the pages clean. A failed append may have written any prefix.
// 8. A full disk refuses appends, after writing any prefix, and never syncs, removals or truncations.
// 9. Media damage flips bits in anything stored, at any time. It is injected by hand or by a fault plan within what
//    the replication of the product can repair (never the same record on a quorum).
//
// Not modelled: misdirected writes, reads that return stale sectors, and a drive that lies about sync. The last can be
// planted (set_sync_skipped), to show that a checker sees it.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "ports/disk.h"
#include "runtime/sim/seeded_random.h"

namespace asterism::sim {

struct StoreOptions {
  uint64_t capacity_bytes = UINT64_MAX;
  uint64_t sector_bytes = 512;
  /// How likely unsynced bytes of one file are torn at a power failure, and kept in full; else they are lost.
  double torn = 0.4, kept = 0.3;
  /// How likely a sector beyond a torn prefix holds garbage, and zeros; else its bytes.
  double garbage = 0.05, zeros = 0.4;
};

struct StoreCounters {
  uint64_t bytes_lost = 0, files_torn = 0, names_undone = 0, corruptions = 0, no_space = 0, errors = 0;
  uint64_t appends = 0, reads = 0, syncs = 0, directory_syncs = 0;
};

/// The content of a file, with or without a name. Fields are guarded by its store.
struct Inode {
  Bytes data;
  /// The first `clean` bytes are durable, followed by `saved_tail` where a truncation was not synced.
  uint64_t clean = 0;
  Bytes saved_tail;
  /// Up to here the file has zeros behind its data, and up to there durably.
  uint64_t reserved_end = 0, clean_reserved_end = 0;
  bool directory = false;
  bool poisoned = false;  // a sync failed: later syncs write nothing of what was there
  bool damaged = false;   // a bit of it was flipped
  uint64_t operations = 0;
  uint64_t identity = 0;
  uint32_t links = 0;

  uint64_t size() const { return std::max<uint64_t>(data.size(), reserved_end); }
};

/// A path is "" for the root or "a/b/c". All calls take effect at once and may come from RocksDB's threads as well;
/// what happens depends only on the order of operations on each file, not on that between files, so that those threads
/// do no harm to repeatability.
class FileStore {
 public:
  using Ref = std::shared_ptr<Inode>;

  FileStore(uint64_t seed, StoreOptions options);

  Result<Ref> find(const std::string& path);
  /// Makes a file; fails where the name exists, unless `replace`.
  Result<Ref> create(const std::string& path, bool replace);
  Status append(Inode& file, BytesView bytes);
  /// Zeros up to `end`, which appends overwrite; none where the disk has no room for them.
  void reserve(Inode& file, uint64_t end);
  Result<Bytes> read(Inode& file, uint64_t offset, uint64_t size);
  Status sync(Inode& file);
  Status truncate(Inode& file, uint64_t size);
  uint64_t size(const Inode& file);

  Status rename(const std::string& from, const std::string& to);
  Status remove(const std::string& path);
  Status remove_directory(const std::string& path);
  Status link(const std::string& from, const std::string& to);
  Status make_directory(const std::string& path);
  Result<std::vector<DirectoryEntry>> list(const std::string& path);
  Status sync_directory(const std::string& path);

  // Faults.

  /// The power fails now. Handles of before must not be used again.
  void lose_power();
  /// From now on every operation fails without effect; what a dead process's destructors do must not reach the disk.
  void disconnect();
  void connect();
  /// Lets `operations` more changes happen, then disconnects: the power fails inside a larger piece of work.
  void disconnect_after(uint64_t operations);
  /// Flips bits of the byte at `offset`; behind the data only while nobody appends to the file. Errors: not_found,
  /// invalid_argument beyond the end.
  Status corrupt(const std::string& path, uint64_t offset, uint8_t mask = 0x10);
  /// Flips one bit of a random byte of a random file whose path starts with `prefix`. Returns "path:offset", or "".
  std::string flip_random_byte(Random& random, const std::string& prefix = "");
  /// Whether a file whose path starts with `prefix` had a bit flipped, and still has that name.
  bool is_damaged(const std::string& prefix);
  void set_capacity(uint64_t bytes);
  uint64_t used_bytes();
  uint64_t free_bytes();
  /// How likely each append and sync fails with `io`, and each 4 KiB of a file is unreadable for good.
  void set_error_rates(double append, double read, double sync);
  /// Planted bug: syncs of files whose path contains `part` succeed and do nothing. "" for all; unset with clear.
  void set_sync_skipped(std::string part);
  void clear_sync_skipped();

  /// Depends on the kinds, paths and sizes of the operations on each file and their order; not on contents.
  uint64_t operations_hash();
  StoreCounters counters();
  /// All names with sizes, for the story of a failed test.
  std::string describe();

 private:
  struct NameChange {
    std::string directory;  // whose sync makes it durable
    std::string remove;     // a path that loses its name, or ""
    std::string add;        // a path that gets a name, or ""
    Ref inode;
  };
  using Names = std::map<std::string, Ref>;

  Status change(Inode& file, const char* kind, uint64_t size, double error_rate);
  void note(BytesView kind, uint64_t identity, uint64_t step, uint64_t size);
  bool lucky(const Inode& file, double probability, uint64_t step, uint64_t salt) const;
  void apply(Names& names, const NameChange& change);
  void tear(Inode& file);
  bool has_directory(const Names& names, const std::string& path) const;
  Status put(const std::string& path, const Ref& inode);

  std::mutex mutex_;
  StoreOptions options_;
  SeededRandom random_;  // crashes only: they happen while no other thread runs
  uint64_t seed_;
  Names names_, durable_;
  std::vector<NameChange> pending_;
  uint64_t used_ = 0;
  uint64_t hash_ = 0;
  bool connected_ = true;
  uint64_t changes_left_ = UINT64_MAX;
  double append_errors_ = 0, read_errors_ = 0, sync_errors_ = 0;
  bool sync_skipped_ = false;
  std::string sync_skipped_part_;
  StoreCounters counters_;
};

}  // namespace asterism::sim
