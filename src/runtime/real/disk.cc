#include <rocksdb/env.h>

#include <algorithm>

#include "runtime/real/file.h"

namespace asterism {
namespace {

struct JobBase {
  virtual ~JobBase() = default;
  virtual void drop() = 0;
};

template <class T>
struct Job final : JobBase {
  std::move_only_function<Result<T>()> work;
  Callback<T> done;
  std::optional<Result<T>> outcome;
  // Moved out first, because a callback's destructor may run code of its owner.
  void drop() override { auto dropped = std::exchange(done, nullptr); }
};

/// What a disk shares with its jobs, which may complete after it.
struct Jobs {
  std::vector<std::shared_ptr<JobBase>> started;  // for the loop
  std::mutex mutex;
  std::condition_variable ended;
  size_t running = 0;
};

class RealDisk final : public Disk {
 public:
  RealDisk(RealCore::Impl& core, std::string folder) : core_(core), folder_(std::move(folder)) {}
  ~RealDisk() override {
    for (auto& job : std::exchange(jobs_->started, {})) job->drop();
    std::unique_lock lock(jobs_->mutex);
    jobs_->ended.wait(lock, [&] { return jobs_->running == 0; });
  }

  void open(const std::string& path, OpenMode mode, Callback<std::unique_ptr<File>> done) override {
    struct Opened {
      Descriptor descriptor;
      uint64_t size;
      std::string path;
    };
    auto opened = [&core = core_, done = std::move(done)](Result<Opened> file) mutable {
      if (!file) return done(std::unexpected(std::move(file.error())));
      done(make_real_file(core, std::move(file->descriptor), file->size, std::move(file->path)));
    };
    start<Opened>(
        [path = full(path), mode]() -> Result<Opened> {
          TRY(std::string name, path);
          TRY(Descriptor descriptor, open_file(name, mode));
          TRY_STATUS(write_where_told(descriptor.get(), name));
          TRY(uint64_t size, size_of_file(descriptor.get(), name));
          return Opened{std::move(descriptor), size, std::move(name)};
        },
        std::move(opened));
  }

  void rename(const std::string& from, const std::string& to, Callback<void> done) override {
    auto work = [from = full(from), to = full(to)]() -> Status {
      TRY(std::string source, from);
      TRY(std::string target, to);
      return rename_file(source, target);
    };
    start<void>(std::move(work), std::move(done));
  }
  void remove(const std::string& path, Callback<void> done) override { start_on(path, unlink_file, std::move(done)); }
  void make_directory(const std::string& path, Callback<void> done) override {
    start_on(path, make_folder, std::move(done));
  }
  void sync_directory(const std::string& path, Callback<void> done) override {
    start_on(path, sync_folder, std::move(done));
  }
  void free_space(Callback<uint64_t> done) override {
    start<uint64_t>([folder = folder_] { return free_space_of(folder); }, std::move(done));
  }
  void list(const std::string& path, Callback<std::vector<DirectoryEntry>> done) override {
    auto work = [path = full(path)]() -> Result<std::vector<DirectoryEntry>> {
      TRY(std::string name, path);
      return list_entries(name);
    };
    start<std::vector<DirectoryEntry>>(std::move(work), std::move(done));
  }

  void run_blocking(std::move_only_function<Status()> work, Callback<void> done) override {
    start<void>(std::move(work), std::move(done));
  }
  rocksdb::Env* rocksdb_env() override { return rocksdb::Env::Default(); }
  std::string rocksdb_path(const std::string& path) const override {
    return path.empty() ? folder_ : folder_ + "/" + path;
  }

 private:
  Result<std::string> full(const std::string& path) const {
    const bool leaves = path.starts_with('/') || ("/" + path + "/").find("/../") != std::string::npos;
    if (leaves) return fail(ErrorCode::invalid_argument, "the path '{}' leaves the node's folder", path);
    return rocksdb_path(path);
  }

  void start_on(const std::string& path, Status (*function)(const std::string&), Callback<void> done) {
    auto work = [path = full(path), function]() -> Status {
      TRY(std::string name, path);
      return function(name);
    };
    start<void>(std::move(work), std::move(done));
  }

  template <class T>
  void start(std::move_only_function<Result<T>()> work, Callback<T> done) {
    auto job = std::make_shared<Job<T>>();
    job->work = std::move(work);
    job->done = std::move(done);
    jobs_->started.push_back(job);
    {
      std::lock_guard lock(jobs_->mutex);
      ++jobs_->running;
    }
    // The job travels to the pool and back, so that it is destroyed in the loop's thread.
    core_.pool.submit([&core = core_, jobs = jobs_, job = std::move(job)]() mutable {
      job->outcome.emplace(job->work());
      boost::asio::post(core.io, [jobs, job = std::move(job)] {
        std::erase(jobs->started, job);
        if (auto callback = std::exchange(job->done, nullptr)) callback(std::move(*job->outcome));
      });
      std::lock_guard lock(jobs->mutex);
      --jobs->running;
      jobs->ended.notify_all();
    });
  }

  RealCore::Impl& core_;
  const std::string folder_;
  std::shared_ptr<Jobs> jobs_ = std::make_shared<Jobs>();
};

}  // namespace

Result<std::unique_ptr<Disk>> make_real_disk(RealCore::Impl& core, const std::string& folder) {
  TRY_STATUS(make_folder(folder));
  return std::make_unique<RealDisk>(core, folder);
}

}  // namespace asterism
