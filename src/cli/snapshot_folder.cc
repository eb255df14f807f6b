#include "cli/snapshot_folder.h"

#include "datastore/replica.h"
#include "runtime/real/files.h"

namespace asterism {

namespace {

constexpr uint64_t cache_bytes = 4 << 20;
constexpr uint32_t open_files_max = 64;

}  // namespace

Task<Result<std::unique_ptr<SnapshotFolder>>> SnapshotFolder::open(RealCore& core, std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  std::unique_ptr<SnapshotFolder> opened(new SnapshotFolder(std::move(path)));
  CO_TRY_STATUS(opened->read_manifest());
  CO_TRY_STATUS(opened->read_schema());
  CO_TRY_STATUS(co_await opened->open_store(core));
  co_return opened;
}

Status SnapshotFolder::read_manifest() {
  const std::string file = path_ + "/" + manifest_file;
  const auto text = read_file(file, snapshot_file_bytes_max);
  if (!text && text.error().code == ErrorCode::not_found && file_exists(path_ + "/" + manifest_part))
    return fail(ErrorCode::not_found, "{} was not finished: it is no snapshot", path_);
  if (!text && text.error().code == ErrorCode::not_found)
    return fail(ErrorCode::not_found,
                "{} holds no snapshot: name the folders data/snapshots/NAME of the nodes, or copies of them", path_);
  if (!text) return fail(text.error());
  auto parsed = SnapshotManifest::parse(*text);
  if (!parsed) return fail(parsed.error().code, "{} is damaged: {}", file, parsed.error().message);
  manifest_ = std::move(*parsed);
  return {};
}

Status SnapshotFolder::read_schema() {
  const std::string file = path_ + "/" + schema_file;
  const auto bytes = read_file(file, snapshot_file_bytes_max);
  if (!bytes) return fail(ErrorCode::corrupt, "{} cannot be read: {}", file, bytes.error().message);
  if (bytes->size() != manifest_.schema_bytes || snapshot_checksum(*bytes) != manifest_.schema_xxh3)
    return fail(ErrorCode::corrupt, "{} is damaged: its bytes do not match its checksum", file);
  return schema_.restore(*bytes);
}

Task<Status> SnapshotFolder::open_store(RealCore& core) {
  CO_TRY(disk_, core.open_disk(path_));
  CO_TRY(const auto bad, co_await KeyValueStore::verify_copy(*disk_, snapshot_store, manifest_.files));
  if (!bad.empty())
    co_return fail(ErrorCode::corrupt,
                   "{}/{} is damaged: {}. Leave {} out to restore what the other nodes' folders hold", path_,
                   bad.front().file, bad.front().what, path_);
  KeyValueStore::Options options;
  options.path = snapshot_store;
  options.block_cache_bytes = cache_bytes;
  options.max_open_files = open_files_max;
  options.background_compaction = false;
  options.merge = datastore::merge_function();
  CO_TRY(store_, co_await KeyValueStore::open_copy(*disk_, std::move(options)));
  co_return Status{};
}

}  // namespace asterism
