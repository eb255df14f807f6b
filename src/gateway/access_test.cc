#include "gateway/access.h"

#include <gtest/gtest.h>

namespace asterism {
namespace {

constexpr PermissionSet everything = PermissionSet::from_bits(0xff);

struct AccessTest : testing::Test {
  AccessState state;
  uint64_t index = 0;

  std::string apply(const Bytes& command) {
    auto outcome = state.apply(++index, command);
    return outcome ? "" : to_string(outcome.error().code);
  }
  void make(const std::string& name, bool superuser = false, bool login = true) {
    Role role;
    role.name = name;
    role.superuser = superuser;
    role.login = login;
    role.password = PasswordVerifier{"salt", 4096, Bytes(32, 's'), Bytes(32, 'k')};
    EXPECT_EQ(apply(AccessState::create(role)), "");
  }
  bool allow(const char* role, Permission permission, const char* resource) {
    return state.rights(role)->allow(permission, resource);
  }
};

TEST_F(AccessTest, AGrantCoversWhatIsBelowAndNothingElse) {
  make("ada");
  EXPECT_EQ(apply(AccessState::permit("ada", "data/shop", {Permission::read})), "");
  EXPECT_TRUE(allow("ada", Permission::read, "data/shop/orders"));
  EXPECT_TRUE(allow("ada", Permission::read, "data/shop"));
  EXPECT_FALSE(allow("ada", Permission::read, "data"));
  EXPECT_FALSE(allow("ada", Permission::read, "data/shopping/orders"));
  EXPECT_FALSE(allow("ada", Permission::write, "data/shop/orders"));
  EXPECT_FALSE(allow("bob", Permission::read, "data/shop"));
  EXPECT_EQ(apply(AccessState::forbid("ada", "data/shop", everything)), "");
  EXPECT_FALSE(allow("ada", Permission::read, "data/shop/orders"));
  EXPECT_TRUE(state.role("ada")->grants.empty());
}

TEST_F(AccessTest, MembersMayWhatTheirRolesMay) {
  for (auto name : {"ada", "clerks", "staff"}) make(name);
  EXPECT_EQ(apply(AccessState::join("clerks", "ada")), "");
  EXPECT_EQ(apply(AccessState::join("staff", "clerks")), "");
  EXPECT_EQ(apply(AccessState::permit("staff", "data", {Permission::read})), "");
  EXPECT_TRUE(allow("ada", Permission::read, "data/shop/orders"));
  EXPECT_EQ(state.rights("ada")->roles, (std::set<std::string>{"ada", "clerks", "staff"}));
  EXPECT_EQ(apply(AccessState::leave("staff", "clerks")), "");
  EXPECT_FALSE(allow("ada", Permission::read, "data/shop/orders"));
  EXPECT_EQ(apply(AccessState::leave("staff", "clerks")), "invalid_argument");
}

TEST_F(AccessTest, MembershipsMakeNoCircle) {
  for (auto name : {"a", "b", "c"}) make(name);
  EXPECT_EQ(apply(AccessState::join("b", "a")), "");
  EXPECT_EQ(apply(AccessState::join("c", "b")), "");
  EXPECT_EQ(apply(AccessState::join("a", "c")), "invalid_argument");
  EXPECT_EQ(apply(AccessState::join("a", "a")), "invalid_argument");
  EXPECT_EQ(apply(AccessState::join("c", "a")), "invalid_argument") << "it is one already";
  EXPECT_EQ(apply(AccessState::join("c", "nobody")), "not_found");
  EXPECT_EQ(apply(AccessState::join("nobody", "c")), "not_found");
}

TEST_F(AccessTest, SuperusersMayEverythingAndPassItOn) {
  make("root", true);
  make("ada");
  EXPECT_TRUE(allow("root", Permission::drop, "anything/at/all"));
  EXPECT_EQ(apply(AccessState::join("root", "ada")), "");
  EXPECT_TRUE(state.rights("ada")->superuser);
  EXPECT_EQ(apply(AccessState::alter({.name = "root", .superuser = false})), "");
  EXPECT_FALSE(state.rights("ada")->superuser);
}

TEST_F(AccessTest, WhatIsDroppedLeavesNothingBehind) {
  make("ada");
  make("clerks");
  EXPECT_EQ(apply(AccessState::join("clerks", "ada")), "");
  EXPECT_EQ(apply(AccessState::permit("ada", "data/shop/orders", {Permission::read})), "");
  EXPECT_EQ(apply(AccessState::permit("ada", "data/shop2", {Permission::read})), "");
  EXPECT_EQ(apply(AccessState::permit("ada", "roles/clerks", {Permission::alter})), "");
  EXPECT_EQ(apply(AccessState::forget("data/shop")), "");
  EXPECT_FALSE(allow("ada", Permission::read, "data/shop/orders"));
  EXPECT_TRUE(allow("ada", Permission::read, "data/shop2"));
  EXPECT_EQ(apply(AccessState::drop("clerks")), "");
  EXPECT_EQ(apply(AccessState::drop("clerks")), "not_found");
  make("clerks");
  EXPECT_FALSE(allow("ada", Permission::alter, "roles/clerks")) << "a new role of an old name";
  EXPECT_FALSE(state.rights("ada")->roles.contains("clerks"));
}

TEST_F(AccessTest, TheFirstSuperuserIsMadeOnce) {
  Role admin;
  admin.name = "admin";
  admin.login = admin.superuser = true;
  admin.password = PasswordVerifier{"first", 4096, Bytes(32, 's'), Bytes(32, 'k')};
  make("admin", false, false);
  EXPECT_EQ(apply(AccessState::found(admin)), "");
  EXPECT_TRUE(state.has_superuser());
  EXPECT_TRUE(state.role("admin")->superuser);
  admin.password->salt = "second";
  EXPECT_EQ(apply(AccessState::found(admin)), "already_exists");
  EXPECT_EQ(state.role("admin")->password->salt, "first");
  EXPECT_EQ(apply(AccessState::alter({.name = "admin", .login = false})), "");
  admin.name = "a/b";
  EXPECT_EQ(apply(AccessState::found(admin)), "invalid_argument");
  EXPECT_TRUE(state.role("admin") != nullptr);
}

TEST_F(AccessTest, NamesThatWouldReachBeyondTheirPathAreRefused) {
  for (const char* name : {"", "a/b", "a\nb", "a\x7f"}) {
    Role role;
    role.name = name;
    EXPECT_EQ(apply(AccessState::create(role)), "invalid_argument") << name;
  }
  Role nul;
  nul.name = std::string("a\0b", 3);
  EXPECT_EQ(apply(AccessState::create(nul)), "invalid_argument");
}

TEST_F(AccessTest, PrincipalsFollowEveryChange) {
  make("ada");
  const Principal ada(state, "ada");
  EXPECT_FALSE(ada.may(Permission::read, "data"));
  EXPECT_EQ(apply(AccessState::permit("ada", "data", {Permission::read})), "");
  EXPECT_TRUE(ada.may(Permission::read, "data/a/b"));
  EXPECT_EQ(apply(AccessState::alter({.name = "ada", .login = false})), "");
  EXPECT_FALSE(ada.may(Permission::read, "data/a/b")) << "may not be logged in any more";
  EXPECT_EQ(apply(AccessState::alter({.name = "ada", .login = true})), "");
  EXPECT_TRUE(ada.may(Permission::read, "data/a/b"));
  AccessState other;
  EXPECT_TRUE(state.restore(other.snapshot()));
  EXPECT_FALSE(ada.may(Permission::read, "data/a/b"));
}

TEST_F(AccessTest, SnapshotsHoldEverything) {
  make("ada", true);
  make("bob", false, false);
  EXPECT_EQ(apply(AccessState::join("bob", "ada")), "");
  EXPECT_EQ(apply(AccessState::permit("bob", "data", everything)), "");
  EXPECT_EQ(apply(AccessState::alter({.name = "bob", .options = {{{"a", "b"}}}})), "");
  AccessState copy;
  ASSERT_TRUE(copy.restore(state.snapshot()));
  EXPECT_EQ(copy.snapshot(), state.snapshot());
  const Role& bob = *copy.role("bob");
  EXPECT_EQ(bob.options.at("a"), "b");
  EXPECT_EQ(bob.grants.at("data"), everything);
  EXPECT_FALSE(bob.login);
  EXPECT_TRUE(copy.role("ada")->member_of.contains("bob"));
  EXPECT_EQ(copy.role("ada")->password, state.role("ada")->password);
  EXPECT_EQ(copy.restore("\xff\xff").error().code, ErrorCode::corrupt);
}

TEST_F(AccessTest, MalformedCommandsChangeNothing) {
  make("ada");
  const Bytes before = state.snapshot();
  EXPECT_EQ(apply("\xff\xff"), "invalid_argument");
  EXPECT_EQ(apply(""), "unsupported");
  EXPECT_EQ(apply(AccessState::permit("ada", "", {Permission::read})), "invalid_argument");
  EXPECT_EQ(apply(AccessState::permit("nobody", "data", {Permission::read})), "not_found");
  EXPECT_EQ(apply(AccessState::alter({.name = "nobody"})), "not_found");
  EXPECT_EQ(state.snapshot(), before);
}

}  // namespace
}  // namespace asterism
