#include "runtime/real/line_socket.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "runtime/real/core.h"
#include "runtime/real/files.h"

namespace asterism {
namespace {

struct LineSocket : testing::Test {
  RealCore core;
  // Longer than the address of a unix socket may be.
  std::string folder = testing::TempDir() + "/lines-" + std::string(120, 'x');
  std::string path = folder + "/socket";
  LineSocket() { EXPECT_TRUE(make_folders(folder)); }

  Result<std::string> ask(std::string question, Duration limit = 5s) {
    std::optional<Result<std::string>> answer;
    ask_line(core, path, std::move(question), limit, [&](Result<std::string> came) { answer = std::move(came); });
    EXPECT_FALSE(answer.has_value());
    EXPECT_TRUE(core.run_until([&] { return answer.has_value(); }, 10s));
    return std::move(*answer);
  }
};

TEST_F(LineSocket, QuestionsAreAnsweredNowOrLaterAndByItsUserAlone) {
  LineReply later;
  auto server = serve_lines(core, path, [&](std::string question, LineReply reply) {
    if (question == "later") return void(later = std::move(reply));
    reply("you said " + question);
  });
  ASSERT_TRUE(server) << server.error().message;
  struct stat found{};
  ASSERT_EQ(::stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600u);
  EXPECT_EQ(ask("hello").value(), "you said hello");
  EXPECT_EQ(ask("later", 100ms).error().code, ErrorCode::timeout);
  later("too late");
  EXPECT_EQ(ask(std::string(5000, 'x')).error().code, ErrorCode::closed);
  EXPECT_EQ(ask("again").value(), "you said again");
}

TEST_F(LineSocket, NobodyAnswersAfterTheEnd) {
  EXPECT_EQ(ask("x").error().code, ErrorCode::unavailable);
  {
    auto server = serve_lines(core, path, [](std::string, LineReply reply) { reply("y"); }).value();
  }
  EXPECT_FALSE(file_exists(path));
  EXPECT_EQ(ask("x").error().code, ErrorCode::unavailable);
  // What a killed server left is replaced.
  auto first = serve_lines(core, path, [](std::string, LineReply reply) { reply("first"); }).value();
  auto second = serve_lines(core, path, [](std::string, LineReply reply) { reply("second"); }).value();
  EXPECT_EQ(ask("x").value(), "second");
}

}  // namespace
}  // namespace asterism
