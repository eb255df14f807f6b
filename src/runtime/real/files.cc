#include "runtime/real/files.h"

#include <limits.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <cstdlib>

#include "runtime/real/impl.h"
#include "runtime/real/system_file.h"

namespace asterism {

Result<Bytes> read_file(const std::string& path, uint64_t max_bytes) {
  TRY(Descriptor file, open_file(path, OpenMode::read));
  TRY(uint64_t size, size_of_file(file.get(), path));
  // Files of /proc claim to be empty.
  const uint64_t most = size == 0 ? std::min<uint64_t>(max_bytes, 64 << 10) : size;
  if (most > max_bytes) return fail(ErrorCode::too_large, "{} has more than {} bytes", path, max_bytes);
  return read_file_at(file.get(), 0, most, path);
}

Status write_file(const std::string& path, BytesView content) {
  const std::string temporary = fmt::format("{}.{}.tmp", path, getpid());
  if (Status removed = unlink_file(temporary); !removed && removed.error().code != ErrorCode::not_found) return removed;
  TRY(Descriptor file, open_file(temporary, OpenMode::create));
  TRY_STATUS(write_all(file.get(), {Bytes(content)}, temporary));
  TRY_STATUS(sync_data(file.get(), temporary));
  TRY_STATUS(rename_file(temporary, path));
  const size_t slash = path.rfind('/');
  return sync_folder(slash == std::string::npos ? "." : path.substr(0, slash + 1));
}

Status remove_file(const std::string& path) { return unlink_file(path); }
Status make_folders(const std::string& path) { return make_folder(path); }
bool file_exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

Result<std::vector<std::string>> list_folder(const std::string& path) {
  TRY(auto entries, list_entries(path));
  std::vector<std::string> names;
  for (DirectoryEntry& entry : entries) names.push_back(std::move(entry.name));
  return names;
}

Result<std::string> absolute_path(const std::string& path) {
  if (path.starts_with('/')) return path;
  char folder[PATH_MAX];
  if (!::getcwd(folder, sizeof folder)) return std::unexpected(error_from_errno(errno, "working folder"));
  std::string_view rest = path;
  while (rest.starts_with("./")) rest.remove_prefix(2);
  return rest.empty() || rest == "." ? std::string(folder) : fmt::format("{}/{}", folder, rest);
}

Result<FileLock> FileLock::acquire(const std::string& path) {
  auto file = open_file(path, OpenMode::create);
  if (!file && file.error().code == ErrorCode::already_exists) file = open_file(path, OpenMode::append);
  if (!file) return std::unexpected(file.error());
  if (::flock(file->get(), LOCK_EX | LOCK_NB) == 0) return FileLock(file->release());
  if (errno == EWOULDBLOCK) return fail(ErrorCode::already_exists, "{} is locked by another process", path);
  return std::unexpected(error_from_errno(errno, "lock " + path));
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

namespace {

struct WatchState : std::enable_shared_from_this<WatchState> {
  WatchState(RealCore::Impl& core, int descriptor, std::function<void()> function)
      : inotify(core.io, descriptor), changed(std::make_shared<std::function<void()>>(std::move(function))) {}

  void wait() {
    inotify.async_read_some(boost::asio::buffer(buffer),
                            [self = shared_from_this()](const boost::system::error_code& error, size_t) {
                              if (error || !self->changed) return;
                              self->wait();
                              // Kept alive, because the function may destroy the watch, which empties the member.
                              const auto function = self->changed;
                              (*function)();
                            });
  }

  boost::asio::posix::stream_descriptor inotify;
  std::shared_ptr<std::function<void()>> changed;
  char buffer[4096];
};

class RealFolderWatch final : public FolderWatch {
 public:
  explicit RealFolderWatch(std::shared_ptr<WatchState> state) : state_(std::move(state)) { state_->wait(); }
  ~RealFolderWatch() override {
    state_->changed = nullptr;
    boost::system::error_code ignored;
    (void)state_->inotify.close(ignored);
  }

 private:
  std::shared_ptr<WatchState> state_;
};

}  // namespace

Result<std::unique_ptr<FolderWatch>> watch_folders(RealCore& core, const std::vector<std::string>& folders,
                                                   std::function<void()> changed) {
  Descriptor inotify(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (inotify.get() < 0) return std::unexpected(error_from_errno(errno, "inotify"));
  for (const std::string& folder : folders) {
    if (::inotify_add_watch(inotify.get(), folder.c_str(), IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE) < 0)
      return std::unexpected(error_from_errno(errno, "watch " + folder));
  }
  auto state = std::make_shared<WatchState>(core.impl(), inotify.release(), std::move(changed));
  return std::make_unique<RealFolderWatch>(std::move(state));
}

}  // namespace asterism
