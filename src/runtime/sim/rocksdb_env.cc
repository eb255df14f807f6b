#include "runtime/sim/rocksdb_env.h"

#include <rocksdb/system_clock.h>

#include <set>

namespace asterism::sim {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

class RocksClock final : public rocksdb::SystemClock {
 public:
  const char* Name() const override { return "SimulatedClock"; }
  uint64_t NowMicros() override { return static_cast<uint64_t>(us_ + slept_us_); }
  void SleepForMicroseconds(int us) override { slept_us_ += us; }
  rocksdb::Status GetCurrentTime(int64_t* seconds) override {
    *seconds = static_cast<int64_t>(NowMicros() / 1'000'000);
    return rocksdb::Status::OK();
  }
  std::string TimeToString(uint64_t time) override { return std::to_string(time); }
  void set(int64_t us) {
    if (us > us_) us_ = us;
  }

 private:
  std::atomic<int64_t> us_{0}, slept_us_{0};
};

namespace {

IOStatus to_io_status(const Error& error) {
  switch (error.code) {
    case ErrorCode::not_found:
      return IOStatus::PathNotFound(error.message);
    case ErrorCode::no_space:
      return IOStatus::NoSpace(error.message);
    default:
      return IOStatus::IOError(error.message);
  }
}

template <class T>
IOStatus to_io_status(const Result<T>& result) {
  return result ? IOStatus::OK() : to_io_status(result.error());
}

class ReadFile final : public rocksdb::FSRandomAccessFile {
 public:
  ReadFile(FileStore& store, FileStore::Ref file) : store_(store), file_(std::move(file)) {}
  IOStatus Read(uint64_t offset, size_t size, const IOOptions&, Slice* result, char* scratch,
                IODebugContext*) const override {
    auto bytes = store_.read(*file_, offset, size);
    if (!bytes) return to_io_status(bytes.error());
    bytes->copy(scratch, bytes->size());
    *result = Slice(scratch, bytes->size());
    return IOStatus::OK();
  }

 private:
  FileStore& store_;
  FileStore::Ref file_;
};

class SequentialFile final : public rocksdb::FSSequentialFile {
 public:
  SequentialFile(FileStore& store, FileStore::Ref file) : file_(store, std::move(file)) {}
  IOStatus Read(size_t size, const IOOptions& options, Slice* result, char* scratch, IODebugContext* debug) override {
    IOStatus status = file_.Read(offset_, size, options, result, scratch, debug);
    if (status.ok()) offset_ += result->size();
    return status;
  }
  IOStatus Skip(uint64_t size) override {
    offset_ += size;
    return IOStatus::OK();
  }

 private:
  ReadFile file_;
  uint64_t offset_ = 0;
};

class WriteFile final : public rocksdb::FSWritableFile {
 public:
  WriteFile(FileStore& store, FileStore::Ref file) : store_(store), file_(std::move(file)) {}
  using FSWritableFile::Append;
  IOStatus Append(const Slice& data, const IOOptions&, IODebugContext*) override {
    return to_io_status(store_.append(*file_, {data.data(), data.size()}));
  }
  IOStatus Truncate(uint64_t size, const IOOptions&, IODebugContext*) override {
    return to_io_status(store_.truncate(*file_, size));
  }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return to_io_status(store_.sync(*file_)); }
  // Starts writing without a promise.
  IOStatus RangeSync(uint64_t, uint64_t, const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  bool IsSyncThreadSafe() const override { return true; }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return store_.size(*file_); }

 private:
  FileStore& store_;
  FileStore::Ref file_;
};

class DirectoryHandle final : public rocksdb::FSDirectory {
 public:
  DirectoryHandle(FileStore& store, std::string path) : store_(store), path_(std::move(path)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return to_io_status(store_.sync_directory(path_)); }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }

 private:
  FileStore& store_;
  std::string path_;
};

class NoLogger final : public rocksdb::Logger {
 public:
  using Logger::Logv;
  void Logv(const char*, va_list) override {}
};

class HeldLock final : public rocksdb::FileLock {
 public:
  explicit HeldLock(std::string of) : path(std::move(of)) {}
  std::string path;
};

class StoreFileSystem final : public rocksdb::FileSystem {
 public:
  explicit StoreFileSystem(FileStore& store) : store_(store) {}
  const char* Name() const override { return "SimulatedFileSystem"; }
  void drop_locks() {
    std::lock_guard lock(mutex_);
    locked_.clear();
  }

  IOStatus NewSequentialFile(const std::string& name, const FileOptions&,
                             std::unique_ptr<rocksdb::FSSequentialFile>* out, IODebugContext*) override {
    return open<SequentialFile>(name, out);
  }
  IOStatus NewRandomAccessFile(const std::string& name, const FileOptions&,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* out, IODebugContext*) override {
    return open<ReadFile>(name, out);
  }
  IOStatus NewWritableFile(const std::string& name, const FileOptions&, std::unique_ptr<rocksdb::FSWritableFile>* out,
                           IODebugContext*) override {
    auto file = store_.create(path(name), true);
    if (file) *out = std::make_unique<WriteFile>(store_, *file);
    return to_io_status(file);
  }
  IOStatus ReopenWritableFile(const std::string& name, const FileOptions& options,
                              std::unique_ptr<rocksdb::FSWritableFile>* out, IODebugContext* debug) override {
    IOStatus status = open<WriteFile>(name, out);
    return status.IsNotFound() || status.IsPathNotFound() ? NewWritableFile(name, options, out, debug) : status;
  }
  IOStatus NewDirectory(const std::string& name, const IOOptions&, std::unique_ptr<rocksdb::FSDirectory>* out,
                        IODebugContext*) override {
    auto found = store_.find(path(name));
    if (found) *out = std::make_unique<DirectoryHandle>(store_, path(name));
    return to_io_status(found);
  }
  IOStatus FileExists(const std::string& name, const IOOptions&, IODebugContext*) override {
    auto found = store_.find(path(name));
    if (!found && found.error().code == ErrorCode::not_found) return IOStatus::NotFound();
    return to_io_status(found);
  }
  IOStatus GetChildren(const std::string& name, const IOOptions&, std::vector<std::string>* out,
                       IODebugContext*) override {
    out->clear();
    auto entries = store_.list(path(name));
    if (entries)
      for (auto& each : *entries) out->push_back(std::move(each.name));
    else if (entries.error().code == ErrorCode::not_found)
      return IOStatus::NotFound(entries.error().message);
    return to_io_status(entries);
  }
  IOStatus DeleteFile(const std::string& name, const IOOptions&, IODebugContext*) override {
    return to_io_status(store_.remove(path(name)));
  }
  IOStatus Truncate(const std::string& name, size_t size, const IOOptions&, IODebugContext*) override {
    auto file = store_.find(path(name));
    return file ? to_io_status(store_.truncate(**file, size)) : to_io_status(file);
  }
  IOStatus CreateDir(const std::string& name, const IOOptions& options, IODebugContext* debug) override {
    if (FileExists(name, options, debug).ok()) return IOStatus::IOError(name, "exists");
    return CreateDirIfMissing(name, options, debug);
  }
  IOStatus CreateDirIfMissing(const std::string& name, const IOOptions&, IODebugContext*) override {
    return to_io_status(store_.make_directory(path(name)));
  }
  IOStatus DeleteDir(const std::string& name, const IOOptions&, IODebugContext*) override {
    return to_io_status(store_.remove_directory(path(name)));
  }
  IOStatus GetFileSize(const std::string& name, const IOOptions&, uint64_t* size, IODebugContext*) override {
    auto file = store_.find(path(name));
    *size = file ? store_.size(**file) : 0;
    return to_io_status(file);
  }
  IOStatus GetFileModificationTime(const std::string&, const IOOptions&, uint64_t* time, IODebugContext*) override {
    *time = 0;
    return IOStatus::OK();
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions&, IODebugContext*) override {
    return to_io_status(store_.rename(path(from), path(to)));
  }
  IOStatus LinkFile(const std::string& from, const std::string& to, const IOOptions&, IODebugContext*) override {
    return to_io_status(store_.link(path(from), path(to)));
  }
  IOStatus LockFile(const std::string& name, const IOOptions&, rocksdb::FileLock** out, IODebugContext*) override {
    std::lock_guard lock(mutex_);
    if (!locked_.insert(name).second) return IOStatus::IOError(name, "is locked");
    *out = new HeldLock(name);
    return IOStatus::OK();
  }
  IOStatus UnlockFile(rocksdb::FileLock* held, const IOOptions&, IODebugContext*) override {
    std::lock_guard lock(mutex_);
    auto* mine = static_cast<HeldLock*>(held);
    locked_.erase(mine->path);
    delete mine;
    return IOStatus::OK();
  }
  IOStatus GetTestDirectory(const IOOptions&, std::string* out, IODebugContext*) override {
    *out = std::string(RocksEnv::root) + "test";
    return IOStatus::OK();
  }
  IOStatus NewLogger(const std::string&, const IOOptions&, std::shared_ptr<rocksdb::Logger>* out,
                     IODebugContext*) override {
    *out = std::make_shared<NoLogger>();
    return IOStatus::OK();
  }
  IOStatus GetAbsolutePath(const std::string& name, const IOOptions&, std::string* out, IODebugContext*) override {
    *out = name;
    return IOStatus::OK();
  }
  IOStatus GetFreeSpace(const std::string&, const IOOptions&, uint64_t* bytes, IODebugContext*) override {
    *bytes = store_.free_bytes();
    return IOStatus::OK();
  }
  IOStatus IsDirectory(const std::string& name, const IOOptions&, bool* out, IODebugContext*) override {
    auto found = store_.find(path(name));
    *out = found && (*found)->directory;
    return to_io_status(found);
  }

 private:
  template <class Handle, class Base>
  IOStatus open(const std::string& name, std::unique_ptr<Base>* out) {
    auto file = store_.find(path(name));
    if (file && (*file)->directory) return IOStatus::IOError(name, "is a folder");
    if (file) *out = std::make_unique<Handle>(store_, *file);
    return to_io_status(file);
  }

  /// "/disk//a/b/" is the store's "a/b".
  static std::string path(std::string_view name) {
    if (name.starts_with(RocksEnv::root)) name.remove_prefix(RocksEnv::root.size());
    std::string out;
    for (char c : name)
      if (c != '/' || (!out.empty() && out.back() != '/')) out.push_back(c);
    if (!out.empty() && out.back() == '/') out.pop_back();
    return out;
  }

  FileStore& store_;
  std::mutex mutex_;
  std::set<std::string> locked_;
};

}  // namespace

std::unique_ptr<RocksEnv> RocksEnv::make(FileStore& store) {
  auto files = std::make_shared<StoreFileSystem>(store);
  auto env = std::unique_ptr<RocksEnv>(new RocksEnv(rocksdb::NewCompositeEnv(files), std::make_shared<RocksClock>()));
  // The wrapper would go through the older file interface otherwise.
  env->file_system_ = files;
  env->drop_locks_ = [files = files.get()] { files->drop_locks(); };
  return env;
}

RocksEnv::RocksEnv(std::unique_ptr<rocksdb::Env> base, std::shared_ptr<RocksClock> clock)
    : EnvWrapper(base.get()), base_(std::move(base)), clock_(std::move(clock)) {
  system_clock_ = clock_;
}

RocksEnv::~RocksEnv() {
  settle();
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (worker_.joinable()) worker_.join();
}

void RocksEnv::Schedule(void (*function)(void*), void* argument, Priority, void* tag, void (*unschedule)(void*)) {
  std::lock_guard lock(mutex_);
  jobs_.push_back({function, argument, tag, unschedule});
  if (!worker_.joinable()) worker_ = std::thread([this] { work(); });
  changed_.notify_all();
}

int RocksEnv::UnSchedule(void* tag, Priority) {
  std::deque<Job> dropped;
  {
    std::lock_guard lock(mutex_);
    std::deque<Job> left;
    for (Job& job : jobs_) (job.tag == tag ? dropped : left).push_back(job);
    jobs_ = std::move(left);
  }
  for (Job& job : dropped)
    if (job.unschedule != nullptr) job.unschedule(job.argument);
  changed_.notify_all();
  return static_cast<int>(dropped.size());
}

unsigned int RocksEnv::GetThreadPoolQueueLen(Priority) const {
  std::lock_guard lock(mutex_);
  return static_cast<unsigned int>(jobs_.size());
}

void RocksEnv::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    Job job = jobs_.front();
    jobs_.pop_front();
    busy_ = true;
    lock.unlock();
    job.function(job.argument);
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

void RocksEnv::settle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !busy_ && jobs_.empty(); });
}

void RocksEnv::set_time(int64_t us) { clock_->set(us); }

void RocksEnv::drop_locks() { drop_locks_(); }

rocksdb::Status RocksEnv::GetHostName(char* name, uint64_t size) {
  if (size == 0) return rocksdb::Status::InvalidArgument("no room for the host's name");
  std::memset(name, 0, size);
  std::strncpy(name, "simulated", size - 1);
  return rocksdb::Status::OK();
}

rocksdb::Status RocksEnv::GetCurrentTime(int64_t* seconds) { return clock_->GetCurrentTime(seconds); }
uint64_t RocksEnv::NowMicros() { return clock_->NowMicros(); }
uint64_t RocksEnv::NowNanos() { return clock_->NowNanos(); }
void RocksEnv::SleepForMicroseconds(int us) { clock_->SleepForMicroseconds(us); }

}  // namespace asterism::sim
