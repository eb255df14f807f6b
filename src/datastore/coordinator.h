// Serves requests on behalf of clients: finds the replicas, asks as many as the consistency level wants, and makes what
// they answer one. Any node coordinates.
#pragma once

#include <memory>

#include "cluster/liveness.h"
#include "cluster/metadata_service.h"
#include "datastore/table_service.h"

namespace asterism::datastore {

struct CoordinatorOptions {
  NodeId self;
  std::string datacenter = "dc1";
  uint32_t max_requests = 4096;  // under way; more fail as overloaded
  Duration hint_window = std::chrono::hours(3);
};

class Replica;
class Hints;
struct Defects;

class Coordinator final : public TableService {
 public:
  Coordinator(CoordinatorOptions options, Executor& executor, Rpc& rpc, MetadataService& metadata,
              const ClusterState& cluster, const Schema& schema, Liveness& liveness, Replica& replica, Hints& hints,
              Log log);
  ~Coordinator() override;

  Task<Served<void>> write(TablePtr table, Mutation mutation, Consistency consistency, Instant deadline) override;
  Task<Served<void>> write_all(std::vector<TableMutation> mutations, bool logged, Consistency consistency,
                               Instant deadline) override;
  Task<Served<ReadPage>> read(TablePtr table, ReadCommand command, Consistency consistency, Instant deadline) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace asterism::datastore
