#include "runtime/real/process.h"

#include <unistd.h>

#include "runtime/real/files.h"
#include "runtime/real/test_core.h"

namespace asterism {
namespace {

struct RealProcessTest : TestCore {
  std::optional<ExitStatus> exit;
  std::unique_ptr<ProcessWatch> watch;

  Child shell(const std::string& script, bool with_pipe = false) {
    auto child = spawn({.program = "/bin/sh",
                        .arguments = {"-c", script},
                        .output_path = folder + "/output",
                        .detached = true,
                        .with_pipe = with_pipe});
    EXPECT_TRUE(child) << child.error().to_string();
    watch = std::move(*watch_process(core, child->process, [this](ExitStatus status) { exit = status; }));
    return *child;
  }
  bool wait_for_exit() {
    return core.run_until([&] { return exit.has_value(); }, 10s);
  }
};

TEST_F(RealProcessTest, ExitCodeAndOutputArrive) {
  shell("echo said; exit 3");
  ASSERT_TRUE(wait_for_exit());
  EXPECT_EQ(exit->code, 3);
  EXPECT_EQ(*read_file(folder + "/output"), "said\n");
}

TEST_F(RealProcessTest, SignalThatEndedAChildIsKnown) {
  Child child = shell("exec sleep 100");
  EXPECT_TRUE(is_alive(child.process));
  EXPECT_GT(processor_time(), 0ns);
  EXPECT_GT(resident_bytes(current_process()).value_or(0), 1u << 20);
  EXPECT_FALSE(resident_bytes({child.process.pid, child.process.start_ticks + 1}));
  EXPECT_FALSE(is_alive({child.process.pid, child.process.start_ticks + 1})) << "another process of the same id";
  ASSERT_TRUE(send_signal(child.process, SIGKILL));
  ASSERT_TRUE(wait_for_exit());
  EXPECT_EQ(exit->signal, SIGKILL);
  EXPECT_FALSE(is_alive(child.process));
  EXPECT_EQ(send_signal(child.process, SIGTERM).error().code, ErrorCode::not_found);
}

TEST_F(RealProcessTest, AProcessLivesUntilItsLastThreadHasEnded) {
  Child child = shell(
      "exec python3 -c 'import ctypes, threading, time\n"
      "threading.Thread(target=time.sleep, args=(100,)).start()\n"
      "ctypes.CDLL(None).pthread_exit(None)'");
  EXPECT_FALSE(is_ending(child.process));
  for (int turns = 0; !is_ending(child.process) && turns < 1000; ++turns) core.run_until([] { return false; }, 10ms);
  EXPECT_TRUE(is_ending(child.process)) << "its first thread has ended";
  EXPECT_TRUE(is_alive(child.process));
  ASSERT_TRUE(send_signal(child.process, SIGKILL));
  ASSERT_TRUE(wait_for_exit());
  EXPECT_FALSE(is_alive(child.process));
  EXPECT_FALSE(is_ending(child.process));
}

TEST_F(RealProcessTest, LinesComeThroughTheInheritedPipe) {
  Child child = shell("printf 'one\\ntwo\\nrest' >&3", true);
  std::vector<std::string> lines;
  bool ended = false;
  auto reader = read_lines(core, child.pipe, [&](std::optional<std::string> line) {
    if (line)
      lines.push_back(*line);
    else
      ended = true;
  });
  ASSERT_TRUE(core.run_until([&] { return ended; }, 10s));
  EXPECT_EQ(lines, (std::vector<std::string>{"one", "two"}));
  ASSERT_TRUE(wait_for_exit());
}

TEST_F(RealProcessTest, AReaderMayBeDestroyedByItsOwnLine) {
  Child child = shell("printf 'one\\ntwo\\n' >&3", true);
  int lines = 0;
  std::unique_ptr<LineReader> reader;
  reader = read_lines(core, child.pipe, [&](std::optional<std::string>) {
    ++lines;
    reader.reset();
  });
  ASSERT_TRUE(wait_for_exit());
  EXPECT_TRUE(core.run_until([&] { return lines == 1; }, 10s));
}

TEST_F(RealProcessTest, ProgramThatIsMissingIsAnError) {
  EXPECT_EQ(spawn({.program = "/nowhere/program", .arguments = {}, .output_path = ""}).error().code,
            ErrorCode::not_found);
}

TEST_F(RealProcessTest, KnowsItself) {
  EXPECT_TRUE(is_alive(current_process()));
  EXPECT_EQ(current_process().pid, getpid());
  EXPECT_NE(own_program().find("runtime_test"), std::string::npos);
}

}  // namespace
}  // namespace asterism
