// Notices what clients want to be told: nodes up and down, nodes that come and go, schemas that change.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "cluster/liveness.h"
#include "datastore/cql/response.h"
#include "datastore/schema.h"

namespace asterism::cql {

/// What leads from one schema to another, in the order in which Cassandra tells it.
using Keyspaces = std::map<std::string, datastore::Keyspace, std::less<>>;
std::vector<wire::SchemaChange> schema_changes(const Keyspaces& before, const Keyspaces& after);

/// Used by one core.
class EventSource {
 public:
  /// `tell` receives every event. What is referred to must outlive it.
  EventSource(NodeId self, Duration up_event_delay, Executor& executor, const ClusterState& cluster,
              const datastore::Schema& schema, const Liveness& liveness, std::function<void(const wire::Event&)> tell);

  void metadata_changed();
  /// UP waits for up_event_delay, and is not told where the node is down again by then.
  void liveness_changed(NodeId node, bool up);
  /// What the node itself says: likewise.
  void announced(NodeId node, bool serves) { liveness_changed(node, serves); }

 private:
  struct Peer {
    bool told_up = false;
    std::unique_ptr<Timer> timer;
  };
  void nodes_changed();
  void tell_status(NodeId node, bool up);
  void tokens_changed();
  std::map<NodeId, Address> addresses() const;

  NodeId self_;
  Duration up_event_delay_;
  Executor& executor_;
  const ClusterState& cluster_;
  const datastore::Schema& schema_;
  const Liveness& liveness_;
  std::function<void(const wire::Event&)> tell_;
  uint64_t schema_index_ = 0;
  Keyspaces keyspaces_;
  std::map<NodeId, Address> nodes_;
  std::map<NodeId, std::vector<int64_t>> tokens_;
  std::map<NodeId, Peer> peers_;
};

}  // namespace asterism::cql
