// A File is a queue of operations, which at most one thread of the pool works on at a time.
#include "runtime/real/file.h"

#include <algorithm>

namespace asterism {
namespace {

struct Operation {
  enum class Kind : uint8_t { append, reserve, read, sync, truncate };
  Kind kind;
  std::vector<Bytes> pieces;
  uint64_t offset = 0, size = 0;
  Result<Bytes> outcome = Bytes();  // set by the pool's thread, read in the loop afterwards
  Callback<Bytes> done;             // only for the loop; empty once the file was destroyed
};
using OperationPtr = std::shared_ptr<Operation>;

struct FileState : std::enable_shared_from_this<FileState> {
  FileState(RealCore::Impl& of, Descriptor opened, std::string name)
      : core(of), descriptor(std::move(opened)), path(std::move(name)) {}

  void start(OperationPtr operation) {
    started.push_back(operation);
    {
      std::lock_guard lock(mutex);
      queue.push_back(std::move(operation));
      if (std::exchange(working, true)) return;
    }
    core.pool.submit([self = shared_from_this()] { self->work(); });
  }

  void work() {
    while (true) {
      std::vector<OperationPtr> batch;
      {
        std::lock_guard lock(mutex);
        if (queue.empty()) {
          working = false;
          return;
        }
        batch.swap(queue);
      }
      work_on(batch);
    }
  }

  /// Syncs in a row are one fdatasync. Changes are reported with the sync behind them, so that a write and its sync
  /// wake the loop once; reads at once.
  void work_on(std::vector<OperationPtr>& batch) {
    std::vector<OperationPtr> changes;
    bool any_sync = false;
    auto finish = [&] {
      if (std::exchange(any_sync, false) && !error) keep_error(sync_data(descriptor.get(), path));
      for (OperationPtr& operation : changes)
        if (operation->kind == Operation::Kind::sync && error) operation->outcome = std::unexpected(*error);
      if (!changes.empty()) complete(std::exchange(changes, {}));
    };
    for (OperationPtr& operation : batch) {
      const auto kind = operation->kind;
      const bool changes_content = kind != Operation::Kind::read && kind != Operation::Kind::sync;
      if (any_sync && changes_content) finish();
      if (kind == Operation::Kind::sync) {
        any_sync = true;
      } else {
        operation->outcome = perform(*operation);
        operation->pieces.clear();
      }
      if (kind == Operation::Kind::read)
        complete({std::move(operation)});
      else
        changes.push_back(std::move(operation));
    }
    finish();
  }

  Result<Bytes> perform(const Operation& operation) {
    if (operation.kind == Operation::Kind::read)
      return read_file_at(descriptor.get(), operation.offset, operation.size, path);
    if (error) return std::unexpected(*error);
    if (operation.kind == Operation::Kind::append) {
      TRY_STATUS(write_all_at(descriptor.get(), operation.offset, operation.pieces, path));
    } else if (operation.kind == Operation::Kind::reserve) {
      (void)write_zeros_at(descriptor.get(), operation.offset, operation.size, path);
    } else {
      TRY_STATUS(truncate_file(descriptor.get(), operation.size, path));
    }
    return Bytes();
  }

  void keep_error(const Status& status) {
    if (!status) error = status.error();
  }

  void complete(std::vector<OperationPtr> operations) {
    boost::asio::post(core.io, [self = shared_from_this(), operations = std::move(operations)] {
      for (const OperationPtr& operation : operations) {
        // One by one: a callback may destroy the file, which drops the others.
        std::erase(self->started, operation);
        if (auto done = std::exchange(operation->done, nullptr)) done(std::move(operation->outcome));
      }
    });
  }

  RealCore::Impl& core;
  const Descriptor descriptor;
  const std::string path;
  std::vector<OperationPtr> started;  // for the loop
  std::optional<Error> error;         // for the thread at work: after a sync failed, no later one can be believed
  std::mutex mutex;                   // guards what follows
  std::vector<OperationPtr> queue;
  bool working = false;
};

class RealFile final : public File {
 public:
  RealFile(std::shared_ptr<FileState> state, uint64_t size) : state_(std::move(state)), size_(size) {}
  ~RealFile() override {
    // Moved out first, because a callback's destructor may run code of its owner.
    std::vector<Callback<Bytes>> dropped;
    for (OperationPtr& operation : state_->started) dropped.push_back(std::exchange(operation->done, nullptr));
    state_->started.clear();
  }

  void append(std::vector<Bytes> pieces, Callback<void> done) override {
    const uint64_t offset = size_;
    for (const Bytes& piece : pieces) size_ += piece.size();
    start({.kind = Operation::Kind::append,
           .pieces = std::move(pieces),
           .offset = offset,
           .done = without_bytes(std::move(done))});
  }
  void reserve(uint64_t bytes) override {
    start({.kind = Operation::Kind::reserve, .pieces = {}, .offset = size_, .size = bytes, .done = nullptr});
  }
  void read_at(uint64_t offset, uint64_t size, Callback<Bytes> done) override {
    const uint64_t most = offset >= size_ ? 0 : std::min(size, size_ - offset);
    start({.kind = Operation::Kind::read, .pieces = {}, .offset = offset, .size = most, .done = std::move(done)});
  }
  void sync(Callback<void> done) override {
    start({.kind = Operation::Kind::sync, .pieces = {}, .done = without_bytes(std::move(done))});
  }
  void truncate(uint64_t size, Callback<void> done) override {
    ASSERT(size <= size_);
    size_ = size;
    start({.kind = Operation::Kind::truncate, .pieces = {}, .size = size, .done = without_bytes(std::move(done))});
  }
  uint64_t size() const override { return size_; }

 private:
  static Callback<Bytes> without_bytes(Callback<void> done) {
    return [done = std::move(done)](Result<Bytes> result) mutable {
      if (!result) return done(std::unexpected(std::move(result.error())));
      done({});
    };
  }
  void start(Operation operation) { state_->start(std::make_shared<Operation>(std::move(operation))); }

  std::shared_ptr<FileState> state_;
  uint64_t size_;
};

}  // namespace

std::unique_ptr<File> make_real_file(RealCore::Impl& core, Descriptor descriptor, uint64_t size, std::string path) {
  return std::make_unique<RealFile>(std::make_shared<FileState>(core, std::move(descriptor), std::move(path)), size);
}

}  // namespace asterism
