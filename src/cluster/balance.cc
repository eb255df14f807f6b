#include "cluster/balance.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cluster/balance_model.h"

namespace asterism {

using balance::Evenness;
using balance::Model;

namespace {

constexpr double worth_a_step = 0.05;   // of the sum of squares, at least, must go
constexpr double worth_a_token = 0.01;  // likewise
constexpr double worth_for_load = 0.2;  // of the sum for load, where a step is for that
constexpr double beside_bytes = 0.01;   // what load counts for where a step is for bytes
constexpr double worth_nothing = 20;    // for each time that bytes are off more than they may be
constexpr int parts_tried = 8;          // a token moves by an eighth, two eighths … of the range on either side
constexpr size_t ranges_tried = 16;     // or into one of the largest ranges
constexpr size_t nodes_tried = 2;       // of those that have most, and of those that have least
constexpr size_t nodes_tried_then = 12;
constexpr double anything = std::numeric_limits<double>::infinity();

/// What a step has to reach, and what it must keep.
struct Goal {
  double of_bytes = 1, of_load = 0;  // what is lessened: so much of each sum of squares
  double least = anything;           // it must become less than that
  double bytes_least = anything;     // so must the sum for bytes
  bool for_load = false;             // otherwise load counts only between what is as good for bytes
  double load_most = anything, bytes_most = anything, off_most = anything;

  bool with_load() const { return of_load > 0; }
  double cost(const Evenness& found) const {
    return of_bytes * found.bytes + of_load * found.load +
           worth_nothing * (std::max(found.bytes_off - off_most, 0.0) + std::max(found.bytes - bytes_most, 0.0));
  }
  bool reached(const Evenness& found) const {
    return cost(found) < least && found.bytes < bytes_least && found.load <= load_most && found.bytes <= bytes_most &&
           found.bytes_off <= off_most;
  }
};

Goal even_bytes(const Evenness& now, bool with_load) {
  return {.of_load = with_load ? beside_bytes : 0, .bytes_least = now.bytes * (1 - worth_a_step)};
}

/// With no harm to bytes.
Goal even_load_alone(const Evenness& now) {
  return {.of_bytes = 0,
          .of_load = 1,
          .for_load = true,
          .load_most = now.load * (1 - worth_for_load),
          .bytes_most = now.bytes,
          .off_most = now.bytes_off};
}

/// Together with bytes, which stay even.
Goal even_load(const Evenness& now) {
  return {.of_load = 1,
          .least = (now.bytes + now.load) * (1 - worth_a_step),
          .for_load = true,
          .load_most = now.load * (1 - worth_for_load),
          .off_most = std::max(kept_even, now.bytes_off)};
}

/// As even_bytes, and load gets no worse than bytes get better.
Goal even_both(const Evenness& now) {
  return {
      .of_load = 1, .least = now.bytes * (1 - worth_a_step) + now.load, .off_most = std::max(kept_even, now.bytes_off)};
}

/// Where a token may go: along the ranges on both of its sides.
void add_places_beside(const Model& model, size_t token, std::vector<int64_t>& places) {
  const int64_t at = model.tokens()[token].at;
  const auto along = [&](int64_t after, int64_t to) {
    const uint64_t part = (static_cast<uint64_t>(to) - static_cast<uint64_t>(after)) / parts_tried;
    for (int i = 1; i < parts_tried && part > 0; ++i)
      places.push_back(static_cast<int64_t>(static_cast<uint64_t>(after) + part * static_cast<uint64_t>(i)));
  };
  along(model.before(token), at);
  along(at, model.behind(token));
}

/// Or into the middle of a large range, or of one with much load.
std::vector<int64_t> middles(const Model& model, bool of_load) {
  std::vector<std::pair<double, size_t>> ranges;
  for (size_t i = 0; i < model.tokens().size(); ++i) {
    const int64_t after = model.before(i), to = model.tokens()[i].at;
    const auto width = static_cast<double>(static_cast<uint64_t>(to) - static_cast<uint64_t>(after));
    ranges.emplace_back(of_load ? model.load_in(after, to) : width, i);
  }
  const size_t tried = std::min(ranges.size(), ranges_tried);
  std::ranges::partial_sort(ranges, ranges.begin() + static_cast<ptrdiff_t>(tried), std::greater<>());
  std::vector<int64_t> places;
  for (size_t n = 0; n < tried; ++n) {
    const int64_t after = model.before(ranges[n].second), to = model.tokens()[ranges[n].second].at;
    const uint64_t half = (static_cast<uint64_t>(to) - static_cast<uint64_t>(after)) / 2;
    places.push_back(of_load ? model.middle_of_load(after, to)
                             : static_cast<int64_t>(static_cast<uint64_t>(after) + half));
  }
  return places;
}

struct Improved {
  double cost = anything;
  std::vector<int64_t> tokens;
};

/// The move of one token of a node that helps most; nothing moves where none helps enough.
bool move_best(Model& model, size_t node, const Goal& goal, Evenness& found) {
  // Of what is to be lessened, and not of what cannot be.
  const double worth = goal.for_load ? goal.cost(found) : found.bytes;
  double least = goal.cost(found) - worth * worth_a_token;
  std::pair<int64_t, int64_t> best{0, 0};
  const std::vector<int64_t> anywhere = middles(model, goal.for_load);
  std::vector<int64_t> places;
  for (int64_t token : model.tokens_of(node)) {
    const auto index = static_cast<size_t>(std::ranges::lower_bound(model.tokens(), token, {}, &Model::Token::at) -
                                           model.tokens().begin());
    places.clear();
    add_places_beside(model, index, places);
    places.insert(places.end(), anywhere.begin(), anywhere.end());
    for (int64_t place : places) {
      if (goal.for_load) place = model.end_of_part(place);
      if (!model.move(token, place)) continue;
      if (const Evenness now = model.judge(goal.with_load()); goal.cost(now) < least) {
        least = goal.cost(now);
        found = now;
        best = {token, place};
      }
      model.move(place, token);
    }
  }
  return best.first != best.second && model.move(best.first, best.second);
}

/// Moves up to tokens_per_step tokens of a node, each to where it helps most. Returns the best that it passed of what
/// reaches the goal.
Improved improve(Model& model, size_t node, const Goal& goal, Evenness found) {
  Improved best;
  for (size_t moved = 0; moved < tokens_per_step; ++moved) {
    if (!move_best(model, node, goal, found)) break;
    if (goal.reached(found) && goal.cost(found) < best.cost) best = {goal.cost(found), model.tokens_of(node)};
  }
  return best;
}

/// The best of what each of these nodes can do.
std::optional<BalanceStep> best_of(const Model& model, const Goal& goal, const Evenness& now,
                                   const std::vector<size_t>& nodes) {
  std::optional<BalanceStep> best;
  double least = anything;
  for (size_t node : nodes) {
    Model changed = model;
    Improved improved = improve(changed, node, goal, now);
    if (improved.cost >= least) continue;
    least = improved.cost;
    best = BalanceStep{model.id(node), std::move(improved.tokens)};
  }
  return best;
}

std::optional<BalanceStep> best_step(const Model& model, const Goal& goal, const Evenness& now) {
  const std::vector<double>& shares = goal.for_load ? model.load() : model.bytes();
  std::vector<size_t> order(model.nodes());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](size_t node) { return std::pair(-shares[node], node); });
  std::vector<size_t> first, others;
  for (size_t i = 0; i < order.size(); ++i)
    (i < nodes_tried || i + nodes_tried >= order.size() ? first : others).push_back(order[i]);
  if (auto step = best_of(model, goal, now, first)) return step;
  if (others.size() > nodes_tried_then) others.resize(nodes_tried_then);
  return best_of(model, goal, now, others);
}

Shares named(const Model& model, const std::vector<double>& shares) {
  Shares named;
  for (size_t node = 0; node < model.nodes(); ++node) named[model.id(node)] = shares[node];
  return named;
}

}  // namespace

std::vector<NodeId> PlacementRule::place(int64_t token, const Ring& ring) const {
  return simple ? ring.place_simple(token, *simple) : ring.place_by_rack(token, by_datacenter);
}

Shares stored_shares(const Ring& ring, const std::vector<BalanceScope>& scopes) {
  Model model(ring, scopes);
  model.judge(false);
  return named(model, model.bytes());
}

LoadShares load_shares(const Ring& ring, const std::vector<BalanceScope>& scopes) {
  Model model(ring, scopes);
  model.judge(true);
  return {named(model, model.load()), model.mean_load()};
}

double LoadShares::excess() const {
  double most = 0;
  for (const auto& [node, share] : shares) most = std::max(most, share - 1);
  return most;
}

double unevenness(const Shares& shares) {
  double most = 0;
  for (const auto& [node, share] : shares) most = std::max(most, std::abs(share - 1));
  return most;
}

std::optional<BalanceStep> next_balance_step(const Ring& ring, const std::vector<BalanceScope>& scopes,
                                             BalanceAim aim) {
  Model model(ring, scopes);
  const bool with_load = model.mean_load() >= LoadShares::least_mean;
  const Evenness now = model.judge(with_load);
  const bool bytes_first = now.bytes_off > uneven_above;
  const bool too_busy = with_load && aim != BalanceAim::bytes && now.load_above > busy_below;
  if (bytes_first || !with_load) {
    if (aim == BalanceAim::load && !bytes_first) return std::nullopt;
    std::optional<BalanceStep> step;
    if (now.bytes_off > even_below) step = best_step(model, even_bytes(now, with_load), now);
    if (step) return aim == BalanceAim::load ? std::nullopt : step;
    return too_busy ? best_step(model, even_load_alone(now), now) : std::nullopt;
  }
  if (too_busy)
    if (auto step = best_step(model, even_load(now), now)) return step;
  if (aim == BalanceAim::load || now.bytes_off <= even_below) return std::nullopt;
  return best_step(model, even_both(now), now);
}

BalanceOutlook look_ahead(Ring ring, const std::vector<BalanceScope>& scopes, size_t most_steps, BalanceAim aim) {
  BalanceOutlook outlook;
  outlook.before = stored_shares(ring, scopes);
  outlook.load_before = load_shares(ring, scopes);
  while (outlook.steps.size() < most_steps) {
    auto step = next_balance_step(ring, scopes, aim);
    if (!step) break;
    const NodePlace place = ring.places().at(step->node);
    ring.remove(step->node);
    ring.add(step->node, place, step->tokens);
    outlook.steps.push_back(std::move(*step));
  }
  outlook.after = stored_shares(ring, scopes);
  outlook.load_after = load_shares(ring, scopes);
  return outlook;
}

}  // namespace asterism
