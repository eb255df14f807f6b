#include "cluster/ring.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "base/assert.h"

namespace asterism {

void Ring::add(NodeId node, NodePlace place, const std::vector<int64_t>& tokens) {
  places_[node] = std::move(place);
  for (int64_t token : tokens) tokens_.emplace(token, node);
}

void Ring::remove(NodeId node) {
  places_.erase(node);
  std::erase_if(tokens_, [&](const auto& entry) { return entry.second == node; });
}

std::vector<TokenRange> Ring::ranges() const {
  std::vector<TokenRange> ranges;
  if (tokens_.empty()) return ranges;
  int64_t previous = tokens_.rbegin()->first;
  for (const auto& [token, node] : tokens_) {
    ranges.push_back({previous, token});
    previous = token;
  }
  return ranges;
}

/// Calls visit(node) for the owner of every token from `token` on, once round, until it returns false.
template <class Visit>
void Ring::walk(int64_t token, Visit&& visit) const {
  auto it = tokens_.lower_bound(token);
  for (size_t i = 0; i < tokens_.size(); ++i, ++it) {
    if (it == tokens_.end()) it = tokens_.begin();
    if (!visit(it->second)) return;
  }
}

std::vector<NodeId> Ring::place_simple(int64_t token, size_t count) const {
  std::vector<NodeId> chosen;
  walk(token, [&](NodeId node) {
    if (chosen.size() < count && std::ranges::find(chosen, node) == chosen.end()) chosen.push_back(node);
    return chosen.size() < count;
  });
  return chosen;
}

std::vector<NodeId> Ring::place_by_rack(int64_t token, const std::map<std::string, size_t>& count) const {
  struct Datacenter {
    size_t nodes = 0;
    std::set<std::string> racks, racks_used;
    size_t chosen = 0;
    std::vector<NodeId> skipped;  // on a rack that is used already, in walking order
  };
  std::map<std::string, Datacenter> datacenters;
  for (const auto& [node, place] : places_) {
    auto& datacenter = datacenters[place.datacenter];
    ++datacenter.nodes;
    datacenter.racks.insert(place.rack);
  }
  std::vector<NodeId> chosen;
  auto take = [&](Datacenter& datacenter, NodeId node) {
    chosen.push_back(node);
    ++datacenter.chosen;
  };
  std::set<NodeId> seen;
  walk(token, [&](NodeId node) {
    const NodePlace& place = places_.at(node);
    auto wanted = count.find(place.datacenter);
    if (wanted == count.end() || !seen.insert(node).second) return true;
    auto& datacenter = datacenters.at(place.datacenter);
    const size_t goal = std::min(wanted->second, datacenter.nodes);
    if (datacenter.chosen >= goal) return true;
    if (datacenter.racks_used.contains(place.rack) && datacenter.racks_used.size() < datacenter.racks.size()) {
      datacenter.skipped.push_back(node);
      return true;
    }
    datacenter.racks_used.insert(place.rack);
    take(datacenter, node);
    if (datacenter.racks_used.size() == datacenter.racks.size())
      for (NodeId waiting : std::exchange(datacenter.skipped, {}))
        if (datacenter.chosen < goal) take(datacenter, waiting);
    return true;
  });
  return chosen;
}

std::vector<std::vector<int64_t>> even_tokens(size_t nodes, size_t per_node) {
  ASSERT(nodes > 0 && per_node > 0);
  std::vector<std::vector<int64_t>> tokens(nodes);
  const auto total = static_cast<unsigned __int128>(nodes) * per_node;
  for (size_t i = 0; i < nodes * per_node; ++i) {
    const auto offset = static_cast<uint64_t>(((static_cast<unsigned __int128>(1) << 64) * i) / total);
    const auto token = static_cast<int64_t>(offset + (uint64_t{1} << 63));
    // INT64_MIN is no token of any key (murmur3_token).
    tokens[i % nodes].push_back(std::max(token, std::numeric_limits<int64_t>::min() + 1));
  }
  return tokens;
}

}  // namespace asterism
