#include "runtime/sim/sim_disk.h"

#include <deque>

#include "runtime/sim/machine.h"
#include "runtime/sim/rocksdb_env.h"

namespace asterism::sim {

struct SimDisk::Queue {
  /// Takes effect; the callback follows in the machine's next turn where `deliver`.
  using Operation = std::move_only_function<void(bool deliver)>;
  uint64_t id = 0;
  std::deque<Operation> operations;
  Instant last{0};   // when the latest operation will be done
  bool open = true;  // callbacks are wanted
  bool sync_failed = false;
};

struct SimDisk::Blocking {
  std::move_only_function<Status()> work;
  Callback<void> done;
  bool started = false;
  Status result;
};

class SimFile final : public File {
 public:
  SimFile(SimDisk& disk, std::shared_ptr<SimDisk::Queue> queue, FileStore::Ref inode, bool writable)
      : disk_(disk), queue_(std::move(queue)), inode_(std::move(inode)), writable_(writable) {
    size_ = disk_.store_.size(*inode_);
  }
  ~SimFile() override { queue_->open = false; }

  void append(std::vector<Bytes> pieces, Callback<void> done) override {
    ASSERT(writable_);
    size_t total = 0;
    for (const Bytes& piece : pieces) total += piece.size();
    size_ += total;
    disk_.submit<void>(
        queue_, SimDisk::Cost::append, total,
        [&store = disk_.store_, inode = inode_, queue = queue_, pieces = std::move(pieces)]() -> Status {
          if (queue->sync_failed) return after_failed_sync();
          if (pieces.size() == 1) return store.append(*inode, pieces[0]);
          Bytes all;
          for (const Bytes& piece : pieces) all += piece;
          return store.append(*inode, all);
        },
        std::move(done));
  }
  void reserve(uint64_t bytes) override {
    ASSERT(writable_);
    disk_.submit<void>(
        queue_, SimDisk::Cost::append, bytes,
        [&store = disk_.store_, inode = inode_, end = size_ + bytes]() -> Status {
          store.reserve(*inode, end);
          return {};
        },
        [](const Status&) {});
  }
  void read_at(uint64_t offset, uint64_t size, Callback<Bytes> done) override {
    disk_.submit<Bytes>(
        queue_, SimDisk::Cost::read, size,
        [&store = disk_.store_, inode = inode_, offset, size] { return store.read(*inode, offset, size); },
        std::move(done));
  }
  void sync(Callback<void> done) override {
    disk_.submit<void>(
        queue_, SimDisk::Cost::sync, 0,
        [&store = disk_.store_, inode = inode_, queue = queue_]() -> Status {
          if (queue->sync_failed) return after_failed_sync();
          Status synced = store.sync(*inode);
          queue->sync_failed = !synced;
          return synced;
        },
        std::move(done));
  }
  void truncate(uint64_t size, Callback<void> done) override {
    ASSERT(writable_ && size <= size_);
    size_ = size;
    disk_.submit<void>(
        queue_, SimDisk::Cost::metadata, 0,
        [&store = disk_.store_, inode = inode_, queue = queue_, size]() -> Status {
          if (queue->sync_failed) return after_failed_sync();
          // After an append that failed the file may be shorter than what was started.
          return store.truncate(*inode, std::min(size, store.size(*inode)));
        },
        std::move(done));
  }
  uint64_t size() const override { return size_; }

 private:
  static Status after_failed_sync() { return fail(ErrorCode::io, "a sync of this file failed before"); }

  SimDisk& disk_;
  std::shared_ptr<SimDisk::Queue> queue_;
  FileStore::Ref inode_;
  uint64_t size_ = 0;
  bool writable_;
};

SimDisk::SimDisk(Machine& machine, DiskOptions options)
    : machine_(machine), options_(options), store_(machine.luck().next(), options.store) {
  names_ = make_queue();
}

SimDisk::~SimDisk() = default;

std::shared_ptr<SimDisk::Queue> SimDisk::make_queue() {
  auto queue = std::make_shared<Queue>();
  queue->id = next_id_++;
  queues_[queue->id] = queue;
  if (queues_.size() % 256 == 0) std::erase_if(queues_, [](const auto& each) { return each.second.expired(); });
  return queue;
}

Duration SimDisk::latency(Cost cost, uint64_t bytes) {
  Duration base{0}, tail{0};
  switch (cost) {
    case Cost::append:
      base = options_.append_base, tail = options_.append_tail;
      break;
    case Cost::read:
      base = options_.read_base, tail = options_.read_tail;
      break;
    case Cost::sync:
      base = options_.sync_base, tail = options_.sync_tail;
      break;
    case Cost::metadata:
      base = options_.metadata_base, tail = options_.metadata_tail;
      break;
  }
  const auto transfer = static_cast<int64_t>(bytes * 1'000'000'000.0 / static_cast<double>(options_.bytes_per_second));
  const Duration normal = base + random_exponential(machine_.luck(), tail) + Duration(transfer);
  return Duration(static_cast<int64_t>(static_cast<double>(normal.count()) * slowness_));
}

template <class T>
void SimDisk::submit(const std::shared_ptr<Queue>& queue, Cost cost, uint64_t bytes,
                     std::move_only_function<Result<T>()> effect, Callback<T> done) {
  Simulation& simulation = machine_.simulation();
  machine_.trace(EventKind::disk, queue->id << 8 | static_cast<uint64_t>(cost), bytes);
  queue->last = std::max(simulation.now() + latency(cost, bytes), queue->last + 1ns);
  queue->operations.push_back([this, queue, effect = std::move(effect), done = std::move(done)](bool deliver) mutable {
    Result<T> result = effect();
    account();
    if (!deliver || !queue->open) return;
    machine_.complete([queue, done = std::move(done), result = std::move(result)]() mutable {
      if (queue->open) done(std::move(result));
    });
  });
  simulation.schedule(queue->last, EventKind::disk, machine_.index(), [this, queue] { finish_first(queue); });
}

void SimDisk::finish_first(const std::shared_ptr<Queue>& queue) {
  if (queue->operations.empty()) return;  // a crash emptied it
  auto operation = std::move(queue->operations.front());
  queue->operations.pop_front();
  operation(true);
}

void SimDisk::open(const std::string& path, OpenMode mode, Callback<std::unique_ptr<File>> done) {
  submit<std::unique_ptr<File>>(
      names_, Cost::metadata, 0,
      [this, path, mode]() -> Result<std::unique_ptr<File>> {
        TRY(auto inode, mode == OpenMode::create ? store_.create(path, false) : store_.find(path));
        if (inode->directory) return fail(ErrorCode::io, "'{}' is a folder", path);
        return std::make_unique<SimFile>(*this, make_queue(), std::move(inode), mode != OpenMode::read);
      },
      std::move(done));
}

void SimDisk::rename(const std::string& from, const std::string& to, Callback<void> done) {
  submit<void>(names_, Cost::metadata, 0, [this, from, to] { return store_.rename(from, to); }, std::move(done));
}

void SimDisk::remove(const std::string& path, Callback<void> done) {
  submit<void>(names_, Cost::metadata, 0, [this, path] { return store_.remove(path); }, std::move(done));
}

void SimDisk::make_directory(const std::string& path, Callback<void> done) {
  submit<void>(names_, Cost::metadata, 0, [this, path] { return store_.make_directory(path); }, std::move(done));
}

void SimDisk::list(const std::string& path, Callback<std::vector<DirectoryEntry>> done) {
  submit<std::vector<DirectoryEntry>>(
      names_, Cost::metadata, 0, [this, path] { return store_.list(path); }, std::move(done));
}

void SimDisk::sync_directory(const std::string& path, Callback<void> done) {
  submit<void>(names_, Cost::sync, 0, [this, path] { return store_.sync_directory(path); }, std::move(done));
}

void SimDisk::free_space(Callback<uint64_t> done) {
  submit<uint64_t>(
      names_, Cost::metadata, 0, [this]() -> Result<uint64_t> { return store_.free_bytes(); }, std::move(done));
}

void SimDisk::run_blocking(std::move_only_function<Status()> work, Callback<void> done) {
  const uint64_t id = next_id_++;
  blocking_[id] = std::make_unique<Blocking>(std::move(work), std::move(done));
  machine_.trace(EventKind::blocking, id);
  Simulation& simulation = machine_.simulation();
  simulation.schedule(simulation.now() + latency(Cost::metadata, 0), EventKind::blocking, machine_.index(),
                      [this, id] { run_blocking_now(id); });
}

void SimDisk::run_blocking_now(uint64_t id) {
  auto found = blocking_.find(id);
  if (found == blocking_.end()) return;
  Simulation& simulation = machine_.simulation();
  if (machine_.frozen()) {
    simulation.schedule(machine_.thawed_at(), EventKind::blocking, machine_.index(),
                        [this, id] { run_blocking_now(id); });
    return;
  }
  Blocking& blocking = *found->second;
  account();
  blocking.started = true;
  update_rocksdb_time();
  blocking.result = blocking.work();
  if (env_) env_->settle();
  const Duration took = account();
  machine_.trace(EventKind::file_operation, store_.operations_hash());
  simulation.schedule(simulation.now() + took, EventKind::blocking, machine_.index(), [this, id] {
    if (!blocking_.contains(id)) return;
    machine_.complete([this, id] {
      auto node = blocking_.extract(id);
      if (!node.empty()) node.mapped()->done(std::move(node.mapped()->result));
    });
  });
}

Duration SimDisk::account() {
  const StoreCounters now = store_.counters();
  auto count = [&](Fault fault, uint64_t before, uint64_t after) {
    for (uint64_t i = before; i < after; ++i) machine_.simulation().count(fault);
  };
  count(Fault::torn_write, accounted_.files_torn, now.files_torn);
  count(Fault::name_undone, accounted_.names_undone, now.names_undone);
  count(Fault::corruption, accounted_.corruptions, now.corruptions);
  count(Fault::no_space, accounted_.no_space, now.no_space);
  count(Fault::disk_error, accounted_.errors, now.errors);
  if (now.bytes_lost > accounted_.bytes_lost) machine_.simulation().count(Fault::bytes_lost);
  Duration took{0};
  for (uint64_t i = accounted_.syncs + accounted_.directory_syncs; i < now.syncs + now.directory_syncs; ++i)
    took += latency(Cost::sync, 0);
  took += latency(Cost::append, 0) * static_cast<int64_t>(now.appends - accounted_.appends);
  accounted_ = now;
  return took;
}

void SimDisk::settle() {
  if (!env_) return;
  env_->settle();
  const uint64_t hash = store_.operations_hash();
  if (hash != traced_hash_) {
    traced_hash_ = hash;
    machine_.trace(EventKind::file_operation, hash);
    machine_.charge(account());
  }
  update_rocksdb_time();
}

void SimDisk::update_rocksdb_time() {
  if (env_) env_->set_time(machine_.clock().wall_now().us);
}

rocksdb::Env* SimDisk::rocksdb_env() {
  if (!env_) {
    env_ = RocksEnv::make(store_);
    update_rocksdb_time();
  }
  return env_.get();
}

std::string SimDisk::rocksdb_path(const std::string& path) const { return std::string(RocksEnv::root) + path; }

void SimDisk::set_slowness(double factor) {
  if (factor > 1) machine_.simulation().count(Fault::slow_disk);
  slowness_ = factor;
}

void SimDisk::cut_off_blocking_work() {
  for (auto& [id, blocking] : blocking_) {
    if (blocking->started || !machine_.luck().chance(0.5)) continue;
    blocking->started = true;
    store_.disconnect_after(machine_.luck().below(40));
    (void)blocking->work();
    if (env_) env_->settle();
    store_.connect();
  }
}

void SimDisk::finish() { end_operations(true); }

/// Lets operations under way take effect, all or as many of each queue as luck has it.
void SimDisk::end_operations(bool all) {
  std::vector<std::shared_ptr<Queue>> queues;  // an open that takes effect adds to queues_
  for (auto& [id, weak] : queues_)
    if (auto queue = weak.lock()) queues.push_back(std::move(queue));
  for (auto& queue : queues) {
    uint64_t effective = all ? queue->operations.size() : machine_.luck().below(queue->operations.size() + 1);
    for (; effective > 0; --effective) {
      auto operation = std::move(queue->operations.front());
      queue->operations.pop_front();
      operation(false);
    }
  }
}

void SimDisk::crash(bool power) {
  if (env_) env_->settle();
  end_operations(false);
  cut_off_blocking_work();
  if (power) store_.lose_power();
  store_.disconnect();
  account();
  machine_.trace(EventKind::fault, store_.operations_hash(), store_.used_bytes());
}

void SimDisk::drop_pending() {
  std::vector<std::shared_ptr<Queue>> dropped;
  for (auto& [id, weak] : queues_) {
    auto queue = weak.lock();
    if (!queue) continue;
    queue->open = false;
    dropped.push_back(queue);
  }
  // Callbacks may refer to one another's queues when they are destroyed.
  for (auto& queue : dropped) {
    auto operations = std::move(queue->operations);
    queue->operations.clear();
  }
  auto blocking = std::move(blocking_);
  blocking_.clear();
  queues_.clear();
  names_ = make_queue();
}

void SimDisk::start() {
  store_.connect();
  if (env_) env_->drop_locks();
}

}  // namespace asterism::sim
