// One restore: reads folders of a snapshot, makes what keyspaces and tables are missing, and writes every version there
// is to the replicas that the cluster has now.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "cli/backup_nodes.h"
#include "cli/progress_bar.h"
#include "cli/restore_rows.h"
#include "cli/snapshot_folder.h"
#include "datastore/routing.h"
#include "runtime/channel.h"
#include "runtime/task_group.h"

namespace asterism {

struct RestoreOptions {
  std::string data = ClusterOptions().data;
  std::vector<std::string> folders;
  std::string keyspace, table;  // empty: all
  datastore::Consistency consistency = datastore::Consistency::quorum;
  uint32_t replicas = 0;  // of keyspaces that are made; 0: as they were
  uint32_t concurrency = 8;
  bool schema_only = false;
  bool json = false;
};

/// Used by one core. Holds `concurrency` bundles of 256 KiB, and what one partition's largest value takes.
class RestoreRun {
 public:
  RestoreRun(RealCore& core, const RestoreOptions& options);
  ~RestoreRun() { tasks_.cancel(); }

  /// To the end or to the first error. What was written stays then, and running it again is safe.
  Task<Status> run();
  bool begun() const { return begun_.ns != 0; }
  /// What is known at the end, as words or as JSON.
  std::string summary() const;

 private:
  /// "shop", "orders"
  using TableName = std::pair<std::string, std::string>;

  Task<Status> open_folders();
  Status check_folders() const;
  Status choose_tables();
  Task<Status> read_target();
  Task<Status> make_missing();
  Task<Status> create(Bytes command, const std::string& what);
  Result<datastore::Keyspace> keyspace_to_make(const std::string& name) const;
  datastore::TablePtr saved_table(const TableName& name) const;
  Status map_tables();
  Task<Status> write_tables();
  Task<Status> write_hints();
  Status add_hint(const SnapshotFolder& folder, BytesView value, MutationBundle& bundle);
  Task<Status> send(Bytes bundle);
  Task<void> deliver(Bytes bundle, Semaphore::Permit permit, size_t first);
  Task<void> show_regularly();
  void note(const std::string& words);

  RealCore& core_;
  const RestoreOptions& options_;
  std::unique_ptr<BackupNodes> nodes_;
  std::vector<std::unique_ptr<SnapshotFolder>> folders_;
  std::vector<TableName> tables_;
  std::unique_ptr<ClusterState> target_cluster_;  // empty; the schema wants one
  std::unique_ptr<datastore::Schema> target_schema_;
  uint64_t target_applied_ = 0;
  std::map<std::string, int64_t> datacenters_;  // how many nodes each has
  std::map<std::pair<const SnapshotFolder*, uint32_t>, std::pair<uint32_t, ColumnMap>> maps_;

  std::optional<VersionReader> reader_;
  size_t tables_done_ = 0, keyspaces_made_ = 0, tables_made_ = 0;
  uint64_t rows_ = 0, hints_ = 0, bytes_ = 0, retries_ = 0, bundles_ = 0;
  Semaphore permits_;
  Instant latest_answer_{0}, begun_{0};
  std::optional<Error> failure_;
  std::string doing_;
  ProgressBar bar_;
  TaskGroup deliveries_, tasks_;
};

}  // namespace asterism
