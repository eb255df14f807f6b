// The part of FileStore that tests and fault plans use.
#include <set>

#include "runtime/sim/file_store.h"

namespace asterism::sim {

Status FileStore::corrupt(const std::string& path, uint64_t offset, uint8_t mask) {
  std::lock_guard lock(mutex_);
  auto found = names_.find(path);
  if (found == names_.end() || found->second->directory)
    return fail(ErrorCode::not_found, "there is no file '{}'", path);
  Bytes& data = found->second->data;
  if (offset >= data.size() && offset < found->second->reserved_end) data.resize(offset + 1);
  if (offset >= data.size()) return fail(ErrorCode::invalid_argument, "'{}' has {} bytes", path, data.size());
  data[offset] = static_cast<char>(data[offset] ^ mask);
  found->second->damaged = true;
  ++counters_.corruptions;
  return {};
}

std::string FileStore::flip_random_byte(Random& random, const std::string& prefix) {
  std::vector<std::pair<std::string, uint64_t>> files;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [path, inode] : names_)
      if (!inode->directory && !inode->data.empty() && path.starts_with(prefix))
        files.emplace_back(path, inode->data.size());
  }
  if (files.empty()) return {};
  const auto& [path, size] = files[random.below(files.size())];
  const uint64_t offset = random.below(size);
  const auto mask = static_cast<uint8_t>(1 << random.below(8));
  if (!corrupt(path, offset, mask)) return {};
  return fmt::format("{}:{}", path, offset);
}

bool FileStore::is_damaged(const std::string& prefix) {
  std::lock_guard lock(mutex_);
  for (auto it = names_.lower_bound(prefix); it != names_.end() && it->first.starts_with(prefix); ++it)
    if (it->second->damaged) return true;
  return false;
}

void FileStore::set_capacity(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  options_.capacity_bytes = bytes;
}

uint64_t FileStore::free_bytes() {
  std::lock_guard lock(mutex_);
  return options_.capacity_bytes > used_ ? options_.capacity_bytes - used_ : 0;
}

uint64_t FileStore::used_bytes() {
  std::lock_guard lock(mutex_);
  return used_;
}

void FileStore::set_error_rates(double append, double read, double sync) {
  std::lock_guard lock(mutex_);
  append_errors_ = append;
  read_errors_ = read;
  sync_errors_ = sync;
}

void FileStore::set_sync_skipped(std::string part) {
  std::lock_guard lock(mutex_);
  sync_skipped_ = true;
  sync_skipped_part_ = std::move(part);
}

void FileStore::clear_sync_skipped() {
  std::lock_guard lock(mutex_);
  sync_skipped_ = false;
}

uint64_t FileStore::operations_hash() {
  std::lock_guard lock(mutex_);
  return hash_;
}

StoreCounters FileStore::counters() {
  std::lock_guard lock(mutex_);
  return counters_;
}

std::string FileStore::describe() {
  std::lock_guard lock(mutex_);
  std::string text;
  for (const auto& [path, inode] : names_) {
    if (inode->directory)
      text += fmt::format("{}/\n", path);
    else
      text += fmt::format("{} {} bytes, {} synced\n", path, inode->data.size(), inode->clean);
  }
  return text;
}

}  // namespace asterism::sim
