// Rows to a cluster: batches to nodes that hold their partitions, many under way, tried again elsewhere when a node is
// slow or gone.
#pragma once

#include <functional>

#include "cli/table_info.h"
#include "runtime/channel.h"

namespace asterism {

struct BatchSenderOptions {
  std::string statement;  // the INSERT that is prepared everywhere
  cql::wire::Consistency consistency = cql::wire::Consistency::local_quorum;
  int64_t timestamp_us = 0;  // of every row, so that one that is sent again is the same write
  uint32_t batches_under_way_max = 64;
  uint32_t batch_rows_max = 100;
  Duration request_limit = 10s;
  Duration give_up_after = 60s;  // without any acknowledgement
};

/// Rows of one stretch of the input that went into a batch.
struct BatchPart {
  uint64_t stretch = 0;
  uint32_t rows = 0;
};

/// Used by one core. Holds at most batches_under_way_max batches of 64 KiB (or one row) and 32 MiB, and for each node
/// the rows of a run. A run is sorted by token before it becomes batches: neighbours in a batch are neighbours in the
/// store, which makes writing them cheaper there. Runs grow as long
/// as they are sent within a second. `acknowledged` is called for every part of a batch that is stored.
class BatchSender {
 public:
  static constexpr size_t batch_bytes_max = 64 << 10;
  static constexpr size_t bytes_under_way_max = 32 << 20;
  /// Of all nodes' runs together, at least run_rows_min each.
  static constexpr size_t run_rows_max = 65'536, run_bytes_max = 8 << 20, run_rows_min = 1024;

  BatchSender(RealCore& core, CqlCluster& cluster, BatchSenderOptions options,
              std::function<void(const BatchPart&)> acknowledged);
  ~BatchSender() { tasks_.cancel(); }

  /// Connects to all nodes that can be reached, one at least. Errors: those of CqlCluster::connect; what the server
  /// says of the statement.
  Task<Status> open(std::vector<RingNode> ring);

  /// Puts a row into the run of the node that owns its token, and names that node where the run is full: it must be
  /// sent before the next row comes.
  std::optional<size_t> add(int64_t token, BytesView values, uint64_t stretch);
  /// Waits for room, then sends without waiting for the answers.
  Task<void> send(size_t node);
  Task<void> send_all();
  /// Until nothing is under way any more.
  Task<void> finish();

  /// Once there is one, nothing more is sent.
  const std::optional<Error>& failure() const { return failure_; }
  uint64_t retries() const { return retries_; }

 private:
  struct Batch {
    Bytes envelope;
    uint16_t rows = 0;
    std::vector<BatchPart> parts;
  };
  struct Row {
    int64_t token = 0;
    uint32_t begin = 0, size = 0;  // in the run's bytes
    uint64_t stretch = 0;
  };
  struct Run {
    Bytes values;
    std::vector<Row> rows;
  };
  struct Node {
    RingNode known;
    std::shared_ptr<cql::CqlClient> client;
    Instant avoid_until{0};
    Run run;
    size_t run_rows = 4 * run_rows_min;  // as many make a run
  };
  struct Permits {
    Semaphore::Permit batch, bytes;
  };

  Batch begin() const;
  void fit_run(Node& node, Duration took) const;
  void put(const Row& row, const Run& run, Batch& batch) const;
  Task<void> start(size_t node, Batch batch);
  Task<Status> connect(Node& node);
  Task<void> keep_connected(size_t node);
  Task<void> deliver(size_t first, Batch batch, Permits permits);
  Task<bool> attempt(Node& node, const Batch& batch);
  Node* choose(size_t first, uint32_t attempt);
  void give_up(Error error);

  RealCore& core_;
  CqlCluster& cluster_;
  BatchSenderOptions options_;
  std::function<void(const BatchPart&)> acknowledged_;
  std::vector<Node> nodes_;
  std::vector<std::pair<int64_t, uint32_t>> ring_;  // tokens, sorted, with their nodes
  Bytes prepared_id_;
  Semaphore batches_, bytes_;
  Instant latest_answer_{0};
  uint64_t retries_ = 0;
  std::optional<Error> failure_;
  TaskGroup deliveries_;
  TaskGroup tasks_;
};

}  // namespace asterism
