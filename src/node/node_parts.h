// What a Node is made of. Internal to this folder.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include <boost/json.hpp>

#include "cluster/isolation.h"
#include "datastore/mover.h"
#include "datastore/shard_sizes.h"
#include "node/client_faces.h"
#include "node/load_window.h"
#include "node/node.h"
#include "node/snapshots.h"

namespace asterism {

inline constexpr Duration node_poll = 10ms;
/// How long a node waits for a leader of the metadata log before it goes on with what it knows.
inline constexpr Duration metadata_patience = 3s;

/// Files that say what this node lost. Made before damage is set aside, removed when it is made good.
inline constexpr const char* rebuilding_mark = "rebuilding";  // rows of tables
inline constexpr const char* damaged_mark = "damaged";        // files of the store, found by reading
inline constexpr const char* recovering_mark = "recovering";  // votes and entries of Raft groups

enum class DrainPhase : uint8_t { none, waiting, draining, drained };

/// In the order in which they are made; destroyed from the end, tasks first.
struct Node::Parts {
  NodeConfig config;
  NodePorts ports;
  NodeTuning tuning;
  Log log;
  Instant started;
  bool serving = false, rebuilding = false, full = false;
  bool log_lost = false;
  bool hole_accepted = false;  // the store was set aside because it lacks what the log let go
  std::optional<Error> failure;
  Event failed, left;
  DrainPhase drain_phase = DrainPhase::none;
  std::optional<std::string> drain_error;  // why the latest attempt was given up
  Instant steady_since;                    // when a node went up or down for this one, the latest time
  WaitQueue news;                          // of the metadata, or that this node left

  LatencyHistogram loop_lag;
  LoadWindow load;
  std::unique_ptr<IsolatingNetwork> isolation;  // in a local cluster, between rpc and the network
  std::unique_ptr<Rpc> rpc;
  std::unique_ptr<KeyValueStore> store;
  std::unique_ptr<raft::Host> host;
  std::unique_ptr<datastore::Replica> replica;
  std::unique_ptr<WriteAheadLog> wal;
  std::unique_ptr<MetadataService> metadata;
  ClusterState cluster;
  datastore::Schema schema{cluster};
  AccessState access;
  std::unique_ptr<Liveness> liveness;
  std::unique_ptr<datastore::ReplicaService> service;
  std::unique_ptr<datastore::Hints> hints;
  std::unique_ptr<datastore::Coordinator> coordinator;
  std::unique_ptr<datastore::AntiEntropy> anti_entropy;
  std::unique_ptr<datastore::Mover> mover;
  std::unique_ptr<datastore::ShardSizes> shard_sizes;
  std::unique_ptr<Snapshots> snapshots;
  std::unique_ptr<ClientFaces> faces;
  FeatureLevel level_marked = first_feature_level;
  bool balance_cancelled = false;        // a step was, since the balancer looked
  std::map<NodeId, Instant> removed_at;  // as this node learned of it
  TaskGroup tasks;

  Parts(NodeConfig of, NodePorts with, NodeTuning how, Log to)
      : config(std::move(of)),
        ports(with),
        tuning(how),
        log(std::move(to)),
        started(with.executor.now()),
        tasks(with.executor) {}
  ~Parts();

  Task<Status> open_storage();
  raft::HostOptions host_options() const;
  Task<Status> open_once(bool& retry);
  Task<Status> set_aside(const char* folder, const Error& why);
  Task<Status> set_aside_marked(const Error& why);
  Task<Status> mark(const char* name);
  Task<Status> unmark(const char* name);
  Task<Result<bool>> is_marked(const char* name);
  Task<void> forget_recovery();
  void make_services();
  boost::json::object load_object();
  raft::Configuration first_configuration() const;
  Task<Status> join();
  Task<void> campaign_early();
  Task<void> found_cluster();
  Task<void> found_superuser();
  Task<void> announce_address();
  Task<void> rebuild();
  Task<void> tend_members();
  void tend_voters();
  void forget_peers();
  FeatureLevel supported_level() const { return std::min(config.most_feature_level, tuning.feature_level); }
  Task<Status> check_level_marks();
  Task<void> tend_level();
  Task<Status> wait_for_level(FeatureLevel level);
  Task<void> tend_load();
  Task<void> tend_balance();
  bool may_balance() const;
  Task<BalanceOutlook> look_at_balance(size_t most_steps, Instant deadline);
  Task<Status> move_tokens(NodeId node, std::vector<int64_t> tokens, Instant deadline);
  Task<Status> turn_rebalance_back(Instant deadline);
  bool gone_for_good(NodeId node);
  Task<bool> is_down(NodeId node);
  Task<void> serve_clients();
  void handle_departures();
  Duration steady_for() const;
  struct Unsteady {
    std::string name;  // "": there is none
    bool down = false;
  };
  Task<Unsteady> find_unsteady();
  Task<Status> wait_for_steady();
  Task<void> tell_departure(uint8_t what);
  Task<void> tell_serving();
  Task<void> drain(bool force);
  NodeState state() const;
  std::optional<Error> find_failure() const;
  Task<void> watch_for_failure();
  Task<void> wait_for_room();
  void follow_metadata();
  void leave();
  bool is_seed(NodeId node) const;
};

}  // namespace asterism
