// Small files and folders, worked on at once: for the command line and for what happens before a node serves.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace asterism {

class RealCore;

/// Errors: not_found, too_large, io.
Result<Bytes> read_file(const std::string& path, uint64_t max_bytes = 1 << 20);
/// Atomic and durable: a temporary file beside it, synced, then renamed over it, then the folder synced.
Status write_file(const std::string& path, BytesView content);
Status remove_file(const std::string& path);
Status make_folders(const std::string& path);
bool file_exists(const std::string& path);
/// The names in a folder, sorted. Errors: not_found, io.
Result<std::vector<std::string>> list_folder(const std::string& path);
Result<std::string> absolute_path(const std::string& path);

/// Held by one process at a time; let go when it is destroyed or its process ends.
class FileLock {
 public:
  /// Errors: already_exists where another process holds it; io. Makes the file where it is missing.
  static Result<FileLock> acquire(const std::string& path);
  FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

/// Calls back from the loop when names appear or change in any of the folders, until it is destroyed.
class FolderWatch {
 public:
  virtual ~FolderWatch() = default;
};
Result<std::unique_ptr<FolderWatch>> watch_folders(RealCore& core, const std::vector<std::string>& folders,
                                                   std::function<void()> changed);

}  // namespace asterism
