#include "gateway/join_token.h"

#include <gtest/gtest.h>

#include "gateway/access.h"

namespace asterism {
namespace {

const WallTime noon{1'000'000'000'000};
WallTime after(int64_t seconds) { return {noon.us + seconds * 1'000'000}; }

struct JoinTokenTest : testing::Test {
  AccessState state;
  uint64_t index = 0;
  const std::string id = "0123456789abcdef";
  const Bytes secret = Bytes(32, 's'), ada = Bytes(32, 'a'), bob = Bytes(32, 'b');

  std::string apply(const Bytes& command) {
    auto outcome = state.apply(++index, command);
    return outcome ? "" : to_string(outcome.error().code);
  }
  std::string add(uint32_t uses = 1, int64_t seconds = 60) {
    return apply(JoinTokens::add(id, {hash_of_join_secret(secret), after(seconds), uses, {}}, noon));
  }
  std::string claim(const Bytes& who, const char* name, WallTime now = noon) {
    return apply(JoinTokens::claim(id, {who, name, "10.0.0.9"}, now));
  }
  std::string check(BytesView given, const Bytes& who, WallTime now = noon) {
    Status checked = state.tokens().check(id, given, who, now);
    return checked ? "" : checked.error().message;
  }
};

TEST_F(JoinTokenTest, TextComesBack) {
  for (const std::string& authority : {std::string(64, 'f'), std::string()}) {
    const JoinTokenText token{id, Bytes(32, '\xab'), authority};
    auto read = parse_join_token(token.to_string());
    ASSERT_TRUE(read);
    EXPECT_EQ(read->id, id);
    EXPECT_EQ(read->secret, token.secret);
    EXPECT_EQ(read->authority, authority);
  }
}

TEST_F(JoinTokenTest, WhatIsNoTokenIsRefusedWithoutBeingRepeated) {
  const std::string good = JoinTokenText{id, secret, std::string(64, 'f')}.to_string();
  for (const std::string& bad : {std::string(), std::string("-"), good.substr(1), good.substr(0, good.size() - 1),
                                 good + "0", good + "-", "asterism2" + good.substr(9), std::string(100'000, '-')}) {
    auto read = parse_join_token(bad);
    ASSERT_FALSE(read) << bad;
    EXPECT_EQ(read.error().message, "this is no join token");
  }
}

TEST_F(JoinTokenTest, OneUseIsOneMachineWhichMayAskAgain) {
  EXPECT_EQ(add(), "");
  EXPECT_EQ(check(secret, ada), "");
  EXPECT_EQ(claim(ada, "n9"), "");
  EXPECT_EQ(claim(ada, "n9"), "") << "its answer may have been lost";
  EXPECT_EQ(claim(ada, "n10"), "invalid_argument") << "one machine has one name";
  EXPECT_EQ(claim(bob, "n10"), "unauthorized");
  EXPECT_EQ(check(secret, ada), "");
  EXPECT_NE(check(secret, bob).find("used up"), std::string::npos);
}

TEST_F(JoinTokenTest, AWrongSecretAndAnUnknownTokenSayTheSame) {
  const std::string unknown = check(secret, ada);
  EXPECT_EQ(add(), "");
  EXPECT_EQ(check(Bytes(32, 'x'), ada), unknown);
  EXPECT_EQ(check(Bytes(), ada), unknown);
  EXPECT_NE(unknown, "");
  EXPECT_EQ(apply(JoinTokens::drop(id)), "");
  EXPECT_EQ(check(secret, ada), unknown);
  EXPECT_EQ(claim(ada, "n9"), "unauthorized");
  EXPECT_EQ(apply(JoinTokens::drop(id)), "not_found");
}

TEST_F(JoinTokenTest, AnExpiredTokenIsOfNoUseAndGoes) {
  EXPECT_EQ(add(), "");
  EXPECT_EQ(check(secret, ada, after(59)), "");
  EXPECT_NE(check(secret, ada, after(60)).find("expired"), std::string::npos);
  EXPECT_EQ(claim(ada, "n9", after(60)), "unauthorized");
  const std::string other = "fedcba9876543210";
  EXPECT_EQ(apply(JoinTokens::add(other, {Bytes(32, 'h'), after(200), 1, {}}, after(100))), "");
  EXPECT_EQ(state.tokens().all().size(), 1u);
}

TEST_F(JoinTokenTest, Limits) {
  EXPECT_EQ(add(0), "invalid_argument");
  EXPECT_EQ(add(join_uses_max + 1), "invalid_argument");
  EXPECT_EQ(add(1, 0), "invalid_argument");
  EXPECT_EQ(add(1, join_expiry_most_s + 1), "invalid_argument");
  EXPECT_EQ(apply(JoinTokens::add("short", {Bytes(32, 'h'), after(10), 1, {}}, noon)), "invalid_argument");
  EXPECT_EQ(apply(JoinTokens::add(id, {Bytes(31, 'h'), after(10), 1, {}}, noon)), "invalid_argument");
  for (size_t i = 0; i < join_tokens_max; ++i)
    EXPECT_EQ(apply(JoinTokens::add(fmt::format("{:016x}", i), {Bytes(32, 'h'), after(10), 1, {}}, noon)), "");
  EXPECT_EQ(add(), "too_large");
  EXPECT_EQ(apply(JoinTokens::add(fmt::format("{:016x}", 0), {Bytes(32, 'h'), after(10), 1, {}}, noon)),
            "already_exists");
}

TEST_F(JoinTokenTest, ASnapshotHoldsThem) {
  EXPECT_EQ(add(3), "");
  EXPECT_EQ(claim(ada, "n9"), "");
  AccessState copy;
  ASSERT_TRUE(copy.restore(state.snapshot()));
  EXPECT_EQ(copy.tokens().all(), state.tokens().all());
  EXPECT_EQ(copy.tokens().all().at(id).uses, 2u);
  EXPECT_EQ(state.snapshot().find(secret), Bytes::npos);
}

}  // namespace
}  // namespace asterism
