#include "datastore/shard_sizes.h"

#include <cmath>

namespace asterism::datastore {

constexpr size_t shards_without_yield = 16;
constexpr size_t most_shards = 1 << 20;

ShardSizes::ShardSizes(NodeId self, Executor& executor, Rpc& rpc, const ClusterState& cluster, const Schema& schema,
                       const Liveness& liveness, const Replica& replica)
    : self_(self),
      executor_(executor),
      rpc_(rpc),
      cluster_(cluster),
      schema_(schema),
      liveness_(liveness),
      replica_(replica) {
  // The answer: varint count, then for each shard varint id and varint bytes.
  rpc.handle(rpc_method::shard_sizes, [this](RpcRequest) -> Task<Result<Bytes>> {
    const Sizes sizes = co_await own();
    Bytes reply;
    ByteWriter out(reply);
    out.varint(sizes.size());
    for (const auto& [id, bytes] : sizes) {
      out.varint(id.value);
      out.varint(bytes);
    }
    co_return reply;
  });
}

Task<ShardSizes::Sizes> ShardSizes::own() const {
  Sizes sizes;
  std::vector<ShardId> held;
  for (const auto& [id, shard] : cluster_.shards())
    if (shard.has_replica(self_)) held.push_back(id);
  for (size_t i = 0; i < held.size(); ++i) {
    if (i % shards_without_yield == shards_without_yield - 1) co_await yield_now();
    const Shard* shard = cluster_.shard(held[i]);
    const Keyspace* keyspace = shard != nullptr ? schema_.keyspace(shard->scope) : nullptr;
    if (keyspace == nullptr) continue;
    uint64_t& bytes = sizes[shard->id];
    for (const auto& [name, table] : keyspace->tables)
      for (const auto& [from, to] : key_runs(table->number, shard->range))
        bytes += replica_.file_bytes_between(from, to);
  }
  co_return sizes;
}

Task<void> ShardSizes::ask(NodeId node, Instant deadline, std::vector<Sizes>& answers) {
  if (node == self_) {
    answers.push_back(co_await own());
    co_return;
  }
  if (cluster_.level() < balance_feature_level) co_return;
  const auto reply = co_await rpc_.call(node, rpc_method::shard_sizes, {}, deadline, RpcPriority::bulk);
  if (!reply) co_return;
  ByteReader in(*reply);
  Sizes sizes;
  const uint64_t count = in.varint();
  if (count > most_shards) in.fail();
  for (uint64_t i = 0; i < count && !in.failed(); ++i) {
    const ShardId id{in.varint()};
    sizes[id] = in.varint();
  }
  if (!in.failed()) answers.push_back(std::move(sizes));
}

Task<std::vector<BalanceScope>> ShardSizes::measure(Instant deadline) {
  std::vector<Sizes> answers;
  {
    TaskGroup asking(executor_);
    for (const auto& [id, node] : cluster_.nodes())
      if (liveness_.up(id)) asking.spawn(ask(id, deadline, answers));
    co_await asking.join();
  }
  std::map<ShardId, std::pair<double, double>> measured;  // bytes, replicas that tell
  for (const Sizes& sizes : answers)
    for (const auto& [id, bytes] : sizes) {
      measured[id].first += static_cast<double>(bytes);
      measured[id].second += 1;
    }
  std::vector<BalanceScope> scopes;
  for (const auto& [name, keyspace] : schema_.keyspaces()) {
    BalanceScope& scope = scopes.emplace_back(keyspace.rule());
    for (const Shard* shard : cluster_.shards_of(name)) {
      const uint64_t span = static_cast<uint64_t>(shard->range.to) - static_cast<uint64_t>(shard->range.after);
      const double width = span == 0 ? 1 : std::ldexp(static_cast<double>(span), -64);
      const auto [bytes, replicas] = measured[shard->id];
      scope.parts.emplace_back(shard->range.to, width * least_bytes + (replicas > 0 ? bytes / replicas : 0));
    }
  }
  co_return scopes;
}

}  // namespace asterism::datastore
