// A RealCore for tests: runs tasks until they end, with a limit, on loopback sockets and a temporary folder.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "runtime/io.h"
#include "runtime/real/core.h"
#include "runtime/task_group.h"

namespace asterism {

struct TestCore : testing::Test {
  static std::string make_folder() {
    char name[] = "/tmp/asterism-test-XXXXXX";
    EXPECT_NE(mkdtemp(name), nullptr);
    return name;
  }
  ~TestCore() override {
    group.cancel();
    std::filesystem::remove_all(folder);
  }

  /// Runs the task to its end.
  void run(Task<void> task) {
    group.spawn(std::move(task));
    ASSERT_TRUE(core.run_until([&] { return group.size() == 0; }, 20s)) << "the tasks did not end in time";
  }

  std::string folder = make_folder();
  RealCore core;
  TaskGroup group{core.executor()};
};

}  // namespace asterism
