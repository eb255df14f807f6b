#include "runtime/real/tailed_file.h"

#include <sys/stat.h>

#include <cerrno>

namespace asterism {

static FileIdentity identity_in(const struct stat& status) {
  return {static_cast<uint64_t>(status.st_dev), static_cast<uint64_t>(status.st_ino)};
}

Result<FileIdentity> identity_of(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return std::unexpected(error_from_errno(errno, path));
  return identity_in(status);
}

Result<TailedFile> TailedFile::open(const std::string& path) {
  TRY(Descriptor descriptor, open_file(path, OpenMode::read));
  struct stat status;
  if (::fstat(descriptor.get(), &status) != 0) return std::unexpected(error_from_errno(errno, path));
  return TailedFile(std::move(descriptor), path, identity_in(status));
}

Result<Bytes> TailedFile::read(uint64_t most) {
  TRY(const uint64_t end, size());
  if (end < offset_) offset_ = 0;
  TRY(Bytes bytes, read_file_at(descriptor_.get(), offset_, std::min(most, end - offset_), path_));
  offset_ += bytes.size();
  return bytes;
}

}  // namespace asterism
