// A load of reads and writes on a cluster, and what it took: for an operator who wants to know what he has.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>

#include "base/metrics.h"
#include "cli/cql_access.h"
#include "cli/progress_bar.h"
#include "cli/server_load.h"
#include "cli/table_info.h"
#include "datastore/cql/response.h"
#include "runtime/one_shot.h"

namespace asterism {

enum class BenchKind : uint8_t { write, read, scan };
inline constexpr size_t bench_kinds = 3;
const char* to_string(BenchKind kind);

struct BenchOptions {
  CqlAccessOptions access;
  std::string what = "mixed";  // write, read, mixed (half of each) or scan
  uint32_t seconds = 10;
  uint32_t connections = 0;  // 0: two to each node
  uint32_t concurrency = 64;
  uint64_t rows = 100'000;
  uint32_t value_bytes = 100;
  uint64_t rate = 0;         // operations per second; 0: as many as `concurrency` of them reach
  uint32_t replication = 0;  // 0: three, or as many as there are nodes
  cql::wire::Consistency consistency = cql::wire::Consistency::local_quorum;
  bool relaxed = false;
  bool keep = false;
  bool json = false;
};

/// What was measured of operations of one kind, or of all.
struct BenchFigures {
  LatencyHistogram time;
  Duration slowest{0};

  void record(Duration took) {
    time.record(took);
    slowest = std::max(slowest, took);
  }
  BenchFigures& operator+=(const BenchFigures& other);
};

/// Used by one core. With a rate, operations begin when they are due, or as soon after that as one of `concurrency` is
/// free, and their time counts from when they were due: a server that stalls is charged for all that it delays.
class BenchRun {
 public:
  static constexpr const char* keyspace = "asterism_bench";
  static constexpr uint32_t scan_rows = 100;

  BenchRun(RealCore& core, const BenchOptions& options);
  ~BenchRun();

  /// Makes the keyspace, loads what is to be read, measures, and drops the keyspace. Errors: what keeps it from
  /// beginning; operations that fail are counted.
  Task<Status> run();
  /// Ends the measuring, or the loading before it.
  void interrupt();
  bool measured() const { return begun_.ns != 0; }
  uint64_t operations() const { return all().time.count(); }
  /// What is known at the end, as lines for people or as one of JSON.
  std::string summary() const;

 private:
  struct Connection {
    Address address;
    std::shared_ptr<cql::CqlClient> client;
  };

  // Before and after (bench_run.cc).
  Task<Status> connect();
  Task<Status> open_connection(Connection& connection);
  Task<void> keep_connected(Connection& connection);
  Task<Status> statement(std::string text);
  Task<Status> make_tables();
  Task<Status> load();
  Task<void> load_some();
  Task<Status> measure();
  void await_last_answers();
  Task<void> drop_tables();
  bool reads() const { return options_.what != "write"; }

  // Operations (bench_operations.cc).
  Task<void> work();
  Task<void> operate(BenchKind kind, Instant due);
  BenchKind choose_kind();
  Connection* choose(int64_t token);
  Bytes request(BenchKind kind, uint64_t key, int64_t token) const;
  BytesView some_value() const;
  std::string problem_of(BenchKind kind, const Result<cql::CqlReply>& reply);
  void count_error(const std::string& what) { ++errors_[what]; }
  Task<void> show_regularly();
  BenchFigures all() const;

  RealCore& core_;
  const BenchOptions& options_;
  std::unique_ptr<CqlCluster> cluster_;
  std::unique_ptr<ServerLoad> load_;
  size_t nodes_ = 0;
  std::vector<Connection> connections_;
  std::vector<std::pair<int64_t, size_t>> ring_;  // tokens, sorted, and the node that owns what leads to them
  size_t turn_ = 0;
  std::array<Bytes, bench_kinds> prepared_;
  Bytes noise_;  // values are parts of it

  bool stopping_ = false;
  uint64_t next_key_ = 0, loaded_ = 0;  // while loading
  uint64_t due_ = 0;                    // operations that were begun at their time
  uint64_t late_ = 0, unanswered_ = 0;
  Instant begun_{0}, end_{0}, ended_{0};
  std::array<BenchFigures, bench_kinds> figures_;
  uint64_t rows_read_ = 0, under_way_ = 0;
  std::map<std::string, uint64_t> errors_;
  std::optional<ServerLoad::Used> used_;
  ProgressBar bar_;
  OneShot<void> over_;  // every worker ended, or the last answers are late
  OneShot<void>::Sender end_measuring_;
  Timer patience_;
  TaskGroup workers_, tasks_;
};

}  // namespace asterism
