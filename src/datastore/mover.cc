#include "datastore/mover.h"

#include <algorithm>

namespace asterism::datastore {

constexpr Duration look_again = 100ms;
constexpr Duration shard_limit = std::chrono::hours(1);
constexpr Duration propose_limit = 10s;
constexpr size_t told_at_once = 16;
constexpr size_t shards_at_once = 4;

Mover::Mover(NodeId self, Executor& executor, MetadataService& metadata, const ClusterState& cluster,
             const Schema& schema, AntiEntropy& anti_entropy, Hints& hints, Coordinator& coordinator, Replica& replica,
             Log log)
    : self_(self),
      executor_(executor),
      metadata_(metadata),
      cluster_(cluster),
      schema_(schema),
      anti_entropy_(anti_entropy),
      hints_(hints),
      coordinator_(coordinator),
      replica_(replica),
      log_(std::move(log)),
      tasks_(executor) {}

void Mover::start() {
  metadata_.state().on_change([this] { news_.wake_all(); });
  tasks_.spawn(run());
}

bool Mover::has_to_catch_up(const Shard& shard) const {
  const std::vector<NodeId> movers = shard.movers();
  return std::ranges::find(movers, self_) != movers.end() &&
         std::ranges::find(shard.caught_up, self_) == shard.caught_up.end();
}

bool Mover::has_left(const Shard& shard) const {
  return !shard.holds(self_) && std::ranges::find(shard.former, self_) != shard.former.end();
}

std::vector<ShardId> Mover::chosen(bool (Mover::*choice)(const Shard&) const) const {
  std::vector<ShardId> found;
  for (const auto& [id, shard] : cluster_.shards())
    if ((this->*choice)(shard)) found.push_back(id);
  return found;
}

/// Nothing is left here but what this node holds for others.
bool Mover::leaving() const {
  if (cluster_.removed(self_)) return true;
  const auto& change = cluster_.change();
  return change && !change->comes && change->leaves == self_ && !change->cancelled && cluster_.moving() == 0;
}

Task<void> Mover::run() {
  bool dropped = false;
  while (true) {
    hints_.refuse(leaving());
    coordinator_.refuse_batches(leaving());
    if (cluster_.change()) {
      dropped = false;
      if (!co_await catch_up()) {
        co_await say_ready();
        co_await sleep_for(look_again);
      }
    } else if (!dropped) {
      dropped = co_await drop_former();
      if (!dropped) co_await sleep_for(look_again);
    } else {
      co_await news_.wait();
    }
  }
}

/// Whether it got any further.
Task<bool> Mover::catch_up() {
  waiting_ = chosen(&Mover::has_to_catch_up);
  std::ranges::reverse(waiting_);
  told_ = false;
  TaskGroup working(executor_);
  for (size_t i = 0; i < shards_at_once; ++i) working.spawn(catch_up_some());
  co_await working.join();
  if (!caught_up_.empty())
    told_ |= co_await propose(ClusterState::caught_up_command(self_, std::exchange(caught_up_, {})));
  co_return told_;
}

Task<void> Mover::catch_up_some() {
  while (!waiting_.empty()) {
    const ShardId id = waiting_.back();
    waiting_.pop_back();
    const Shard* shard = cluster_.shard(id);
    if (shard == nullptr || !cluster_.change() || !has_to_catch_up(*shard)) continue;
    const Epoch epoch = shard->epoch;
    const NodeId dead = cluster_.change()->without();
    Status caught = co_await anti_entropy_.catch_up(*shard, dead, executor_.now() + shard_limit);
    if (!caught) {
      ++counters_.failed;
      log_.debug("shard {} has to catch up later: {}", id, caught.error().to_string());
      continue;
    }
    ++counters_.caught_up;
    caught_up_.emplace_back(id, epoch);
    if (caught_up_.size() >= told_at_once)
      told_ |= co_await propose(ClusterState::caught_up_command(self_, std::exchange(caught_up_, {})));
  }
}

Task<bool> Mover::propose(Bytes command) {
  auto told =
      co_await metadata_.propose(ClusterState::section_name, std::move(command), executor_.now() + propose_limit);
  if (!told) log_.debug("the metadata log does not take news of a move: {}", told.error().to_string());
  co_return told.has_value();
}

/// The node that comes serves by now. The one that leaves may go when nobody waits for what it holds for others.
Task<void> Mover::say_ready() {
  const auto& change = cluster_.change();
  if (!change || change->ready || change->cancelled || change->subject() != self_) co_return;
  if (!change->comes) {
    if (!leaving() || hints_.waiting() > 0) co_return;
    hints_.refuse(true);
    coordinator_.refuse_batches(true);
    const auto batches = coordinator_.holds_batches();
    if (!batches || *batches) co_return;
  }
  co_await propose(ClusterState::ready_command(self_));
}

/// Deletes the rows of shards that moved away, once no change is under way any more. False: not all.
Task<bool> Mover::drop_former() {
  for (ShardId id : chosen(&Mover::has_left)) {
    const Shard* shard = cluster_.shard(id);
    if (shard == nullptr) continue;
    std::vector<uint32_t> tables;
    if (const Keyspace* keyspace = schema_.keyspace(shard->scope))
      for (const auto& [name, table] : keyspace->tables) tables.push_back(table->number);
    for (uint32_t table : tables) {
      shard = cluster_.shard(id);
      if (shard == nullptr || !has_left(*shard)) break;
      for (auto& [from, to] : key_runs(table, shard->range)) {
        // Another change may bring the shard back at any time.
        shard = cluster_.shard(id);
        if (cluster_.change() || shard == nullptr || !has_left(*shard)) co_return false;
        auto it = replica_.iterate({from, to, false});
        it.seek_first();
        if (from >= to || !it.valid()) continue;
        if (!co_await replica_.drop_range(from, to)) co_return false;
        ++counters_.dropped_ranges;
      }
    }
  }
  co_return true;
}

}  // namespace asterism::datastore
