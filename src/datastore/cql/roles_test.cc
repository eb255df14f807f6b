// Logging in, permissions, and statements about users, through the server.
#include "datastore/cql/roles.h"

#include "datastore/cql/server_test.h"

namespace asterism::cql::testing {

using ::testing::HasSubstr;
using wire::CqlErrorCode;
using wire::Version;

namespace {

struct RolesTest : ServerTest {
  RolesTest() {
    Role admin;
    admin.name = "admin";
    admin.login = admin.superuser = true;
    admin.password = make_verifier("root", "0123456789abcdef", 4096);
    apply(AccessState::section_name, AccessState::found(admin));
    serve({}, true);
    admin_ = log_in("admin", "root");
  }
  std::unique_ptr<CqlClient> log_in(std::string user, std::string password, Version version = Version::v5) {
    return connect({.version = version, .user = std::move(user), .password = std::move(password)});
  }
  std::string refusal(std::string user, std::string password) {
    auto client = try_connect({.user = std::move(user), .password = std::move(password)});
    return client ? "" : client.error().message;
  }
  void as_admin(const std::string& text) { EXPECT_EQ(ask(*admin_, text), "") << text; }
  std::unique_ptr<CqlClient> make_user(const std::string& name) {
    as_admin("CREATE ROLE " + name + " WITH LOGIN = true AND PASSWORD = 'pw'");
    return log_in(name, "pw");
  }
  wire::ErrorResponse error_of(CqlClient& client, std::string text) {
    auto reply = reply_of(client.query(std::move(text), soon()));
    return reply.error() ? *reply.error() : wire::ErrorResponse{};
  }
  void expect_denied(CqlClient& client, const std::string& text, std::string_view what) {
    auto error = error_of(client, text);
    EXPECT_EQ(error.code, CqlErrorCode::unauthorized) << text;
    EXPECT_THAT(error.message, HasSubstr(what)) << text;
  }

  std::unique_ptr<CqlClient> admin_;
};

Bytes request_bytes(wire::RequestMessage message, Version version, int16_t stream) {
  Bytes bytes;
  EXPECT_TRUE(wire::encode_request({std::move(message), false, {}}, version, stream, bytes).has_value());
  return bytes;
}

TEST_F(RolesTest, EveryVersionLogsIn) {
  for (Version version : {Version::v3, Version::v4, Version::v5}) {
    auto client = log_in("admin", "root", version);
    ASSERT_TRUE(client);
    EXPECT_EQ(ask(*client, "SELECT release_version FROM system.local"), "4.1.0\n");
  }
}

TEST_F(RolesTest, WrongPasswordsAndUnknownUsersAreBadCredentials) {
  EXPECT_THAT(refusal("admin", "Root"), HasSubstr("Provided username admin and/or password are incorrect"));
  EXPECT_THAT(refusal("nobody", "root"), HasSubstr("Provided username nobody and/or password are incorrect"));
  EXPECT_NE(refusal("", "root"), "");
  as_admin("CREATE ROLE robot WITH PASSWORD = 'pw'");
  EXPECT_THAT(refusal("robot", "pw"), HasSubstr("robot is not permitted to log in"));
  EXPECT_EQ(server_->counters().errors.at(CqlErrorCode::bad_credentials), 4u);
}

TEST_F(RolesTest, AUserMakesSoManyRequestsASecond) {
  auto ada = make_user("ada"), bob = make_user("bob");
  const std::string query = "SELECT key FROM system.local";
  EXPECT_EQ(error_of(*admin_, "ALTER ROLE ada WITH OPTIONS = {'requests_per_second': 'many'}").code,
            CqlErrorCode::invalid);
  as_admin("ALTER ROLE ada WITH OPTIONS = {'requests_per_second': '3'}");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(*ada, query), "local\n");
  const auto error = error_of(*ada, query);
  EXPECT_EQ(error.code, CqlErrorCode::overloaded);
  EXPECT_THAT(error.message, HasSubstr("ada has made too many requests"));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(ask(*bob, query), "local\n");
  EXPECT_EQ(limits_.refused(), 1u);
  simulation_.run_for(1s);
  EXPECT_EQ(ask(*ada, query), "local\n");
  as_admin("ALTER ROLE ada WITH OPTIONS = {}");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(ask(*ada, query), "local\n");
}

TEST_F(RolesTest, NothingButLoggingInIsServedBefore) {
  auto stream = dial();
  transmit(*stream, request_bytes(wire::Options{}, Version::v4, 1));
  EXPECT_FALSE(receive(stream, 1s).bytes.empty());
  wire::Startup startup;
  startup.options.emplace_back("CQL_VERSION", "3.0.0");
  transmit(*stream, request_bytes(startup, Version::v4, 2));
  EXPECT_THAT(receive(stream, 1s).bytes, HasSubstr("org.apache.cassandra.auth.PasswordAuthenticator"));
  const wire::RequestMessage refused[] = {wire::Query{"SELECT * FROM system.local", {}}, wire::Prepare{"SELECT 1", {}},
                                          wire::Execute{"0123456789abcdef", "", {}}, wire::Batch{},
                                          wire::Register{{wire::EventType::schema_change}}};
  for (const auto& message : refused) {
    transmit(*stream, request_bytes(message, Version::v4, 3));
    EXPECT_EQ(error_in(receive(stream, 1s).bytes).code, CqlErrorCode::protocol_error) << message.index();
  }
}

TEST_F(RolesTest, AFailedLoginEndsItsConnection) {
  auto stream = dial();
  wire::Startup startup;
  startup.options.emplace_back("CQL_VERSION", "3.0.0");
  transmit(*stream, request_bytes(startup, Version::v4, 1));
  receive(stream, 1s);
  transmit(*stream, request_bytes(wire::AuthResponse{BytesView("\0admin\0wrong", 12)}, Version::v4, 2));
  auto received = receive(stream, 5s);
  EXPECT_EQ(error_in(received.bytes).code, CqlErrorCode::bad_credentials);
  EXPECT_TRUE(received.ended);
  for (BytesView token : {BytesView("admin"), BytesView("x\0admin\0root", 12), BytesView("\0\0root", 6), BytesView()}) {
    auto other = dial();
    transmit(*other, request_bytes(startup, Version::v4, 1));
    receive(other, 1s);
    transmit(*other, request_bytes(wire::AuthResponse{token}, Version::v4, 2));
    EXPECT_EQ(error_in(receive(other, 5s).bytes).code, CqlErrorCode::bad_credentials) << to_hex(token);
  }
}

TEST_F(RolesTest, StrangersGetLittleRoomAndLittleTime) {
  auto stream = dial();
  transmit(*stream, request_bytes(wire::AuthResponse{BytesView(std::string(100'000, 'x'))}, Version::v4, 1));
  EXPECT_THAT(error_in(receive(stream, 1s).bytes).message, HasSubstr("65536"));
  EXPECT_FALSE(receive(stream, 20s).ended);
  EXPECT_TRUE(receive(stream, 20s).ended);
  EXPECT_FALSE(admin_->closed());
}

TEST_F(RolesTest, EveryStatementNeedsItsPermission) {
  make_table(*admin_);
  auto ada = make_user("ada");
  const std::string on_table = " permission on <table ks.t> or any of its parents";
  expect_denied(*ada, "SELECT * FROM ks.t", "User ada has no SELECT" + on_table);
  expect_denied(*ada, "INSERT INTO ks.t (k, v) VALUES ('a', 'b')", "User ada has no MODIFY" + on_table);
  expect_denied(*ada, "UPDATE ks.t SET v = 'b' WHERE k = 'a'", "MODIFY" + on_table);
  expect_denied(*ada, "DELETE FROM ks.t WHERE k = 'a'", "MODIFY" + on_table);
  expect_denied(*ada, "BEGIN BATCH DELETE FROM ks.t WHERE k = 'a'; APPLY BATCH", "MODIFY" + on_table);
  expect_denied(*ada, "TRUNCATE ks.t", "MODIFY" + on_table);
  expect_denied(*ada, "ALTER TABLE ks.t ADD x int", "ALTER" + on_table);
  expect_denied(*ada, "DROP TABLE ks.t", "DROP" + on_table);
  const std::string on_keyspace = " permission on <keyspace ks> or any of its parents";
  expect_denied(*ada, "CREATE TABLE ks.u (k int PRIMARY KEY)", "CREATE" + on_keyspace);
  expect_denied(*ada, "DROP KEYSPACE ks", "DROP" + on_keyspace);
  expect_denied(*ada, "ALTER KEYSPACE ks WITH durable_writes = true", "ALTER" + on_keyspace);
  expect_denied(*ada, "CREATE KEYSPACE x WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
                "User ada has no CREATE permission on <all keyspaces> or any of its parents");
  expect_denied(*ada, "SELECT * FROM system.prepared_statements", "SELECT");
  expect_denied(*ada, "CREATE ROLE x", "User ada has no CREATE permission on <all roles> or any of its parents");
  expect_denied(*ada, "GRANT SELECT ON ks.t TO ada", "AUTHORIZE" + on_table);
  // What drivers read is everybody's.
  EXPECT_EQ(error_of(*ada, "SELECT * FROM system_schema.tables").message, "");
  EXPECT_EQ(error_of(*ada, "USE ks").message, "");
  as_admin("GRANT SELECT ON ks.t TO ada");
  EXPECT_EQ(error_of(*ada, "SELECT * FROM ks.t").message, "");
  expect_denied(*ada, "INSERT INTO ks.t (k, v) VALUES ('a', 'b')", "MODIFY");
  as_admin("GRANT ALL PERMISSIONS ON KEYSPACE ks TO ada");
  EXPECT_EQ(ask(*ada, "INSERT INTO ks.t (k, v) VALUES ('a', 'b')"), "");
  EXPECT_EQ(ask(*ada, "SELECT v FROM ks.t WHERE k = 'a'"), "b\n");
}

TEST_F(RolesTest, PreparedStatementsAndBatchesAreCheckedEachTime) {
  make_table(*admin_);
  auto ada = make_user("ada");
  as_admin("GRANT MODIFY ON ks.t TO ada");
  auto prepared = reply_of(ada->prepare("INSERT INTO ks.t (k, v) VALUES (?, ?)", soon()));
  const auto& statement = *prepared.get<wire::Prepared>();
  EXPECT_EQ(print(reply_of(ada->execute(statement, {"a", "b"}, soon()))), "");
  CqlClient::Statement entry{statement.id, true, {"a", "c"}};
  EXPECT_EQ(print(reply_of(ada->batch(wire::BatchType::unlogged, {entry}, soon()))), "");
  as_admin("REVOKE MODIFY ON ks.t FROM ada");
  EXPECT_THAT(print(reply_of(ada->execute(statement, {"a", "d"}, soon()))), HasSubstr("has no MODIFY"));
  EXPECT_THAT(print(reply_of(ada->batch(wire::BatchType::unlogged, {entry}, soon()))), HasSubstr("has no MODIFY"));
  EXPECT_EQ(ask(*admin_, "SELECT v FROM ks.t WHERE k = 'a'"), "c\n");
  EXPECT_THAT(print(reply_of(ada->prepare("CREATE ROLE x WITH PASSWORD = 'pw'", soon()))),
              HasSubstr("cannot be prepared"));
}

TEST_F(RolesTest, WhoMakesSomethingMayDoEverythingWithIt) {
  auto ada = make_user("ada");
  as_admin("GRANT CREATE ON ALL KEYSPACES TO ada");
  make_table(*ada);
  EXPECT_EQ(ask(*ada, "INSERT INTO ks.t (k, v) VALUES ('a', 'b')"), "");
  EXPECT_EQ(ask(*ada, "GRANT SELECT ON ks.t TO admin"), "");
  auto bob = make_user("bob");
  EXPECT_EQ(ask(*ada, "GRANT SELECT ON ks.t TO bob"), "");
  EXPECT_EQ(error_of(*bob, "SELECT * FROM ks.t").message, "");
  // Grants on what is dropped do not come back with its name.
  EXPECT_EQ(ask(*ada, "DROP TABLE ks.t"), "");
  EXPECT_EQ(ask(*ada, "CREATE TABLE ks.t (k text PRIMARY KEY)"), "");
  expect_denied(*bob, "SELECT * FROM ks.t", "SELECT");
  EXPECT_EQ(ask(*ada, "GRANT SELECT ON ks.t TO bob"), "");
  EXPECT_EQ(ask(*ada, "DROP KEYSPACE ks"), "");
  make_table(*admin_);
  expect_denied(*bob, "SELECT * FROM ks.t", "SELECT");
  expect_denied(*ada, "SELECT * FROM ks.t", "SELECT");
}

TEST_F(RolesTest, RolesAreGrantedAndListed) {
  make_table(*admin_);
  auto ada = make_user("ada");
  as_admin("CREATE ROLE clerks WITH OPTIONS = {'a': 'b'}");
  as_admin("GRANT SELECT ON KEYSPACE ks TO clerks");
  as_admin("GRANT clerks TO ada");
  EXPECT_EQ(error_of(*ada, "SELECT * FROM ks.t").message, "");
  EXPECT_THAT(ask(*admin_, "GRANT ada TO clerks"), HasSubstr("ada is a member of clerks"));
  const std::string yes(1, '\1'), no(1, '\0'), none(4, '\0');
  const std::string options = Bytes("\0\0\0\1\0\0\0\1a\0\0\0\1b", 14);
  const std::string ada_row = "ada|" + no + "|" + yes + "|" + none + "|ALL\n";
  const std::string clerks_row = "clerks|" + no + "|" + no + "|" + options + "|ALL\n";
  EXPECT_EQ(ask(*admin_, "LIST ROLES"), "ada|" + no + "|" + yes + "|" + none + "|ALL\nadmin|" + yes + "|" + yes + "|" +
                                            none + "|ALL\n" + clerks_row);
  EXPECT_EQ(ask(*ada, "LIST ROLES"), ada_row + clerks_row) << "its own only";
  expect_denied(*ada, "LIST ROLES OF admin", "You are not authorized to view roles granted to admin");
  EXPECT_EQ(ask(*admin_, "LIST USERS"), "ada|" + no + "|ALL\nadmin|" + yes + "|ALL\n");
  EXPECT_EQ(ask(*admin_, "LIST ALL PERMISSIONS OF ada"), "clerks|clerks|<keyspace ks>|SELECT\n");
  EXPECT_EQ(ask(*admin_, "LIST ALL PERMISSIONS OF ada NORECURSIVE"), "clerks|clerks|<keyspace ks>|SELECT\n");
  EXPECT_EQ(ask(*admin_, "LIST SELECT PERMISSION ON ks.t OF clerks"), "clerks|clerks|<keyspace ks>|SELECT\n");
  EXPECT_EQ(ask(*admin_, "LIST SELECT ON ks.t OF clerks NORECURSIVE"), "");
  EXPECT_EQ(ask(*admin_, "LIST MODIFY OF clerks"), "");
  expect_denied(*ada, "LIST ALL PERMISSIONS", "You are not authorized to view everyone's permissions");
  EXPECT_EQ(ask(*ada, "LIST ALL PERMISSIONS OF clerks"), "clerks|clerks|<keyspace ks>|SELECT\n");
  as_admin("REVOKE clerks FROM ada");
  expect_denied(*ada, "SELECT * FROM ks.t", "SELECT");
  EXPECT_EQ(error_of(*admin_, "DROP ROLE nobody").message, "nobody doesn't exist");
  as_admin("DROP ROLE IF EXISTS nobody");
  EXPECT_EQ(error_of(*admin_, "CREATE ROLE clerks").message, "clerks already exists");
  as_admin("CREATE ROLE IF NOT EXISTS clerks");
  EXPECT_EQ(error_of(*admin_, "GRANT SELECT ON ks.nothing TO clerks").message,
            "Resource <table ks.nothing> doesn't exist");
  EXPECT_EQ(error_of(*admin_, "GRANT SELECT ON ks.t TO nobody").message, "Role nobody doesn't exist");
}

TEST_F(RolesTest, NobodyMakesHimselfASuperuser) {
  auto ada = make_user("ada");
  as_admin("CREATE ROLE boss WITH SUPERUSER = true AND LOGIN = true AND PASSWORD = 'pw'");
  as_admin("GRANT ALL ON ALL ROLES TO ada");
  expect_denied(*ada, "CREATE ROLE x WITH SUPERUSER = true", "Only superusers can create");
  expect_denied(*ada, "ALTER ROLE ada WITH SUPERUSER = true", "your own superuser status");
  expect_denied(*ada, "ALTER ROLE boss WITH PASSWORD = 'mine'", "Only superusers can alter");
  expect_denied(*ada, "ALTER ROLE boss WITH SUPERUSER = false", "Only superusers are allowed");
  expect_denied(*ada, "GRANT boss TO ada", "Only superusers can grant");
  expect_denied(*ada, "DROP ROLE boss", "Only superusers can drop");
  EXPECT_EQ(error_of(*admin_, "DROP ROLE admin").message, "Cannot DROP primary role for current login");
  expect_denied(*admin_, "ALTER ROLE admin WITH SUPERUSER = false", "your own superuser status");
}

TEST_F(RolesTest, PasswordsChangeAndLoginsEnd) {
  auto ada = make_user("ada");
  EXPECT_EQ(ask(*ada, "ALTER ROLE ada WITH PASSWORD = 'new'"), "");
  EXPECT_NE(refusal("ada", "pw"), "");
  EXPECT_EQ(refusal("ada", "new"), "");
  auto bob = make_user("bob");
  expect_denied(*bob, "ALTER ROLE ada WITH PASSWORD = 'mine'", "User bob has no ALTER permission on <role ada>");
  expect_denied(*bob, "ALTER ROLE nobody WITH PASSWORD = 'mine'", "User bob has no ALTER permission on <role nobody>");
  expect_denied(*bob, "ALTER ROLE bob WITH LOGIN = false", "You aren't allowed to alter LOGIN");
  as_admin("ALTER ROLE bob WITH LOGIN = false");
  expect_denied(*bob, "SELECT * FROM system.local", "User bob may not log in any more");
  expect_denied(*bob, "LIST ROLES", "User bob may not log in any more");
  as_admin("DROP ROLE ada");
  expect_denied(*ada, "SELECT * FROM system.local", "User ada may not log in any more");
  EXPECT_NE(refusal("ada", "new"), "");
}

TEST_F(RolesTest, ChangesAndLoginsAreAuditedWithoutSecrets) {
  make_table(*admin_);
  auto ada = make_user("ada");
  expect_denied(*ada, "DROP TABLE ks.t", "DROP");
  refusal("ada", "guess");
  as_admin("GRANT SELECT, MODIFY ON ks.t TO ada");
  std::string all;
  for (const auto& line : audited_.lines) all += line + "\n";
  for (auto part :
       {"event=login user=\"admin\" address=", "event=change user=\"admin\"", "what=\"CREATE TABLE <table ks.t>\"",
        "what=\"CREATE ROLE <role ada>\"", "what=\"GRANT SELECT, MODIFY ON <table ks.t> TO ada\" outcome=done",
        "what=\"DROP TABLE <table ks.t>\" outcome=refused reason=\"User ada has no DROP permission",
        "reason=\"Provided username ada and/or password are incorrect\""})
    EXPECT_THAT(all, HasSubstr(part));
  for (auto secret : {"'pw'", "\"pw\"", "guess", "root\""}) EXPECT_EQ(all.find(secret), std::string::npos) << secret;
}

TEST_F(ServerTest, WithoutAuthenticationEverybodyMayDoEverything) {
  serve();
  auto client = connect();
  make_table(*client);
  EXPECT_EQ(ask(*client, "CREATE USER ada WITH PASSWORD 'pw' NOSUPERUSER"), "");
  EXPECT_EQ(ask(*client, "GRANT SELECT ON ks.t TO ada"), "");
  EXPECT_EQ(ask(*client, "LIST ALL PERMISSIONS"), "ada|ada|<table ks.t>|SELECT\n");
  EXPECT_EQ(ask(*client, "DROP TABLE ks.t"), "");
  EXPECT_EQ(ask(*client, "LIST ALL PERMISSIONS"), "");
  EXPECT_EQ(ask(*client, "DROP USER ada"), "");
}

}  // namespace
}  // namespace asterism::cql::testing
