#include "gateway/authenticator.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/sim/machine.h"
#include "runtime/task_group.h"

namespace asterism {
namespace {

struct Lines final : LogSink {
  std::vector<std::string> lines;
  void write(LogLevel, std::string_view, std::string_view message) override { lines.emplace_back(message); }
};

struct AuthenticatorTest : testing::Test {
  sim::Simulation simulation{3};
  sim::Machine& machine = simulation.add_machine({.name = "node"});
  AccessState state;
  Lines lines;
  uint64_t index = 0;
  std::unique_ptr<Authenticator> authenticator;

  AuthenticatorTest() {
    machine.start();
    make({.iterations = 4096});
    add("ada", true, "secret");
    add("robot", false, "secret");
    Role bare;
    bare.name = "bare";
    bare.login = true;
    EXPECT_TRUE(state.apply(++index, AccessState::create(bare)));
  }
  void make(AuthenticatorOptions options) {
    authenticator =
        std::make_unique<Authenticator>(state, machine.disk(), machine.random(), Audit(Log(lines, "audit")), options);
  }
  void add(const std::string& name, bool login, const std::string& password) {
    Role role;
    role.name = name;
    role.login = login;
    role.password = make_verifier(password, "0123456789abcdef", 4096);
    EXPECT_TRUE(state.apply(++index, AccessState::create(role)));
  }
  static Task<void> keep(Task<Status> task, std::vector<std::string>& out) {
    Status outcome = co_await std::move(task);
    out.push_back(outcome ? "in" : outcome.error().to_string());
  }
  std::vector<std::string> log_in(const std::vector<std::pair<std::string, std::string>>& attempts) {
    std::vector<std::string> outcomes;
    for (const auto& [name, password] : attempts)
      machine.spawn(keep(authenticator->log_in(name, password, {"10.0.0.9", 4000}), outcomes));
    EXPECT_TRUE(simulation.run_until([&] { return outcomes.size() == attempts.size(); }, 60s));
    return outcomes;
  }
};

TEST_F(AuthenticatorTest, OnlyTheRightPasswordOfAUserLogsIn) {
  EXPECT_EQ(log_in({{"ada", "secret"}})[0], "in");
  const std::string wrong = log_in({{"ada", "Secret"}})[0];
  const std::string unknown = log_in({{"adx", "secret"}})[0];
  EXPECT_NE(wrong.find("Provided username ada and/or password are incorrect"), std::string::npos) << wrong;
  EXPECT_NE(unknown.find("Provided username adx and/or password are incorrect"), std::string::npos) << unknown;
  EXPECT_NE(log_in({{"robot", "secret"}})[0].find("robot is not permitted to log in"), std::string::npos);
  EXPECT_EQ(log_in({{"robot", "wrong"}})[0].find("permitted"), std::string::npos) << "only who knows it is told";
  for (auto [name, password] : std::vector<std::pair<std::string, std::string>>{
           {"", ""}, {"bare", ""}, {"bare", "x"}, {"a/b", "x"}, {"ada", std::string(2000, 'x')}, {"ada", ""}})
    EXPECT_NE(log_in({{name, password}})[0], "in") << name;
  EXPECT_EQ(authenticator->counters().logins, 1u);
}

TEST_F(AuthenticatorTest, EveryAttemptIsAudited) {
  log_in({{"ada", "secret"}});
  log_in({{"a\"da\nforged=\"", "secret"}});
  ASSERT_EQ(lines.lines.size(), 2u);
  EXPECT_EQ(lines.lines[0], "event=login user=\"ada\" address=10.0.0.9:4000 outcome=done");
  EXPECT_TRUE(lines.lines[1].starts_with("event=login user=\"a\\\"da")) << lines.lines[1];
  EXPECT_NE(lines.lines[1].find("outcome=refused"), std::string::npos);
  for (const auto& line : lines.lines) EXPECT_EQ(line.find("secret"), std::string::npos);
}

TEST_F(AuthenticatorTest, AFloodIsRefusedBeyondItsBound) {
  make({.iterations = 4096, .waiting_max = 3});
  const auto outcomes = log_in(std::vector<std::pair<std::string, std::string>>(10, {"ada", "secret"}));
  EXPECT_EQ(std::ranges::count(outcomes, "in"), 3);
  EXPECT_EQ(authenticator->counters().overloaded, 7u);
  EXPECT_EQ(log_in({{"ada", "secret"}})[0], "in");
}

TEST_F(AuthenticatorTest, VerifiersHaveSaltsOfTheirOwn) {
  std::vector<PasswordVerifier> made;
  auto one = [](Authenticator& by, std::string password, std::vector<PasswordVerifier>& out) -> Task<void> {
    auto verifier = co_await by.verifier(std::move(password));
    out.push_back(verifier ? *verifier : PasswordVerifier());
  };
  for (auto password : {std::string("x"), std::string("x"), std::string(), std::string("a\0b", 3)})
    machine.spawn(one(*authenticator, password, made));
  simulation.run_for(10s);
  ASSERT_EQ(made.size(), 4u);
  std::ranges::sort(made, {}, &PasswordVerifier::iterations);
  EXPECT_EQ(made[1].iterations, 0u) << "refused";
  EXPECT_TRUE(password_fits(made[2], "x") && password_fits(made[3], "x"));
  EXPECT_NE(made[2].salt, made[3].salt);
}

}  // namespace
}  // namespace asterism
