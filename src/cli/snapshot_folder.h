// One node's part of a snapshot, read from its folder on this machine, without the cluster. Nothing in it is changed.
#pragma once

#include <memory>
#include <string>

#include "datastore/schema.h"
#include "node/snapshot_manifest.h"
#include "runtime/real/core.h"

namespace asterism {

/// Used by one core, which must outlive it.
class SnapshotFolder {
 public:
  /// Reads every file whole and compares it with its checksum. Errors: not_found where the folder holds no snapshot;
  /// corrupt, naming the file; unsupported; io.
  static Task<Result<std::unique_ptr<SnapshotFolder>>> open(RealCore& core, std::string path);

  const std::string& path() const { return path_; }
  const SnapshotManifest& manifest() const { return manifest_; }
  const datastore::Schema& schema() const { return schema_; }
  const KeyValueStore& store() const { return *store_; }

 private:
  explicit SnapshotFolder(std::string path) : path_(std::move(path)) {}
  Status read_manifest();
  Status read_schema();
  Task<Status> open_store(RealCore& core);

  std::string path_;
  SnapshotManifest manifest_;
  ClusterState cluster_;  // empty; the schema wants one
  datastore::Schema schema_{cluster_};
  std::unique_ptr<Disk> disk_;
  std::unique_ptr<KeyValueStore> store_;
};

}  // namespace asterism
