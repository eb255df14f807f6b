#include "runtime/real/system_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>

namespace asterism {
namespace {

std::unexpected<Error> failure(const std::string& what) { return std::unexpected(error_from_errno(errno, what)); }

template <class Call>
auto retry(Call&& call) {
  while (true) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

Status status_of(long result, const std::string& what) {
  if (result < 0) return failure(what);
  return {};
}

}  // namespace

Descriptor::~Descriptor() {
  if (number_ >= 0) ::close(number_);
}

Result<Descriptor> open_file(const std::string& path, OpenMode mode) {
  int flags = O_CLOEXEC;
  if (mode == OpenMode::read) flags |= O_RDONLY;
  if (mode == OpenMode::append) flags |= O_RDWR | O_APPEND;
  if (mode == OpenMode::create) flags |= O_RDWR | O_APPEND | O_CREAT | O_EXCL;
  Descriptor descriptor(retry([&] { return ::open(path.c_str(), flags, 0600); }));
  if (descriptor.get() < 0) return failure("open " + path);
  struct stat status;
  if (::fstat(descriptor.get(), &status) == 0 && S_ISDIR(status.st_mode))
    return fail(ErrorCode::io, "open {}: is a folder", path);
  return descriptor;
}

Result<uint64_t> size_of_file(int descriptor, const std::string& path) {
  struct stat status;
  if (::fstat(descriptor, &status) != 0) return failure("size of " + path);
  return static_cast<uint64_t>(status.st_size);
}

/// `write`: writes what it can of so many vectors, of which so many bytes went before.
template <class Write>
static Status write_vectors(std::vector<iovec> vectors, const std::string& path, Write&& write) {
  size_t first = 0;
  uint64_t done = 0;
  while (first < vectors.size()) {
    const int count = static_cast<int>(std::min<size_t>(vectors.size() - first, IOV_MAX));
    const ssize_t written = retry([&] { return write(&vectors[first], count, done); });
    if (written < 0) return failure("write to " + path);
    auto left = static_cast<size_t>(written);
    done += left;
    while (left > 0) {
      iovec& vector = vectors[first];
      const size_t taken = std::min(left, vector.iov_len);
      vector.iov_base = static_cast<char*>(vector.iov_base) + taken;
      vector.iov_len -= taken;
      left -= taken;
      if (vector.iov_len == 0) ++first;
    }
  }
  return {};
}

static std::vector<iovec> vectors_of(const std::vector<Bytes>& pieces) {
  std::vector<iovec> vectors;
  vectors.reserve(pieces.size());
  for (const Bytes& piece : pieces)
    if (!piece.empty()) vectors.push_back({const_cast<char*>(piece.data()), piece.size()});
  return vectors;
}

Status write_all(int descriptor, const std::vector<Bytes>& pieces, const std::string& path) {
  return write_vectors(vectors_of(pieces), path,
                       [&](const iovec* vectors, int count, uint64_t) { return ::writev(descriptor, vectors, count); });
}

Status write_all_at(int descriptor, uint64_t offset, const std::vector<Bytes>& pieces, const std::string& path) {
  return write_vectors(vectors_of(pieces), path, [&](const iovec* vectors, int count, uint64_t done) {
    return ::pwritev(descriptor, vectors, count, static_cast<off_t>(offset + done));
  });
}

Status write_zeros_at(int descriptor, uint64_t offset, uint64_t size, const std::string& path) {
  static constexpr char zeros[64 << 10] = {};
  std::vector<iovec> vectors;
  for (uint64_t left = size; left > 0; left -= vectors.back().iov_len)
    vectors.push_back({const_cast<char*>(zeros), std::min<uint64_t>(left, sizeof zeros)});
  return write_vectors(std::move(vectors), path, [&](const iovec* some, int count, uint64_t done) {
    return ::pwritev(descriptor, some, count, static_cast<off_t>(offset + done));
  });
}

Status write_where_told(int descriptor, const std::string& path) {
  const int flags = ::fcntl(descriptor, F_GETFL);
  return status_of(flags < 0 ? flags : ::fcntl(descriptor, F_SETFL, flags & ~O_APPEND), "open " + path);
}

Result<Bytes> read_file_at(int descriptor, uint64_t offset, uint64_t size, const std::string& path) {
  Bytes bytes(size, '\0');
  size_t filled = 0;
  while (filled < size) {
    const ssize_t got = retry(
        [&] { return ::pread(descriptor, bytes.data() + filled, size - filled, static_cast<off_t>(offset + filled)); });
    if (got < 0) return failure("read " + path);
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  bytes.resize(filled);
  return bytes;
}

// Not repeated after EINTR: an error may have been reported by the interrupted call, once and for all.
Status sync_data(int descriptor, const std::string& path) { return status_of(::fdatasync(descriptor), "sync " + path); }

Status truncate_file(int descriptor, uint64_t size, const std::string& path) {
  return status_of(retry([&] { return ::ftruncate(descriptor, static_cast<off_t>(size)); }), "truncate " + path);
}

Status rename_file(const std::string& from, const std::string& to) {
  return status_of(::rename(from.c_str(), to.c_str()), "rename " + from);
}

Status unlink_file(const std::string& path) { return status_of(::unlink(path.c_str()), "remove " + path); }

Status make_folder(const std::string& path) {
  for (size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end + 1);
    const std::string part = path.substr(0, end);
    if (::mkdir(part.c_str(), 0755) == 0 || errno == EEXIST) continue;
    const int error = errno;
    struct stat status;
    if (::stat(part.c_str(), &status) == 0) continue;
    return std::unexpected(error_from_errno(error, "make folder " + part));
  }
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return failure("make folder " + path);
  if (!S_ISDIR(status.st_mode)) return fail(ErrorCode::io, "make folder {}: a file has that name", path);
  return {};
}

Result<std::vector<DirectoryEntry>> list_entries(const std::string& path) {
  std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
  if (!folder) return failure("list " + path);
  std::vector<DirectoryEntry> entries;
  while (true) {
    errno = 0;
    const dirent* found = ::readdir(folder.get());
    if (!found) break;
    const std::string name = found->d_name;
    if (name == "." || name == "..") continue;
    struct stat status;
    // A file that was removed meanwhile is not in the list.
    if (::fstatat(::dirfd(folder.get()), name.c_str(), &status, 0) != 0) continue;
    const bool directory = S_ISDIR(status.st_mode);
    entries.push_back({name, directory ? 0 : static_cast<uint64_t>(status.st_size), directory});
  }
  if (errno != 0) return failure("list " + path);
  std::ranges::sort(entries, {}, &DirectoryEntry::name);
  return entries;
}

Status sync_folder(const std::string& path) {
  Descriptor folder(retry([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (folder.get() < 0) return failure("open " + path);
  return status_of(::fsync(folder.get()), "sync " + path);
}

Result<uint64_t> free_space_of(const std::string& path) {
  struct statvfs system{};
  if (retry([&] { return ::statvfs(path.c_str(), &system); }) < 0) return failure("ask for free space of " + path);
  return system.f_bavail * system.f_frsize;
}

}  // namespace asterism
