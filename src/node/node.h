// One node: everything that runs on a core, put together from its configuration and its ports. The same class runs on
// the operating system and in the simulator.
#pragma once

#include <boost/json/object.hpp>

#include <map>
#include <memory>
#include <string>

#include "base/defects.h"
#include "base/log.h"
#include "base/metrics.h"
#include "cluster/liveness.h"
#include "cluster/metadata_service.h"
#include "datastore/anti_entropy.h"
#include "datastore/coordinator.h"
#include "gateway/access.h"
#include "gateway/audit.h"
#include "node/node_config.h"
#include "node/node_host.h"
#include "ports/clock.h"
#include "ports/disk.h"
#include "ports/random.h"

namespace asterism {

class Snapshots;

/// The outside world as one core of a node gets it. All of it must outlive the node.
struct NodePorts {
  Executor& executor;
  const Clock& clock;
  Random& random;
  Network& network;
  Disk& disk;
  /// What clients are served on, where that differs from `network`: TLS.
  Network* client_network = nullptr;

  Network& clients() const { return client_network ? *client_network : network; }
};

/// How a node uses its machine; not part of what the cluster is.
struct NodeTuning {
  /// Four times as much is there while flushes lag behind writes.
  uint64_t memtable_bytes = 16 << 20;
  uint64_t block_cache_bytes = 32 << 20;
  uint64_t row_cache_bytes = 24 << 20;
  uint64_t slice_cache_bytes = 16 << 20;
  /// Of writes that wait for the log, and again of those that wait for the tables.
  uint64_t pending_bytes = 16 << 20;
  uint64_t wal_segment_bytes = 64 << 20;
  /// RocksDB compacts in threads of its own. Off in the simulator, where runs must repeat exactly.
  bool background_compaction = true;
  /// Raft entries of one group beyond which a snapshot is taken.
  uint64_t snapshot_after_bytes = 4 << 20;
  Duration raft_tick = 30ms;
  /// Tokens of each node, where this one founds the cluster.
  uint32_t tokens_per_node = 16;
  /// Between two shards that are compared with their other replicas.
  Duration repair_pause = 500ms;
  /// Before a shard that was found equal and was not written here since is compared again.
  Duration repair_again_after = std::chrono::minutes(10);
  /// Further sections of the metadata log by name, the same on every node. They outlive the node.
  std::map<std::string, MetadataSection*> sections;
  /// Further Raft groups, with the voters of the metadata log; the same on every node. The machines outlive the node.
  std::map<ShardId, raft::StateMachine*> groups;
  /// The process around the node; null where there is none to speak of.
  NodeHost* host = nullptr;
  /// How often the leader of the metadata log looks how even the nodes are, and for how long they are uneven before it
  /// begins to balance them.
  Duration balance_every = 10s;
  Duration balance_after = 60s;
  /// The same for nodes that do more than others, and how long it lets a step for load take effect before the next one.
  Duration balance_load_after = std::chrono::minutes(5);
  Duration balance_load_rest = std::chrono::minutes(10);
  /// Versions of the program that support less can be pretended.
  FeatureLevel feature_level = newest_feature_level;
  Defects defects;
  /// Where logins and changes of schemas and users are recorded.
  Audit audit;

  /// Shares that many bytes out: at most 9/32 for memtables, an eighth for blocks, a bit less for rows, a sixteenth for
  /// slices, an eighth for writes that wait; another eighth is for requests of clients. What is left is for the
  /// program, its connections and what the allocator wastes.
  static NodeTuning within(uint64_t memory_bytes);
};

enum class NodeState : uint8_t {
  starting,
  rebuilding,  // its tables were lost or damaged: serves what others have, and answers no read as a replica
  serving,
  draining,  // serves no new clients
  drained,   // serves no clients and leads nothing: may be stopped
  left,      // it is no member any more: serves nobody
  full,      // its disk is full: answers reads, refuses writes, votes no more, and fails once there is room again
  failed,    // its disk failed: the node must be destroyed and made anew
};
const char* to_string(NodeState state);

class Node {
 public:
  Node(NodeConfig config, NodePorts ports, NodeTuning tuning, Log log);
  Node(const Node&) = delete;
  ~Node();

  /// Opens the storage, joins the cluster and begins to serve. Completes when clients are served. Damage to the storage
  /// is set aside and what was there comes from the other replicas. Errors: already_exists (a port is in use), io,
  /// no_space, and closed where the node fails meanwhile. After an error only destroy it.
  Task<Status> start();
  /// Ends cleanly: what is written becomes durable and the next start is quick.
  Task<void> stop();
  /// Completes when the node has failed and may be made anew, with the reason; never for one that goes on. A node whose
  /// disk is full fails when there is room.
  Task<Error> failed();

  NodeState state() const;
  const NodeConfig& config() const;
  ClusterState& cluster();
  datastore::Schema& schema();
  const AccessState& access() const;
  const Audit& audit() const;
  MetadataService& metadata();
  Liveness& liveness();
  Rpc& rpc();
  raft::Host& raft_host();
  datastore::TableService& tables();
  datastore::AntiEntropy& anti_entropy();
  datastore::Hints& hints();
  Snapshots& snapshots();
  /// As Coordinator::write_versions().
  Task<datastore::Served<void>> write_versions(datastore::TablePtr table, std::vector<Bytes> mutations,
                                               datastore::Consistency consistency, Instant deadline);
  /// Gets ready to be stopped: finishes what clients asked, sends them elsewhere, hands leadership over and flushes the
  /// store. state() and status_json() tell how far it is. Waits until all other nodes have been up for some seconds for
  /// everybody, and gives up where they are not, unless `force`. Errors: invalid_argument where it does not serve.
  Status begin_drain(bool force);
  /// Cuts the node off from all other nodes, or heals that; clients still reach it. Only where `asterism up` runs it.
  void isolate(bool isolated);
  /// What it did in the last moments and what it holds, for people.
  boost::json::object load() const;

  /// Has a node join, with tokens that are chosen here or, with `replaces`, in place of that one, which must be down.
  /// It is a member once cluster().change() is over. Errors: those of the commands of ClusterState.
  Task<Status> add_member(NodeInfo node, NodeId replaces, Instant deadline);
  /// Moves the shards of a member away; then it is none any more.
  Task<Status> remove_member(NodeId node, Instant deadline);
  /// The same for a member that is down, which is not asked for anything. Errors: invalid_argument where it is up.
  Task<Status> remove_dead_member(NodeId node, Instant deadline);
  /// Turns the change of that node back.
  Task<Status> cancel_change(NodeId node, Instant deadline);
  /// How even the nodes are by what they store and do, and what steps would make of them.
  Task<BalanceOutlook> balance(Instant deadline);
  /// Begins the first of these steps; it is over when cluster().change() is. Errors: not_found where there is none;
  /// those of the commands of ClusterState.
  Task<Status> rebalance(Instant deadline);
  /// Gives a member other tokens: what a step is.
  Task<Status> move_tokens(NodeId node, std::vector<int64_t> tokens, Instant deadline);
  /// Changes a setting of the cluster. Errors: those of ClusterSettings::set.
  Task<Status> set(std::string name, std::string value, Instant deadline);
  /// For GET /status.
  std::string status_json();
  /// For GET /metrics.
  void report(MetricsPage& page) const;

 private:
  struct Parts;
  Task<Status> start_all();
  std::unique_ptr<Parts> parts_;
};

}  // namespace asterism
