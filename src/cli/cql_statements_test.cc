#include "cli/cql_statements.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace asterism {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> split(const std::string& text, bool last = true) {
  StatementSplitter splitter;
  std::vector<std::string> found;
  splitter.feed(text);
  while (auto statement = splitter.next(last)) found.push_back(std::move(statement->text));
  return found;
}

TEST(Statements, EndAtSemicolonsOutsideOfStringsAndComments) {
  EXPECT_THAT(split("SELECT 1; SELECT 2;"), ElementsAre("SELECT 1", "SELECT 2"));
  EXPECT_THAT(split("SELECT ';' -- ;\n, \"a;b\" /* ; */ , $$;$$;x"),
              ElementsAre("SELECT ';' -- ;\n, \"a;b\" /* ; */ , $$;$$", "x"));
  EXPECT_THAT(split(";;  ; -- nothing\n"), IsEmpty());
  EXPECT_THAT(split("SELECT 'it''s;", false), IsEmpty()) << "the string goes on";
  EXPECT_THAT(split("SELECT 1 /* ;", false), IsEmpty());
  EXPECT_THAT(split("SELECT 1", false), IsEmpty());
}

TEST(Statements, BatchesGoOnUntilApply) {
  EXPECT_THAT(split("BEGIN BATCH INSERT 1; INSERT 2; APPLY BATCH; SELECT 1;", false),
              ElementsAre("BEGIN BATCH INSERT 1; INSERT 2; APPLY BATCH", "SELECT 1"));
}

TEST(Statements, CommandsOfTheShellEndAtTheirLine) {
  EXPECT_THAT(split("help\nCONSISTENCY QUORUM\nSELECT 1;DESCRIBE TABLES\n", false),
              ElementsAre("help", "CONSISTENCY QUORUM", "SELECT 1", "DESCRIBE TABLES"));
  EXPECT_EQ(shell_command("help;"), "HELP");
  EXPECT_EQ(shell_command("SELECT help"), "");
}

TEST(Statements, KnowWhereTheyBegin) {
  StatementSplitter splitter;
  splitter.feed("SELECT 1;\n\n  SELECT");
  ASSERT_TRUE(splitter.next());
  EXPECT_FALSE(splitter.next());
  EXPECT_FALSE(splitter.idle());
  splitter.feed(" 2; -- rest\n");
  const auto second = splitter.next();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->line, 3U);
  EXPECT_EQ(second->column, 3U);
  EXPECT_TRUE(splitter.idle());
}

const SchemaNames names{{{"shop", {{"orders", {"customer", "placed", "total"}}, {"items", {"sku"}}}}, {"system", {}}}};

std::vector<std::string> complete(const std::string& text, const std::string& keyspace = "shop") {
  return complete_cql(text, names, keyspace).words;
}

TEST(Completion, OffersWhatMayStandThere) {
  EXPECT_THAT(complete("sel"), ElementsAre("select"));
  EXPECT_THAT(complete("SEL"), ElementsAre("SELECT"));
  EXPECT_THAT(complete("SELECT * FROM "), ElementsAre("items", "orders", "shop.", "system."));
  EXPECT_THAT(complete("SELECT * FROM sh", ""), ElementsAre("shop."));
  EXPECT_THAT(complete("SELECT * FROM shop.o", ""), ElementsAre("orders"));
  EXPECT_THAT(complete("SELECT * FROM shop.orders WHERE t", ""), Contains("total"));
  EXPECT_THAT(complete("SELECT * FROM items WHERE s"), Contains("sku"));
  EXPECT_THAT(complete("SELECT * FROM items WHERE "), Not(Contains("total")));
  EXPECT_THAT(complete("USE s"), ElementsAre("shop", "system"));
  EXPECT_THAT(complete("consistency q"), ElementsAre("quorum"));
  EXPECT_EQ(complete_cql("SELECT * FROM shop.or", names, "").replaces, 2U);
}

}  // namespace
}  // namespace asterism
