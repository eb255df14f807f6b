#include "node/simulation/registers.h"

#include "node/simulation/node_call.h"

namespace asterism::simulation {

// A register is used for so many requests, which keeps the search for an order of them short.
constexpr uint64_t requests_per_register = 60;
constexpr uint64_t registers_at_once = 2;
constexpr Duration read_limit = 60s;

RegisterPlan RegisterPlan::from(Random& random) {
  RegisterPlan plan;
  plan.groups = static_cast<uint32_t>(random.between(1, 3));
  plan.workers = static_cast<uint32_t>(random.between(2, 4));
  plan.think_most = sim::random_between(random, 20ms, 160ms);
  plan.patience = sim::random_between(random, 300ms, 2s);
  return plan;
}

std::string RegisterPlan::describe() const {
  return fmt::format("{} groups of registers, {} workers, think {} ms at most, patience {} ms", groups, workers,
                     think_most.count() / 1'000'000, patience.count() / 1'000'000);
}

RegisterLoad::RegisterLoad(SimulatedCluster& cluster, Verdict& verdict, RegisterPlan plan)
    : cluster_(cluster), verdict_(verdict), plan_(plan), random_(cluster.simulation().stream(79)) {}

void RegisterLoad::start() {
  for (uint32_t i = 0; i < plan_.workers; ++i) {
    ++working_;
    cluster_.client_machine(i % cluster_.clients()).spawn(work(sim::SeededRandom(random_.next())));
  }
}

Task<void> RegisterLoad::work(sim::SeededRandom random) {
  while (!stopping_ && !verdict_.failed()) {
    co_await one(choose(random));
    co_await sleep_for(sim::random_between(random, 0ns, plan_.think_most));
  }
  --working_;
}

static std::string register_name(ShardId group, uint64_t number) { return fmt::format("{}/r{}", group, number); }

RegisterLoad::Request RegisterLoad::choose(sim::SeededRandom& random) {
  Request request;
  request.group = ShardId{first_register_group + random.below(plan_.groups)};
  const uint64_t round = requests_[request.group]++ / (requests_per_register * registers_at_once);
  sim::RegisterOperation& operation = request.operation;
  operation.key = register_name(request.group, round * registers_at_once + random.below(registers_at_once));
  const double luck = random.unit();
  if (luck >= 0.5) {
    operation.write = true;
    operation.value = fmt::format("v{}", next_value_++);
    if (luck >= 0.75) operation.expected = known_[operation.key];
  }
  // Everybody answers reads; only the leader takes the rest, and a random node says who that is.
  request.node = random.below(cluster_.nodes());
  if (operation.write || random.chance(0.5)) {
    if (Node* node = cluster_.serving(request.node))
      if (const NodeId leader = node->raft_host().leader(request.group)) request.node = leader.value - 1;
  }
  return request;
}

/// What the register held: before, where the request changes it.
Task<Result<Bytes>> RegisterLoad::ask(const Request& request, Duration limit) {
  auto work = [group = request.group, operation = request.operation](Node& node, NodeProcess& process,
                                                                     Instant) -> Task<Result<Bytes>> {
    if (!operation.write) {
      CO_TRY_STATUS(co_await node.raft_host().read_barrier(group));
      co_return process.registers(group).get(operation.key);
    }
    CO_TRY(auto committed, co_await node.raft_host().propose(
                               group, RegisterMachine::encode(operation.key, operation.value, operation.expected)));
    co_return std::move(committed.outcome);
  };
  co_return co_await call_node<Bytes>(cluster_, request.node, limit, std::move(work));
}

Task<void> RegisterLoad::one(Request request) {
  sim::RegisterOperation operation = request.operation;
  operation.start = cluster_.simulation().now();
  auto held = co_await ask(request, plan_.patience);
  if (held) {
    operation.end = cluster_.simulation().now();
    if (operation.write && operation.expected.value_or(*held) != *held) {
      // Nothing was changed: it told what the register holds.
      operation.write = false;
      operation.expected.reset();
    }
    if (!operation.write) operation.value = *held;
    known_[operation.key] = operation.value;
  } else {
    const ErrorCode code = held.error().code;
    const bool nothing_done =
        code == ErrorCode::not_leader || code == ErrorCode::unavailable || code == ErrorCode::overloaded;
    if (!operation.write || nothing_done) co_return;
  }
  history_.push_back(std::move(operation));
}

Task<bool> RegisterLoad::read_surely(ShardId group, size_t node, const std::string& key) {
  const Instant until = cluster_.simulation().now() + read_limit;
  Request request{group, node, {}};
  request.operation.key = key;
  request.operation.start = cluster_.simulation().now();
  std::string why;
  while (cluster_.simulation().now() < until) {
    auto held = co_await ask(request, 2s);
    if (held) {
      request.operation.value = *held;
      request.operation.end = cluster_.simulation().now();
      history_.push_back(request.operation);
      co_return true;
    }
    why = held.error().to_string();
    co_await sleep_for(100ms);
  }
  verdict_.fail(fmt::format("after everything healed, n{} cannot read register {}: {}", node + 1, key, why));
  co_return false;
}

Task<bool> RegisterLoad::compare_nodes(ShardId group) {
  const uint64_t registers = (requests_[group] / (requests_per_register * registers_at_once) + 1) * registers_at_once;
  for (size_t node = 0; node < cluster_.nodes(); ++node)
    for (uint64_t i = 0; i < registers; ++i)
      if (!co_await read_surely(group, node, register_name(group, i))) co_return false;
  for (size_t node = 1; node < cluster_.nodes(); ++node)
    if (cluster_.process(node)->registers(group).snapshot() != cluster_.process(0)->registers(group).snapshot()) {
      verdict_.fail(fmt::format("nodes 1 and {} hold different registers in group {}", node + 1, group));
      co_return false;
    }
  co_return true;
}

Task<void> RegisterLoad::final_check() {
  for (uint32_t i = 0; i < plan_.groups; ++i)
    if (!co_await compare_nodes(ShardId{first_register_group + i})) co_return;
  if (auto violation = sim::find_violation(history_)) verdict_.fail("registers are not linearizable: " + *violation);
}

}  // namespace asterism::simulation
