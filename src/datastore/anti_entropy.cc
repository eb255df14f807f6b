#include "datastore/anti_entropy.h"

#include <algorithm>
#include <map>

#include "base/hash.h"
#include "datastore/merge_results.h"

namespace asterism::datastore {

constexpr size_t leaves = 64;               // of the hash tree of one table in one shard
constexpr size_t keys_without_yield = 256;  // then others get the core
constexpr Duration rpc_timeout = 10s;
constexpr uint32_t rows_at_once = 1000;
constexpr size_t writes_without_yield = 64;
constexpr Duration longest_rest = 50ms;

AntiEntropy::AntiEntropy(AntiEntropyOptions options, NodeId self, Executor& executor, Rpc& rpc,
                         MetadataService& metadata, const ClusterState& cluster, const Schema& schema,
                         Liveness& liveness, ReplicaService& service, Replica& replica, Log log)
    : options_(options),
      self_(self),
      executor_(executor),
      rpc_(rpc),
      metadata_(metadata),
      cluster_(cluster),
      schema_(schema),
      liveness_(liveness),
      service_(service),
      replica_(replica),
      log_(std::move(log)),
      tasks_(executor) {
  rpc.handle(rpc_method::range_hashes, [this](RpcRequest request) { return serve_hashes(std::move(request)); });
  rpc.handle(rpc_method::range_rows, [this](RpcRequest request) { return serve_rows(std::move(request)); });
}

AntiEntropy::~AntiEntropy() { tasks_.cancel(); }

void AntiEntropy::start() { tasks_.spawn(rounds()); }

RequestView AntiEntropy::view_of(const Shard& shard) const {
  return {metadata_.applied_index(), {{shard.id, shard.epoch}}};
}

std::vector<std::pair<Bytes, Bytes>> key_runs(uint32_t table, TokenRange range) {
  const Bytes begin = token_key(table, INT64_MIN), end = after_prefix(begin.substr(0, 4));
  auto above = [&](int64_t token) { return token == INT64_MAX ? end : token_key(table, token + 1); };
  if (range.after < range.to) return {{above(range.after), above(range.to)}};
  return {{begin, above(range.to)}, {above(range.after), end}};
}

/// Which leaf of the tree a token of the range falls into, and the range of a leaf.
static uint64_t span_of(TokenRange range) {
  const uint64_t span = static_cast<uint64_t>(range.to) - static_cast<uint64_t>(range.after);
  return span == 0 ? UINT64_MAX : span;
}
static size_t leaf_of(TokenRange range, int64_t token) {
  const uint64_t at = static_cast<uint64_t>(token) - static_cast<uint64_t>(range.after) - 1;
  return std::min<size_t>(leaves - 1, at / (span_of(range) / leaves + 1));
}
static TokenRange leaf_range(TokenRange range, size_t leaf) {
  const uint64_t width = span_of(range) / leaves + 1;
  const uint64_t after = static_cast<uint64_t>(range.after) + width * leaf;
  const bool last = width * (leaf + 1) >= span_of(range) || leaf + 1 == leaves;
  return {static_cast<int64_t>(after), last ? range.to : static_cast<int64_t>(after + width)};
}

Task<Result<std::vector<uint64_t>>> AntiEntropy::own_hashes(uint32_t table, TokenRange range) {
  std::vector<uint64_t> hashes(leaves);
  for (const auto& [from, to] : key_runs(table, range)) {
    if (from >= to) continue;
    auto it = replica_.iterate({from, to, false});
    size_t keys = 0;
    for (it.seek_first(); it.valid(); it.next()) {
      CO_TRY(const KeyParts parts, split_key(it.key()));
      uint64_t& leaf = hashes[leaf_of(range, parts.token)];
      leaf = hash_combine(hash_combine(leaf, xxh3(it.key())), xxh3(it.value()));
      if (++keys % keys_without_yield == 0) co_await yield_now();
    }
    CO_TRY_STATUS(it.status());
  }
  co_return hashes;
}

static Bytes encode_range(const RequestView& view, uint32_t table, TokenRange range) {
  Bytes bytes;
  ByteWriter out(bytes);
  view.encode(out);
  out.u32_le(table);
  out.u64_le(static_cast<uint64_t>(range.after));
  out.u64_le(static_cast<uint64_t>(range.to));
  return bytes;
}

/// Of a shard that moves: what was taken under an earlier epoch is in the store, and this node will not go back behind
/// the present one, before it is compared.
Task<Status> AntiEntropy::close_epochs(const RequestView& view) {
  const auto moves = [&](const auto& entry) {
    const Shard* shard = cluster_.shard(entry.first);
    return shard != nullptr && shard->moving();
  };
  if (std::ranges::none_of(view.shards, moves)) co_return Status{};
  CO_TRY_STATUS(co_await service_.fence());
  co_return co_await replica_.settle();
}

Task<Result<Bytes>> AntiEntropy::serve_hashes(RpcRequest request) {
  ByteReader in(request.payload);
  CO_TRY(const RequestView view, RequestView::decode(in));
  const uint32_t table = in.u32_le();
  const auto after = static_cast<int64_t>(in.u64_le()), to = static_cast<int64_t>(in.u64_le());
  if (in.failed() || !in.at_end()) co_return fail(ErrorCode::corrupt, "a request for hashes is malformed");
  // Two replicas that both lost rows must not take one another for complete.
  if (service_.rebuilding()) co_return fail(ErrorCode::unavailable, "node {} is being rebuilt", self_);
  CO_TRY_STATUS(co_await service_.admit(view, request.deadline));
  CO_TRY_STATUS(co_await close_epochs(view));
  CO_TRY(const auto hashes, co_await own_hashes(table, {after, to}));
  Bytes reply;
  ByteWriter out(reply);
  for (uint64_t hash : hashes) out.u64_le(hash);
  co_return reply;
}

Task<Result<std::vector<uint64_t>>> AntiEntropy::hashes(NodeId node, const RequestView& view, uint32_t table,
                                                        TokenRange range, Instant deadline) {
  if (node == self_) co_return co_await own_hashes(table, range);
  CO_TRY(const Bytes reply, co_await rpc_.call(node, rpc_method::range_hashes, encode_range(view, table, range),
                                               std::min(deadline, executor_.now() + rpc_timeout), RpcPriority::bulk));
  ByteReader in(reply);
  std::vector<uint64_t> hashes;
  for (size_t i = 0; i < leaves; ++i) hashes.push_back(in.u64_le());
  if (in.failed() || !in.at_end()) co_return fail(ErrorCode::corrupt, "malformed hashes");
  co_return hashes;
}

// Rows travel as a ReadCommand for a run of keys and its ReadResult, which hold every version, tombstones included.

Task<Result<Bytes>> AntiEntropy::serve_rows(RpcRequest request) {
  ByteReader in(request.payload);
  CO_TRY(const RequestView view, RequestView::decode(in));
  CO_TRY(const ReadCommand command, ReadCommand::decode(in));
  CO_TRY_STATUS(co_await service_.admit(view, request.deadline));
  co_return replica_.read(command);
}

Task<Result<Bytes>> AntiEntropy::rows(NodeId node, const RequestView& view, const ReadCommand& command,
                                      Instant deadline) {
  if (node == self_) co_return replica_.read(command);
  Bytes request;
  ByteWriter out(request);
  view.encode(out);
  out.raw(command.encode());
  co_return co_await rpc_.call(node, rpc_method::range_rows, std::move(request),
                               std::min(deadline, executor_.now() + rpc_timeout), RpcPriority::bulk);
}

/// A mutation without its tombstones, as a planted bug sends it.
static std::optional<Bytes> without_tombstones(const Bytes& mutation) {
  auto view = MutationView::decode(mutation);
  Mutation live(view->table, view->token, view->partition_key);
  for (const auto& change : view->changes) {
    if (change.place == Place::head) continue;
    Row row;
    if (!decode_row(change.value, row)) continue;
    row.deletion = {};
    row.collections.clear();
    std::erase_if(row.cells, [](const Cell& cell) { return cell.kind == Cell::Kind::tombstone; });
    if (row.empty()) continue;
    Bytes value;
    encode_row(row, value);
    live.add(change.place, change.clustering, value);
  }
  if (live.empty()) return std::nullopt;
  return std::move(live).take();
}

static std::optional<Bytes> without_heads(const Bytes& mutation) {
  auto view = MutationView::decode(mutation);
  Mutation rest(view->table, view->token, view->partition_key);
  for (const auto& change : view->changes)
    if (change.place != Place::head) rest.add(change.place, change.clustering, change.value);
  if (rest.empty()) return std::nullopt;
  return std::move(rest).take();
}

/// Takes out what planted bugs forget. False: nothing is left.
bool AntiEntropy::spoil(Bytes& mutation) const {
  std::optional<Bytes> left;
  if (options_.defects.has(Defect::repair_ignores_tombstones)) {
    left = without_tombstones(mutation);
  } else if (options_.defects.has(Defect::range_tombstones_not_repaired)) {
    left = without_heads(mutation);
  } else {
    return true;
  }
  if (left) mutation = std::move(*left);
  return left.has_value();
}

Task<Status> AntiEntropy::deliver(const RequestView& view, NodeId to, Bytes mutation, Instant deadline) {
  if (to != self_)
    co_return co_await ReplicaService::bring(rpc_, cluster_, to, view, mutation,
                                             std::min(deadline, executor_.now() + rpc_timeout), RpcPriority::bulk);
  std::vector<Bytes> own;
  own.push_back(std::move(mutation));
  co_return co_await service_.write_all(view, std::move(own), deadline);
}

/// Writes what this node lacks (the first list) and what the peer lacks, side by side: one sync serves many.
Task<Status> AntiEntropy::bring_together(const RequestView& view, NodeId peer, std::vector<std::vector<Bytes>> repairs,
                                         Instant deadline, bool gently) {
  TaskGroup writing(executor_);
  Status outcome;
  size_t begun = 0;
  for (size_t side = 0; side < 2; ++side) {
    for (Bytes& mutation : repairs[side]) {
      if (!spoil(mutation)) continue;
      if (gently && ++begun % writes_without_yield == 0) co_await yield_now();
      ++(side == 0 ? counters_.rows_pulled : counters_.rows_pushed);
      writing.spawn(
          [](AntiEntropy& self, const RequestView& as, NodeId to, Bytes one, Instant until, Status& out) -> Task<void> {
            Status done = co_await self.deliver(as, to, std::move(one), until);
            if (!done && out) out = std::move(done);
          }(*this, view, side == 0 ? self_ : peer, std::move(mutation), deadline, outcome));
    }
  }
  co_await writing.join();
  co_return outcome;
}

/// After a page of a shard that moves: half of the time is for others, and the cluster's setting holds.
Task<void> AntiEntropy::rest(Instant began, uint64_t moved_bytes) {
  counters_.moved_bytes += moved_bytes;
  const Instant now = executor_.now();
  const uint64_t rate = uint64_t{cluster_.settings().move_mib_per_second} << 20;
  co_await sleep_until(
      std::max(now + std::min<Duration>(now - began, longest_rest), pace_.take(now, moved_bytes, rate)));
}

/// Brings what two replicas hold in a token range together, a page at a time.
Task<Status> AntiEntropy::exchange(const RequestView& view, TablePtr table, NodeId peer, TokenRange range,
                                   Instant deadline, bool gently) {
  for (const auto& [from, to] : key_runs(table->number, range)) {
    ReadCommand command;
    command.table = table->number;
    command.single = false;
    command.from = from;
    command.to = to;
    command.row_limit = rows_at_once;
    command.now_s = executor_.clock().wall_now().us / 1'000'000;
    bool more = from < to;
    while (more) {
      const Instant began = executor_.now();
      CO_TRY(const Bytes own, co_await rows(self_, view, command, deadline));
      CO_TRY(const Bytes theirs, co_await rows(peer, view, command, deadline));
      if (gently) co_await yield_now();
      std::vector<ReadResult> both(2);
      CO_TRY(both[0], ReadResult::decode(own));
      CO_TRY(both[1], ReadResult::decode(theirs));
      CO_TRY(MergedResults merged, merge_results(command, std::move(both)));
      uint64_t moved_bytes = theirs.size();
      for (const Bytes& pushed : merged.repairs[1]) moved_bytes += pushed.size();
      CO_TRY_STATUS(co_await bring_together(view, peer, std::move(merged.repairs), deadline, gently));
      if (gently) co_await rest(began, moved_bytes);
      more = !merged.merged.complete;
      command.from = std::move(merged.merged.next);
    }
  }
  co_return Status{};
}

Task<Status> AntiEntropy::repair_with(const Shard& shard, TablePtr table, NodeId peer, Instant deadline, bool gently) {
  const RequestView view = view_of(shard);
  const TokenRange range = shard.range;  // the shard itself may go away meanwhile
  ++counters_.compared;
  CO_TRY(const auto own, co_await hashes(self_, view, table->number, range, deadline));
  CO_TRY(const auto theirs, co_await hashes(peer, view, table->number, range, deadline));
  if (own == theirs) co_return Status{};
  ++counters_.differing;
  for (size_t leaf = 0; leaf < leaves; ++leaf)
    if (own[leaf] != theirs[leaf])
      CO_TRY_STATUS(co_await exchange(view, table, peer, leaf_range(range, leaf), deadline, gently));
  co_return Status{};
}

Task<Status> AntiEntropy::repair_shard(ShardId id, bool all_peers, Instant deadline) {
  // Twice round the peers: what the last one had, the first one lacks after one round.
  for (int round = 0; round < 2; ++round) {
    const uint64_t differing = counters_.differing;
    const Shard* shard = cluster_.shard(id);
    if (shard == nullptr || !shard->holds(self_)) co_return Status{};
    const Keyspace* keyspace = schema_.keyspace(shard->scope);
    if (keyspace == nullptr) co_return Status{};
    std::vector<TablePtr> tables;
    for (const auto& [name, table] : keyspace->tables) tables.push_back(table);
    for (const TablePtr& table : tables) {
      // The shard may change or go away in every step.
      shard = cluster_.shard(id);
      if (shard == nullptr) co_return Status{};
      for (NodeId peer : std::vector<NodeId>(shard->replicas)) {
        shard = cluster_.shard(id);
        if (shard == nullptr) co_return Status{};
        if (peer == self_) continue;
        if (!liveness_.up(peer)) {
          if (all_peers) co_return fail(ErrorCode::unavailable, "node {} is down", peer);
          continue;
        }
        CO_TRY_STATUS(co_await repair_with(*shard, table, peer, deadline));
      }
    }
    if (counters_.differing == differing) break;
  }
  co_return Status{};
}

Task<Status> AntiEntropy::compare_all(const Shard& shard, NodeId peer, Instant deadline) {
  const Keyspace* keyspace = schema_.keyspace(shard.scope);
  if (keyspace == nullptr) co_return Status{};
  std::vector<TablePtr> tables;
  for (const auto& [name, table] : keyspace->tables) tables.push_back(table);
  for (const TablePtr& table : tables) CO_TRY_STATUS(co_await repair_with(shard, table, peer, deadline, true));
  // A replica that was asked for nothing has closed no epoch.
  if (!tables.empty()) co_return Status{};
  CO_TRY(const auto none, co_await hashes(peer, view_of(shard), 0, shard.range, deadline));
  co_return Status{};
}

Task<Status> AntiEntropy::catch_up(Shard shard, NodeId dead, Instant deadline) {
  struct Datacenter {
    size_t replicas = 0, compared = 0;
  };
  std::map<std::string, Datacenter> datacenters;
  const auto datacenter_of = [&](NodeId node) -> Datacenter& {
    const NodeInfo* info = cluster_.node(node);
    return datacenters[info != nullptr ? info->place.datacenter : std::string()];
  };
  for (NodeId node : shard.replicas) ++datacenter_of(node).replicas;
  CO_TRY_STATUS(co_await close_epochs(view_of(shard)));
  Status last;
  for (NodeId node : shard.replicas) {
    const bool goes = std::ranges::find(shard.target, node) == shard.target.end() && node != dead;
    Status compared;
    if (node != self_ && !liveness_.up(node)) {
      compared = fail(ErrorCode::unavailable, "node {} is down", node);
    } else if (node != self_) {
      compared = co_await compare_all(shard, node, deadline);
    }
    if (!compared && (goes || compared.error().code == ErrorCode::wrong_epoch)) co_return compared;
    if (compared)
      ++datacenter_of(node).compared;
    else
      last = compared;
  }
  for (const auto& [name, datacenter] : datacenters)
    if (datacenter.compared <= datacenter.replicas / 2) co_return last;
  co_return co_await replica_.settle();
}

Task<Status> AntiEntropy::rebuild(Instant deadline) {
  std::vector<ShardId> own;
  for (const auto& [id, shard] : cluster_.shards())
    if (shard.holds(self_)) own.push_back(id);
  for (ShardId id : own) CO_TRY_STATUS(co_await repair_shard(id, true, deadline));
  co_return co_await replica_.settle();
}

/// The first live replica of a shard compares it with the others.
bool AntiEntropy::looks_after(const Shard& shard) const {
  auto first = std::ranges::find_if(shard.replicas, [&](NodeId node) { return liveness_.up(node); });
  return first != shard.replicas.end() && *first == self_ && shard.replicas.size() > 1;
}

AntiEntropy::Progress AntiEntropy::progress() const {
  Progress found;
  for (const auto& [id, shard] : cluster_.shards()) {
    if (!looks_after(shard)) continue;
    ++found.shards;
    auto known = seen_.find(id);
    if (known == seen_.end() || known->second.writes == UINT64_MAX) continue;
    found.compared += executor_.now() - known->second.at < options_.again_after;
    if (!found.last || *found.last < known->second.at) found.last = known->second.at;
  }
  return found;
}

Task<void> AntiEntropy::rounds() {
  while (true) {
    co_await sleep_for(options_.pause);
    // The shard that was not looked at for longest, of those that this node looks after.
    std::optional<ShardId> next;
    const uint64_t writes = replica_.counters().writes;
    for (const auto& [id, shard] : cluster_.shards()) {
      if (!looks_after(shard)) continue;
      auto known = seen_.find(id);
      if (known != seen_.end() && known->second.writes == writes &&
          executor_.now() - known->second.at < options_.again_after)
        continue;
      if (known == seen_.end()) {
        next = id;
        break;
      }
      if (!next || known->second.at < seen_.at(*next).at) next = id;
    }
    if (!next) continue;
    Status repaired = co_await repair_shard(*next, false, executor_.now() + rpc_timeout * 6);
    if (!repaired) log_.debug("comparing shard {}: {}", *next, repaired.error().to_string());
    seen_[*next] = {executor_.now(), repaired ? writes : UINT64_MAX};
    std::erase_if(seen_, [&](const auto& entry) { return cluster_.shard(entry.first) == nullptr; });
  }
}

Task<Result<std::vector<Difference>>> AntiEntropy::verify(Instant deadline) {
  std::vector<Difference> found;
  std::vector<ShardId> all;
  for (const auto& [id, shard] : cluster_.shards()) all.push_back(id);
  for (ShardId id : all) {
    const Shard* current = cluster_.shard(id);
    if (current == nullptr) continue;
    const Shard shard = *current;
    const Keyspace* keyspace = schema_.keyspace(shard.scope);
    if (keyspace == nullptr) continue;
    std::vector<TablePtr> tables;
    for (const auto& [name, table] : keyspace->tables) tables.push_back(table);
    for (const TablePtr& table : tables) {
      std::optional<std::pair<NodeId, std::vector<uint64_t>>> first;
      for (NodeId node : shard.replicas) {
        auto hashed = co_await hashes(node, view_of(shard), table->number, shard.range, deadline);
        if (!hashed) {
          if (executor_.now() >= deadline) co_return fail(ErrorCode::timeout, "verifying took too long");
          found.push_back({id, table->keyspace, table->name, node, node, 0, hashed.error().to_string()});
          continue;
        }
        if (!first) {
          first = {node, std::move(*hashed)};
          continue;
        }
        uint64_t ranges = 0;
        for (size_t leaf = 0; leaf < leaves; ++leaf) ranges += first->second[leaf] != (*hashed)[leaf];
        if (ranges > 0) found.push_back({id, table->keyspace, table->name, first->first, node, ranges, ""});
      }
    }
  }
  co_return found;
}

}  // namespace asterism::datastore
