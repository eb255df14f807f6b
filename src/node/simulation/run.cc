#include "node/simulation/run.h"

#include <chrono>
#include <numeric>

#include "node/simulation/disk_damage.h"
#include "node/simulation/load.h"
#include "node/simulation/members.h"
#include "node/simulation/node_call.h"
#include "node/simulation/registers.h"
#include "runtime/sim/faults.h"

namespace asterism::simulation {
namespace {

constexpr Duration form_limit = 60s;
constexpr Duration set_up_limit = 120s;
constexpr Duration converge_limit = 120s;
constexpr Duration check_limit = 300s;
constexpr double members_share = 0.35;  // of runs in which members change

/// Faults of kinds that say nothing of how hard a run was.
bool is_fault(sim::Fault fault) {
  return fault != sim::Fault::restart && fault != sim::Fault::heal && fault != sim::Fault::retransmission &&
         fault != sim::Fault::connection_refused;
}

NodeTuning tuning_for(Random& random, Defects defects) {
  NodeTuning tuning;
  tuning.background_compaction = false;
  tuning.memtable_bytes = 32 << 10 << random.below(4);
  tuning.block_cache_bytes = 1 << 20;
  tuning.row_cache_bytes = tuning.slice_cache_bytes = 16 << 10;  // so that rows come and go
  tuning.wal_segment_bytes = 16 << 10 << random.below(4);
  tuning.snapshot_after_bytes = 1 << 10 << random.below(4);
  tuning.tokens_per_node = static_cast<uint32_t>(random.between(1, 3));
  tuning.repair_pause = sim::random_between(random, 20ms, 200ms);
  tuning.repair_again_after = sim::random_between(random, 1s, 5s);
  // Long after what is uneven is so, in most runs: a change that begins by itself keeps others from beginning.
  tuning.balance_every = sim::random_between(random, 200ms, 2s);
  tuning.balance_after = sim::random_between(random, 1s, 20s);
  tuning.defects = defects;
  return tuning;
}

class Run {
 public:
  explicit Run(const RunOptions& options);
  RunResult go();

 private:
  void all();
  bool wait(const char* what, const std::function<bool()>& condition, Duration limit);
  bool await(const char* what, Task<void> task, Duration limit);
  bool restart_all();
  bool converge();
  void tell_of_nodes();
  Task<void> look_for_differences(std::string& found, bool& done);

  RunOptions options_;
  sim::Simulation simulation_;
  sim::SeededRandom random_;
  Verdict verdict_;
  JournalChecker journal_{verdict_};
  uint32_t nodes_ = 3;
  std::unique_ptr<SimulatedCluster> cluster_;
  std::unique_ptr<Load> load_;
  std::unique_ptr<RegisterLoad> registers_;
  std::unique_ptr<sim::Nemesis> nemesis_;
  std::unique_ptr<DiskDamage> damage_;
  std::unique_ptr<MemberLoad> members_;
};

Run::Run(const RunOptions& options)
    : options_(options),
      simulation_(options.seed,
                  [&] {
                    sim::SimulationOptions simulation;
                    simulation.log_level = options.log_level;
                    return simulation;
                  }()),
      random_(simulation_.stream(1)) {}

bool Run::wait(const char* what, const std::function<bool()>& condition, Duration limit) {
  const bool came = simulation_.run_until([&] { return verdict_.failed() || condition(); }, limit);
  if (!came) verdict_.fail(fmt::format("{} did not happen within {} s", what, limit.count() / 1'000'000'000));
  return !verdict_.failed();
}

/// Runs a task on the first client.
bool Run::await(const char* what, Task<void> task, Duration limit) {
  auto done = std::make_shared<bool>(false);
  cluster_->client_machine(0).spawn([](Task<void> inner, std::shared_ptr<bool> flag) -> Task<void> {
    co_await std::move(inner);
    *flag = true;
  }(std::move(task), done));
  return wait(what, [done] { return *done; }, limit);
}

bool Run::restart_all() {
  for (size_t i = 0; i < cluster_->nodes(); ++i) {
    if (!cluster_->present(i)) continue;
    sim::Machine& machine = cluster_->node_machine(i);
    const uint64_t how = random_.below(3);
    if (how < 2) {
      machine.crash(how == 0 ? sim::Crash::power : sim::Crash::kill);
    } else {
      machine.stop();
      if (!wait("a clean stop", [&] { return !machine.running(); }, 60s)) return false;
    }
    machine.start();
    if (random_.chance(0.5)) simulation_.run_for(sim::random_between(random_, 1ms, 500ms));
  }
  return true;
}

Task<void> Run::look_for_differences(std::string& found, bool& done) {
  auto differences = co_await call_node<std::vector<datastore::Difference>>(
      *cluster_, cluster_->node_after(cluster_->nodes() - 1), 20s,
      [](Node& node, NodeProcess&, Instant deadline) { return node.anti_entropy().verify(deadline); });
  done = differences && differences->empty();
  found = !differences ? differences.error().to_string() : "";
  if (differences && !differences->empty()) {
    const auto& first = differences->front();
    found = fmt::format("{} differences, the first in {}.{} between nodes {} and {} {}", differences->size(),
                        first.keyspace, first.table, first.a, first.b, first.what);
  }
}

/// Every node serves, no hint waits and all replicas are equal.
bool Run::converge() {
  if (!wait("every node serving", [&] { return cluster_->all_serving(); }, converge_limit)) return false;
  const auto no_hints = [&] {
    for (size_t i = 0; i < cluster_->nodes(); ++i) {
      if (!cluster_->present(i)) continue;
      Node* node = cluster_->serving(i);
      if (node == nullptr || node->hints().waiting() > 0) return false;
    }
    return true;
  };
  if (!wait("the delivery of all hints", no_hints, converge_limit)) return false;
  const Instant until = simulation_.now() + converge_limit;
  std::string found;
  for (bool done = false; !done;) {
    if (simulation_.now() >= until) {
      verdict_.fail("replicas still differ: " + found);
      return false;
    }
    if (!await("a comparison of replicas", look_for_differences(found, done), 60s)) return false;
    if (!done) simulation_.run_for(500ms);
  }
  return true;
}

void Run::all() {
  nodes_ = options_.nodes.value_or(random_.chance(0.6) ? 3u : 5u);
  ClusterShape shape;
  shape.nodes = nodes_;
  shape.clients = static_cast<uint32_t>(random_.between(2, 4));
  shape.tuning = tuning_for(random_, options_.defects);
  // Some disks take long to sync, which leaves much to lose when the power fails.
  if (random_.chance(0.3)) {
    shape.disk.sync_base = sim::random_between(random_, 1ms, 20ms);
    shape.disk.sync_tail = sim::random_between(random_, 1ms, 20ms);
  }
  shape.skip_sync = options_.defects.has(Defect::skip_sync);
  bool damage = random_.chance(0.35);
  // Drawn beside the other choices, which so stay what they are in runs without changes of members.
  sim::SeededRandom member_random = simulation_.stream(80);
  const MemberPlan member_plan = member_random.chance(members_share) ? MemberPlan::from(member_random) : MemberPlan();
  damage &= !member_plan.loses_disks();
  LoadPlan plan = LoadPlan::from(random_, nodes_, damage || member_plan.loses_disks());
  // Rows with one replica have nobody who makes good what a move forgets.
  if (!member_plan.steps.empty() && !member_plan.loses_disks() && !damage) {
    plan.weak = 8;
    plan.weak_replicas = 1;
  }
  RegisterPlan register_plan = RegisterPlan::from(random_);
  // The groups of registers keep the members that they began with.
  if (!member_plan.steps.empty()) register_plan.groups = register_plan.workers = 0;
  shape.register_groups = register_plan.groups;
  shape.spares = static_cast<uint32_t>(member_plan.spares());
  if (member_plan.upgrades()) shape.founders_level = first_feature_level;
  simulation_.tell(sim::Simulation::no_machine, fmt::format("{} nodes; {}; {}; {}", nodes_, plan.describe(),
                                                            register_plan.describe(), member_plan.describe()));
  cluster_ = std::make_unique<SimulatedCluster>(simulation_, shape, journal_);
  load_ = std::make_unique<Load>(*cluster_, journal_, verdict_, plan);
  registers_ = std::make_unique<RegisterLoad>(*cluster_, verdict_, register_plan);
  const sim::FaultPlan faults = sim::FaultPlan::from(random_, 4s);
  nemesis_ = std::make_unique<sim::Nemesis>(simulation_, cluster_->node_machines(), faults, (nodes_ - 1) / 2);
  if (!wait("every node serving", [&] { return cluster_->all_serving(); }, form_limit)) return;
  if (!await("the set-up", load_->set_up(), set_up_limit)) return;
  nemesis_->start();
  if (damage) {
    damage_ = std::make_unique<DiskDamage>(*cluster_, sim::random_between(random_, 2s, 8s));
    damage_->start();
  }
  members_ = std::make_unique<MemberLoad>(*cluster_, verdict_, member_plan);
  load_->start();
  registers_->start();
  members_->start();
  wait(
      "", [&, end = simulation_.now() + options_.faults_for] { return simulation_.now() >= end; },
      options_.faults_for + 1s);
  load_->stop();
  registers_->stop();
  members_->stop();
  if (damage_) damage_->stop();
  nemesis_->heal();
  const auto ended = [&] { return load_->ended() && registers_->ended(); };
  if (verdict_.failed() || !wait("the end of all requests", ended, 120s)) return;
  if (!wait("the end of the change of members", [&] { return members_->ended(); }, 300s)) return;
  if (!restart_all() || !converge()) return;
  simulation_.run_for(15s);  // rows with a time to live are gone by then, whatever the clocks are off by
  if (await("the final check", load_->final_check(), check_limit))
    await("the final check of registers", registers_->final_check(), check_limit);
}

/// What each node knows at the end of a run that failed.
void Run::tell_of_nodes() {
  for (size_t i = 0; cluster_ && i < cluster_->nodes(); ++i) {
    Node* node = cluster_->serving(i);
    if (node == nullptr) continue;
    const raft::Raft& group = node->raft_host().raft(metadata_shard);
    const ClusterState& state = node->cluster();
    std::string change = "no change";
    if (const auto& under_way = state.change())
      change =
          fmt::format("the change of n{}{}{}, {} shards to move", under_way->subject(),
                      under_way->ready ? ", ready" : "", under_way->cancelled ? ", cancelled" : "", state.moving());
    simulation_.tell(
        static_cast<uint32_t>(i),
        fmt::format("{}: metadata led by {} in term {}, log to {}, committed {}, applied {}{}, voters {}; {}",
                    to_string(node->state()), group.leader(), group.term(), group.last_index(), group.commit_index(),
                    group.applied_index(), group.recovering() ? ", recovering" : "",
                    fmt::join(group.configuration().voters, " "), change));
  }
}

RunResult Run::go() {
  all();
  RunResult result;
  result.seed = options_.seed;
  result.nodes = nodes_;
  result.failure = verdict_.what();
  if (verdict_.failed()) {
    tell_of_nodes();
    simulation_.tell(sim::Simulation::no_machine, "FAILED: " + verdict_.what());
  }
  result.trace = simulation_.trace_hash();
  if (load_) {
    result.operations = load_->operations() + registers_->operations();
    result.refused = load_->refusals();
    result.unknown = load_->unknowns();
  }
  for (size_t i = 0; i < static_cast<size_t>(sim::Fault::count_); ++i)
    if (is_fault(static_cast<sim::Fault>(i))) result.faults += simulation_.counted(static_cast<sim::Fault>(i));
  result.fault_summary = simulation_.fault_summary();
  result.simulated = Duration(simulation_.now().ns);
  result.story = simulation_.story();
  damage_.reset();
  nemesis_.reset();
  cluster_.reset();
  load_.reset();
  registers_.reset();
  members_.reset();
  return result;
}

}  // namespace

RunResult run_cluster(const RunOptions& options) { return Run(options).go(); }

}  // namespace asterism::simulation
