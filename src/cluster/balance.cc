#include "cluster/balance.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace asterism {

namespace {

constexpr double worth_a_step = 0.95;   // of the sum of squares, at most, must be left
constexpr double worth_a_token = 0.99;  // likewise
constexpr int parts_tried = 8;          // a token moves by an eighth, two eighths … of the range on either side
constexpr size_t ranges_tried = 16;     // or into one of the largest ranges
constexpr size_t nodes_tried = 2;       // of those that have most, and of those that have least
constexpr size_t nodes_tried_then = 12;

double offset_of(int64_t token, int64_t origin) {
  return static_cast<double>(static_cast<uint64_t>(token) - static_cast<uint64_t>(origin));
}

/// What lies in any range of the ring, where each part holds its amount evenly.
class Amounts {
 public:
  explicit Amounts(const std::vector<std::pair<int64_t, double>>& parts) {
    origin_ = parts.empty() ? 0 : parts.back().first;
    ends_ = {0};
    sums_ = {0};
    for (const auto& [to, amount] : parts) {
      const bool last = to == origin_;
      ends_.push_back(last ? whole : offset_of(to, origin_));
      sums_.push_back(sums_.back() + std::max(amount, 0.0));
    }
    if (parts.empty()) {
      ends_.push_back(whole);
      sums_.push_back(0);
    }
  }
  double in(int64_t after, int64_t to) const {
    if (after == to) return sums_.back();
    const double begin = up_to(offset_of(after, origin_));
    const double end = to == origin_ ? sums_.back() : up_to(offset_of(to, origin_));
    return end >= begin ? end - begin : sums_.back() - begin + end;
  }
  const std::vector<double>& sums() const { return sums_; }

 private:
  static constexpr double whole = 18446744073709551616.0;
  double up_to(double offset) const {
    const size_t next = std::min<size_t>(static_cast<size_t>(std::ranges::upper_bound(ends_, offset) - ends_.begin()),
                                         ends_.size() - 1);
    const double from = ends_[next - 1], to = ends_[next];
    const double share = to > from ? (offset - from) / (to - from) : 0;
    return sums_[next - 1] + share * (sums_[next] - sums_[next - 1]);
  }

  int64_t origin_ = 0;
  std::vector<double> ends_, sums_;
};

/// The ring with numbers instead of names, so that a thousand variants can be judged in a moment.
class Model {
 public:
  Model(const Ring& ring, const std::vector<BalanceScope>& scopes);

  size_t nodes() const { return ids_.size(); }
  NodeId id(size_t node) const { return ids_[node]; }
  const std::vector<double>& shares() const { return shares_; }
  /// The sum of squares of what each node is off the mean; sets shares().
  double judge();

  struct Token {
    int64_t at = 0;
    size_t node = 0;
  };
  const std::vector<Token>& tokens() const { return tokens_; }
  /// False where another token is there; then nothing changes.
  bool move(int64_t from, int64_t to);
  std::vector<int64_t> tokens_of(size_t node) const;
  int64_t before(size_t token) const { return tokens_[(token + tokens_.size() - 1) % tokens_.size()].at; }
  int64_t behind(size_t token) const { return tokens_[(token + 1) % tokens_.size()].at; }

 private:
  struct Group {
    PlacementRule rule;
    std::vector<size_t> wanted;  // by datacenter, where the rule is by it
    Amounts amounts;
  };
  void place_simple(size_t from, size_t count);
  void place_by_rack(size_t from, const std::vector<size_t>& wanted);

  std::vector<NodeId> ids_;
  std::vector<size_t> datacenter_, rack_;  // of each node; racks are numbered over all datacenters
  std::vector<size_t> members_, racks_;    // of each datacenter
  size_t rack_count_ = 0;
  std::vector<Token> tokens_;
  std::vector<Group> groups_;
  std::vector<double> shares_;
  // For one walk; who was seen in it has its number.
  uint64_t walk_ = 0;
  std::vector<uint64_t> seen_, rack_used_;
  std::vector<size_t> chosen_, found_, used_;
  std::vector<std::vector<size_t>> skipped_;
};

template <class Key>
size_t number_of(std::map<Key, size_t>& numbers, const Key& key) {
  return numbers.try_emplace(key, numbers.size()).first->second;
}

/// What scopes with the same rule store together.
std::vector<std::pair<int64_t, double>> together(const std::vector<const BalanceScope*>& scopes) {
  if (scopes.size() == 1) return scopes.front()->parts;
  std::map<int64_t, double> sums;
  for (const BalanceScope* scope : scopes)
    for (const auto& [to, amount] : scope->parts) sums[to] = 0;
  for (const BalanceScope* scope : scopes) {
    const Amounts amounts(scope->parts);
    int64_t after = sums.empty() ? 0 : sums.rbegin()->first;
    for (auto& [to, sum] : sums) sum += amounts.in(std::exchange(after, to), to);
  }
  return {sums.begin(), sums.end()};
}

Model::Model(const Ring& ring, const std::vector<BalanceScope>& scopes) {
  std::map<NodeId, size_t> numbers;
  std::map<std::string, size_t> datacenters;
  std::map<std::pair<size_t, std::string>, size_t> racks;
  for (const auto& [id, place] : ring.places()) {
    numbers[id] = ids_.size();
    ids_.push_back(id);
    datacenter_.push_back(number_of(datacenters, place.datacenter));
    const size_t known = racks.size();
    rack_.push_back(number_of(racks, std::pair(datacenter_.back(), place.rack)));
    members_.resize(datacenters.size());
    racks_.resize(datacenters.size());
    ++members_[datacenter_.back()];
    if (racks.size() > known) ++racks_[datacenter_.back()];
  }
  rack_count_ = racks.size();
  for (const auto& [token, node] : ring.tokens()) tokens_.push_back({token, numbers.at(node)});
  std::map<PlacementRule, std::vector<const BalanceScope*>> groups;
  for (const BalanceScope& scope : scopes) groups[scope.rule].push_back(&scope);
  for (const auto& [rule, members] : groups) {
    Group& group = groups_.emplace_back(rule, std::vector<size_t>(members_.size()), Amounts(together(members)));
    for (const auto& [name, count] : rule.by_datacenter)
      if (auto known = datacenters.find(name); known != datacenters.end()) group.wanted[known->second] = count;
  }
  seen_.resize(ids_.size());
  rack_used_.resize(rack_count_);
  found_.resize(members_.size());
  used_.resize(members_.size());
  skipped_.resize(members_.size());
}

void Model::place_simple(size_t from, size_t count) {
  ++walk_;
  chosen_.clear();
  for (size_t i = 0, at = from; i < tokens_.size() && chosen_.size() < count; ++i, ++at) {
    if (at == tokens_.size()) at = 0;
    if (std::exchange(seen_[tokens_[at].node], walk_) != walk_) chosen_.push_back(tokens_[at].node);
  }
}

/// As Ring::place_by_rack.
void Model::place_by_rack(size_t from, const std::vector<size_t>& wanted) {
  ++walk_;
  chosen_.clear();
  std::ranges::fill(found_, 0);
  std::ranges::fill(used_, 0);
  for (auto& skipped : skipped_) skipped.clear();
  size_t missing = 0;
  for (size_t d = 0; d < wanted.size(); ++d) missing += std::min(wanted[d], members_[d]);
  const auto take = [&](size_t d, size_t node) {
    chosen_.push_back(node);
    ++found_[d];
    --missing;
  };
  for (size_t i = 0, at = from; i < tokens_.size() && missing > 0; ++i, ++at) {
    if (at == tokens_.size()) at = 0;
    const size_t node = tokens_[at].node, d = datacenter_[node];
    const size_t goal = std::min(wanted[d], members_[d]);
    if (goal == 0 || std::exchange(seen_[node], walk_) == walk_ || found_[d] >= goal) continue;
    if (rack_used_[rack_[node]] == walk_ && used_[d] < racks_[d]) {
      skipped_[d].push_back(node);
      continue;
    }
    if (std::exchange(rack_used_[rack_[node]], walk_) != walk_) ++used_[d];
    take(d, node);
    if (used_[d] < racks_[d]) continue;
    for (size_t waiting : std::exchange(skipped_[d], {}))
      if (found_[d] < goal) take(d, waiting);
  }
}

double Model::judge() {
  shares_.assign(ids_.size(), 0);
  for (Group& group : groups_) {
    for (size_t i = 0; i < tokens_.size(); ++i) {
      const double amount = group.amounts.in(before(i), tokens_[i].at);
      if (group.rule.simple)
        place_simple(i, *group.rule.simple);
      else
        place_by_rack(i, group.wanted);
      for (size_t node : chosen_) shares_[node] += amount;
    }
  }
  std::vector<double> sums(members_.size());
  for (size_t node = 0; node < ids_.size(); ++node) sums[datacenter_[node]] += shares_[node];
  double squares = 0;
  for (size_t node = 0; node < ids_.size(); ++node) {
    const double mean = sums[datacenter_[node]] / static_cast<double>(members_[datacenter_[node]]);
    shares_[node] = mean > 0 ? shares_[node] / mean : 1;
    squares += (shares_[node] - 1) * (shares_[node] - 1);
  }
  return squares;
}

bool Model::move(int64_t from, int64_t to) {
  if (to == std::numeric_limits<int64_t>::min() || std::ranges::binary_search(tokens_, to, {}, &Token::at))
    return false;
  const auto old = std::ranges::lower_bound(tokens_, from, {}, &Token::at);
  const Token moved{to, old->node};
  tokens_.erase(old);
  tokens_.insert(std::ranges::upper_bound(tokens_, to, {}, &Token::at), moved);
  return true;
}

std::vector<int64_t> Model::tokens_of(size_t node) const {
  std::vector<int64_t> own;
  for (const Token& token : tokens_)
    if (token.node == node) own.push_back(token.at);
  return own;
}

/// Where a token may go: along the ranges on both of its sides, or into the middle of a large range.
std::vector<int64_t> places_for(const Model& model, size_t token) {
  std::vector<int64_t> places;
  const int64_t at = model.tokens()[token].at;
  const auto along = [&](int64_t after, int64_t to) {
    const uint64_t part = (static_cast<uint64_t>(to) - static_cast<uint64_t>(after)) / parts_tried;
    for (int i = 1; i < parts_tried && part > 0; ++i)
      places.push_back(static_cast<int64_t>(static_cast<uint64_t>(after) + part * static_cast<uint64_t>(i)));
  };
  along(model.before(token), at);
  along(at, model.behind(token));
  return places;
}

std::vector<int64_t> middles(const Model& model) {
  std::vector<std::pair<uint64_t, int64_t>> ranges;
  for (size_t i = 0; i < model.tokens().size(); ++i) {
    const auto after = static_cast<uint64_t>(model.before(i));
    ranges.emplace_back(static_cast<uint64_t>(model.tokens()[i].at) - after, model.before(i));
  }
  std::ranges::sort(ranges, std::greater<>());
  if (ranges.size() > ranges_tried) ranges.resize(ranges_tried);
  std::vector<int64_t> places;
  for (const auto& [width, after] : ranges)
    places.push_back(static_cast<int64_t>(static_cast<uint64_t>(after) + width / 2));
  return places;
}

/// Moves up to tokens_per_step tokens of a node, each to where it helps most. Returns the sum of squares that is left.
double improve(Model& model, size_t node, double cost) {
  for (size_t moved = 0; moved < tokens_per_step; ++moved) {
    double least = cost * worth_a_token;
    std::pair<int64_t, int64_t> best{0, 0};
    const std::vector<int64_t> anywhere = middles(model);
    for (int64_t token : model.tokens_of(node)) {
      const auto index = static_cast<size_t>(std::ranges::lower_bound(model.tokens(), token, {}, &Model::Token::at) -
                                             model.tokens().begin());
      std::vector<int64_t> places = places_for(model, index);
      places.insert(places.end(), anywhere.begin(), anywhere.end());
      for (int64_t place : places) {
        if (!model.move(token, place)) continue;
        if (const double now = model.judge(); now < least) {
          least = now;
          best = {token, place};
        }
        model.move(place, token);
      }
    }
    if (best.first == best.second) break;
    model.move(best.first, best.second);
    cost = least;
  }
  return cost;
}

double farthest(const std::vector<double>& shares) {
  double most = 0;
  for (double share : shares) most = std::max(most, std::abs(share - 1));
  return most;
}

/// The best of what each of these nodes can do.
std::optional<BalanceStep> best_step(const Model& model, double cost, const std::vector<size_t>& nodes) {
  std::optional<BalanceStep> best;
  double least = cost * worth_a_step;
  for (size_t node : nodes) {
    Model changed = model;
    const double left = improve(changed, node, cost);
    if (left >= least) continue;
    least = left;
    best = BalanceStep{model.id(node), changed.tokens_of(node)};
  }
  return best;
}

}  // namespace

std::vector<NodeId> PlacementRule::place(int64_t token, const Ring& ring) const {
  return simple ? ring.place_simple(token, *simple) : ring.place_by_rack(token, by_datacenter);
}

Shares stored_shares(const Ring& ring, const std::vector<BalanceScope>& scopes) {
  Model model(ring, scopes);
  model.judge();
  Shares shares;
  for (size_t node = 0; node < model.nodes(); ++node) shares[model.id(node)] = model.shares()[node];
  return shares;
}

double unevenness(const Shares& shares) {
  double most = 0;
  for (const auto& [node, share] : shares) most = std::max(most, std::abs(share - 1));
  return most;
}

std::optional<BalanceStep> next_balance_step(const Ring& ring, const std::vector<BalanceScope>& scopes) {
  Model model(ring, scopes);
  const double cost = model.judge();
  if (farthest(model.shares()) <= even_below) return std::nullopt;
  std::vector<size_t> order(model.nodes());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](size_t node) { return std::pair(-model.shares()[node], node); });
  std::vector<size_t> first, others;
  for (size_t i = 0; i < order.size(); ++i)
    (i < nodes_tried || i + nodes_tried >= order.size() ? first : others).push_back(order[i]);
  if (auto step = best_step(model, cost, first)) return step;
  if (others.size() > nodes_tried_then) others.resize(nodes_tried_then);
  return best_step(model, cost, others);
}

BalanceOutlook look_ahead(Ring ring, const std::vector<BalanceScope>& scopes, size_t most_steps) {
  BalanceOutlook outlook;
  outlook.before = stored_shares(ring, scopes);
  while (outlook.steps.size() < most_steps) {
    auto step = next_balance_step(ring, scopes);
    if (!step) break;
    const NodePlace place = ring.places().at(step->node);
    ring.remove(step->node);
    ring.add(step->node, place, step->tokens);
    outlook.steps.push_back(std::move(*step));
  }
  outlook.after = stored_shares(ring, scopes);
  return outlook;
}

}  // namespace asterism
