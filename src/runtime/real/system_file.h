// The system calls on files, as Results. They block. Interrupted calls and short writes are gone on with.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "ports/disk.h"

namespace asterism {

Error error_from_errno(int number, const std::string& what);

/// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor();
  int get() const { return number_; }
  int release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

/// `path` in these is only for messages, where a descriptor is given too.
Result<Descriptor> open_file(const std::string& path, OpenMode mode);
Result<uint64_t> size_of_file(int descriptor, const std::string& path);
Status write_all(int descriptor, const std::vector<Bytes>& pieces, const std::string& path);
/// The same from a place in the file on. The descriptor must not be in the mode of appending.
Status write_all_at(int descriptor, uint64_t offset, const std::vector<Bytes>& pieces, const std::string& path);
Status write_zeros_at(int descriptor, uint64_t offset, uint64_t size, const std::string& path);
/// Ends the mode of appending, in which the system ignores places.
Status write_where_told(int descriptor, const std::string& path);
/// Fewer bytes only at the end of the file.
Result<Bytes> read_file_at(int descriptor, uint64_t offset, uint64_t size, const std::string& path);
/// fdatasync: contents and size, not times.
Status sync_data(int descriptor, const std::string& path);
Status truncate_file(int descriptor, uint64_t size, const std::string& path);
Status rename_file(const std::string& from, const std::string& to);
Status unlink_file(const std::string& path);
/// With all parents.
Status make_folder(const std::string& path);
/// Sorted by name.
Result<std::vector<DirectoryEntry>> list_entries(const std::string& path);
Status sync_folder(const std::string& path);
/// Bytes that unprivileged processes may still write to the file system of `path`; quotas are not seen.
Result<uint64_t> free_space_of(const std::string& path);

}  // namespace asterism
