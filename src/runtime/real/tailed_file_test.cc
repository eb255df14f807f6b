#include "runtime/real/tailed_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace asterism {
namespace {

class TailedFileTest : public testing::Test {
 protected:
  TailedFileTest() {
    char name[] = "/tmp/tailed_file_XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~TailedFileTest() override { std::filesystem::remove_all(folder_); }
  std::string path() const { return folder_ + "/log"; }
  void append(const std::string& text) const { std::ofstream(path(), std::ios::app) << text; }
  std::string folder_;
};

TEST_F(TailedFileTest, WhatIsAppendedIsReadOnce) {
  EXPECT_EQ(TailedFile::open(path()).error().code, ErrorCode::not_found);
  append("one\ntwo\n");
  auto file = TailedFile::open(path());
  ASSERT_TRUE(file);
  EXPECT_EQ(*file->read(4), "one\n");
  EXPECT_EQ(*file->read(100), "two\n");
  EXPECT_EQ(*file->read(100), "");
  append("three\n");
  EXPECT_EQ(*file->read(100), "three\n");
}

TEST_F(TailedFileTest, ARenamedFileIsReadToItsEndAndItsSuccessorIsAnother) {
  append("old\n");
  auto file = TailedFile::open(path());
  ASSERT_TRUE(file);
  EXPECT_EQ(file->identity(), *identity_of(path()));
  std::filesystem::rename(path(), path() + ".1");
  EXPECT_EQ(identity_of(path()).error().code, ErrorCode::not_found);
  append("new\n");
  EXPECT_NE(file->identity(), *identity_of(path()));
  EXPECT_EQ(file->identity(), *identity_of(path() + ".1"));
  EXPECT_EQ(*file->read(100), "old\n");
  EXPECT_EQ(*TailedFile::open(path())->read(100), "new\n");
}

TEST_F(TailedFileTest, AFileThatWasCutIsReadFromItsStart) {
  append("something long\n");
  auto file = TailedFile::open(path());
  ASSERT_TRUE(file);
  file->seek(10);
  EXPECT_EQ(*file->read(100), "long\n");
  std::filesystem::resize_file(path(), 0);
  EXPECT_EQ(*file->read(100), "");
  append("short\n");
  EXPECT_EQ(*file->read(100), "short\n");
}

}  // namespace
}  // namespace asterism
