// An executor on a store in memory, for tests.
#pragma once

#include <gtest/gtest.h>

#include <map>

#include "datastore/cql/execute.h"
#include "datastore/cql/plan_select.h"
#include "datastore/literal.h"
#include "datastore/merge_results.h"
#include "runtime/task_group.h"

namespace asterism::cql::testing {

class TestClock final : public Clock {
 public:
  Instant now() const override { return {us * 1000}; }
  WallTime wall_now() const override { return {us}; }
  int64_t us = 1'700'000'000'000'000;
};

class TestRandom final : public Random {
 public:
  explicit TestRandom(uint64_t seed = 1) : state_(seed) {}
  uint64_t next() override {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

 private:
  uint64_t state_;
};

/// One replica: storage keys and their merged values.
class MemoryTables final : public datastore::TableService {
 public:
  Task<datastore::Served<void>> write(TablePtr table, datastore::Mutation mutation, datastore::Consistency,
                                      Instant) override;
  Task<datastore::Served<void>> write_all(std::vector<datastore::TableMutation> mutations, bool logged,
                                          datastore::Consistency, Instant) override;
  Task<datastore::Served<datastore::ReadPage>> read(TablePtr table, datastore::ReadCommand command,
                                                    datastore::Consistency, Instant) override;

  std::optional<datastore::RequestFailure> failure;  // of every request, while set
  uint32_t most_rows = UINT32_MAX;                   // of one page, whatever was asked for
  int reads = 0;

 private:
  void store(const datastore::Mutation& mutation);
  datastore::ReadResult collect(const datastore::ReadCommand& command) const;

  std::map<Bytes, Bytes> values_;
};

class Fixture : public ::testing::Test, public SchemaChanges {
 protected:
  Fixture();

  /// Rows as lines of values with '|' in between; "error: text"; "ok"; "applied" for schema changes.
  std::string run(std::string_view text, QueryOptions options = {});
  /// The same over pages of that size; `pages` counts them.
  std::string run_paged(std::string_view text, int32_t page_size, int* pages = nullptr);
  wire::ErrorResponse error_of(std::string_view text, QueryOptions options = {});
  Outcome execute(PlanPtr plan, QueryOptions options);
  PlanPtr plan(std::string_view text);
  std::string print(const Plan& plan, Outcome& outcome, std::optional<Bytes>* paging_state = nullptr);
  /// Runs a task to its end.
  template <class T>
  T wait(Task<T> task) {
    std::optional<T> result;
    TaskGroup group(loop_);
    group.spawn(keep(std::move(task), result));
    while (!loop_.idle()) loop_.run(SIZE_MAX);
    EXPECT_TRUE(result.has_value());
    return std::move(*result);
  }

  Task<Result<Bytes>> propose(Bytes record, Instant deadline) override;

  TestClock clock_;
  TestRandom random_;
  asterism::Executor loop_{clock_};
  ClusterState cluster_;
  datastore::Schema schema_{cluster_};
  AccessState access_;
  MetadataState metadata_;
  uint64_t schema_index_ = 0;
  VirtualTables virtual_tables_;
  MemoryTables tables_;
  StatementExecutor executor_{Catalog{schema_, virtual_tables_}, tables_, *this, clock_, random_};
  std::string keyspace_ = "ks";

 private:
  template <class T>
  static Task<void> keep(Task<T> task, std::optional<T>& result) {
    result.emplace(co_await std::move(task));
  }
};

}  // namespace asterism::cql::testing
