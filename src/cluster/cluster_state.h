// What the metadata log says of the cluster itself: nodes, ring, shards.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "cluster/metadata_log.h"
#include "cluster/ring.h"
#include "ports/network.h"

namespace asterism {

struct NodeInfo {
  NodeId id;
  std::string name;
  std::string host;
  uint16_t rpc_port = 0;
  std::map<std::string, uint16_t> endpoints;  // protocol → port
  NodePlace place;
  Bytes host_id;  // 16 bytes
  std::vector<int64_t> tokens;

  Address rpc_address() const { return {host, rpc_port}; }
  uint16_t port(const std::string& protocol) const {
    auto it = endpoints.find(protocol);
    return it == endpoints.end() ? 0 : it->second;
  }
};

enum class ShardMode : uint8_t { consensus, leaderless, primary };

/// The unit of placement.
struct Shard {
  ShardId id;
  std::string scope;  // what it is a part of, in the terms of its service: a keyspace
  TokenRange range;
  std::vector<NodeId> replicas;
  Epoch epoch;
  ShardMode mode = ShardMode::leaderless;

  bool has_replica(NodeId node) const;
};

/// Section "cluster" of the metadata log. Deterministic; read freely by everybody on the core.
class ClusterState final : public MetadataSection {
 public:
  static constexpr const char* section_name = "cluster";

  Result<Bytes> apply(uint64_t index, BytesView command) override;
  Bytes snapshot() const override;
  Status restore(BytesView snapshot) override;

  const std::map<NodeId, NodeInfo>& nodes() const { return nodes_; }
  const NodeInfo* node(NodeId id) const;
  const Ring& ring() const { return ring_; }
  const std::map<ShardId, Shard>& shards() const { return shards_; }
  const Shard* shard(ShardId id) const;
  /// The shard of `scope` that holds `token`; null where the scope has no shards.
  const Shard* find(const std::string& scope, int64_t token) const;
  /// The shards of a scope, ascending by range.to.
  std::vector<const Shard*> shards_of(const std::string& scope) const;

  /// For other sections while they apply a command: one leaderless shard per range of the ring, placed by `place`.
  template <class Place>
  void create_shards(const std::string& scope, Place&& place) {
    for (const TokenRange& range : ring_.ranges()) add_shard(scope, range, place(range.to));
  }
  void drop_shards(const std::string& scope);
  /// Gives every shard of a scope the replicas that `place` names; the epoch rises where they differ.
  template <class Place>
  void replace_shards(const std::string& scope, Place&& place) {
    for (auto& [id, shard] : shards_)
      if (shard.scope == scope) set_replicas(shard, place(shard.range.to));
  }

  /// Encoded commands for MetadataLog::propose.
  static Bytes bootstrap_command(const std::vector<NodeInfo>& nodes, uint32_t tokens_per_node);
  static Bytes update_node_command(const NodeInfo& node);

 private:
  void add_node(NodeInfo node);
  void add_shard(const std::string& scope, TokenRange range, std::vector<NodeId> replicas);
  void insert_shard(Shard shard);
  static void set_replicas(Shard& shard, std::vector<NodeId> replicas);

  std::map<NodeId, NodeInfo> nodes_;
  Ring ring_;
  std::map<ShardId, Shard> shards_;
  std::map<std::string, std::map<int64_t, ShardId>> by_scope_;  // range.to → shard
  uint64_t next_shard_ = 1;
};

}  // namespace asterism
