// Port: files of one node.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "ports/callback.h"

namespace rocksdb {
class Env;
}

namespace asterism {

/// An open file. All calls come from the core that owns it. Operations on one file take effect in the order in which
/// they were started. Destroying the file closes it once what was started has ended; its callbacks are dropped.
class File {
 public:
  virtual ~File() = default;
  /// Writes at the end. Owns the pieces meanwhile. On an error (no_space, io) any prefix may have been written: the
  /// caller must truncate or give the file up.
  virtual void append(std::vector<Bytes> pieces, Callback<void> done) = 0;
  /// Up to `size` bytes from `offset`; fewer only at the end of the file. Errors: io.
  virtual void read_at(uint64_t offset, uint64_t size, Callback<Bytes> done) = 0;
  /// Completes when every byte appended before the call survives the loss of power. After an error nothing may be
  /// assumed about any byte since the last sync that succeeded: later changes of the file, those already started
  /// included, fail and have no effect.
  virtual void sync(Callback<void> done) = 0;
  /// Writes `bytes` zeros behind the end without a change of size(). Appends overwrite them later, and their syncs need
  /// not make a longer file durable, which costs file systems about as much as the data. A hint: it reports nothing,
  /// and a full disk ignores it. Opened again, the file may have zeros behind what was appended.
  virtual void reserve(uint64_t bytes) = 0;
  /// Cuts the file to `size` bytes, which must not be beyond its end. Durable after the next sync.
  virtual void truncate(uint64_t size, Callback<void> done) = 0;
  /// Bytes in the file, counting appends that were started.
  virtual uint64_t size() const = 0;
};

enum class OpenMode : uint8_t {
  read,    // must exist
  append,  // must exist; positioned at its end
  create,  // must not exist
};

struct DirectoryEntry {
  std::string name;
  uint64_t size = 0;  // 0 for directories
  bool directory = false;
};

/// The folder that belongs to one node. Paths are relative to it, with '/' between parts, never "..".
/// Names that were created, renamed or removed are durable only after sync_directory of their parent.
class Disk {
 public:
  virtual ~Disk() = default;
  /// Errors: not_found, already_exists, no_space, io.
  virtual void open(const std::string& path, OpenMode mode, Callback<std::unique_ptr<File>> done) = 0;
  /// Atomic; replaces `to`.
  virtual void rename(const std::string& from, const std::string& to, Callback<void> done) = 0;
  /// Removes a file. Errors: not_found, io.
  virtual void remove(const std::string& path, Callback<void> done) = 0;
  /// Makes a folder and its parents; succeeds where it exists.
  virtual void make_directory(const std::string& path, Callback<void> done) = 0;
  /// Sorted by name. Errors: not_found, io.
  virtual void list(const std::string& path, Callback<std::vector<DirectoryEntry>> done) = 0;
  virtual void sync_directory(const std::string& path, Callback<void> done) = 0;
  /// Bytes that could be written before the disk is full; only an estimate, because others may write to it.
  virtual void free_space(Callback<uint64_t> done) = 0;

  /// Runs blocking file work (RocksDB's flushes, say) away from the core and completes with what it returned. The work
  /// must touch nothing that the core touches meanwhile. Destroying the Disk waits for it.
  virtual void run_blocking(std::move_only_function<Status()> work, Callback<void> done) = 0;
  /// The environment that RocksDB opens its files in, and the name of this disk's folder there. Lives as long as the
  /// Disk.
  virtual rocksdb::Env* rocksdb_env() = 0;
  virtual std::string rocksdb_path(const std::string& path) const = 0;
};

}  // namespace asterism
