// How the nodes are kept even: what they store and do is measured, and one of them gets other tokens.
#include "node/balance_watch.h"
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

Task<void> Node::Parts::tend_load() {
  while (true) {
    service->load().advance(ports.executor.now());
    co_await sleep_for(load_every);
  }
}

Task<void> Node::Parts::tend_balance() {
  BalanceWatch watch({tuning.balance_after, tuning.balance_load_after, tuning.balance_load_rest});
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
