// What the metadata log says of the cluster itself: nodes, ring, shards.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/defects.h"
#include "cluster/feature_level.h"
#include "cluster/metadata_log.h"
#include "cluster/ring.h"
#include "cluster/settings.h"
#include "ports/network.h"

namespace asterism {

namespace meta {
class ClusterCommand;
}

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
///
/// A shard moves in two phases, each begun and ended by a command of the metadata log that raises the epoch
/// (docs/decisions/013-change-of-members.md). Copying: writes must reach their level among `replicas` and among
/// `target`, reads ask `replicas`. Settling: reads must reach theirs among both too. Then `target` takes over.
struct Shard {
  ShardId id;
  std::string scope;  // what it is a part of, in the terms of its service: a keyspace
  TokenRange range;
  std::vector<NodeId> replicas;
  Epoch epoch;
  ShardMode mode = ShardMode::leaderless;
  std::vector<NodeId> target{};     // the replicas that it shall have; empty where it does not move
  std::vector<NodeId> caught_up{};  // of the movers, in this phase
  bool settling = false;
  std::vector<NodeId> former{};  // replicas that it moved away from: they may still store its rows

  bool has_replica(NodeId node) const;
  bool moving() const { return !target.empty(); }
  /// Takes writes: a replica, or one that it shall have.
  bool holds(NodeId node) const;
  /// Answers reads.
  bool answers(NodeId node) const;
  /// Everybody that holds it, each once, replicas first.
  std::vector<NodeId> holders() const;
  /// Who has to compare itself with the replicas before the phase ends: the new replicas, or one that stays.
  std::vector<NodeId> movers() const;
};

/// The one change of members, or of their tokens, that may be under way at a time.
struct MemberChange {
  std::optional<NodeInfo> comes;  // not in nodes() yet
  NodeId leaves;                  // 0: nobody; still in nodes()
  bool cancelled = false;         // shards move back
  bool ready = false;             // the node says that it may come or go
  uint64_t shards = 0;            // that had to move when it began
  uint64_t began = 0;             // index in the metadata log
  bool dead = false;              // the one that only leaves does not answer, and is not asked for anything
  NodeId moves;                   // a member that gets other tokens, while nobody comes or leaves; 0: none
  std::vector<int64_t> tokens{};  // which it shall have

  bool replaces() const { return comes && leaves; }
  /// The node that no replica has to be compared with; 0: there is none.
  NodeId without() const { return dead || replaces() ? leaves : NodeId{}; }
  /// The node that people name it by.
  NodeId subject() const { return comes ? comes->id : leaves ? leaves : moves; }
};

/// Section "cluster" of the metadata log. Deterministic; read freely by everybody on the core.
class ClusterState final : public MetadataSection {
 public:
  static constexpr const char* section_name = "cluster";

  Result<Bytes> apply(uint64_t index, BytesView command) override;
  Bytes snapshot() const override;
  Status restore(BytesView snapshot) override;

  /// The members, as clients see them: one that comes is not among them yet, one that leaves still is.
  const std::map<NodeId, NodeInfo>& nodes() const { return nodes_; }
  /// A member or the node that comes.
  const NodeInfo* node(NodeId id) const;
  const std::optional<MemberChange>& change() const { return change_; }
  const ClusterSettings& settings() const { return settings_; }
  /// The feature level that is active.
  FeatureLevel level() const { return level_; }
  /// What this node supports; before anything is applied.
  void set_supported_level(FeatureLevel level) { supported_level_ = level; }
  /// Errors: unsupported where the active level is beyond that: then nothing that follows may be applied here.
  Status check_level() const;
  /// Errors: unsupported where that level is not active yet.
  Status check_active(FeatureLevel level) const;
  /// Shards that still have to move.
  size_t moving() const;
  /// Whether that node was a member, or was to be one, and is not any more.
  bool removed(NodeId id) const { return removed_.contains(id); }
  /// An id that no node had yet.
  NodeId next_node() const;
  const Ring& ring() const { return ring_; }
  const std::map<ShardId, Shard>& shards() const { return shards_; }
  const Shard* shard(ShardId id) const;
  /// The shard of `scope` that holds `token`; null where the scope has no shards.
  const Shard* find(const std::string& scope, int64_t token) const;
  /// The shards of a scope, ascending by range.to.
  std::vector<const Shard*> shards_of(const std::string& scope) const;

  /// The replicas that a scope's own strategy wants for a token on a ring. Set once, before anything is applied, by the
  /// section that makes shards.
  using Placement = std::function<std::vector<NodeId>(const std::string& scope, int64_t token, const Ring& ring)>;
  void set_placement(Placement placement) { placement_ = std::move(placement); }
  void plant(Defects defects) { defects_ = defects; }

  // For other sections while they apply a command.

  /// One leaderless shard per range of the ring.
  void create_shards(const std::string& scope);
  void drop_shards(const std::string& scope);
  /// Gives every shard of a scope the replicas that its strategy wants now; the epoch rises where they differ. Not
  /// while members change.
  void replace_shards(const std::string& scope);

  // Encoded commands for MetadataLog::propose. Outcomes: already_exists (another change is under way, or the node is
  // known), not_found, invalid_argument.
  static Bytes bootstrap_command(const std::vector<NodeInfo>& nodes, uint32_t tokens_per_node);
  static Bytes update_node_command(const NodeInfo& node);
  /// A new node, with tokens that nobody has; or, with the tokens of the node that it replaces, instead of that one.
  static Bytes add_node_command(const NodeInfo& node, NodeId replaces = {});
  /// `dead`: its shards come from the replicas that stay, and it is not asked whether it is ready.
  static Bytes remove_node_command(NodeId node, bool dead = false);
  /// A member gets these tokens instead of those that it has `now`. Refused where it has others meanwhile.
  static Bytes move_tokens_command(NodeId node, const std::vector<int64_t>& now, const std::vector<int64_t>& tokens);
  /// A mover has compared itself with what it has to in the shards' present phase.
  static Bytes caught_up_command(NodeId node, const std::vector<std::pair<ShardId, Epoch>>& shards);
  static Bytes ready_command(NodeId node);
  static Bytes cancel_command(NodeId node);
  /// Only where every member supports that level.
  static Bytes raise_level_command(FeatureLevel level);
  /// Errors: those of ClusterSettings::set.
  static Bytes set_command(const std::string& name, const std::string& value);

 private:
  Result<Bytes> bootstrap(const meta::ClusterCommand& command);
  Result<Bytes> update_node(NodeInfo update);
  Status add_member(uint64_t index, NodeInfo node, NodeId replaces);
  Status remove_member(uint64_t index, NodeId node, bool dead);
  Status move_tokens(uint64_t index, NodeId node, std::vector<int64_t> now, std::vector<int64_t> tokens);
  Status cancel_change(NodeId node);
  void note_caught_up(ShardId id, Epoch epoch, NodeId node);
  Status check_no_change() const;
  Ring target_ring() const;
  void begin_moves(uint64_t index);
  void raise_epoch(Shard& shard) const;
  void split_at(int64_t token);
  void aim(Shard& shard, std::vector<NodeId> replicas);
  void switch_over(Shard& shard);
  void finish_if_done();
  void merge_shards();
  void add_node(NodeInfo node);
  void add_shard(const std::string& scope, TokenRange range, std::vector<NodeId> replicas);
  void insert_shard(Shard shard);

  std::map<NodeId, NodeInfo> nodes_;
  Ring ring_;
  std::map<ShardId, Shard> shards_;
  std::map<std::string, std::map<int64_t, ShardId>> by_scope_;  // range.to → shard
  uint64_t next_shard_ = 1;
  std::optional<MemberChange> change_;
  std::set<NodeId> removed_;
  ClusterSettings settings_;
  FeatureLevel level_ = first_feature_level, supported_level_ = newest_feature_level;
  Placement placement_;
  Defects defects_;
};

}  // namespace asterism
