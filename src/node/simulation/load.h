// The requests of a run and what is checked of their answers.
#pragma once

#include <map>

#include "node/simulation/session.h"

namespace asterism::simulation {

/// Which loads a run has; every table is of the form that session.h names.
struct LoadPlan {
  uint32_t workers = 8;
  Duration think_most = 20ms;
  Duration patience = 2s;  // for one request
  uint32_t replicas = 3;   // of the keyspace "strong", where requests are at a quorum or above
  // How often each is done, relative to the others.
  uint32_t registers = 4;  // few rows, written, deleted and read by everybody
  uint32_t rows = 3;       // each row written once, sometimes read back
  uint32_t deletes = 2;    // rows come and go
  uint32_t wide = 2;       // partitions of many rows, read in slices and pages
  uint32_t weak = 0;       // rows at ONE and ANY in the keyspace "weak": nothing is promised before the end
  uint32_t weak_replicas = 1;
  uint32_t growing = 0;  // rows in the keyspace "growing", whose replication factor rises during the run
  uint32_t growing_from = 1, growing_to = 3;
  uint32_t expiring = 1;  // rows that live for a few seconds
  uint32_t batches = 1;   // rows of several partitions at once, logged and unlogged
  uint32_t columns = 2;   // that are added to tables in use
  bool damage = false;    // disks lose data, and with it logged batches that only their coordinator holds
  uint32_t journal = 1;   // the metadata log
  uint32_t churn = 1;     // tables that are created, truncated and dropped; the number of workers that do it

  static LoadPlan from(Random& random, uint32_t nodes, bool damage);
  std::string describe() const;
};

class Load {
 public:
  Load(SimulatedCluster& cluster, JournalChecker& journal, Verdict& verdict, LoadPlan plan);

  /// Keyspaces and tables. Fails the verdict where that takes more than the limit.
  Task<void> set_up();
  /// Starts the workers on the client machines.
  void start();
  /// Workers end after their current request.
  void stop() { stopping_ = true; }
  bool ended() const { return working_ == 0; }
  /// On a cluster that is whole again: every row is what the requests and their answers allow, slices and pages agree,
  /// expired rows are gone, and reads and writes at ALL succeed.
  Task<void> final_check();
  /// Requests that were answered.
  uint64_t operations() const { return operations_; }
  uint64_t refusals() const { return refusals_; }
  uint64_t unknowns() const { return unknowns_; }

 private:
  enum class Kind : uint8_t { registers, rows, deletes, wide, weak, growing, expiring, batches, journal, count_ };
  struct Worker {
    Session* session = nullptr;  // its client machine's
    sim::SeededRandom random{0};
  };
  using Partition = std::map<int32_t, RowHistory>;

  Task<void> work(Worker& worker);
  Task<void> churn(Worker& worker, uint32_t number);
  Task<void> churn_table(Worker& worker, TableName name);
  Task<void> grow(Worker& worker);
  Task<void> add_columns(Worker& worker);
  Task<void> one(Worker& worker, Kind kind);
  Task<void> write(Worker& worker, TableName table, std::string key, int32_t clustering, bool erase,
                   datastore::Consistency level, uint32_t ttl_s = 0);
  /// Deletes the rows from one to the other, or the whole partition, where `last` is its last row.
  Task<void> erase(Worker& worker, TableName table, std::string key, int32_t from, int32_t to, int32_t last,
                   datastore::Consistency level);
  Task<void> batch(Worker& worker, datastore::Consistency level);
  Task<void> one_wide(Worker& worker, double luck, datastore::Consistency level);
  Task<void> check_batches(Session& session);
  std::string some_value(Worker& worker, int64_t timestamp_us);
  Task<void> read(Worker& worker, ReadRequest request, bool strong);
  Task<void> journal_request(Worker& worker);
  Task<bool> until_done(Session& session, const std::function<Task<Answer>()>& request, Duration limit);
  Task<bool> read_surely(Session& session, ReadRequest request, std::vector<SeenRow>& rows);
  Task<void> check_partition(Session& session, const TableName& table, const std::string& key, Partition& partition);
  Task<void> check_slices(Session& session, const TableName& table, const std::string& key,
                          const std::vector<SeenRow>& all);
  Kind choose(sim::SeededRandom& random) const;
  std::string some_key(sim::SeededRandom& random, const TableName& table);
  int64_t timestamp();
  void count(const Answer& answer);

  SimulatedCluster& cluster_;
  JournalChecker& journal_;
  Verdict& verdict_;
  LoadPlan plan_;
  sim::SeededRandom random_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::map<TableName, std::map<std::string, Partition>> tables_;
  std::map<TableName, std::vector<std::string>> keys_;  // of rows written once
  std::map<TableName, std::vector<std::string>> added_columns_;
  std::map<std::string, std::string> also_;               // the added column that got a value as well
  std::vector<std::vector<std::string>> logged_batches_;  // the keys of each
  bool stopping_ = false;
  size_t working_ = 0;
  int64_t latest_timestamp_us_ = 0;
  uint64_t next_number_ = 1;
  uint64_t operations_ = 0, refusals_ = 0, unknowns_ = 0;
};

}  // namespace asterism::simulation
