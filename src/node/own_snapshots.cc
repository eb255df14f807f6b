// One node's part of a snapshot: its folder, which is whole when the manifest has its name.
#include <algorithm>
#include <boost/json.hpp>

#include "node/request_parts.h"
#include "node/snapshots.h"
#include "runtime/io.h"

namespace asterism {

namespace {

/// The name is worked on for as long as it lives.
struct Busy {
  Busy(std::set<std::string>& in, std::string of) : names(in), name(std::move(of)) { names.insert(name); }
  ~Busy() { names.erase(name); }
  std::set<std::string>& names;
  std::string name;
};

std::string folder_of(const std::string& name) { return std::string(snapshots_folder) + "/" + name; }
std::string manifest_of(const std::string& name) { return folder_of(name) + "/" + manifest_file; }
std::string part_of(const std::string& name) { return folder_of(name) + "/" + manifest_part; }

Task<Status> write_whole(Disk& disk, std::string path, Bytes content) {
  CO_TRY(auto file, co_await open(disk, path, OpenMode::create));
  CO_TRY_STATUS(co_await append(*file, std::move(content)));
  co_return co_await sync(*file);
}

}  // namespace

Task<Result<Bytes>> Snapshots::serve(RpcRequest request) {
  boost::json::error_code bad;
  const boost::json::value value = boost::json::parse(request.payload, bad);
  if (bad || !value.is_object()) co_return fail(ErrorCode::corrupt, "a request for a snapshot is malformed");
  CO_TRY(const boost::json::object answer, co_await carry_out(value.get_object(), request.deadline));
  co_return boost::json::serialize(answer);
}

Task<Result<boost::json::object>> Snapshots::carry_out(const boost::json::object& request, Instant deadline) {
  const std::string what = text_or_empty(request, "do");
  if (what == "list") co_return co_await list_own();
  const std::string name = text_or_empty(request, "name"), id = text_or_empty(request, "id");
  if (!is_snapshot_name(name)) co_return fail(ErrorCode::corrupt, "a request for a snapshot has no name");
  if (busy_.contains(name)) co_return fail(ErrorCode::already_exists, "another command works on its part of {}", name);
  const Busy busy(busy_, name);
  if (what == "take") co_return co_await take(request, deadline);
  if (what == "keep") {
    CO_TRY_STATUS(co_await keep(name, id));
    co_return boost::json::object{};
  }
  if (what != "drop") co_return fail(ErrorCode::unsupported, "this node does not know how to {} a snapshot", what);
  CO_TRY(const bool dropped, co_await drop(name, id));
  co_return boost::json::object{{"dropped", dropped ? 1 : 0}};
}

Task<Result<bool>> Snapshots::there(const std::string& path) {
  const size_t slash = path.rfind('/');
  const auto entries = co_await asterism::list(ports_.disk, path.substr(0, slash));
  if (!entries && entries.error().code == ErrorCode::not_found) co_return false;
  if (!entries) co_return fail(entries.error());
  co_return std::ranges::any_of(
      *entries, [&](const DirectoryEntry& entry) { return BytesView(path).substr(slash + 1) == entry.name; });
}

Task<Result<boost::json::object>> Snapshots::take(const boost::json::object& request, Instant deadline) {
  SnapshotManifest manifest;
  manifest.name = text_or_empty(request, "name");
  manifest.id = text_or_empty(request, "id");
  manifest.cluster = config_.cluster_name;
  manifest.node = config_.name;
  manifest.taken_us = number_or_zero(request, "taken_us");
  if (const boost::json::value* nodes = request.if_contains("nodes"); nodes != nullptr && nodes->is_array())
    for (const boost::json::value& node : nodes->get_array())
      if (node.is_string()) manifest.nodes.emplace_back(node.get_string());
  CO_TRY_STATUS(co_await metadata_.applied(static_cast<uint64_t>(number_or_zero(request, "applied")), deadline));
  CO_TRY(const bool exists, co_await there(manifest_of(manifest.name)));
  if (exists)
    co_return fail(ErrorCode::already_exists,
                   "it has a snapshot {0} already: choose another name, or asterism snapshot delete {0}",
                   manifest.name);
  co_return co_await make(std::move(manifest));
}

Task<Result<boost::json::object>> Snapshots::make(SnapshotManifest manifest) {
  const Instant begun = ports_.executor.now();
  Disk& disk = ports_.disk;
  const std::string folder = folder_of(manifest.name);
  CO_TRY_STATUS(co_await make_directory(disk, snapshots_folder));
  CO_TRY_STATUS(co_await sync_directory(disk, ""));
  CO_TRY_STATUS(co_await KeyValueStore::remove_folder(disk, folder));  // what an earlier attempt left
  CO_TRY_STATUS(co_await make_directory(disk, folder));
  CO_TRY_STATUS(co_await sync_directory(disk, snapshots_folder));
  // Acknowledged is what the store has applied, and what it has not is behind in the log: both are awaited.
  CO_TRY_STATUS(co_await replica_.settle());
  CO_TRY(manifest.files, co_await store_.copy_to(folder + "/" + snapshot_store));
  // Behind the copy, so that it knows every column of every row in there.
  Bytes schema = schema_.snapshot();
  manifest.applied = metadata_.applied_index();
  manifest.schema_bytes = schema.size();
  manifest.schema_xxh3 = snapshot_checksum(schema);
  CO_TRY_STATUS(co_await write_whole(disk, folder + "/" + schema_file, std::move(schema)));
  CO_TRY_STATUS(co_await write_whole(disk, part_of(manifest.name), manifest.to_text()));
  CO_TRY_STATUS(co_await sync_directory(disk, folder));
  const int64_t ms = (ports_.executor.now() - begun) / 1ms;
  co_return boost::json::object{{"bytes", static_cast<int64_t>(manifest.bytes())},
                                {"files", static_cast<int64_t>(manifest.files.size() + 2)},
                                {"ms", ms},
                                {"folder", config_.data_folder + "/data/" + folder}};
}

Task<Result<SnapshotManifest>> Snapshots::read_manifest(const std::string& path) {
  CO_TRY(auto file, co_await open(ports_.disk, path, OpenMode::read));
  if (file->size() > snapshot_file_bytes_max) co_return fail(ErrorCode::corrupt, "its manifest is too large");
  CO_TRY(const Bytes text, co_await read_at(*file, 0, file->size()));
  auto parsed = SnapshotManifest::parse(text);
  if (!parsed) co_return fail(parsed.error().code, "{}: {}", path, parsed.error().message);
  co_return parsed;
}

Task<Status> Snapshots::keep(const std::string& name, const std::string& id) {
  CO_TRY(const SnapshotManifest made, co_await read_manifest(part_of(name)));
  if (made.id != id) co_return fail(ErrorCode::already_exists, "another command makes a snapshot {}", name);
  CO_TRY_STATUS(co_await rename(ports_.disk, part_of(name), manifest_of(name)));
  CO_TRY_STATUS(co_await sync_directory(ports_.disk, folder_of(name)));
  log_.info("snapshot {} is made: {} files", name, made.files.size());
  co_return Status{};
}

/// With an id, only of that snapshot: what another command has made under the name stays. Whether anything was there.
Task<Result<bool>> Snapshots::drop(const std::string& name, const std::string& id) {
  CO_TRY(const bool exists, co_await there(folder_of(name)));
  if (!exists) co_return false;
  CO_TRY(const bool whole, co_await there(manifest_of(name)));
  if (!id.empty()) {
    const auto manifest = co_await read_manifest(whole ? manifest_of(name) : part_of(name));
    if (manifest ? manifest->id != id : whole) co_return false;
  }
  // Half a folder must not look like a snapshot.
  if (whole) {
    CO_TRY_STATUS(co_await asterism::remove(ports_.disk, manifest_of(name)));
    CO_TRY_STATUS(co_await sync_directory(ports_.disk, folder_of(name)));
  }
  CO_TRY_STATUS(co_await KeyValueStore::remove_folder(ports_.disk, folder_of(name)));
  log_.info("snapshot {} is deleted", name);
  co_return true;
}

Task<Result<boost::json::object>> Snapshots::list_own() {
  const auto entries = co_await asterism::list(ports_.disk, snapshots_folder);
  if (!entries && entries.error().code != ErrorCode::not_found) co_return fail(entries.error());
  boost::json::array found;
  for (const DirectoryEntry& entry : entries.value_or(std::vector<DirectoryEntry>())) {
    const std::string& name = entry.name;
    if (!entry.directory || !is_snapshot_name(name)) continue;
    const auto manifest = co_await read_manifest(manifest_of(name));
    if (!manifest && manifest.error().code == ErrorCode::not_found) {
      if (!busy_.contains(name))
        found.push_back({{"name", name}, {"error", "it was not finished, or not deleted as a whole"}});
      continue;
    }
    if (!manifest) {
      found.push_back({{"name", name}, {"error", manifest.error().message}});
      continue;
    }
    boost::json::array nodes;
    for (const std::string& node : manifest->nodes) nodes.emplace_back(node);
    found.push_back({{"name", name},
                     {"id", manifest->id},
                     {"taken_us", manifest->taken_us},
                     {"bytes", static_cast<int64_t>(manifest->bytes())},
                     {"nodes", std::move(nodes)}});
  }
  co_return boost::json::object{{"snapshots", std::move(found)}};
}

}  // namespace asterism
