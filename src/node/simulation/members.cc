#include "node/simulation/members.h"

#include <algorithm>

#include "node/simulation/node_call.h"
#include "runtime/sim/sim_network.h"

namespace asterism::simulation {

constexpr Duration ask_limit = 5s;
constexpr int tries_most = 20;
constexpr double moves_only_share = 0.4;

static bool comes(MemberStep what) { return what == MemberStep::add || what == MemberStep::replace; }

static const char* to_string(MemberStep what) {
  switch (what) {
    case MemberStep::add:
      return "add";
    case MemberStep::decommission:
      return "decommission";
    case MemberStep::replace:
      return "replace";
    case MemberStep::remove:
      return "remove";
    case MemberStep::rebalance:
      return "rebalance";
    case MemberStep::upgrade:
      return "upgrade";
  }
  return "unknown";
}

MemberPlan MemberPlan::from(Random& random) {
  MemberPlan plan;
  const auto maybe_cancelled = [&]() -> std::optional<Duration> {
    if (random.chance(0.65)) return std::nullopt;
    return sim::random_between(random, 1ms, 3s);
  };
  // Where no disk is lost, rows with one replica tell of every mistake of a move.
  if (random.chance(moves_only_share)) {
    for (uint64_t steps = 2 + random.below(4); steps > 0; --steps)
      plan.steps.push_back({MemberStep::rebalance, maybe_cancelled()});
    return plan;
  }
  plan.steps.push_back({random.chance(0.7) ? MemberStep::add : MemberStep::replace, maybe_cancelled()});
  for (uint64_t more = random.below(3); more > 0; --more) {
    const MemberStep what = random.chance(0.4)   ? MemberStep::decommission
                            : random.chance(0.4) ? MemberStep::remove
                            : random.chance(0.5) ? MemberStep::add
                                                 : MemberStep::replace;
    plan.steps.push_back({what, maybe_cancelled()});
  }
  // The range in front of a token that goes moves as a whole; those of a node that comes are new shards.
  for (uint64_t more = random.below(4); more > 0; --more) {
    const auto where = static_cast<ptrdiff_t>(random.below(plan.steps.size() + 1));
    plan.steps.insert(plan.steps.begin() + where, {MemberStep::rebalance, maybe_cancelled()});
  }
  if (random.chance(0.25)) {
    const auto where = static_cast<ptrdiff_t>(random.below(plan.steps.size() + 1));
    plan.steps.insert(plan.steps.begin() + where, {MemberStep::upgrade, std::nullopt});
  }
  return plan;
}

size_t MemberPlan::spares() const {
  return static_cast<size_t>(std::ranges::count_if(steps, [](const Step& step) { return comes(step.what); }));
}

bool MemberPlan::loses_disks() const {
  return std::ranges::any_of(
      steps, [](const Step& step) { return step.what == MemberStep::replace || step.what == MemberStep::remove; });
}

bool MemberPlan::upgrades() const {
  return std::ranges::any_of(steps, [](const Step& step) { return step.what == MemberStep::upgrade; });
}

std::string MemberPlan::describe() const {
  std::string text;
  for (const Step& step : steps) {
    text += text.empty() ? "members: " : ", ";
    text += to_string(step.what);
    if (step.cancelled_after)
      text += fmt::format(" (cancelled after {} ms)", step.cancelled_after->count() / 1'000'000);
  }
  return text;
}

MemberLoad::MemberLoad(SimulatedCluster& cluster, Verdict& verdict, MemberPlan plan)
    : cluster_(cluster), verdict_(verdict), plan_(std::move(plan)), random_(cluster.simulation().stream(81)) {}

void MemberLoad::start() {
  if (plan_.steps.empty()) return;
  working_ = true;
  cluster_.client_machine(0).spawn(work());
}

Task<void> MemberLoad::work() {
  for (const MemberPlan::Step& step : plan_.steps) {
    co_await sleep_for(sim::random_between(random_, 100ms, 3s));
    if (stopping_ || verdict_.failed()) break;
    if (step.what == MemberStep::upgrade)
      co_await upgrade();
    else if (step.what == MemberStep::rebalance)
      co_await rebalance(step);
    else
      co_await carry_out(step);
  }
  working_ = false;
}

/// The metadata of the node that knows most of it; null where none serves.
const ClusterState* MemberLoad::freshest() {
  Node* best = nullptr;
  for (size_t i = 0; i < cluster_.nodes(); ++i) {
    Node* node = cluster_.present(i) ? cluster_.serving(i) : nullptr;
    if (node != nullptr && (best == nullptr || node->metadata().applied_index() > best->metadata().applied_index()))
      best = node;
  }
  return best != nullptr ? &best->cluster() : nullptr;
}

NodeConfig MemberLoad::joining_config(size_t machine) {
  NodeConfig config = cluster_.config(machine);
  const MemberConfig own = config.seeds.back();
  config.seeds.clear();
  for (const auto& [id, node] : freshest()->nodes())
    config.seeds.push_back({id, node.name, node.host, node.rpc_port, node.place});
  config.seeds.push_back(own);
  return config;
}

/// False: it was refused. What nobody answered is asked again. A frozen node may make the request long after its caller
/// has gone on, so it refers to nothing of the caller's.
Task<bool> MemberLoad::ask(std::function<Task<Status>(Node&, Instant)> request) {
  auto work = [request = std::move(request)](Node& node, NodeProcess&, Instant deadline) -> Task<Result<bool>> {
    CO_TRY_STATUS(co_await request(node, deadline));
    co_return true;
  };
  auto answer = co_await call_node<bool>(cluster_, cluster_.some_node(random_), ask_limit, work);
  refusal_ = answer ? "" : answer.error().message;
  if (answer) co_return true;
  const ErrorCode code = answer.error().code;
  if (code != ErrorCode::already_exists && code != ErrorCode::invalid_argument && code != ErrorCode::not_found &&
      code != ErrorCode::unsupported)
    refusal_.clear();
  co_return false;
}

Task<bool> MemberLoad::begin(MemberStep what, size_t subject, size_t replaced) {
  const NodeId id{static_cast<uint32_t>(subject + 1)};
  const NodeId dead = what == MemberStep::replace ? NodeId{static_cast<uint32_t>(replaced + 1)} : NodeId{};
  const NodeConfig& config = cluster_.config(subject);
  NodeInfo info;
  info.id = id;
  info.name = config.name;
  info.host = config.address;
  info.rpc_port = config.rpc_port;
  info.endpoints = {{"cql", config.cql_port}, {"http", config.http_port}};
  info.place = config.place;
  const std::function<Task<Status>(Node&, Instant)> request = [=](Node& node, Instant deadline) {
    if (what == MemberStep::decommission) return node.remove_member(id, deadline);
    if (what == MemberStep::remove) return node.remove_dead_member(id, deadline);
    return node.add_member(info, dead, deadline);
  };
  for (int tries = 0; !verdict_.failed();) {
    const bool taken = co_await ask(request);
    // An attempt that nobody answered may have been taken.
    const ClusterState* state = freshest();
    const bool begun = state != nullptr && ((state->change() && state->change()->subject() == id) ||
                                            (comes(what) && state->nodes().contains(id)) || state->removed(id));
    if (taken || begun) co_return true;
    // A node that was killed counts as up for a moment; or it was started again.
    const bool seems_up = refusal_.ends_with("decommission this one") && ++tries < tries_most;
    // The balancer's steps end by themselves.
    const bool balancing = refusal_.find("is being rebalanced") != std::string::npos;
    if (!refusal_.empty() && !seems_up && !balancing) {
      cluster_.simulation().tell(sim::Simulation::no_machine, "the change of members is refused: " + refusal_);
      co_return false;
    }
    co_await sleep_for(300ms);
  }
  co_return false;
}

Task<void> MemberLoad::finish(MemberPlan::Step step, size_t subject) {
  const NodeId id{static_cast<uint32_t>(subject + 1)};
  const Instant began = cluster_.simulation().now();
  bool cancelled = false;
  while (!verdict_.failed()) {
    const ClusterState* state = freshest();
    const bool over = state != nullptr && (!state->change() || state->change()->subject() != id);
    const bool known = state != nullptr && (state->nodes().contains(id) || state->removed(id));
    if (over && known) co_return;
    if (step.cancelled_after && !cancelled && cluster_.simulation().now() - began >= *step.cancelled_after)
      cancelled = co_await ask([id](Node& node, Instant deadline) { return node.cancel_change(id, deadline); });
    if (!stopping_ && random_.chance(0.1)) delay_news(subject);
    co_await sleep_for(50ms);
  }
}

/// A node hears late of what was decided, while it talks to everybody else. Whose shards move is told, or nothing
/// moves.
void MemberLoad::delay_news(size_t subject) {
  const size_t late = cluster_.some_node(random_);
  const Duration time = sim::random_between(random_, 200ms, 5s);
  Node* node = cluster_.serving(late);
  const NodeId leader = node != nullptr ? node->metadata().leader() : NodeId{};
  if (!leader || leader.value == late + 1 || (late == subject && random_.chance(0.8))) return;
  cluster_.simulation().network().clog(leader.value - 1, static_cast<uint32_t>(late), time);
}

/// A random part of them is replaced by others.
std::vector<int64_t> MemberLoad::other_tokens(const std::vector<int64_t>& tokens) {
  std::vector<int64_t> others = tokens;
  for (int64_t& token : others)
    if (random_.chance(0.6)) token = static_cast<int64_t>(random_.next() | 1);
  if (others == tokens) others.front() = static_cast<int64_t>(random_.next() | 1);
  return others;
}

Task<void> MemberLoad::rebalance(MemberPlan::Step step) {
  const size_t subject = cluster_.some_node(random_);
  const NodeId id{static_cast<uint32_t>(subject + 1)};
  while (!verdict_.failed() && !stopping_) {
    const ClusterState* state = freshest();
    if (state != nullptr && !state->nodes().contains(id)) co_return;
    if (state != nullptr) {
      const std::vector<int64_t> tokens = other_tokens(state->nodes().at(id).tokens);
      const FeatureLevel level = state->level();
      if (random_.chance(0.5)) delay_news(subject);
      const bool taken =
          co_await ask([id, tokens](Node& node, Instant deadline) { return node.move_tokens(id, tokens, deadline); });
      if (taken && level < balance_feature_level && freshest() != nullptr &&
          freshest()->level() < balance_feature_level)
        co_return verdict_.fail("tokens moved at a feature level that does not know of it");
      state = freshest();
      const bool begun = state != nullptr && state->change() && state->change()->moves == id;
      if (taken || begun) break;
      if (!refusal_.empty()) {
        cluster_.simulation().tell(sim::Simulation::no_machine, "other tokens are refused: " + refusal_);
        co_return;
      }
    }
    co_await sleep_for(300ms);
  }
  cluster_.simulation().tell(sim::Simulation::no_machine, fmt::format("n{} gets other tokens", subject + 1));
  co_await finish(step, subject);
}

/// Whether all nodes that take part get there within a while, as far as faults let them.
Task<bool> MemberLoad::reaches_level(FeatureLevel level) {
  for (int tries = 0; tries < tries_most; ++tries) {
    const ClusterState* state = freshest();
    if (state != nullptr && state->level() >= level) co_return true;
    co_await sleep_for(100ms);
  }
  co_return false;
}

/// One node after the other is ended and started with the newer version. Before the last one the level must not rise.
Task<void> MemberLoad::upgrade() {
  std::vector<size_t> left;
  for (size_t i = 0; i < cluster_.founders(); ++i)
    if (cluster_.present(i)) left.push_back(i);
  while (!left.empty() && !verdict_.failed()) {
    const ClusterState* state = freshest();
    if (state != nullptr && state->level() > first_feature_level)
      co_return verdict_.fail("the feature level rose before every node supported it");
    const size_t chosen = random_.below(left.size());
    const size_t node = left[chosen];
    left.erase(left.begin() + static_cast<ptrdiff_t>(chosen));
    cluster_.set_level(node, newest_feature_level);
    sim::Machine& machine = cluster_.node_machine(node);
    if (machine.running()) machine.crash(random_.chance(0.7) ? sim::Crash::kill : sim::Crash::power);
    co_await sleep_for(sim::random_between(random_, 10ms, 500ms));
    if (!machine.running()) machine.start();
    co_await sleep_for(sim::random_between(random_, 10ms, 800ms));
  }
  cluster_.simulation().tell(sim::Simulation::no_machine, "every node has the newer version");
  (void)co_await reaches_level(newest_feature_level);
}

Task<void> MemberLoad::carry_out(MemberPlan::Step step) {
  size_t subject = cluster_.some_node(random_), replaced = 0;
  while (freshest() == nullptr) co_await sleep_for(100ms);
  if (comes(step.what)) {
    replaced = subject;
    subject = cluster_.founders() + used_++;
    cluster_.set_config(subject, joining_config(subject));
    cluster_.node_machine(subject).start();
  }
  const bool kills = step.what == MemberStep::replace || step.what == MemberStep::remove;
  const size_t dead = step.what == MemberStep::replace ? replaced : subject;
  if (kills) {
    cluster_.set_present(dead, false);
    sim::Machine& machine = cluster_.node_machine(dead);
    if (machine.running()) machine.crash(random_.chance(0.5) ? sim::Crash::kill : sim::Crash::power);
  }
  const bool begun = co_await begin(step.what, subject, replaced);
  if (begun) {
    cluster_.set_present(subject, step.what != MemberStep::remove);
    cluster_.simulation().tell(sim::Simulation::no_machine, fmt::format("the change of n{} has begun", subject + 1));
    co_await finish(step, subject);
  }
  const ClusterState* state = freshest();
  const auto member = [&](size_t node) {
    return state != nullptr && state->nodes().contains(NodeId{static_cast<uint32_t>(node + 1)});
  };
  cluster_.set_present(subject, member(subject));
  cluster_.simulation().tell(sim::Simulation::no_machine,
                             fmt::format("n{} is {} now", subject + 1, member(subject) ? "a member" : "no member"));
  if (comes(step.what) && !member(subject) && cluster_.node_machine(subject).running())
    cluster_.node_machine(subject).crash(sim::Crash::kill);
  if (!kills || !member(dead)) co_return;
  // The way back leads to the old node.
  cluster_.set_present(dead, true);
  if (!cluster_.node_machine(dead).running()) cluster_.node_machine(dead).start();
}

}  // namespace asterism::simulation
