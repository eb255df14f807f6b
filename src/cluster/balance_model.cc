#include "cluster/balance_model.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace asterism::balance {

static double offset_of(int64_t token, int64_t origin) {
  return static_cast<double>(static_cast<uint64_t>(token) - static_cast<uint64_t>(origin));
}

// Amounts.

Amounts::Amounts(const Parts& parts) : empty_(parts.empty()) {
  origin_ = parts.empty() ? 0 : parts.back().first;
  ends_ = {0};
  sums_ = {0};
  for (const auto& [to, amount] : parts) {
    ends_.push_back(to == origin_ ? whole : offset_of(to, origin_));
    sums_.push_back(sums_.back() + std::max(amount, 0.0));
    tokens_.push_back(to);
  }
  if (parts.empty()) {
    ends_.push_back(whole);
    sums_.push_back(0);
  }
}

double Amounts::sum_at(int64_t token) const {
  const double offset = offset_of(token, origin_);
  const size_t next =
      std::min<size_t>(static_cast<size_t>(std::ranges::upper_bound(ends_, offset) - ends_.begin()), ends_.size() - 1);
  const double from = ends_[next - 1], to = ends_[next];
  const double share = to > from ? (offset - from) / (to - from) : 0;
  return sums_[next - 1] + share * (sums_[next] - sums_[next - 1]);
}

int64_t Amounts::end_of_part(int64_t token) const {
  if (empty_) return token;
  const auto next = std::ranges::lower_bound(tokens_, token);
  return next == tokens_.end() ? tokens_.front() : *next;
}

int64_t Amounts::middle(int64_t after, int64_t to) const {
  double before = sum_at(after) + in(after, to) / 2;
  if (before > sums_.back()) before -= sums_.back();
  const auto next = std::ranges::lower_bound(sums_.begin() + 1, sums_.end(), before);
  return empty_ ? to : tokens_[std::min<size_t>(static_cast<size_t>(next - sums_.begin()), tokens_.size()) - 1];
}

// Model.

template <class Key>
static size_t number_of(std::map<Key, size_t>& numbers, const Key& key) {
  return numbers.try_emplace(key, numbers.size()).first->second;
}

/// The sum of several amounts.
static Parts together(std::vector<const Parts*> all) {
  std::erase_if(all, [](const Parts* parts) { return parts->empty(); });
  if (all.empty()) return {};
  if (all.size() == 1) return *all.front();
  std::map<int64_t, double> sums;
  for (const Parts* parts : all)
    for (const auto& [to, amount] : *parts) sums[to] = 0;
  for (const Parts* parts : all) {
    const Amounts amounts(*parts);
    int64_t after = sums.rbegin()->first;
    for (auto& [to, sum] : sums) sum += amounts.in(std::exchange(after, to), to);
  }
  return {sums.begin(), sums.end()};
}

Model::Model(const Ring& ring, const std::vector<BalanceScope>& scopes) : load_in_all_(Parts()) {
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
  std::map<PlacementRule, std::pair<std::vector<const Parts*>, std::vector<const Parts*>>> by_rule;
  std::vector<const Parts*> loads;
  for (const BalanceScope& scope : scopes) {
    by_rule[scope.rule].first.push_back(&scope.parts);
    by_rule[scope.rule].second.push_back(&scope.load);
    loads.push_back(&scope.load);
  }
  load_in_all_ = Amounts(together(loads));
  for (const auto& [rule, parts] : by_rule) {
    Group& group = groups_.emplace_back(rule, std::vector<size_t>(members_.size()), Amounts(together(parts.first)),
                                        Amounts(together(parts.second)), std::vector<double>(), std::vector<double>());
    for (const auto& [name, count] : rule.by_datacenter)
      if (auto known = datacenters.find(name); known != datacenters.end()) group.wanted[known->second] = count;
    for (const Token& token : tokens_) {
      group.bytes_at.push_back(group.bytes.sum_at(token.at));
      group.load_at.push_back(group.load.sum_at(token.at));
    }
  }
  seen_.resize(ids_.size());
  rack_used_.resize(rack_count_);
  found_.resize(members_.size());
  used_.resize(members_.size());
  skipped_.resize(members_.size());
}

double Model::mean_load() const {
  double sum = 0;
  for (const Group& group : groups_) {
    size_t replicas = group.rule.simple ? std::min(*group.rule.simple, ids_.size()) : 0;
    if (!group.rule.simple)
      for (size_t d = 0; d < members_.size(); ++d) replicas += std::min(group.wanted[d], members_[d]);
    sum += group.load.all() * static_cast<double>(replicas);
  }
  return ids_.empty() ? 0 : sum / static_cast<double>(ids_.size());
}

void Model::place(const Group& group, size_t from) {
  if (group.rule.simple)
    place_simple(from, *group.rule.simple);
  else
    place_by_rack(from, group.wanted);
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

/// Makes shares of amounts. Returns the sum of the squares of what they are off the mean of their datacenter.
double Model::squares(std::vector<double>& amounts) const {
  std::vector<double> sums(members_.size());
  for (size_t node = 0; node < ids_.size(); ++node) sums[datacenter_[node]] += amounts[node];
  double squares = 0;
  for (size_t node = 0; node < ids_.size(); ++node) {
    const double mean = sums[datacenter_[node]] / static_cast<double>(members_[datacenter_[node]]);
    amounts[node] = mean > 0 ? amounts[node] / mean : 1;
    squares += (amounts[node] - 1) * (amounts[node] - 1);
  }
  return squares;
}

Evenness Model::judge(bool with_load) {
  bytes_.assign(ids_.size(), 0);
  load_.assign(with_load ? ids_.size() : 0, 0);
  for (const Group& group : groups_) {
    size_t last = tokens_.size() - 1;
    for (size_t i = 0; i < tokens_.size(); last = i++) {
      const int64_t after = tokens_[last].at, to = tokens_[i].at;
      const double bytes = group.bytes.between(after, group.bytes_at[last], to, group.bytes_at[i]);
      place(group, i);
      for (size_t node : chosen_) bytes_[node] += bytes;
      if (!with_load) continue;
      const double load = group.load.between(after, group.load_at[last], to, group.load_at[i]);
      for (size_t node : chosen_) load_[node] += load;
    }
  }
  Evenness found;
  found.bytes = squares(bytes_);
  for (const double share : bytes_) found.bytes_off = std::max(found.bytes_off, std::abs(share - 1));
  if (!with_load) return found;
  found.load = squares(load_);
  for (const double share : load_) found.load_above = std::max(found.load_above, share - 1);
  return found;
}

bool Model::move(int64_t from, int64_t to) {
  if (to == std::numeric_limits<int64_t>::min() || std::ranges::binary_search(tokens_, to, {}, &Token::at))
    return false;
  const auto old = std::ranges::lower_bound(tokens_, from, {}, &Token::at);
  const Token moved{to, old->node};
  const auto out = old - tokens_.begin();
  tokens_.erase(old);
  const auto in = std::ranges::upper_bound(tokens_, to, {}, &Token::at) - tokens_.begin();
  tokens_.insert(tokens_.begin() + in, moved);
  for (Group& group : groups_) {
    group.bytes_at.erase(group.bytes_at.begin() + out);
    group.bytes_at.insert(group.bytes_at.begin() + in, group.bytes.sum_at(to));
    group.load_at.erase(group.load_at.begin() + out);
    group.load_at.insert(group.load_at.begin() + in, group.load.sum_at(to));
  }
  return true;
}

std::vector<int64_t> Model::tokens_of(size_t node) const {
  std::vector<int64_t> own;
  for (const Token& token : tokens_)
    if (token.node == node) own.push_back(token.at);
  return own;
}

}  // namespace asterism::balance
