#include "datastore/hints.h"

#include <algorithm>

#include "runtime/channel.h"

namespace asterism::datastore {

constexpr Duration delivery_timeout = 2s;
constexpr Duration retry_every = 1s;
constexpr size_t hints_at_once = 128, hint_bytes_at_once = 4 << 20;

Hints::Hints(HintsOptions options, NodeId self, Executor& executor, Rpc& rpc, const ClusterState& cluster,
             const Schema& schema, MetadataService& metadata, Liveness& liveness, Replica& replica, Log log)
    : options_(options),
      self_(self),
      executor_(executor),
      rpc_(rpc),
      cluster_(cluster),
      schema_(schema),
      metadata_(metadata),
      liveness_(liveness),
      replica_(replica),
      log_(std::move(log)),
      tasks_(executor) {
  liveness.on_change([this](NodeId, bool up) {
    if (up) news_.wake_all();
  });
}

static Bytes table_prefix(uint32_t table) {
  Bytes prefix;
  ByteWriter(prefix).u32_be(table);
  return prefix;
}

Bytes Hints::key(NodeId target, uint64_t sequence) const {
  Bytes key = table_prefix(hints_table);
  ByteWriter out(key);
  out.u32_be(target.value);
  out.u64_be(sequence);
  return key;
}

Status Hints::start() {
  auto it = replica_.iterate({table_prefix(hints_table), table_prefix(hints_table + 1), false});
  for (it.seek_first(); it.valid(); it.next()) {
    ByteReader in(it.key().substr(4));
    const NodeId target{in.u32_be()};
    const uint64_t sequence = in.u64_be();
    if (in.failed()) return fail(ErrorCode::corrupt, "a stored hint is malformed");
    ++targets_[target].waiting;
    next_sequence_ = std::max(next_sequence_, sequence + 1);
    bytes_ += it.value().size();
  }
  TRY_STATUS(it.status());
  tasks_.spawn(deliver_loop());
  return {};
}

uint64_t Hints::waiting() const {
  uint64_t sum = 0;
  for (const auto& [node, target] : targets_) sum += target.waiting;
  return sum;
}

std::map<NodeId, uint64_t> Hints::waiting_for() const {
  std::map<NodeId, uint64_t> found;
  for (const auto& [node, target] : targets_)
    if (target.waiting > 0) found[node] = target.waiting;
  return found;
}

Task<Status> Hints::store(NodeId target, Bytes mutation) {
  std::vector<Bytes> one;
  one.push_back(std::move(mutation));
  co_return co_await store_all(target, std::move(one));
}

Task<Status> Hints::store_all(NodeId target, std::vector<Bytes> mutations) {
  if (options_.defects.has(Defect::drop_hint)) co_return Status{};
  if (refusing_) co_return fail(ErrorCode::unavailable, "this node leaves the cluster");
  uint64_t bytes = 0;
  for (const Bytes& mutation : mutations) bytes += mutation.size() + sizeof(uint64_t);
  const size_t count = mutations.size();
  if (bytes_ + bytes > options_.max_bytes) {
    counters_.dropped += count;
    co_return fail(ErrorCode::overloaded, "too many hints wait");
  }
  std::vector<Replica::Change> changes;
  changes.reserve(count);
  for (const Bytes& mutation : mutations) {
    Bytes value;
    ByteWriter out(value);
    out.u64_le(static_cast<uint64_t>(executor_.clock().wall_now().us));
    out.raw(mutation);
    changes.push_back({key(target, next_sequence_++), std::move(value)});
  }
  bytes_ += bytes;
  targets_[target].waiting += count;
  counters_.stored += count;
  Status stored = co_await replica_.write_own(std::move(changes));
  if (!stored) {
    bytes_ -= bytes;
    targets_[target].waiting -= count;
    counters_.dropped += count;
  }
  news_.wake_all();
  co_return stored;
}

Task<void> Hints::deliver_loop() {
  while (true) {
    for (auto& [node, target] : targets_) {
      if (target.waiting == 0 || target.delivering || !reachable(node)) continue;
      target.delivering = true;
      tasks_.spawn(deliver(node));
    }
    if (waiting() == 0) {
      co_await news_.wait();
    } else {
      co_await sleep_for(retry_every);
    }
  }
}

/// What waits for a node that is gone goes to those that took its place.
bool Hints::reachable(NodeId target) const { return liveness_.up(target) || cluster_.node(target) == nullptr; }

Task<void> Hints::deliver(NodeId target) {
  Bytes from = key(target, 0);
  while (co_await deliver_some(target, from)) {
  }
  targets_[target].delivering = false;
}

/// Sends a batch of hints side by side and removes those that arrived or are out of date. False: the end was reached,
/// or the target does not take them.
Task<bool> Hints::deliver_some(NodeId target, Bytes& from) {
  struct Hint {
    Bytes key;
    Bytes mutation;
    bool gone = false;
  };
  std::vector<Hint> hints;
  const int64_t oldest_us = executor_.clock().wall_now().us - options_.window.count() / 1000;
  {
    auto it = replica_.iterate({from, key(NodeId{target.value + 1}, 0), false});
    size_t bytes = 0;
    for (it.seek_first(); it.valid() && hints.size() < hints_at_once && bytes < hint_bytes_at_once; it.next()) {
      bytes += it.value().size();
      ByteReader in(it.value());
      const auto written_us = static_cast<int64_t>(in.u64_le());
      hints.push_back({Bytes(it.key()), Bytes(in.rest()), in.failed() || written_us < oldest_us});
      if (hints.back().gone) ++counters_.dropped;
    }
    if (!it.status()) co_return false;
  }
  if (hints.empty()) co_return false;
  TaskGroup sending(executor_);
  for (Hint& hint : hints) {
    if (hint.gone) continue;
    sending.spawn([](Hints& self, NodeId to, Hint& one) -> Task<void> {
      Status sent = co_await self.send(to, one.mutation);
      one.gone = sent || sent.error().code == ErrorCode::not_found || sent.error().code == ErrorCode::corrupt;
      if (sent) ++self.counters_.delivered;
    }(*this, target, hint));
  }
  co_await sending.join();
  std::vector<Replica::Change> removals;
  bool all = true;
  for (Hint& hint : hints) {
    all &= hint.gone;
    if (!hint.gone) continue;
    bytes_ -= std::min<uint64_t>(bytes_, hint.mutation.size() + 8);
    --targets_[target].waiting;
    removals.push_back({hint.key, std::nullopt});
  }
  from = hints.back().key + '\0';
  if (!removals.empty() && !co_await replica_.write_own(std::move(removals))) co_return false;
  co_return all;
}

Task<Status> Hints::send(NodeId target, BytesView mutation) {
  CO_TRY(const MutationView view, MutationView::decode(mutation));
  TablePtr table = schema_.table(view.table);
  if (!table) co_return fail(ErrorCode::not_found, "the table was dropped");
  const Shard* shard = cluster_.find(table->keyspace, view.token);
  if (shard == nullptr) co_return fail(ErrorCode::not_found, "the keyspace was dropped");
  // The hint may be all that there is of the write: where others took the target's place, they all get it, and those
  // that are about to take it may have compared themselves with the target already.
  std::vector<NodeId> targets = shard->holders();
  if (shard->holds(target)) {
    targets = shard->movers();
    if (std::ranges::find(targets, target) == targets.end()) targets.push_back(target);
  }
  const RequestView request{metadata_.applied_index(), {{shard->id, shard->epoch}}};
  for (NodeId node : targets) {
    CO_TRY_STATUS(co_await ReplicaService::bring(rpc_, cluster_, node, request, mutation,
                                                 executor_.now() + delivery_timeout, RpcPriority::bulk));
  }
  co_return Status{};
}

}  // namespace asterism::datastore
