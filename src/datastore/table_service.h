// What a protocol face asks of the data store.
#pragma once

#include <deque>
#include <expected>
#include <string>
#include <utility>
#include <vector>

#include "datastore/mutation.h"
#include "datastore/schema.h"
#include "runtime/task.h"

namespace asterism::datastore {

/// Numbered as on the CQL wire.
enum class Consistency : uint16_t {
  any = 0,
  one = 1,
  two = 2,
  three = 3,
  quorum = 4,
  all = 5,
  local_quorum = 6,
  each_quorum = 7,
  serial = 8,
  local_serial = 9,
  local_one = 10,
};

/// Why a request did not reach its consistency level, in the terms of the CQL errors.
struct RequestFailure {
  enum class Kind : uint8_t {
    unavailable,  // too few replicas are up: nothing was done
    timeout,      // too few answered in time: a write may still take effect
    failure,      // too many replicas refused
    overloaded,   // this node has too much to do: nothing was done
    invalid,      // the table or keyspace went away, or the request passes a limit
  };
  Kind kind = Kind::failure;
  Consistency consistency = Consistency::one;
  uint32_t required = 0;
  uint32_t received = 0;  // alive where unavailable
  uint32_t failures = 0;
  bool data_present = false;  // reads: the replica asked for data answered
  std::string message;
};
template <class T>
using Served = std::expected<T, RequestFailure>;

/// One partition of a result: merged from the replicas, what deletions hide taken out, rows without live cells
/// dropped. Cells may still have expired: check Cell::is_live.
struct LivePartition {
  LivePartition() = default;
  // Never copied: a copy's rows would point into the original's bytes.
  LivePartition(LivePartition&&) noexcept = default;
  LivePartition& operator=(LivePartition&&) noexcept = default;

  int64_t token = 0;
  Bytes key;
  Row static_row;
  struct LiveRow {
    Bytes clustering;
    Row row;
  };
  std::vector<LiveRow> rows;
  std::deque<Bytes> storage;  // what the rows' views point into; its elements never move
};

/// A page of a read. `next` continues it: pass it to resume() for the following page.
struct ReadPage {
  std::vector<LivePartition> partitions;
  bool complete = true;
  Bytes next;
};

struct TableMutation {
  TablePtr table;
  Mutation mutation;
};

/// Writes and reads with tunable consistency. Deadlines are enforced inside.
class TableService {
 public:
  virtual ~TableService() = default;
  /// Writes to every replica of the partition; returns when the level is reached. Replicas that do not answer get the
  /// mutation later, by a hint.
  virtual Task<Served<void>> write(TablePtr table, Mutation mutation, Consistency consistency, Instant deadline) = 0;
  /// Several mutations. Logged: all of them or, where this node dies in between, all of them later.
  virtual Task<Served<void>> write_all(std::vector<TableMutation> mutations, bool logged, Consistency consistency,
                                       Instant deadline) = 0;
  /// Reads one partition, or a range of tokens over as many shards as it takes to fill row_limit. Replicas that differ
  /// are repaired before it returns. A page may hold fewer rows than the limit although more follow: `complete` tells.
  virtual Task<Served<ReadPage>> read(TablePtr table, ReadCommand command, Consistency consistency,
                                      Instant deadline) = 0;
};

/// The command for what follows a page that was not complete. Limits are the caller's to lower.
ReadCommand resume(ReadCommand command, const Bytes& next);

}  // namespace asterism::datastore
