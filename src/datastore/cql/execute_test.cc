#include "datastore/cql/execute_test.h"

#include <algorithm>

namespace asterism::cql::testing {
namespace {

using Execute = Fixture;

TEST_F(Execute, InsertAndSelectOneRow) {
  EXPECT_EQ(run("CREATE TABLE t (k int PRIMARY KEY, v text, n int)"), "applied");
  EXPECT_EQ(run("INSERT INTO t (k, v, n) VALUES (1, 'one', 11)"), "ok");
  EXPECT_EQ(run("INSERT INTO t (k) VALUES (2)"), "ok");
  EXPECT_EQ(run("SELECT k, v, n FROM t WHERE k = 1"), "1|one|11\n");
  EXPECT_EQ(run("SELECT * FROM t WHERE k = 2"), "2|null|null\n");
  EXPECT_EQ(run("SELECT k FROM t WHERE k = 3"), "");
  EXPECT_EQ(run("UPDATE t SET v = 'uno' WHERE k = 1"), "ok");
  EXPECT_EQ(run("DELETE n FROM t WHERE k = 1"), "ok");
  EXPECT_EQ(run("SELECT v, n FROM ks.t WHERE k = 1"), "uno|null\n");
  EXPECT_EQ(run("DELETE FROM t WHERE k = 1"), "ok");
  EXPECT_EQ(run("SELECT * FROM t"), "2|null|null\n");
  EXPECT_EQ(run("TRUNCATE t"), "ok");
  EXPECT_EQ(run("SELECT * FROM t"), "");
}

TEST_F(Execute, UpdateMakesNoRowMarker) {
  run("CREATE TABLE t (k int PRIMARY KEY, v int)");
  run("UPDATE t SET v = 1 WHERE k = 1");
  run("INSERT INTO t (k, v) VALUES (2, 1)");
  run("UPDATE t SET v = null WHERE k = 1");
  run("UPDATE t SET v = null WHERE k = 2");
  EXPECT_EQ(run("SELECT * FROM t"), "2|null\n");
}

TEST_F(Execute, SlicesOfMixedOrders) {
  run("CREATE TABLE t (k int, a int, b int, PRIMARY KEY (k, a, b)) WITH CLUSTERING ORDER BY (a DESC, b ASC)");
  for (int a = 0; a < 5; ++a) {
    for (int b = 0; b < 4; ++b) run(fmt::format("INSERT INTO t (k, a, b) VALUES (1, {}, {})", a, b));
  }
  const char* operators[] = {"<", "<=", ">", ">=", "="};
  auto holds = [](int op, auto x, auto y) {
    return op == 0 ? x < y : op == 1 ? x <= y : op == 2 ? x > y : op == 3 ? x >= y : x == y;
  };
  auto expected = [](auto filter, bool reversed) {
    std::vector<std::string> lines;
    for (int a = 4; a >= 0; --a) {
      for (int b = 0; b < 4; ++b) {
        if (filter(a, b)) lines.push_back(fmt::format("{}|{}\n", a, b));
      }
    }
    if (reversed) std::ranges::reverse(lines);
    return fmt::format("{}", fmt::join(lines, ""));
  };
  for (int op = 0; op < 5; ++op) {
    for (int x = -1; x < 6; ++x) {
      for (bool reversed : {false, true}) {
        const std::string order = reversed ? " ORDER BY a ASC, b DESC" : "";
        EXPECT_EQ(run(fmt::format("SELECT a, b FROM t WHERE k = 1 AND a {} {}{}", operators[op], x, order)),
                  expected([&](int a, int) { return holds(op, a, x); }, reversed));
        EXPECT_EQ(run(fmt::format("SELECT a, b FROM t WHERE k = 1 AND a = 2 AND b {} {}{}", operators[op], x, order)),
                  expected([&](int a, int b) { return a == 2 && holds(op, b, x); }, reversed));
        for (int y = 0; y < 4; ++y) {
          EXPECT_EQ(
              run(fmt::format("SELECT a, b FROM t WHERE k = 1 AND (a, b) {} ({}, {}){}", operators[op], x, y, order)),
              expected([&](int a, int b) { return holds(op, std::pair(a, b), std::pair(x, y)); }, reversed));
        }
      }
    }
  }
  EXPECT_EQ(run("SELECT a, b FROM t WHERE k = 1 AND (a, b) > (1, 1) AND (a) <= (2)"), "2|0\n2|1\n2|2\n2|3\n1|2\n1|3\n");
  EXPECT_EQ(run("SELECT a, b FROM t WHERE k = 1 AND a IN (3, 1) AND b IN (2, 0)"), "3|0\n3|2\n1|0\n1|2\n");
  EXPECT_EQ(run("SELECT a, b FROM t WHERE k = 1 AND (a, b) IN ((0, 1), (4, 3))"), "4|3\n0|1\n");
  EXPECT_EQ(run("SELECT a, b FROM t WHERE k = 1 AND a > 3 AND a < 2"), "");
}

TEST_F(Execute, RangeDeletions) {
  run("CREATE TABLE t (k int, a int, b int, s int static, PRIMARY KEY (k, a, b))");
  for (int a = 0; a < 4; ++a) {
    for (int b = 0; b < 3; ++b) run(fmt::format("INSERT INTO t (k, a, b, s) VALUES (1, {}, {}, 9)", a, b));
  }
  EXPECT_EQ(run("DELETE FROM t WHERE k = 1 AND a = 0"), "ok");
  EXPECT_EQ(run("DELETE FROM t WHERE k = 1 AND a > 2"), "ok");
  EXPECT_EQ(run("DELETE FROM t WHERE k = 1 AND a = 1 AND b >= 1"), "ok");
  EXPECT_EQ(run("DELETE FROM t WHERE k = 1 AND a = 2 AND b IN (0, 2)"), "ok");
  EXPECT_EQ(run("SELECT a, b, s FROM t WHERE k = 1"), "1|0|9\n2|1|9\n");
  EXPECT_EQ(run("DELETE FROM t WHERE k = 1 AND (a, b) >= (1, 0)"), "ok");
  EXPECT_EQ(run("SELECT a, b, s FROM t WHERE k = 1"), "null|null|9\n");
  EXPECT_EQ(run("DELETE FROM t WHERE k = 1"), "ok");
  EXPECT_EQ(run("SELECT * FROM t WHERE k = 1"), "");
}

TEST_F(Execute, Collections) {
  run("CREATE TABLE t (k int PRIMARY KEY, l list<int>, s set<text>, m map<text, int>, f frozen<list<int>>)");
  EXPECT_EQ(run("INSERT INTO t (k, l, s, m, f) VALUES (1, [3, 4], {'b', 'a'}, {'y': 2, 'x': 1}, [1, 1])"), "ok");
  EXPECT_EQ(run("SELECT l, s, m, f FROM t"), "[3, 4]|{'a', 'b'}|{'x': 1, 'y': 2}|[1, 1]\n");
  EXPECT_EQ(run("UPDATE t SET l = l + [5, 6], s = s + {'c'}, m = m + {'z': 3} WHERE k = 1"), "ok");
  EXPECT_EQ(run("UPDATE t SET l = [1, 2] + l, s = s - {'a'}, m = m - {'x'} WHERE k = 1"), "ok");
  EXPECT_EQ(run("UPDATE t SET l = [0] + l WHERE k = 1"), "ok");
  EXPECT_EQ(run("SELECT l, s, m FROM t"), "[0, 1, 2, 3, 4, 5, 6]|{'b', 'c'}|{'y': 2, 'z': 3}\n");
  EXPECT_EQ(run("UPDATE t SET l[1] = 11, m['q'] = 7 WHERE k = 1"), "ok");
  EXPECT_EQ(run("UPDATE t SET l = l - [0, 5] WHERE k = 1"), "ok");
  EXPECT_EQ(run("DELETE l[0], m['y'], s['b'] FROM t WHERE k = 1"), "ok");
  EXPECT_EQ(run("SELECT l, s, m FROM t"), "[2, 3, 4, 6]|{'c'}|{'q': 7, 'z': 3}\n");
  EXPECT_EQ(run("SELECT m['q'], s['c'], s['d'] FROM t"), "7|c|null\n");
  EXPECT_EQ(run("UPDATE t SET l[9] = 1 WHERE k = 1"), "error: List index 9 out of bound, list has size 4");
  EXPECT_EQ(run("UPDATE t SET l[0] = 1 WHERE k = 2"), "error: Attempted to set an element on a list which is null");
  EXPECT_EQ(run("UPDATE t SET l = [7], s = {}, m = null WHERE k = 1"), "ok");
  EXPECT_EQ(run("SELECT l, s, m FROM t"), "[7]|null|null\n");
  EXPECT_EQ(run("UPDATE t SET f = f + [1] WHERE k = 1"),
            "error: Invalid operation (f = f + ...) for frozen collection column f");
  EXPECT_EQ(run("SELECT k FROM t WHERE l CONTAINS 7 ALLOW FILTERING"), "1\n");
  EXPECT_EQ(run("SELECT k FROM t WHERE l CONTAINS 8 ALLOW FILTERING"), "");
}

TEST_F(Execute, FilteringOnMaps) {
  run("CREATE TABLE t (k int PRIMARY KEY, m map<text, int>)");
  run("INSERT INTO t (k, m) VALUES (1, {'a': 1, 'b': 2})");
  run("INSERT INTO t (k, m) VALUES (2, {'a': 2})");
  EXPECT_EQ(run("SELECT k FROM t WHERE m CONTAINS KEY 'b' ALLOW FILTERING"), "1\n");
  EXPECT_EQ(run("SELECT k FROM t WHERE m['a'] = 2 ALLOW FILTERING"), "2\n");
  EXPECT_EQ(run("SELECT k FROM t WHERE m CONTAINS 2 AND m CONTAINS KEY 'b' ALLOW FILTERING"), "1\n");
}

TEST_F(Execute, TtlAndWritetime) {
  run("CREATE TABLE t (k int PRIMARY KEY, v int, w int) WITH default_time_to_live = 100");
  EXPECT_EQ(run("INSERT INTO t (k, v) VALUES (1, 1) USING TTL 10 AND TIMESTAMP 5"), "ok");
  EXPECT_EQ(run("INSERT INTO t (k, v) VALUES (2, 2) USING TTL 0"), "ok");
  EXPECT_EQ(run("INSERT INTO t (k, v) VALUES (3, 3)"), "ok");
  EXPECT_EQ(run("SELECT ttl(v), writetime(v), ttl(w) FROM t WHERE k = 1"), "10|5|null\n");
  EXPECT_EQ(run("SELECT ttl(v) FROM t WHERE k = 2"), "null\n");
  clock_.us += 50'000'000;
  EXPECT_EQ(run("SELECT k, v FROM t WHERE k IN (1, 2, 3)"), "2|2\n3|3\n");
  clock_.us += 60'000'000;
  EXPECT_EQ(run("SELECT k FROM t"), "2\n");
  EXPECT_EQ(run("INSERT INTO t (k) VALUES (1) USING TTL -1"), "error: A TTL must be greater or equal to 0, but was -1");
  EXPECT_EQ(run("SELECT writetime(k) FROM t"), "error: Cannot use selection function writetime on PRIMARY KEY part k");
}

TEST_F(Execute, Aggregates) {
  run("CREATE TABLE t (k int, c int, v int, d double, PRIMARY KEY (k, c))");
  EXPECT_EQ(run("SELECT count(*), max(v), sum(v), avg(v) FROM t"), "0|null|0|0\n");
  for (int k = 0; k < 3; ++k) {
    for (int c = 0; c < 4; ++c)
      run(fmt::format("INSERT INTO t (k, c, v, d) VALUES ({}, {}, {}, 0.5)", k, c, 10 * k + c));
  }
  EXPECT_EQ(run("SELECT count(*), count(v), min(v), max(v), sum(v), avg(v), sum(d) FROM t"), "12|12|0|23|138|11|6.0\n");
  tables_.most_rows = 3;
  EXPECT_EQ(run("SELECT count(*) FROM t"), "12\n");
  EXPECT_EQ(run("SELECT k, count(*), sum(v) FROM t WHERE k IN (0, 2) GROUP BY k"),
            murmur3_token(int_value(0)) < murmur3_token(int_value(2)) ? "0|4|6\n2|4|86\n" : "2|4|86\n0|4|6\n");
  EXPECT_EQ(run("SELECT c, v FROM t WHERE k = 1 GROUP BY k, c LIMIT 2"), "0|10\n1|11\n");
  EXPECT_EQ(run_paged("SELECT c, max(v) FROM t WHERE k = 1 GROUP BY c", 1), "0|10\n1|11\n2|12\n3|13\n");
  EXPECT_EQ(run("SELECT sum(v) AS total FROM t WHERE k = 1 AND c > 1"), "25\n");
  EXPECT_EQ(run("SELECT v FROM t GROUP BY v"),
            "error: Group by is currently only supported on the columns of the PRIMARY KEY, got v");
}

TEST_F(Execute, Functions) {
  run("CREATE TABLE t (k int PRIMARY KEY, u timeuuid, ts timestamp, n bigint, x text, dec decimal)");
  EXPECT_EQ(run("INSERT INTO t (k, u, ts, n, x, dec) VALUES (1, minTimeuuid('2020-01-02 03:04:05Z'), "
                "'2020-01-02T03:04:05.678Z', bigintAsBlob(1), 'x', 1.5)"),
            "error: Type error: cannot assign result of function bigintasblob (type blob) to n (type bigint)");
  EXPECT_EQ(run("INSERT INTO t (k, u, ts, n, x, dec) VALUES (1, minTimeuuid('2020-01-02 03:04:05Z'), "
                "'2020-01-02T03:04:05.678Z', blobAsBigint(0x0000000000000007), 'x', 1.5)"),
            "ok");
  EXPECT_EQ(run("SELECT toDate(u), toTimestamp(u), toUnixTimestamp(ts), n, cast(n AS text), cast(dec AS int) FROM t"),
            "2020-01-02|2020-01-02T03:04:05.000Z|1577934245678|7|7|1\n");
  EXPECT_EQ(run("SELECT token(k), blobAsInt(intAsBlob(k)) FROM t"), fmt::format("{}|1\n", murmur3_token(int_value(1))));
  EXPECT_EQ(run("SELECT nosuch(k) FROM t"), "error: Unknown function 'nosuch'");
  EXPECT_EQ(run("INSERT INTO t (k, u) VALUES (2, now())"), "ok");
  EXPECT_EQ(run("SELECT k FROM t WHERE k = 2 AND u > minTimeuuid('2020-01-01') ALLOW FILTERING"), "2\n");
}

TEST_F(Execute, TokenRanges) {
  run("CREATE TABLE t (a int, b text, v int, PRIMARY KEY ((a, b)))");
  std::vector<int64_t> tokens;
  for (int a = 0; a < 20; ++a) {
    run(fmt::format("INSERT INTO t (a, b, v) VALUES ({}, 'x', {})", a, a));
    const Bytes key = int_value(a);
    tokens.push_back(murmur3_token(make_partition_key(std::vector<BytesView>{key, "x"})));
  }
  std::ranges::sort(tokens);
  for (int64_t at : {tokens[0], tokens[7], tokens[19], INT64_MIN, INT64_MAX}) {
    std::string above, up_to;
    for (int64_t token : tokens) (token > at ? above : up_to) += fmt::format("{}\n", token);
    EXPECT_EQ(run(fmt::format("SELECT token(a, b) FROM t WHERE token(a, b) > {}", at)), above);
    if (at != INT64_MIN) EXPECT_EQ(run(fmt::format("SELECT token(a, b) FROM t WHERE token(a, b) <= {}", at)), up_to);
  }
  EXPECT_EQ(run("SELECT v FROM t WHERE token(a) > 1"),
            "error: The token() function must be applied to all partition key components or none of them");
  EXPECT_EQ(run("SELECT v FROM t WHERE a = 3"), run("SELECT v FROM t WHERE b = 'x'"));
  EXPECT_EQ(run("SELECT v FROM t WHERE a = 3 ALLOW FILTERING"), "3\n");
  EXPECT_EQ(run("SELECT v FROM t WHERE a = 3 AND b = 'x'"), "3\n");
}

TEST_F(Execute, ErrorsOfConditions) {
  run("CREATE TABLE t (k int, j int, a int, b int, v int, l list<int>, PRIMARY KEY ((k, j), a, b))");
  const std::string filtering =
      "error: Cannot execute this query as it might involve data filtering and thus may have unpredictable "
      "performance. If you want to execute this query despite the performance unpredictability, use ALLOW FILTERING";
  EXPECT_EQ(run("SELECT * FROM t WHERE nope = 1"), "error: Undefined column name nope in table ks.t");
  EXPECT_EQ(run("SELECT nope FROM t"), "error: Undefined column name nope in table ks.t");
  EXPECT_EQ(run("SELECT * FROM nope"), "error: table nope does not exist");
  EXPECT_EQ(run("SELECT * FROM no.pe"), "error: keyspace no does not exist");
  EXPECT_EQ(run("SELECT * FROM t WHERE v = 1"), filtering);
  EXPECT_EQ(run("SELECT * FROM t WHERE k = 1"), filtering);
  EXPECT_EQ(run("SELECT * FROM t WHERE a = 1"), filtering);
  EXPECT_EQ(run("SELECT * FROM t WHERE k = 1 AND j = 1 AND b = 1"),
            "error: PRIMARY KEY column \"b\" cannot be restricted as preceding column \"a\" is not restricted");
  EXPECT_EQ(run("SELECT * FROM t WHERE k = 1 AND j = 1 AND a > 1 AND b = 1"),
            "error: Clustering column \"b\" cannot be restricted (preceding column \"a\" is restricted by a non-EQ "
            "relation)");
  EXPECT_EQ(run("SELECT * FROM t WHERE k = 1 AND k = 2 AND j = 1"),
            "error: k cannot be restricted by more than one relation if it includes an Equal");
  EXPECT_EQ(run("SELECT * FROM t WHERE k > 1 AND j = 1"),
            "error: Only EQ and IN relation are supported on the partition key (unless you use the token() function or "
            "allow filtering)");
  EXPECT_EQ(run("SELECT * FROM t WHERE k = null AND j = 1"), "error: Invalid null value in condition for column k");
  EXPECT_EQ(run("SELECT * FROM t WHERE k = 1 AND j = 1 AND l = [1] ALLOW FILTERING"),
            "error: Collection column 'l' (list<int>) cannot be restricted by a '=' relation");
  EXPECT_EQ(run("SELECT * FROM t ORDER BY a"),
            "error: ORDER BY is only supported when the partition key is restricted by an EQ or an IN.");
  EXPECT_EQ(run("SELECT * FROM t WHERE k = 1 AND j = 1 ORDER BY b"),
            "error: Order by currently only supports the ordering of columns following their declared order in the "
            "PRIMARY KEY");
  EXPECT_EQ(run("SELECT * FROM t WHERE k = 1 AND j = 1 ORDER BY a ASC, b DESC"),
            "error: Unsupported order by relation");
  EXPECT_EQ(run("SELECT * FROM t LIMIT 0"), "error: LIMIT must be strictly positive");
  EXPECT_EQ(run("DELETE FROM t WHERE k = 1"), "error: Some partition key parts are missing: j");
  EXPECT_EQ(run("UPDATE t SET v = 1 WHERE k = 1 AND j = 1"), "error: Some clustering keys are missing: a, b");
  EXPECT_EQ(run("UPDATE t SET a = 1 WHERE k = 1 AND j = 1"), "error: PRIMARY KEY part a found in SET part");
  EXPECT_EQ(run("UPDATE t SET v = 1 WHERE k = 1 AND j = 1 AND a = 1 AND b = 1 AND v = 2"),
            "error: Non PRIMARY KEY columns found in where clause: v");
  EXPECT_EQ(run("UPDATE t SET v = 1 WHERE k = 1 AND j = 1 AND a = 1 AND b > 1"),
            "error: Slice restrictions are not supported on the clustering columns in UPDATE statements");
  EXPECT_EQ(run("DELETE v FROM t WHERE k = 1 AND j = 1 AND a > 1"),
            "error: Range deletions are not supported for specific columns");
  EXPECT_EQ(run("INSERT INTO t (k, j, a) VALUES (1, 2, 3)"), "error: Some clustering keys are missing: b");
  EXPECT_EQ(run("INSERT INTO t (k, a, b) VALUES (1, 2, 3)"), "error: Some partition key parts are missing: j");
  EXPECT_EQ(run("INSERT INTO t (k, j) VALUES (1)"), "error: Unmatched column names/values");
  EXPECT_EQ(run("UPDATE t SET v = 1 WHERE k = 1 AND j = 1 AND a = 1 AND b = 1 IF v = 2"),
            "error: Lightweight transactions are not supported yet");
  for (const char* conditional : {"INSERT INTO t (k, j, a, b) VALUES (1, 2, 3, 4) IF NOT EXISTS",
                                  "UPDATE t SET v = 1 WHERE k = 1 AND j = 1 AND a = 1 AND b = 1 IF EXISTS"})
    EXPECT_EQ(run(conditional), "error: Lightweight transactions are not supported yet");
  EXPECT_EQ(error_of("SELECT FROM").code, wire::CqlErrorCode::syntax_error);
}

TEST_F(Execute, PagesOfAnySizeGiveTheSameRows) {
  run("CREATE TABLE t (k int, c int, s int static, v int, PRIMARY KEY (k, c))");
  TestRandom random(7);
  for (int i = 0; i < 120; ++i) {
    const auto k = random.below(9);
    switch (random.below(8)) {
      case 0:
        run(fmt::format("INSERT INTO t (k, s) VALUES ({}, {})", k + 5, i));
        break;
      case 1:
        run(fmt::format("DELETE FROM t WHERE k = {} AND c > {}", k, random.below(20)));
        break;
      default:
        run(fmt::format("INSERT INTO t (k, c, v) VALUES ({}, {}, {})", k, random.below(20), i % 5));
    }
  }
  const char* statements[] = {
      "SELECT * FROM t",
      "SELECT * FROM t LIMIT 17",
      "SELECT * FROM t PER PARTITION LIMIT 2",
      "SELECT * FROM t WHERE k IN (0, 1, 2, 3, 4, 5)",
      "SELECT * FROM t WHERE k IN (0, 1, 2, 3) PER PARTITION LIMIT 3 LIMIT 7",
      "SELECT * FROM t WHERE k = 3 ORDER BY c DESC",
      "SELECT * FROM t WHERE k = 3 AND c > 2 AND c <= 15 ORDER BY c DESC",
      "SELECT DISTINCT k, s FROM t",
      "SELECT * FROM t WHERE v = 3 ALLOW FILTERING",
      "SELECT * FROM t WHERE v > 1 PER PARTITION LIMIT 2 ALLOW FILTERING",
      "SELECT k, count(*), max(v) FROM t GROUP BY k",
      "SELECT k, c, count(v) FROM t GROUP BY k, c LIMIT 20",
      "SELECT k, c, count(v) FROM t GROUP BY k, c PER PARTITION LIMIT 3",
  };
  for (const char* statement : statements) {
    tables_.most_rows = UINT32_MAX;
    const std::string whole = run(statement);
    EXPECT_GT(whole.size(), 0u) << statement;
    for (uint32_t most_rows : {UINT32_MAX, 1u, 4u}) {
      tables_.most_rows = most_rows;
      for (int32_t page_size : {1, 2, 3, 5, 7, 50, 1000}) {
        EXPECT_EQ(run_paged(statement, page_size), whole) << statement << " by " << page_size << " of " << most_rows;
      }
    }
  }
}

TEST_F(Execute, ALimitInEachPartitionLeavesTheRestOfItUnread) {
  run("CREATE TABLE t (k int, c int, PRIMARY KEY (k, c))");
  for (int k = 0; k < 3; ++k)
    for (int c = 0; c < 300; ++c) run(fmt::format("INSERT INTO t (k, c) VALUES ({}, {})", k, c));
  for (const char* statement :
       {"SELECT * FROM t PER PARTITION LIMIT 3", "SELECT * FROM t WHERE k IN (0, 1, 2) PER PARTITION LIMIT 3"}) {
    tables_.reads = 0;
    EXPECT_EQ(std::ranges::count(run_paged(statement, 2), '\n'), 9) << statement;
    EXPECT_LT(tables_.reads, 20) << statement;
  }
}

TEST_F(Execute, PagingStatesOfOthersAreRefused) {
  run("CREATE TABLE t (k int, c int, PRIMARY KEY (k, c))");
  for (int c = 0; c < 5; ++c) run(fmt::format("INSERT INTO t (k, c) VALUES (1, {})", c));
  PlanPtr planned = plan("SELECT * FROM t");
  QueryOptions options;
  options.page_size = 2;
  Outcome outcome = execute(planned, options);
  std::optional<Bytes> state;
  print(*planned, outcome, &state);
  ASSERT_TRUE(state.has_value());
  options.paging_state = *state;
  EXPECT_EQ(error_of("SELECT * FROM t WHERE k = 1", options).code, wire::CqlErrorCode::protocol_error);
  for (size_t i = 0; i < state->size(); ++i) {
    Bytes damaged = *state;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    options.paging_state = damaged;
    EXPECT_EQ(error_of("SELECT * FROM t", options).message, "Invalid value for the paging state");
  }
}

TEST_F(Execute, OrderOverSeveralPartitions) {
  run("CREATE TABLE t (k int, c int, PRIMARY KEY (k, c))");
  for (int c = 0; c < 6; ++c) run(fmt::format("INSERT INTO t (k, c) VALUES ({}, {})", c % 3, c));
  EXPECT_EQ(run("SELECT c FROM t WHERE k IN (0, 1, 2) ORDER BY c DESC LIMIT 4"), "5\n4\n3\n2\n");
  QueryOptions options;
  options.page_size = 2;
  EXPECT_TRUE(error_of("SELECT c FROM t WHERE k IN (0, 1) ORDER BY c", options)
                  .message.starts_with("Cannot page queries with both ORDER BY and a IN"));
}

TEST_F(Execute, BoundValues) {
  run("CREATE TABLE t (k int, c text, v list<int>, w int, PRIMARY KEY (k, c))");
  PlanPtr insert = plan("INSERT INTO t (c, k, v, w) VALUES (?, ?, ?, :w) USING TTL ? AND TIMESTAMP ?");
  std::vector<std::string> names;
  for (const auto& marker : insert->bind_markers) names.push_back(marker.name);
  EXPECT_EQ(names, (std::vector<std::string>{"c", "k", "v", "w", "[ttl]", "[timestamp]"}));
  EXPECT_EQ(insert->partition_key_indexes, std::vector<uint16_t>{1});
  const Bytes one = int_value(1);
  const Bytes list = Bytes("\0\0\0\1\0\0\0\4\0\0\0\7", 12);
  QueryOptions options;
  options.values = {wire::Value::of("a"), wire::Value::of(one), wire::Value::of(list),
                    wire::Value::unset(), wire::Value::unset(), wire::Value::unset()};
  Outcome outcome = execute(insert, options);
  EXPECT_EQ(print(*insert, outcome), "ok");
  EXPECT_EQ(run("SELECT * FROM t"), "1|a|[7]|null\n");
  options.values[1] = wire::Value::null();
  outcome = execute(insert, options);
  EXPECT_EQ(print(*insert, outcome), "error: Invalid null value in condition for column k");
  options.values[1] = wire::Value::of("abc");
  outcome = execute(insert, options);
  EXPECT_EQ(print(*insert, outcome), "error: Invalid value for k of type int: Expected 4 or 0 byte int (3)");
  options.values.pop_back();
  outcome = execute(insert, options);
  EXPECT_EQ(print(*insert, outcome), "error: Invalid amount of bind variables");
  PlanPtr select = plan("SELECT w FROM t WHERE k IN ? AND (c) > ? LIMIT ?");
  names.clear();
  for (const auto& marker : select->bind_markers) names.push_back(marker.name);
  EXPECT_EQ(names, (std::vector<std::string>{"in(k)", "(c)", "[limit]"}));
  EXPECT_EQ(plan("SELECT w FROM t WHERE token(k) > ?")->bind_markers[0].name, "partition key token");
  QueryOptions in;
  in.values = {wire::Value::of(Bytes("\0\0\0\1\0\0\0\4\0\0\0\1", 12)), wire::Value::null(), wire::Value::unset()};
  const Bytes keys("\0\0\0\1\0\0\0\4\0\0\0\1", 12);
  const Bytes tuple("\0\0\0\1A", 5);
  in.values = {wire::Value::of(keys), wire::Value::of(tuple), wire::Value::unset()};
  outcome = execute(select, in);
  EXPECT_EQ(print(*select, outcome), "null\n");
}

TEST_F(Execute, Batches) {
  run("CREATE TABLE t (k int PRIMARY KEY, v int)");
  EXPECT_EQ(run("BEGIN BATCH USING TIMESTAMP 10 INSERT INTO t (k, v) VALUES (1, 1); UPDATE t SET v = 2 WHERE k = 2; "
                "DELETE FROM t WHERE k = 3; APPLY BATCH"),
            "ok");
  EXPECT_EQ(run("SELECT v, writetime(v) FROM t WHERE k IN (1, 2, 3)"), "1|10\n2|10\n");
  EXPECT_EQ(run("BEGIN BATCH USING TIMESTAMP 10 INSERT INTO t (k) VALUES (1) USING TIMESTAMP 3; APPLY BATCH"),
            "error: Timestamp must be set either on BATCH or individual statements");
}

TEST_F(Execute, SchemaStatements) {
  EXPECT_EQ(run("CREATE TABLE t (k int, c int, v text, PRIMARY KEY (k, c))"), "applied");
  const auto exists = error_of("CREATE TABLE t (k int PRIMARY KEY)");
  EXPECT_EQ(exists.code, wire::CqlErrorCode::already_exists);
  EXPECT_EQ(std::get<wire::AlreadyExistsDetail>(exists.detail), (wire::AlreadyExistsDetail{"ks", "t"}));
  EXPECT_EQ(run("CREATE TABLE IF NOT EXISTS t (k int PRIMARY KEY)"), "ok");
  EXPECT_EQ(run("INSERT INTO t (k, c, v) VALUES (1, 2, 'v')"), "ok");
  EXPECT_EQ(run("ALTER TABLE t ADD w int, s int static"), "applied");
  EXPECT_EQ(run("SELECT * FROM t"), "1|2|null|v|null\n");
  EXPECT_EQ(run("ALTER TABLE t DROP v"), "applied");
  EXPECT_EQ(run("ALTER TABLE t RENAME c TO d"), "applied");
  EXPECT_EQ(run("SELECT d FROM t WHERE k = 1 AND d = 2"), "2\n");
  EXPECT_EQ(run("ALTER TABLE t DROP k"), "error: Cannot drop PRIMARY KEY column k");
  EXPECT_EQ(run("ALTER TABLE t WITH comment = 'x' AND gc_grace_seconds = 5"), "applied");
  EXPECT_EQ(schema_.table("ks", "t")->options.at("comment"), "x");
  EXPECT_EQ(run("ALTER TABLE t WITH nonsense = 1"), "error: Unknown property 'nonsense'");
  EXPECT_EQ(run("CREATE TABLE u (k int, v int)"),
            "error: No PRIMARY KEY specifed for table 'u' (exactly one required)");
  EXPECT_EQ(run("CREATE TABLE u (k int PRIMARY KEY, s int static)"),
            "error: Static columns are only useful (and thus allowed) if the table has at least one clustering column");
  EXPECT_EQ(run("DROP TABLE t"), "applied");
  EXPECT_EQ(run("DROP TABLE t"), "error: Table 'ks.t' doesn't exist");
  EXPECT_EQ(run("DROP TABLE IF EXISTS t"), "ok");
  EXPECT_EQ(run("USE ks"), "keyspace ks");
  EXPECT_EQ(run("USE nope"), "error: Keyspace 'nope' does not exist");
  EXPECT_EQ(run("DROP KEYSPACE ks"), "applied");
}

TEST_F(Execute, NobodyReadsOnForAClientThatIsGone) {
  run("CREATE TABLE t (k int PRIMARY KEY, v int)");
  run("INSERT INTO t (k) VALUES (1)");
  bool gone = false;
  QueryOptions options;
  options.abandoned = &gone;
  const std::string many = "SELECT k FROM t WHERE k IN (1, 2)", few = "SELECT k FROM t WHERE k = 1";
  EXPECT_EQ(run(many, options), run(few, options));
  gone = true;
  EXPECT_EQ(error_of(many, options).code, wire::CqlErrorCode::read_failure);
  EXPECT_EQ(run(few, options), "1\n");
}

TEST_F(Execute, FailuresOfRequests) {
  run("CREATE TABLE t (k int PRIMARY KEY, v int)");
  datastore::RequestFailure failure;
  failure.kind = datastore::RequestFailure::Kind::unavailable;
  failure.consistency = datastore::Consistency::quorum;
  failure.required = 2;
  failure.received = 1;
  tables_.failure = failure;
  auto error = error_of("SELECT * FROM t");
  EXPECT_EQ(error.code, wire::CqlErrorCode::unavailable);
  EXPECT_EQ(std::get<wire::UnavailableDetail>(error.detail),
            (wire::UnavailableDetail{wire::Consistency::quorum, 2, 1}));
  tables_.failure->kind = datastore::RequestFailure::Kind::timeout;
  EXPECT_EQ(error_of("SELECT * FROM t").code, wire::CqlErrorCode::read_timeout);
  error = error_of("INSERT INTO t (k) VALUES (1)");
  EXPECT_EQ(std::get<wire::WriteTimeoutDetail>(error.detail).write_type, wire::WriteType::simple);
  error = error_of("BEGIN BATCH INSERT INTO t (k) VALUES (1); INSERT INTO t (k) VALUES (2); APPLY BATCH");
  EXPECT_EQ(std::get<wire::WriteTimeoutDetail>(error.detail).write_type, wire::WriteType::batch);
}

class Numbers final : public VirtualTable {
 public:
  const TablePtr& table() const override { return table_; }
  std::vector<VirtualRow> rows() const override {
    std::vector<VirtualRow> rows;
    for (int i = 0; i < 10; ++i) {
      rows.push_back({Bytes(i % 2 ? "odd" : "even"), int_value(i), i == 4 ? MaybeBytes() : Bytes("n")});
    }
    return rows;
  }

 private:
  TablePtr table_ = make_virtual_table("system", "numbers",
                                       {{"note", "text", ColumnKind::regular},
                                        {"parity", "text", ColumnKind::partition_key},
                                        {"n", "int", ColumnKind::clustering, true}});
};

TEST_F(Execute, VirtualTables) {
  virtual_tables_.add(std::make_unique<Numbers>());
  EXPECT_EQ(run("SELECT n, note FROM system.numbers WHERE parity = 'even' AND n < 8"), "6|n\n4|null\n2|n\n0|n\n");
  EXPECT_EQ(run("SELECT n FROM system.numbers WHERE parity = 'odd' ORDER BY n ASC LIMIT 2"), "1\n3\n");
  EXPECT_EQ(run("SELECT count(*) FROM system.numbers"), "10\n");
  EXPECT_EQ(run_paged("SELECT * FROM system.numbers", 3), run("SELECT * FROM system.numbers"));
  EXPECT_EQ(run("SELECT n FROM system.numbers WHERE n = 7 ALLOW FILTERING"), "7\n");
  EXPECT_EQ(run("INSERT INTO system.numbers (parity, n) VALUES ('odd', 11)"),
            "error: Modification is not supported by table system.numbers");
  EXPECT_EQ(error_of("DROP KEYSPACE system").code, wire::CqlErrorCode::unauthorized);
}

}  // namespace
}  // namespace asterism::cql::testing
