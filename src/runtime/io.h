// The ports as coroutines use them.
#pragma once

#include "ports/disk.h"
#include "ports/network.h"
#include "runtime/one_shot.h"

namespace asterism {

inline auto read(Stream& stream, size_t max_bytes) {
  return async<Bytes>([&](auto done) { stream.read(max_bytes, std::move(done)); });
}
inline auto write(Stream& stream, std::vector<Bytes> pieces) {
  return async<void>([&](auto done) { stream.write(std::move(pieces), std::move(done)); });
}
inline auto write(Stream& stream, Bytes bytes) {
  std::vector<Bytes> pieces;
  pieces.push_back(std::move(bytes));
  return write(stream, std::move(pieces));
}
inline auto accept(Listener& listener) {
  return async<std::unique_ptr<Stream>>([&](auto done) { listener.accept(std::move(done)); });
}
inline auto connect(Network& network, const Address& address) {
  return async<std::unique_ptr<Stream>>([&](auto done) { network.connect(address, std::move(done)); });
}
inline auto open(Disk& disk, const std::string& path, OpenMode mode) {
  return async<std::unique_ptr<File>>([&](auto done) { disk.open(path, mode, std::move(done)); });
}
inline auto append(File& file, std::vector<Bytes> pieces) {
  return async<void>([&](auto done) { file.append(std::move(pieces), std::move(done)); });
}
inline auto append(File& file, Bytes bytes) {
  std::vector<Bytes> pieces;
  pieces.push_back(std::move(bytes));
  return append(file, std::move(pieces));
}
inline auto read_at(File& file, uint64_t offset, uint64_t size) {
  return async<Bytes>([&](auto done) { file.read_at(offset, size, std::move(done)); });
}
inline auto sync(File& file) {
  return async<void>([&](auto done) { file.sync(std::move(done)); });
}
inline auto truncate(File& file, uint64_t size) {
  return async<void>([&](auto done) { file.truncate(size, std::move(done)); });
}
inline auto rename(Disk& disk, const std::string& from, const std::string& to) {
  return async<void>([&](auto done) { disk.rename(from, to, std::move(done)); });
}
inline auto remove(Disk& disk, const std::string& path) {
  return async<void>([&](auto done) { disk.remove(path, std::move(done)); });
}
inline auto make_directory(Disk& disk, const std::string& path) {
  return async<void>([&](auto done) { disk.make_directory(path, std::move(done)); });
}
inline auto list(Disk& disk, const std::string& path) {
  return async<std::vector<DirectoryEntry>>([&](auto done) { disk.list(path, std::move(done)); });
}
inline auto sync_directory(Disk& disk, const std::string& path) {
  return async<void>([&](auto done) { disk.sync_directory(path, std::move(done)); });
}
inline auto free_space(Disk& disk) {
  return async<uint64_t>([&](auto done) { disk.free_space(std::move(done)); });
}
inline auto run_blocking(Disk& disk, std::move_only_function<Status()> work) {
  return async<void>([&](auto done) { disk.run_blocking(std::move(work), std::move(done)); });
}

}  // namespace asterism
