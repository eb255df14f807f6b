// RocksDB's environment over a FileStore.
//
// Time is the machine's; sleeping takes none of the host's. Background jobs run one after the other in one thread of
// this environment, and settle() waits for them, so that the simulation's own thread never runs beside one between two
// events. The store makes nothing depend on the order of operations on different files, which covers what is left: the
// caller of a flush and the thread that cleans up after it.
//
// For repeatable runs RocksDB must be opened with automatic compaction off and flushed and compacted by explicit calls;
// its random session id is in its files, so contents may not enter the trace.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "runtime/sim/file_store.h"

namespace asterism::sim {

class RocksClock;

class RocksEnv final : public rocksdb::EnvWrapper {
 public:
  /// RocksDB names the store's "a/b" as "/disk/a/b".
  static constexpr std::string_view root = "/disk/";

  static std::unique_ptr<RocksEnv> make(FileStore& store);
  ~RocksEnv() override;

  /// Waits until no background job is left.
  void settle();
  /// What RocksDB sees as now, in microseconds since the Unix epoch; never goes back.
  void set_time(int64_t us);
  /// Forgets locks of a process that ended.
  void drop_locks();

  const char* Name() const override { return "SimulatedEnv"; }
  void Schedule(void (*function)(void*), void* argument, Priority priority, void* tag,
                void (*unschedule)(void*)) override;
  int UnSchedule(void* tag, Priority priority) override;
  unsigned int GetThreadPoolQueueLen(Priority priority) const override;
  void SetBackgroundThreads(int, Priority) override {}
  void IncBackgroundThreadsIfNeeded(int, Priority) override {}
  int GetBackgroundThreads(Priority priority) override { return priority == LOW || priority == HIGH ? 1 : 0; }
  int ReserveThreads(int, Priority) override { return 0; }
  int ReleaseThreads(int, Priority) override { return 0; }
  rocksdb::Status GetHostName(char* name, uint64_t size) override;
  rocksdb::Status GetCurrentTime(int64_t* seconds) override;
  uint64_t NowMicros() override;
  uint64_t NowNanos() override;
  uint64_t NowCPUNanos() override { return 0; }
  void SleepForMicroseconds(int us) override;

 private:
  struct Job {
    void (*function)(void*);
    void* argument;
    void* tag;
    void (*unschedule)(void*);
  };

  RocksEnv(std::unique_ptr<rocksdb::Env> base, std::shared_ptr<RocksClock> clock);
  void work();

  std::unique_ptr<rocksdb::Env> base_;
  std::shared_ptr<RocksClock> clock_;
  std::function<void()> drop_locks_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool busy_ = false, ending_ = false;
  std::thread worker_;
};

}  // namespace asterism::sim
