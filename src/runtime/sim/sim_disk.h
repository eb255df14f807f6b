// The disk of a simulated machine: the Disk port and RocksDB's environment over one FileStore.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "ports/disk.h"
#include "runtime/sim/file_store.h"
#include "runtime/sim/simulation.h"

namespace asterism::sim {

class Machine;
class RocksEnv;

/// Latencies are a base plus an exponential tail.
struct DiskOptions {
  Duration append_base = 5us, append_tail = 5us;
  Duration read_base = 20us, read_tail = 30us;
  Duration sync_base = 100us, sync_tail = 300us;
  Duration metadata_base = 10us, metadata_tail = 20us;
  uint64_t bytes_per_second = 500'000'000;
  StoreOptions store{};
};

class SimDisk final : public Disk {
 public:
  SimDisk(Machine& machine, DiskOptions options);
  ~SimDisk() override;

  void open(const std::string& path, OpenMode mode, Callback<std::unique_ptr<File>> done) override;
  void rename(const std::string& from, const std::string& to, Callback<void> done) override;
  void remove(const std::string& path, Callback<void> done) override;
  void make_directory(const std::string& path, Callback<void> done) override;
  void list(const std::string& path, Callback<std::vector<DirectoryEntry>> done) override;
  void sync_directory(const std::string& path, Callback<void> done) override;
  void free_space(Callback<uint64_t> done) override;
  /// Runs the work in the simulation's thread some virtual time later. A crash before that may cut it off after any of
  /// its file operations.
  void run_blocking(std::move_only_function<Status()> work, Callback<void> done) override;
  rocksdb::Env* rocksdb_env() override;
  std::string rocksdb_path(const std::string& path) const override;

  /// Files, faults and corruption.
  FileStore& store() { return store_; }
  /// Multiplies all latencies; 1 is normal.
  void set_slowness(double factor);
  double slowness() const { return slowness_; }

  // For the machine.

  /// Operations under way take effect or not, as luck has it. Power: what was not synced is at risk as well.
  void crash(bool power);
  /// The process ends cleanly: what it started takes effect.
  void finish();
  /// Forgets callbacks of the process that ended.
  void drop_pending();
  void start();
  /// Called after each turn: waits for RocksDB's background work, charges the machine for what RocksDB did in the turn
  /// and mixes it into the trace.
  void settle();

 private:
  friend class SimFile;
  enum class Cost : uint8_t { append, read, sync, metadata };
  struct Queue;     // operations of one file, or those on names, in order
  struct Blocking;  // one run_blocking

  Duration latency(Cost cost, uint64_t bytes);
  template <class T>
  void submit(const std::shared_ptr<Queue>& queue, Cost cost, uint64_t bytes,
              std::move_only_function<Result<T>()> effect, Callback<T> done);
  void finish_first(const std::shared_ptr<Queue>& queue);
  std::shared_ptr<Queue> make_queue();
  void run_blocking_now(uint64_t id);
  void end_operations(bool all);
  void cut_off_blocking_work();
  /// The virtual time that changes to files took since the last call.
  Duration account();
  void update_rocksdb_time();

  Machine& machine_;
  DiskOptions options_;
  FileStore store_;
  std::unique_ptr<RocksEnv> env_;
  double slowness_ = 1;
  std::shared_ptr<Queue> names_;
  uint64_t next_id_ = 0;
  std::map<uint64_t, std::weak_ptr<Queue>> queues_;
  std::map<uint64_t, std::unique_ptr<Blocking>> blocking_;
  StoreCounters accounted_;
  uint64_t traced_hash_ = 0;
};

}  // namespace asterism::sim
