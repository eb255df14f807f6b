// Copies of a store: made of hard links while it is used, checked without it.
#include <algorithm>

#include "runtime/io.h"
#include "storage/rocksdb_adapters.h"

namespace asterism {

namespace {

constexpr size_t piece_bytes = 256u << 10;

Status sync_folder(rocksdb::Env* env, const std::string& path) {
  std::unique_ptr<rocksdb::Directory> folder;
  TRY_STATUS(to_status(env->NewDirectory(path, &folder), path));
  return to_status(folder->Fsync(), path);
}

std::unique_ptr<rocksdb::FileChecksumGenerator> make_generator() {
  return rocksdb::GetFileChecksumGenCrc32cFactory()->CreateFileChecksumGenerator({});
}

/// A new file of these bytes, durable but for its name; gives its checksum.
Result<std::string> write_bytes(rocksdb::Env* env, const std::string& to, BytesView bytes) {
  std::unique_ptr<rocksdb::WritableFile> file;
  TRY_STATUS(to_status(env->NewWritableFile(to, &file, rocksdb::EnvOptions()), to));
  TRY_STATUS(to_status(file->Append(slice(bytes)), to));
  TRY_STATUS(to_status(file->Sync(), to));
  TRY_STATUS(to_status(file->Close(), to));
  const auto generator = make_generator();
  generator->Update(bytes.data(), bytes.size());
  generator->Finalize();
  return to_hex(generator->GetChecksum());
}

/// The same of the first `size` bytes of another file.
Result<std::string> copy_bytes(rocksdb::Env* env, const std::string& from, const std::string& to, uint64_t size) {
  std::unique_ptr<rocksdb::SequentialFile> in;
  std::unique_ptr<rocksdb::WritableFile> out;
  TRY_STATUS(to_status(env->NewSequentialFile(from, &in, rocksdb::EnvOptions()), from));
  TRY_STATUS(to_status(env->NewWritableFile(to, &out, rocksdb::EnvOptions()), to));
  const auto generator = make_generator();
  Bytes scratch(piece_bytes, '\0');
  while (size > 0) {
    rocksdb::Slice read;
    TRY_STATUS(to_status(in->Read(std::min<uint64_t>(size, scratch.size()), &read, scratch.data()), from));
    if (read.empty()) return fail(ErrorCode::corrupt, "{} is too short", from);
    generator->Update(read.data(), read.size());
    TRY_STATUS(to_status(out->Append(read), to));
    size -= read.size();
  }
  TRY_STATUS(to_status(out->Sync(), to));
  TRY_STATUS(to_status(out->Close(), to));
  generator->Finalize();
  return to_hex(generator->GetChecksum());
}

Status remove_tree(rocksdb::Env* env, const std::string& path) {
  std::vector<std::string> names;
  const auto listed = env->GetChildren(path, &names);
  if (listed.IsNotFound() || listed.IsPathNotFound()) return {};
  TRY_STATUS(to_status(listed, path));
  for (const std::string& name : names) {
    if (name == "." || name == "..") continue;
    const std::string each = path + "/" + name;
    bool folder = false;
    TRY_STATUS(to_status(env->IsDirectory(each, &folder), each));
    if (folder)
      TRY_STATUS(remove_tree(env, each));
    else
      TRY_STATUS(to_status(env->DeleteFile(each), each));
  }
  return to_status(env->DeleteDir(path), path);
}

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

}  // namespace

/// The store's own redo log is off, so its log files hold nothing and are left out; so is what it says of its options.
Result<std::vector<KeyValueStore::CopiedFile>> KeyValueStore::Engine::copy_to(const std::string& to) const {
  rocksdb::Env* env = rocksdb_options.env;
  if (env->FileExists(to).ok()) return fail(ErrorCode::already_exists, "{} exists already", to);
  TRY_STATUS(to_status(env->CreateDir(to), to));
  TRY_STATUS(sync_folder(env, parent_of(to)));  // names in a folder last no longer than its own
  // Files in use are not deleted before they have their second name.
  TRY_STATUS(to_status(database->DisableFileDeletions(), options.path));
  const auto copy_all = [&]() -> Result<std::vector<CopiedFile>> {
    rocksdb::LiveFilesStorageInfoOptions what;
    what.include_checksum_info = true;
    what.wal_size_for_flush = UINT64_MAX;
    std::vector<rocksdb::LiveFileStorageInfo> files;
    TRY_STATUS(to_status(database->GetLiveFilesStorageInfo(what, &files), options.path));
    std::vector<CopiedFile> copied;
    for (const auto& file : files) {
      const std::string from = file.directory + "/" + file.relative_filename,
                        target = to + "/" + file.relative_filename;
      CopiedFile made{file.relative_filename, file.size, {}};
      if (file.file_type == rocksdb::kTableFile) {
        const auto linked = env->LinkFile(from, target);
        if (linked.IsNotSupported())
          TRY_STATUS(copy_bytes(env, from, target, file.size));
        else
          TRY_STATUS(to_status(linked, target));
        made.crc32c = to_hex(file.file_checksum);
      } else if (!file.replacement_contents.empty()) {
        TRY(made.crc32c, write_bytes(env, target, file.replacement_contents));
      } else if (file.file_type == rocksdb::kDescriptorFile || file.file_type == rocksdb::kCurrentFile) {
        TRY(made.crc32c, copy_bytes(env, from, target, file.size));
      } else {
        continue;
      }
      copied.push_back(std::move(made));
    }
    TRY_STATUS(sync_folder(env, to));
    std::ranges::sort(copied, {}, &CopiedFile::name);
    return copied;
  };
  auto copied = copy_all();
  TRY_STATUS(to_status(database->EnableFileDeletions(false), options.path));
  return copied;
}

Task<Result<std::vector<KeyValueStore::CopiedFile>>> KeyValueStore::copy_to(std::string path) {
  CO_TRY_STATUS(co_await flush());
  auto copied = std::make_shared<Result<std::vector<CopiedFile>>>();
  CO_TRY_STATUS(co_await run_blocking(disk_, [engine = engine_, copied, to = disk_.rocksdb_path(path)]() -> Status {
    *copied = engine->copy_to(to);
    return {};
  }));
  co_return std::move(*copied);
}

Task<Result<std::vector<KeyValueStore::BadFile>>> KeyValueStore::verify_copy(Disk& disk, std::string path,
                                                                             std::vector<CopiedFile> files) {
  auto found = std::make_shared<std::vector<BadFile>>();
  const auto verify = [env = disk.rocksdb_env(), folder = disk.rocksdb_path(path), path, files = std::move(files),
                       found]() -> Status {
    for (const CopiedFile& file : files) {
      const std::string name = path + "/" + file.name;
      uint64_t bytes = 0;
      const auto sized = env->GetFileSize(folder + "/" + file.name, &bytes);
      const auto generator = make_generator();
      const auto read = sized.ok() ? checksum_of(env, folder + "/" + file.name, *generator) : sized;
      if (read.IsNotFound() || read.IsPathNotFound())
        found->push_back({name, "it is missing"});
      else if (!read.ok())
        found->push_back({name, read.ToString()});
      else if (bytes != file.bytes)
        found->push_back({name, fmt::format("it has {} bytes, not {}", bytes, file.bytes)});
      else if (to_hex(generator->GetChecksum()) != file.crc32c)
        found->push_back({name, "its bytes do not match its checksum"});
    }
    return {};
  };
  CO_TRY_STATUS(co_await run_blocking(disk, verify));
  co_return std::move(*found);
}

Task<Status> KeyValueStore::remove_folder(Disk& disk, std::string path) {
  CO_TRY_STATUS(co_await run_blocking(
      disk, [env = disk.rocksdb_env(), folder = disk.rocksdb_path(path)] { return remove_tree(env, folder); }));
  co_return co_await sync_directory(disk, parent_of(path));
}

}  // namespace asterism
