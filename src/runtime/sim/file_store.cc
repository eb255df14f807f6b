#include "runtime/sim/file_store.h"

#include <algorithm>
#include <set>

#include "base/assert.h"
#include "base/hash.h"

namespace asterism::sim {

namespace {

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

Status missing(const std::string& path) { return fail(ErrorCode::not_found, "there is no '{}'", path); }

}  // namespace

FileStore::FileStore(uint64_t seed, StoreOptions options) : options_(options), random_(seed), seed_(seed) {
  auto root = std::make_shared<Inode>();
  root->directory = true;
  names_[""] = durable_[""] = root;
}

// The hash is a sum, so that the order of operations on different files does not matter.
void FileStore::note(BytesView kind, uint64_t identity, uint64_t step, uint64_t size) {
  hash_ += hash_combine(hash_combine(xxh3(kind, identity), step), size);
}

bool FileStore::lucky(const Inode& file, double probability, uint64_t step, uint64_t salt) const {
  if (probability <= 0) return false;
  const uint64_t bits = hash_combine(hash_combine(hash_combine(seed_, file.identity), step), salt);
  return static_cast<double>(bits >> 11) * 0x1.0p-53 < probability;
}

/// Every operation on a file passes here: counts it, and refuses it where the disk is gone or luck says so.
Status FileStore::change(Inode& file, const char* kind, uint64_t size, double error_rate) {
  if (!connected_) return fail(ErrorCode::io, "the disk is gone");
  if (changes_left_ == 0) {
    connected_ = false;
    return fail(ErrorCode::io, "the disk is gone");
  }
  if (changes_left_ != UINT64_MAX) --changes_left_;
  ++file.operations;
  note(kind, file.identity, file.operations, size);
  if (lucky(file, error_rate, file.operations, xxh3(kind))) {
    ++counters_.errors;
    return fail(ErrorCode::io, "injected failure of {}", kind);
  }
  return {};
}

Result<FileStore::Ref> FileStore::find(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (!connected_) return fail(ErrorCode::io, "the disk is gone");
  auto found = names_.find(path);
  if (found == names_.end()) return fail(ErrorCode::not_found, "there is no '{}'", path);
  return found->second;
}

Result<FileStore::Ref> FileStore::create(const std::string& path, bool replace) {
  std::lock_guard lock(mutex_);
  auto found = names_.find(path);
  if (found != names_.end()) {
    if (!replace) return fail(ErrorCode::already_exists, "'{}' exists", path);
    if (found->second->directory) return fail(ErrorCode::io, "'{}' is a folder", path);
  }
  auto file = std::make_shared<Inode>();
  file->identity = xxh3(path, seed_);
  TRY_STATUS(change(*file, "create", 0, 0));
  TRY_STATUS(put(path, file));
  return file;
}

Status FileStore::put(const std::string& path, const Ref& inode) {
  const std::string parent = parent_of(path);
  if (path.empty() || !has_directory(names_, parent)) return missing(parent);
  NameChange change{parent, "", path, inode};
  apply(names_, change);
  pending_.push_back(std::move(change));
  return {};
}

bool FileStore::has_directory(const Names& names, const std::string& path) const {
  auto found = names.find(path);
  return found != names.end() && found->second->directory;
}

/// Space is counted by what the current names lead to.
void FileStore::apply(Names& names, const NameChange& change) {
  const bool current = &names == &names_;
  auto drop = [&](const Ref& inode) {
    if (current && --inode->links == 0) used_ -= inode->size();
  };
  if (!change.remove.empty()) {
    if (auto found = names.find(change.remove); found != names.end()) {
      drop(found->second);
      names.erase(found);
    }
  }
  if (change.add.empty()) return;
  if (!has_directory(names, parent_of(change.add))) return;
  Ref& place = names[change.add];
  if (place) drop(place);
  place = change.inode;
  if (current && change.inode->links++ == 0) used_ += change.inode->size();
}

Status FileStore::append(Inode& file, BytesView bytes) {
  std::lock_guard lock(mutex_);
  ++counters_.appends;
  auto allowed = change(file, "append", bytes.size(), append_errors_);
  if (!allowed && !connected_) return allowed;
  size_t size = bytes.size();
  const uint64_t before = file.size();
  const uint64_t room =
      (options_.capacity_bytes > used_ ? options_.capacity_bytes - used_ : 0) + before - file.data.size();
  if (size > room) {
    ++counters_.no_space;
    size = room;
    allowed = fail(ErrorCode::no_space, "the disk is full at {} bytes", used_);
  }
  if (!allowed && size > 0) size = hash_combine(file.identity, file.operations) % (size + 1);
  file.data.append(bytes.substr(0, size));
  if (file.links > 0) used_ += file.size() - before;
  return allowed;
}

void FileStore::reserve(Inode& file, uint64_t end) {
  std::lock_guard lock(mutex_);
  const uint64_t before = file.size();
  if (end <= before || used_ + (end - before) > options_.capacity_bytes) return;
  if (!change(file, "reserve", end, 0)) return;
  file.reserved_end = end;
  if (file.links > 0) used_ += end - before;
}

Result<Bytes> FileStore::read(Inode& file, uint64_t offset, uint64_t size) {
  std::lock_guard lock(mutex_);
  ++counters_.reads;
  if (!connected_) return fail(ErrorCode::io, "the disk is gone");
  // A bad sector stays bad, and how often RocksDB's cache lets a read through does not matter.
  if (lucky(file, read_errors_, offset / 4096, 1)) {
    ++counters_.errors;
    return fail(ErrorCode::io, "injected failure of read");
  }
  Bytes bytes = offset < file.data.size() ? file.data.substr(offset, size) : Bytes();
  const uint64_t end = offset + std::min(size, file.size() - std::min(offset, file.size()));
  if (end > offset + bytes.size()) bytes.resize(end - offset);
  return bytes;
}

Status FileStore::sync(Inode& file) {
  std::lock_guard lock(mutex_);
  ++counters_.syncs;
  const auto allowed = change(file, "sync", file.data.size(), sync_errors_);
  if (!allowed) {
    if (connected_) file.poisoned = true;
    return allowed;
  }
  if (sync_skipped_) {
    if (sync_skipped_part_.empty()) return {};
    for (const auto& [path, inode] : names_)
      if (inode.get() == &file && path.find(sync_skipped_part_) != std::string::npos) return {};
  }
  if (file.poisoned) return {};
  file.clean = file.data.size();
  file.clean_reserved_end = file.reserved_end;
  file.saved_tail.clear();
  return {};
}

Status FileStore::truncate(Inode& file, uint64_t size) {
  std::lock_guard lock(mutex_);
  if (size > file.data.size()) return fail(ErrorCode::invalid_argument, "the file has {} bytes", file.data.size());
  TRY_STATUS(change(file, "truncate", size, 0));
  if (size < file.clean) {
    file.saved_tail = file.data.substr(size, file.clean - size) + file.saved_tail;
    file.clean = size;
  }
  if (file.links > 0) used_ -= file.size() - size;
  file.data.resize(size);
  file.reserved_end = 0;
  return {};
}

uint64_t FileStore::size(const Inode& file) {
  std::lock_guard lock(mutex_);
  return file.size();
}

Status FileStore::rename(const std::string& from, const std::string& to) {
  std::lock_guard lock(mutex_);
  auto found = names_.find(from);
  if (found == names_.end()) return missing(from);
  if (found->second->directory) return fail(ErrorCode::unsupported, "renaming a folder ('{}')", from);
  if (!has_directory(names_, parent_of(to))) return missing(parent_of(to));
  if (has_directory(names_, to)) return fail(ErrorCode::io, "'{}' is a folder", to);
  TRY_STATUS(change(*found->second, "rename", xxh3(to), 0));
  if (from == to) return {};
  NameChange renamed{parent_of(to), from, to, found->second};
  apply(names_, renamed);
  pending_.push_back(std::move(renamed));
  return {};
}

Status FileStore::link(const std::string& from, const std::string& to) {
  std::lock_guard lock(mutex_);
  auto found = names_.find(from);
  if (found == names_.end()) return missing(from);
  if (names_.contains(to)) return fail(ErrorCode::already_exists, "'{}' exists", to);
  TRY_STATUS(change(*found->second, "link", xxh3(to), 0));
  return put(to, found->second);
}

Status FileStore::remove(const std::string& path) {
  std::lock_guard lock(mutex_);
  auto found = names_.find(path);
  if (found == names_.end()) return missing(path);
  if (found->second->directory) return fail(ErrorCode::io, "'{}' is a folder", path);
  TRY_STATUS(change(*found->second, "remove", 0, 0));
  NameChange removed{parent_of(path), path, "", nullptr};
  apply(names_, removed);
  pending_.push_back(std::move(removed));
  return {};
}

Status FileStore::remove_directory(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (path.empty() || !has_directory(names_, path)) return missing(path);
  auto next = names_.lower_bound(path + "/");
  if (next != names_.end() && next->first.starts_with(path + "/"))
    return fail(ErrorCode::io, "the folder '{}' is not empty", path);
  TRY_STATUS(change(*names_[path], "remove_directory", 0, 0));
  NameChange removed{parent_of(path), path, "", nullptr};
  apply(names_, removed);
  pending_.push_back(std::move(removed));
  return {};
}

Status FileStore::make_directory(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (!connected_) return fail(ErrorCode::io, "the disk is gone");
  for (size_t end = 0; end != std::string::npos && !path.empty();) {
    end = path.find('/', end == 0 ? 0 : end + 1);
    const std::string part = path.substr(0, end);
    if (auto found = names_.find(part); found != names_.end()) {
      if (!found->second->directory) return fail(ErrorCode::already_exists, "'{}' is a file", part);
      continue;
    }
    auto made = std::make_shared<Inode>();
    made->directory = true;
    made->identity = xxh3(part, seed_);
    TRY_STATUS(change(*made, "make_directory", 0, 0));
    TRY_STATUS(put(part, made));
  }
  return {};
}

Result<std::vector<DirectoryEntry>> FileStore::list(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (!connected_) return fail(ErrorCode::io, "the disk is gone");
  if (!has_directory(names_, path)) return fail(ErrorCode::not_found, "there is no folder '{}'", path);
  const std::string prefix = path.empty() ? "" : path + "/";
  std::vector<DirectoryEntry> entries;
  for (auto each = names_.lower_bound(prefix); each != names_.end() && each->first.starts_with(prefix); ++each) {
    const std::string name = each->first.substr(prefix.size());
    if (name.empty() || name.find('/') != std::string::npos) continue;
    entries.push_back({name, each->second->directory ? 0 : each->second->size(), each->second->directory});
  }
  return entries;
}

Status FileStore::sync_directory(const std::string& path) {
  std::lock_guard lock(mutex_);
  ++counters_.directory_syncs;
  if (!has_directory(names_, path)) return missing(path);
  TRY_STATUS(change(*names_[path], "sync_directory", 0, sync_errors_));
  // A rename between folders is durable as soon as either of them is, and takes along what came before it in the other.
  std::set<std::string> folders{path};
  for (size_t before = 0; before != folders.size();) {
    before = folders.size();
    for (const NameChange& each : pending_) {
      if (each.remove.empty() || each.add.empty()) continue;
      const std::string source = parent_of(each.remove);
      if (folders.contains(source) || folders.contains(each.directory)) folders.insert({source, each.directory});
    }
  }
  std::erase_if(pending_, [&](const NameChange& each) {
    if (!folders.contains(each.directory)) return false;
    apply(durable_, each);
    return true;
  });
  return {};
}

void FileStore::tear(Inode& file) {
  if (file.directory) return;
  const uint64_t before = file.data.size();
  if (!file.saved_tail.empty() && random_.chance(0.5)) {
    // The truncation is undone.
    file.data.resize(file.clean);
    file.data += file.saved_tail;
  } else if (before > file.clean) {
    const double fate = random_.unit();
    const uint64_t tail = before - file.clean;
    if (fate < options_.torn) {
      ++counters_.files_torn;
      const uint64_t sector = options_.sector_bytes;
      uint64_t at = file.clean + random_.below(tail + 1);
      at = std::max(file.clean, at / sector * sector);
      const uint64_t end = random_.chance(0.5) ? at : at + random_.below(before - at + 1);
      file.data.resize(end);
      while (at < end) {
        const uint64_t next = std::min(end, at / sector * sector + sector);
        const double kind = random_.unit();
        for (uint64_t i = at; i < next && kind < options_.garbage + options_.zeros; ++i)
          file.data[i] = kind < options_.garbage ? static_cast<char>(random_.next()) : '\0';
        at = next;
      }
    } else if (fate >= options_.torn + options_.kept) {
      file.data.resize(file.clean);
    }
  }
  counters_.bytes_lost += before > file.data.size() ? before - file.data.size() : 0;
  if (file.reserved_end != file.clean_reserved_end && random_.chance(0.5)) file.reserved_end = file.clean_reserved_end;
  file.clean_reserved_end = file.reserved_end;
  file.saved_tail.clear();
  file.clean = file.data.size();
  file.poisoned = false;
}

void FileStore::lose_power() {
  std::lock_guard lock(mutex_);
  // How many of its changes each folder keeps.
  std::map<std::string, uint64_t> made, kept;
  for (const NameChange& each : pending_) ++made[each.directory];
  for (const auto& [directory, count] : made) kept[directory] = random_.below(count + 1);
  std::map<std::string, uint64_t> seen;
  for (const NameChange& each : pending_) {
    if (seen[each.directory]++ < kept[each.directory])
      apply(durable_, each);
    else
      ++counters_.names_undone;
  }
  pending_.clear();
  // What lost its folder is gone as well. Parents sort before what is in them.
  for (auto each = durable_.begin(); each != durable_.end();)
    each =
        each->first.empty() || has_directory(durable_, parent_of(each->first)) ? std::next(each) : durable_.erase(each);
  for (auto& [path, inode] : names_) inode->links = 0;
  names_ = durable_;
  used_ = 0;
  std::set<const Inode*> done;
  for (auto& [path, inode] : names_) {
    if (!done.insert(inode.get()).second) continue;
    tear(*inode);
    used_ += inode->size();
    inode->links = 0;
  }
  for (auto& [path, inode] : names_) ++inode->links;
  note("power", 0, counters_.bytes_lost, used_);
}

void FileStore::disconnect() {
  std::lock_guard lock(mutex_);
  connected_ = false;
}

void FileStore::connect() {
  std::lock_guard lock(mutex_);
  connected_ = true;
  changes_left_ = UINT64_MAX;
}

void FileStore::disconnect_after(uint64_t operations) {
  std::lock_guard lock(mutex_);
  changes_left_ = operations;
}

}  // namespace asterism::sim
