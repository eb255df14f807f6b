// Which tokens a node gets that joins.
#include <algorithm>
#include <cmath>
#include <limits>

#include "cluster/ring.h"

namespace asterism {

namespace {

constexpr NodeId joiner{std::numeric_limits<uint32_t>::max()};
constexpr size_t ranges_tried = 64;
constexpr size_t tokens_improved = 256;  // rings beyond it are left as the first pass made them
constexpr int parts = 8;                 // a range is split at an eighth, two eighths and so on

using Tokens = std::vector<std::pair<int64_t, NodeId>>;  // ascending

double width(int64_t after, int64_t to) {
  const uint64_t span = static_cast<uint64_t>(to) - static_cast<uint64_t>(after);
  return span == 0 ? std::ldexp(1.0, 64) : static_cast<double>(span);
}

/// How unevenly the nodes store what the ring holds: the sum of squares of what each is off the mean.
double unevenness(const Tokens& tokens, size_t nodes, size_t factor) {
  factor = std::min(factor, nodes);
  std::map<NodeId, double> stored{{joiner, 0.0}};
  std::vector<NodeId> holders;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const int64_t after = tokens[i == 0 ? tokens.size() - 1 : i - 1].first;
    holders.clear();
    for (size_t k = i; holders.size() < factor && k < i + tokens.size(); ++k) {
      const NodeId node = tokens[k % tokens.size()].second;
      if (std::ranges::find(holders, node) == holders.end()) holders.push_back(node);
    }
    for (NodeId node : holders) stored[node] += width(after, tokens[i].first);
  }
  const double mean = std::ldexp(static_cast<double>(factor) / static_cast<double>(nodes), 64);
  double sum = 0;
  for (const auto& [node, amount] : stored) sum += (amount / mean - 1) * (amount / mean - 1);
  return sum;
}

struct Search {
  Tokens tokens;  // of the nodes that are there, and those chosen
  size_t nodes = 0;
  const std::vector<size_t>& factors;

  double cost() const {
    double sum = 0;
    for (size_t factor : factors) sum += unevenness(tokens, nodes, factor);
    return sum;
  }
  void insert(int64_t token) {
    tokens.insert(std::ranges::upper_bound(tokens, std::pair(token, joiner)), {token, joiner});
  }
  void erase(int64_t token) { std::erase(tokens, std::pair(token, joiner)); }
  bool taken(int64_t token) const {
    return std::ranges::any_of(tokens, [&](const auto& entry) { return entry.first == token; });
  }

  /// The best place for one more token in one of the largest ranges.
  int64_t best() {
    std::vector<std::pair<double, size_t>> ranges;
    for (size_t i = 0; i < tokens.size(); ++i)
      ranges.emplace_back(-width(tokens[i == 0 ? tokens.size() - 1 : i - 1].first, tokens[i].first), i);
    std::ranges::sort(ranges);
    if (ranges.size() > ranges_tried) ranges.resize(ranges_tried);
    std::vector<int64_t> candidates;
    for (const auto& [size, i] : ranges) {
      const auto after = static_cast<uint64_t>(tokens[i == 0 ? tokens.size() - 1 : i - 1].first);
      for (int part = 1; part < parts; ++part) {
        const auto token = static_cast<int64_t>(after + static_cast<uint64_t>(-size / parts * part));
        if (token != std::numeric_limits<int64_t>::min() && !taken(token)) candidates.push_back(token);
      }
    }
    int64_t chosen = 0;
    double least = std::numeric_limits<double>::infinity();
    for (int64_t token : candidates) {
      insert(token);
      if (const double now = cost(); now < least - 1e-12) {
        least = now;
        chosen = token;
      }
      erase(token);
    }
    return chosen;
  }
};

}  // namespace

std::vector<int64_t> joining_tokens(const Ring& ring, const NodePlace& place, size_t count,
                                    const std::vector<size_t>& factors) {
  // Strategies that know datacenters walk each by itself.
  const bool alone = std::ranges::none_of(
      ring.places(), [&](const auto& entry) { return entry.second.datacenter == place.datacenter; });
  Search search{{}, 1, factors};
  for (const auto& [node, where] : ring.places()) search.nodes += alone || where.datacenter == place.datacenter;
  for (const auto& [token, node] : ring.tokens())
    if (alone || ring.places().at(node).datacenter == place.datacenter) search.tokens.emplace_back(token, node);
  std::vector<int64_t> chosen;
  while (chosen.size() < count) {
    chosen.push_back(search.best());
    search.insert(chosen.back());
  }
  if (search.tokens.size() <= tokens_improved) {
    for (int64_t& token : chosen) {
      search.erase(token);
      token = search.best();
      search.insert(token);
    }
  }
  std::ranges::sort(chosen);
  return chosen;
}

}  // namespace asterism
