// What a node's snapshot is on disk: a folder that can be read without the cluster.
//
//   snapshots/NAME/manifest.json   one line of JSON, and a line with its checksum: "xxh3 <16 hex digits>"
//   snapshots/NAME/schema          keyspaces and tables, as Schema::snapshot() gives them
//   snapshots/NAME/store/          a copy of the key-value store (storage/key_value_store.h, Copies)
//
// The manifest is the last to get its name and the first to lose it: a folder without one is being made or deleted, or
// one of both was not finished.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "storage/key_value_store.h"

namespace asterism {

inline constexpr const char* snapshots_folder = "snapshots";
inline constexpr const char* manifest_file = "manifest.json";
inline constexpr const char* schema_file = "schema";
inline constexpr const char* snapshot_store = "store";
/// The manifest until all nodes have made their part.
inline constexpr const char* manifest_part = "manifest.json.part";
/// Of a manifest, and of a schema.
inline constexpr uint64_t snapshot_file_bytes_max = 64 << 20;

/// 1 to 64 letters, digits, '.', '_' and '-', beginning with a letter or digit.
bool is_snapshot_name(std::string_view name);

struct SnapshotManifest {
  static constexpr int64_t format = 1;

  std::string name;
  std::string id;  // the same on all nodes, of this snapshot alone: 16 hexadecimal digits
  std::string cluster, node;
  int64_t taken_us = 0;
  uint64_t applied = 0;            // how much of the metadata log the node knew
  std::vector<std::string> nodes;  // all that are part of the snapshot
  uint64_t schema_bytes = 0;
  std::string schema_xxh3;
  std::vector<KeyValueStore::CopiedFile> files;  // of the store

  /// Of all files that it names.
  uint64_t bytes() const;
  /// The whole file.
  std::string to_text() const;
  /// Errors: corrupt; unsupported where another format wrote it.
  static Result<SnapshotManifest> parse(BytesView text);
};

/// What schema_xxh3 has to be.
std::string snapshot_checksum(BytesView bytes);

}  // namespace asterism
