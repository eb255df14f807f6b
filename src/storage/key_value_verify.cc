// The scrub of a store: every table file against the checksum that the manifest holds, then the manifest itself.
#include "storage/rocksdb_adapters.h"

namespace asterism {

rocksdb::Status checksum_of(rocksdb::Env* env, const std::string& path, rocksdb::FileChecksumGenerator& generator) {
  std::unique_ptr<rocksdb::SequentialFile> file;
  if (auto status = env->NewSequentialFile(path, &file, rocksdb::EnvOptions()); !status.ok()) return status;
  Bytes scratch(256u << 10, '\0');
  while (true) {
    rocksdb::Slice read;
    if (auto status = file->Read(scratch.size(), &read, scratch.data()); !status.ok()) return status;
    if (read.empty()) break;
    generator.Update(read.data(), read.size());
  }
  generator.Finalize();
  return rocksdb::Status::OK();
}

namespace {

/// Whether the first `size` bytes of a manifest are whole records. RocksDB takes a record whose length or type is
/// damaged for the end of the file, and then misses what follows; it checks only the checksums of those that it sees.
bool is_framed(BytesView manifest, uint64_t size) {
  constexpr size_t block_bytes = 32768, header_bytes = 7;
  if (manifest.size() < size) return false;
  manifest = manifest.substr(0, size);
  while (!manifest.empty()) {
    BytesView block = manifest.substr(0, block_bytes);
    manifest.remove_prefix(block.size());
    const bool filled = block.size() == block_bytes;
    while (block.size() >= header_bytes) {
      const auto length = load_little_endian<uint16_t>(block.data() + 4);
      const char type = block[6];
      if (type < 1 || type > 4 || header_bytes + length > block.size()) return false;
      block.remove_prefix(header_bytes + length);
    }
    if (!block.empty() && !filled) return false;
  }
  return true;
}

}  // namespace

Result<std::vector<KeyValueStore::BadFile>> KeyValueStore::Engine::verify() const {
  std::vector<BadFile> found;
  rocksdb::Env* env = rocksdb_options.env;
  // Files in use are not deleted while they are read.
  TRY_STATUS(to_status(database->DisableFileDeletions(), options.path));
  std::vector<rocksdb::LiveFileMetaData> files;
  database->GetLiveFilesMetaData(&files);
  Status status;
  for (const auto& file : files) {
    const std::string name = file.relative_filename;
    auto generator = rocksdb_options.file_checksum_gen_factory->CreateFileChecksumGenerator({});
    const auto read = checksum_of(env, path + "/" + name, *generator);
    if (read.IsNotFound() || read.IsPathNotFound() || read.IsCorruption())
      found.push_back({options.path + "/" + name, read.ToString()});
    else if (!read.ok())
      status = to_error(read, options.path);
    else if (generator->GetChecksum() != file.file_checksum)
      found.push_back({options.path + "/" + name, "its bytes do not match its checksum"});
  }
  Bytes current;
  const auto read_current = rocksdb::ReadFileToString(env, path + "/CURRENT", &current);
  std::vector<std::string> live;
  uint64_t manifest_size = 0;
  std::string manifest;
  if (database->GetLiveFiles(live, &manifest_size, false).ok())
    for (const std::string& name : live)
      if (name.starts_with("/MANIFEST")) manifest = name.substr(1);
  if (!read_current.ok() || current != manifest + "\n") {
    found.push_back({options.path + "/CURRENT", "it does not name the manifest " + manifest});
  } else {
    std::vector<std::string> families;
    const auto listed = rocksdb::DB::ListColumnFamilies(rocksdb_options, path, &families);
    Bytes bytes;
    const auto read = rocksdb::ReadFileToString(env, path + "/" + manifest, &bytes);
    if (!listed.ok() || !read.ok())
      found.push_back({options.path + "/" + manifest, (listed.ok() ? read : listed).ToString()});
    else if (!is_framed(bytes, manifest_size))
      found.push_back({options.path + "/" + manifest, "its records do not follow one another"});
  }
  TRY_STATUS(to_status(database->EnableFileDeletions(false), options.path));
  TRY_STATUS(std::move(status));
  return found;
}

}  // namespace asterism
