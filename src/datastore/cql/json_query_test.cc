#include "datastore/cql/json_query.h"

#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "datastore/cql/execute_test.h"
#include "runtime/sim/machine.h"
#include "runtime/sim/simulation.h"

namespace asterism::cql::testing {
namespace {

using ::testing::HasSubstr;

struct JsonQueryTest : Fixture {
  boost::json::object ask(std::string_view request) {
    auto query = JsonQuery::parse(request);
    EXPECT_TRUE(query.has_value()) << query.error().message;
    if (query->keyspace.empty()) query->keyspace = keyspace_;
    JsonQueryContext context{executor_, roles_, cluster_, "constellation", loop_};
    context.principal = principal_ ? &*principal_ : nullptr;
    return boost::json::parse(wait(run_json_query(context, std::move(*query)))).as_object();
  }
  boost::json::object statement(std::string_view text) {
    return ask(boost::json::serialize(boost::json::object{{"statement", text}}));
  }
  static std::string print(const boost::json::value& value) { return boost::json::serialize(value); }
  void apply(const Bytes& command) { EXPECT_TRUE(access_.apply(1, command).has_value()); }

  sim::Simulation simulation_{1};
  sim::Machine& machine_ = simulation_.add_machine({});
  AccessState access_;
  Authenticator authenticator_{access_, machine_.disk(), machine_.random(), Audit()};
  RoleStatements roles_{executor_.catalog(), access_, *this, authenticator_};
  std::optional<Principal> principal_;
};

TEST_F(JsonQueryTest, EverythingNeedsThePermissionsOfWhoAsks) {
  statement("CREATE TABLE t (k int PRIMARY KEY)");
  Role ada;
  ada.name = "ada";
  ada.login = true;
  apply(AccessState::create(ada));
  executor_.require_principals();
  EXPECT_EQ(statement("SELECT k FROM t")["name"], "Unauthorized");
  principal_.emplace(access_, "ada");
  EXPECT_EQ(statement("SELECT k FROM t")["name"], "Unauthorized");
  EXPECT_EQ(statement("CREATE ROLE eve")["name"], "Unauthorized");
  apply(AccessState::permit("ada", "data/" + keyspace_ + "/t", {Permission::read}));
  EXPECT_EQ(statement("SELECT k FROM t")["kind"], "rows");
  EXPECT_EQ(statement("INSERT INTO t (k) VALUES (1)")["name"], "Unauthorized");
  EXPECT_EQ(statement("LIST ROLES OF ada")["kind"], "rows");
}

TEST_F(JsonQueryTest, RowsAreTextsAsCqlshShowsThem) {
  statement("CREATE TABLE t (k int PRIMARY KEY, s text, m map<text, int>, b blob, n text)");
  EXPECT_EQ(statement("INSERT INTO t (k, s, m, b) VALUES (1, 'a\"b', {'x': 1}, 0xff)")["kind"], "done");
  auto rows = statement("SELECT k, s, m, b, n FROM t");
  EXPECT_EQ(rows["kind"], "rows");
  EXPECT_EQ(print(rows["columns"].at(2)), R"({"name":"m","type":"map<text, int>"})");
  EXPECT_EQ(print(rows["rows"]), R"([["1","a\"b","{'x': 1}","0xff",null]])");
  EXPECT_FALSE(rows.contains("next"));
}

TEST_F(JsonQueryTest, PagesGoOnWhereTheLastOneEnded) {
  statement("CREATE TABLE t (k int, c int, PRIMARY KEY (k, c))");
  for (int c = 0; c < 5; ++c) statement(fmt::format("INSERT INTO t (k, c) VALUES (1, {})", c));
  std::string seen, next;
  do {
    boost::json::object request{{"statement", "SELECT c FROM t WHERE k = 1"}, {"page_size", 2}};
    if (!next.empty()) request["page"] = next;
    auto page = ask(boost::json::serialize(request));
    EXPECT_LE(page["rows"].as_array().size(), 2u);
    seen += print(page["rows"]);
    next = page.contains("next") ? std::string(page["next"].as_string()) : "";
  } while (!next.empty());
  for (int c = 0; c < 5; ++c) EXPECT_THAT(seen, HasSubstr(fmt::format("[\"{}\"]", c)));
  EXPECT_EQ(ask(R"({"statement": "SELECT c FROM t", "page": "ab"})")["kind"], "error");
}

TEST_F(JsonQueryTest, ErrorsNameTheirPlace) {
  auto wrong = statement("SELECT *\n FORM t");
  EXPECT_EQ(wrong["kind"], "error");
  EXPECT_EQ(wrong["name"], "SyntaxError");
  EXPECT_EQ(wrong["line"], 2);
  EXPECT_EQ(wrong["column"], 2);
  auto unknown = statement("SELECT * FROM nothing");
  EXPECT_EQ(unknown["name"], "InvalidRequest");
  EXPECT_FALSE(unknown.contains("line"));
  EXPECT_EQ(statement("SELECT * FROM t WHERE k = ?")["kind"], "error");

  statement("CREATE TABLE t (k int PRIMARY KEY)");
  datastore::RequestFailure failure;
  failure.kind = datastore::RequestFailure::Kind::unavailable;
  failure.required = 3;
  failure.received = 2;
  tables_.failure = failure;
  auto unavailable = statement("SELECT * FROM t WHERE k = 1");
  EXPECT_EQ(unavailable["name"], "Unavailable");
  EXPECT_EQ(unavailable["required"], 3);
  EXPECT_EQ(unavailable["alive"], 2);
}

TEST_F(JsonQueryTest, OtherStatementsSayWhatTheyDid) {
  auto created = statement("CREATE TABLE t (k int PRIMARY KEY)");
  EXPECT_EQ(created["kind"], "schema");
  EXPECT_EQ(created["change"], "created");
  EXPECT_EQ(created["name"], "t");
  EXPECT_EQ(statement("USE ks")["keyspace"], "ks");
  EXPECT_THAT(print(statement("DESCRIBE TABLE t")["rows"]), HasSubstr("CREATE TABLE ks.t"));
}

TEST_F(JsonQueryTest, LongCellsAreCutBetweenCharacters) {
  statement("CREATE TABLE t (k int PRIMARY KEY, s text)");
  std::string stars;
  for (int i = 0; i < 10'000; ++i) stars += "★";
  statement("INSERT INTO t (k, s) VALUES (1, '" + stars + "')");
  const auto rows = statement("SELECT s FROM t");
  const std::string cell(rows.at("rows").at(0).at(0).as_string());
  EXPECT_LT(cell.size(), 17'000u);
  EXPECT_TRUE(cell.ends_with("★…"));
}

TEST(JsonQuery, RequestsAreChecked) {
  const auto query = JsonQuery::parse(R"({"statement": "x", "consistency": "quorum", "page_size": 10, "page": "0a"})");
  ASSERT_TRUE(query.has_value());
  EXPECT_EQ(query->consistency, wire::Consistency::quorum);
  EXPECT_EQ(query->page, "\n");
  for (const char* wrong : {"", "[]", "{}", "{", R"({"statement": 1})", R"({"statement": ""})",
                            R"({"statement": "x", "consistency": "MOST"})", R"({"statement": "x", "page_size": 0})",
                            R"({"statement": "x", "page_size": 1001})", R"({"statement": "x", "page_size": "1"})",
                            R"({"statement": "x", "page": "0"})", R"({"statement": [[[[[1]]]]]})"})
    EXPECT_FALSE(JsonQuery::parse(wrong)) << wrong;
  EXPECT_EQ(JsonQuery::parse(R"({"statement": ")" + std::string(300'000, 'x') + "\"}").error().code,
            ErrorCode::too_large);
}

}  // namespace
}  // namespace asterism::cql::testing
