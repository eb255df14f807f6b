#include <sys/resource.h>

#include <sys/stat.h>

#include <thread>

#include "runtime/real/files.h"
#include "runtime/real/test_core.h"

namespace asterism {
namespace {

struct RealDiskTest : TestCore {
  std::unique_ptr<Disk> disk = std::move(*core.open_disk(folder + "/data"));
};

TEST_F(RealDiskTest, WhatIsAppendedIsReadBackInOrder) {
  run([](Disk& on) -> Task<void> {
    auto file = std::move(*co_await open(on, "a", OpenMode::create));
    std::vector<Bytes> pieces;
    pieces.push_back("one");
    pieces.push_back("two");
    EXPECT_TRUE(co_await append(*file, std::move(pieces)));
    EXPECT_EQ(file->size(), 6u);
    EXPECT_TRUE(co_await sync(*file));
    EXPECT_EQ(*co_await read_at(*file, 2, 3), "etw");
    EXPECT_EQ(*co_await read_at(*file, 4, 100), "wo");
    EXPECT_EQ(*co_await read_at(*file, 100, 100), "");
    EXPECT_TRUE(co_await truncate(*file, 4));
    EXPECT_TRUE(co_await append(*file, Bytes("!")));
    EXPECT_EQ(*co_await read_at(*file, 0, 100), "onet!");
    file.reset();
    file = std::move(*co_await open(on, "a", OpenMode::append));
    EXPECT_EQ(file->size(), 5u);
    EXPECT_TRUE(co_await append(*file, Bytes("?")));
    EXPECT_EQ(*co_await read_at(*file, 0, 100), "onet!?");
  }(*disk));
}

TEST_F(RealDiskTest, OperationsStartedTogetherKeepTheirOrder) {
  std::unique_ptr<File> file;
  disk->open("a", OpenMode::create, [&](auto opened) { file = std::move(*opened); });
  ASSERT_TRUE(core.run_until([&] { return file != nullptr; }, 10s));
  int synced = 0, appended = 0;
  Bytes expected, got;
  for (int i = 0; i < 200; ++i) {
    Bytes piece = fmt::format("{},", i);
    expected += piece;
    file->append({piece}, [&](Status status) { appended += status.has_value(); });
    file->sync([&](Status status) { synced += status.has_value(); });
  }
  file->read_at(0, expected.size(), [&](Result<Bytes> bytes) { got = std::move(*bytes); });
  ASSERT_TRUE(core.run_until([&] { return synced == 200 && appended == 200 && !got.empty(); }, 10s));
  EXPECT_EQ(got, expected);
}

TEST_F(RealDiskTest, DestroyingAFileDropsItsCallbacksAndKeepsItsWrites) {
  std::unique_ptr<File> file;
  disk->open("a", OpenMode::create, [&](auto opened) { file = std::move(*opened); });
  ASSERT_TRUE(core.run_until([&] { return file != nullptr; }, 10s));
  auto witness = std::make_shared<int>(0);
  file->append({"kept"}, [witness](Status) { ++*witness; });
  file->sync([witness](Status) { ++*witness; });
  file.reset();
  EXPECT_EQ(witness.use_count(), 1);
  EXPECT_TRUE(core.run_until([&] { return std::filesystem::file_size(folder + "/data/a") == 4; }, 10s));
}

TEST_F(RealDiskTest, NamesAreHandledAndErrorsAreTold) {
  run([](Disk& on) -> Task<void> {
    EXPECT_TRUE(co_await make_directory(on, "x/y/z"));
    EXPECT_TRUE(co_await make_directory(on, "x/y/z"));
    EXPECT_EQ((co_await open(on, "x/none", OpenMode::read)).error().code, ErrorCode::not_found);
    EXPECT_TRUE(co_await open(on, "x/b", OpenMode::create));
    EXPECT_EQ((co_await open(on, "x/b", OpenMode::create)).error().code, ErrorCode::already_exists);
    EXPECT_TRUE(co_await rename(on, "x/b", "x/a"));
    EXPECT_TRUE(co_await sync_directory(on, "x"));
    auto entries = co_await list(on, "x");
    EXPECT_EQ(entries->size(), 2u);
    EXPECT_EQ((*entries)[0].name, "a");
    EXPECT_TRUE((*entries)[1].directory);
    EXPECT_TRUE(co_await remove(on, "x/a"));
    EXPECT_EQ((co_await remove(on, "x/a")).error().code, ErrorCode::not_found);
    EXPECT_EQ((co_await open(on, "../escape", OpenMode::create)).error().code, ErrorCode::invalid_argument);
    EXPECT_EQ((co_await open(on, "/etc/passwd", OpenMode::read)).error().code, ErrorCode::invalid_argument);
  }(*disk));
}

TEST_F(RealDiskTest, FullDiskIsNoSpace) {
  // /dev/full refuses every write as a full disk does.
  std::filesystem::create_symlink("/dev/full", folder + "/data/full");
  run([](Disk& on) -> Task<void> {
    auto file = co_await open(on, "full", OpenMode::append);
    EXPECT_TRUE(file);
    EXPECT_EQ((co_await append(**file, Bytes("x"))).error().code, ErrorCode::no_space);
  }(*disk));
}

TEST_F(RealDiskTest, AppendsOverwriteWhatWasReserved) {
  run([](Disk& on) -> Task<void> {
    auto file = std::move(*co_await open(on, "file", OpenMode::create));
    EXPECT_TRUE(co_await append(*file, Bytes("one")));
    file->reserve(100'000);
    EXPECT_EQ(file->size(), 3u);
    EXPECT_TRUE(co_await append(*file, Bytes("two")));
    EXPECT_TRUE(co_await sync(*file));
    EXPECT_EQ(*co_await read_at(*file, 0, 100), "onetwo");
    auto again = std::move(*co_await open(on, "file", OpenMode::read));
    EXPECT_EQ(again->size(), 100'003u);
    EXPECT_EQ(*co_await read_at(*again, 4, 4), Bytes("wo\0\0", 4));
    EXPECT_TRUE(co_await truncate(*file, 4));
    EXPECT_TRUE(co_await append(*file, Bytes("!")));
    EXPECT_EQ(*co_await read_at(*again, 0, 100), "onet!");
  }(*disk));
}

TEST_F(RealDiskTest, ASyncErrorStays) {
  // A device cannot be synced.
  ASSERT_EQ(symlink("/dev/null", (folder + "/data/device").c_str()), 0);
  run([](Disk& on) -> Task<void> {
    auto file = std::move(*co_await open(on, "device", OpenMode::append));
    EXPECT_TRUE(co_await append(*file, Bytes("x")));
    EXPECT_FALSE(co_await sync(*file));
    EXPECT_FALSE(co_await append(*file, Bytes("x")));
    EXPECT_FALSE(co_await sync(*file));
  }(*disk));
}

TEST_F(RealDiskTest, BlockingWorkRunsAsideAndIsWaitedFor) {
  std::atomic<bool> ended{false};
  std::optional<Status> status;
  disk->run_blocking([] { return fail(ErrorCode::io, "broken"); }, [&](Status result) { status = result; });
  ASSERT_TRUE(core.run_until([&] { return status.has_value(); }, 10s));
  EXPECT_EQ(status->error().code, ErrorCode::io);
  disk->run_blocking(
      [&]() -> Status {
        std::this_thread::yield();
        ended = true;
        return {};
      },
      [](Status) { FAIL() << "the disk was destroyed"; });
  disk.reset();
  EXPECT_TRUE(ended);
  core.run_until([] { return false; }, 1ms);
}

TEST_F(RealDiskTest, FreeSpaceIsThatOfItsFileSystem) {
  run([](Disk& on) -> Task<void> {
    auto free = co_await free_space(on);
    EXPECT_TRUE(free) << free.error().to_string();
    EXPECT_GT(free.value_or(0), 0u);
    EXPECT_LT(free.value_or(0), uint64_t{1} << 60);
  }(*disk));
}

TEST_F(RealDiskTest, SmallFilesAreReplacedWhole) {
  const std::string path = folder + "/small";
  ASSERT_TRUE(write_file(path, "one"));
  ASSERT_TRUE(write_file(path, "two"));
  EXPECT_EQ(*read_file(path), "two");
  EXPECT_EQ(read_file(path, 2).error().code, ErrorCode::too_large);
  EXPECT_EQ(read_file(path + "x").error().code, ErrorCode::not_found);
  EXPECT_EQ(*list_folder(folder), (std::vector<std::string>{"data", "small"}));
}

TEST_F(RealDiskTest, LockIsHeldByOne) {
  auto first = FileLock::acquire(folder + "/lock");
  ASSERT_TRUE(first);
  EXPECT_EQ(FileLock::acquire(folder + "/lock").error().code, ErrorCode::already_exists);
  {
    auto gone = std::move(*first);
  }
  EXPECT_TRUE(FileLock::acquire(folder + "/lock"));
}

TEST_F(RealDiskTest, FolderWatchSeesNewFiles) {
  int changes = 0;
  auto watch = watch_folders(core, {folder}, [&] { ++changes; });
  ASSERT_TRUE(watch);
  ASSERT_TRUE(write_file(folder + "/new", "x"));
  EXPECT_TRUE(core.run_until([&] { return changes > 0; }, 10s));
}

TEST_F(RealDiskTest, FolderWatchSeesNewFolders) {
  int changes = 0;
  auto watch = watch_folders(core, {folder}, [&] { ++changes; });
  ASSERT_TRUE(watch);
  ASSERT_TRUE(make_folders(folder + "/new"));
  EXPECT_TRUE(core.run_until([&] { return changes > 0; }, 10s));
}

}  // namespace
}  // namespace asterism
