// What a protocol face asks of the data store.
#pragma once

#include <expected>
#include <string>
#include <utility>
#include <vector>

#include "datastore/consistency.h"
#include "datastore/read_page.h"
#include "datastore/schema.h"
#include "runtime/task.h"

namespace asterism::datastore {

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

}  // namespace asterism::datastore
