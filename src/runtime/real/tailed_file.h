// Reading a file that others append to, such as a log, and rename or cut meanwhile.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "runtime/real/system_file.h"

namespace asterism {

/// Tells files apart, whatever they are called.
struct FileIdentity {
  uint64_t device = 0, number = 0;
  bool operator==(const FileIdentity&) const = default;
};

/// Errors: not_found, io.
Result<FileIdentity> identity_of(const std::string& path);

/// Keeps the file open, so that it is read to its end even when its name belongs to another one by now. It blocks.
class TailedFile {
 public:
  /// At the file's start. Errors: not_found, io.
  static Result<TailedFile> open(const std::string& path);

  const FileIdentity& identity() const { return identity_; }
  Result<uint64_t> size() const { return size_of_file(descriptor_.get(), path_); }
  void seek(uint64_t offset) { offset_ = offset; }
  /// At most `most` of the bytes that follow; none where there are none yet. A file that was cut is read from its start
  /// again.
  Result<Bytes> read(uint64_t most);

 private:
  TailedFile(Descriptor descriptor, std::string path, FileIdentity identity)
      : descriptor_(std::move(descriptor)), path_(std::move(path)), identity_(identity) {}

  Descriptor descriptor_;
  std::string path_;
  FileIdentity identity_;
  uint64_t offset_ = 0;
};

}  // namespace asterism
