// What the load of a run asks of a client: the one place that knows by which way requests reach the nodes.
#pragma once

#include <limits>
#include <memory>
#include <vector>

#include "datastore/table_service.h"
#include "node/simulation/cluster.h"
#include "node/simulation/history.h"

namespace asterism::simulation {

/// Every table of a run: (k text, c int, v text, PRIMARY KEY (k, c)).
struct TableName {
  std::string keyspace, table;
  auto operator<=>(const TableName&) const = default;
  std::string to_string() const { return keyspace + "." + table; }
};

struct WriteRequest {
  TableName table;
  std::string key;
  int32_t clustering = 0;
  std::optional<std::string> value = {};  // none: the row is deleted
  int64_t timestamp_us = 0;
  uint32_t ttl_s = 0;
  datastore::Consistency level = datastore::Consistency::quorum;
  std::string also = {};  // a column that was added to the table and gets the value as well
  /// Of deletions: the row, the rows from `clustering` to this one, or the whole partition.
  enum class Scope : uint8_t { row, range, partition } scope = Scope::row;
  int32_t to = 0;
};

/// Rows with from <= c <= to.
struct ReadRequest {
  TableName table;
  std::string key;
  int32_t from = std::numeric_limits<int32_t>::min(), to = std::numeric_limits<int32_t>::max();
  bool reversed = false;
  uint32_t limit = 0;      // 0: none
  uint32_t page_rows = 0;  // 0: the client's choice
  datastore::Consistency level = datastore::Consistency::quorum;
  std::string also = {};  // one more column to read
};

struct SeenRow {
  int32_t clustering = 0;
  std::string value;
  std::string also = {};
  auto operator<=>(const SeenRow&) const = default;
};

struct Answer {
  Ending ending = Ending::unknown;
  std::string message = {};
  bool no_table = false;  // the node that was asked knows no such table
  bool gone = false;      // a replica knows no such table
  bool exists = false;    // what should be made is there
  bool done() const { return ending == Ending::done; }
};

/// One client: sends its requests to one node and goes to another when that fails. Lives on a client machine; its
/// tasks must be awaited there.
class Session {
 public:
  virtual ~Session() = default;
  virtual Task<Answer> write(WriteRequest request, Duration limit) = 0;
  virtual Task<Answer> batch(std::vector<WriteRequest> requests, bool logged, datastore::Consistency level,
                             Duration limit) = 0;
  /// `rows` is whole where the answer is `done`.
  virtual Task<Answer> read(ReadRequest request, Duration limit, std::vector<SeenRow>& rows) = 0;
  virtual Task<Answer> create_keyspace(std::string name, uint32_t replicas, Duration limit) = 0;
  virtual Task<Answer> alter_keyspace(std::string name, uint32_t replicas, Duration limit) = 0;
  virtual Task<Answer> create_table(TableName name, Duration limit) = 0;
  virtual Task<Answer> add_column(TableName name, std::string column, Duration limit) = 0;
  virtual Task<Answer> drop_table(TableName name, Duration limit) = 0;
  virtual Task<Answer> truncate(TableName name, Duration limit) = 0;
  /// Goes to another node now, at random or that one.
  virtual void move() = 0;
  virtual void move_to(size_t node) = 0;
  /// The node that is asked at present.
  virtual size_t node() const = 0;
};

/// A session that speaks CQL over the network from a client machine, where it lives.
Session& add_session(SimulatedCluster& cluster, size_t client, uint64_t seed);

/// Adds an entry to the journal by way of a node, or reads behind a barrier how many it has; checks both.
Task<Answer> propose_entry(SimulatedCluster& cluster, size_t node, JournalChecker& checker, uint64_t entry,
                           Duration limit);
Task<Answer> read_entries(SimulatedCluster& cluster, size_t node, JournalChecker& checker, Duration limit);

}  // namespace asterism::simulation
