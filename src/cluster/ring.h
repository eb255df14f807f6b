// The ring: which node owns which token, and the walks that place replicas on it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/id.h"

namespace asterism {

/// The tokens t with after < t <= to, going round where to <= after. {x, x} is the whole ring.
struct TokenRange {
  int64_t after = 0;
  int64_t to = 0;

  auto operator<=>(const TokenRange&) const = default;
  bool contains(int64_t token) const {
    return after < to ? token > after && token <= to : token > after || token <= to;
  }
};

/// Where a node stands, as far as placement cares. Two replicas share a rack only where there are too few racks.
struct NodePlace {
  std::string datacenter;
  std::string rack;

  bool operator==(const NodePlace&) const = default;
};

/// Deterministic: every node that applied the same metadata log has the same ring.
class Ring {
 public:
  void add(NodeId node, NodePlace place, const std::vector<int64_t>& tokens);
  void remove(NodeId node);

  const std::map<int64_t, NodeId>& tokens() const { return tokens_; }
  const std::map<NodeId, NodePlace>& places() const { return places_; }
  /// One range per token, ascending; the first goes round.
  std::vector<TokenRange> ranges() const;

  /// The first `count` distinct nodes from `token` clockwise, as Cassandra's SimpleStrategy has it.
  std::vector<NodeId> place_simple(int64_t token, size_t count) const;
  /// `count` nodes in each datacenter, on distinct racks while there are racks left, as Cassandra's
  /// NetworkTopologyStrategy has it.
  std::vector<NodeId> place_by_rack(int64_t token, const std::map<std::string, size_t>& count) const;

 private:
  template <class Visit>
  void walk(int64_t token, Visit&& visit) const;

  std::map<int64_t, NodeId> tokens_;
  std::map<NodeId, NodePlace> places_;
};

/// `per_node` tokens for each of `nodes` nodes that start together: evenly spaced and interleaved, so that every node
/// owns the same share.
std::vector<std::vector<int64_t>> even_tokens(size_t nodes, size_t per_node);

/// `count` tokens for a node that joins, which split large ranges so that every node of its datacenter then stores
/// about as much as any other, for each of these replication factors. Deterministic.
std::vector<int64_t> joining_tokens(const Ring& ring, const NodePlace& place, size_t count,
                                    const std::vector<size_t>& factors);

}  // namespace asterism
