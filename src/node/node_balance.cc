// How the nodes are kept even: what they store and do is measured, and one of them gets other tokens.
#include "node/node_parts.h"

namespace asterism {

constexpr Duration measure_limit = 10s;
constexpr Duration begin_limit = 10s;
constexpr Duration load_every = 10s;
constexpr Duration quick = 100ms;
constexpr int rests_for = 200;                       // times as long as measuring took
constexpr Duration respect = std::chrono::hours(1);  // for who cancelled a step

Task<BalanceOutlook> Node::Parts::look_at_balance(size_t most_steps, Instant deadline) {
  const auto scopes = co_await shard_sizes->measure(deadline);
  Ring ring = cluster.ring();
  BalanceOutlook outlook = look_ahead(ring, scopes, 0);
  while (outlook.steps.size() < most_steps) {
    BalanceOutlook next = look_ahead(ring, scopes, 1);
    if (next.steps.empty()) break;
    const BalanceStep step = std::move(next.steps.front());
    const NodePlace place = ring.places().at(step.node);
    ring.remove(step.node);
    ring.add(step.node, place, step.tokens);
    outlook.steps.push_back(step);
    outlook.after = std::move(next.after);
    outlook.load_after = std::move(next.load_after);
    co_await yield_now();
  }
  co_return outlook;
}

Task<Status> Node::Parts::move_tokens(NodeId node, std::vector<int64_t> tokens, Instant deadline) {
  CO_TRY_STATUS(co_await wait_for_level(balance_feature_level));
  const auto known = cluster.nodes().find(node);
  if (known == cluster.nodes().end()) co_return fail(ErrorCode::not_found, "node {} is not a member", node);
  Bytes command = ClusterState::move_tokens_command(node, known->second.tokens, tokens);
  CO_TRY_STATUS(co_await metadata->propose(ClusterState::section_name, std::move(command), deadline));
  co_return Status{};
}

/// Only the leader of the metadata log begins a step by itself, and only where nothing else is the matter.
bool Node::Parts::may_balance() const {
  return host->is_leader(metadata_shard) && cluster.settings().balancer && !cluster.change() &&
         cluster.level() >= balance_feature_level &&
         std::ranges::all_of(cluster.nodes(), [&](const auto& entry) { return liveness->up(entry.first); });
}

namespace {

/// Since when something has been so, at every look.
class Lasting {
 public:
  bool for_at_least(Duration time, bool is_so, Instant now) {
    if (!is_so) since_.reset();
    if (is_so && !since_) since_ = now;
    return is_so && now - *since_ >= time;
  }
  void begin_anew() { since_.reset(); }

 private:
  std::optional<Instant> since_;
};

/// When the balancer acts, and for what.
class BalanceWatch {
 public:
  explicit BalanceWatch(const NodeTuning& tuning) : tuning_(tuning) {}

  void begin_anew() {
    uneven_.begin_anew();
    busy_.begin_anew();
  }
  /// Where no step helps, it is tried again as seldom as a step is made.
  std::optional<BalanceStep> look(const Ring& ring, const std::vector<BalanceScope>& scopes, Instant now) {
    off_ = unevenness(stored_shares(ring, scopes));
    const LoadShares load = load_shares(ring, scopes);
    excess_ = load.excess();
    const bool uneven = uneven_.for_at_least(tuning_.balance_after, off_ > uneven_above, now);
    const bool busy = busy_.for_at_least(tuning_.balance_load_after, load.matters() && excess_ > busy_above, now) &&
                      now >= rests_until_;
    for_load_ = false;
    if (uneven) {
      uneven_.begin_anew();
      if (auto step = next_balance_step(ring, scopes, BalanceAim::bytes)) return step;
    }
    if (!busy) return std::nullopt;
    busy_.begin_anew();
    for_load_ = true;
    auto step = next_balance_step(ring, scopes, BalanceAim::load);
    if (step) rests_until_ = now + tuning_.balance_load_rest;
    return step;
  }
  /// Of the latest look.
  std::string reason() const {
    return for_load_ ? fmt::format("a node does {:.0f} % more than the mean", excess_ * 100)
                     : fmt::format("a node stores {:.0f} % more or less than the mean", off_ * 100);
  }

 private:
  const NodeTuning& tuning_;
  Lasting uneven_, busy_;
  Instant rests_until_;
  double off_ = 0, excess_ = 0;
  bool for_load_ = false;
};

}  // namespace

Task<void> Node::Parts::tend_load() {
  while (true) {
    service->load().advance(ports.executor.now());
    co_await sleep_for(load_every);
  }
}

Task<void> Node::Parts::tend_balance() {
  BalanceWatch watch(tuning);
  Instant not_before;
  Duration rest = tuning.balance_every;
  while (true) {
    co_await sleep_for(rest);
    if (std::exchange(balance_cancelled, false)) not_before = ports.executor.now() + respect;
    if (!may_balance() || ports.executor.now() < not_before) {
      watch.begin_anew();
      continue;
    }
    const Instant begun_at = ports.executor.now();
    const auto scopes = co_await shard_sizes->measure(begun_at + measure_limit);
    // With very many tables or shards it is done more seldom.
    const Duration took = ports.executor.now() - begun_at;
    rest = took > quick ? std::max(tuning.balance_every, took * rests_for) : tuning.balance_every;
    if (!may_balance()) continue;
    const auto step = watch.look(cluster.ring(), scopes, ports.executor.now());
    if (!step) continue;
    log.info("{}: node {} gets other tokens", watch.reason(), step->node);
    if (Status begun = co_await move_tokens(step->node, step->tokens, ports.executor.now() + begin_limit); !begun)
      log.info("balancing waits: {}", begun.error().to_string());
  }
}

Task<BalanceOutlook> Node::balance(Instant deadline) {
  co_return co_await parts_->look_at_balance(BalanceOutlook::most_steps, deadline);
}

Task<Status> Node::rebalance(Instant deadline) {
  const BalanceOutlook outlook = co_await parts_->look_at_balance(1, deadline);
  if (outlook.steps.empty())
    co_return fail(
        ErrorCode::not_found,
        "the nodes are {:.1f} % off the mean at most, the busiest does {:.0f} % more, and no step would help "
        "enough",
        unevenness(outlook.before) * 100, outlook.load_before.excess() * 100);
  co_return co_await parts_->move_tokens(outlook.steps.front().node, outlook.steps.front().tokens, deadline);
}

Task<Status> Node::move_tokens(NodeId node, std::vector<int64_t> tokens, Instant deadline) {
  co_return co_await parts_->move_tokens(node, std::move(tokens), deadline);
}

}  // namespace asterism
