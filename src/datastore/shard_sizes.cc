#include "datastore/shard_sizes.h"

#include <cmath>

namespace asterism::datastore {

constexpr size_t shards_without_yield = 16;
constexpr size_t most_shards = 1 << 20;

// An answer: varint count, then for each shard varint id and varint bytes. Versions that count load go on: varint count
// of rules, then for each the number of replicas anywhere + 1 or 0, varint count of datacenters with name and number
// each, varint count of cells and for each varint work in parts of a read a second. Older ones do not look there.
constexpr double load_parts = 16;
constexpr size_t most_datacenters = 256;

ShardSizes::ShardSizes(NodeId self, Executor& executor, Rpc& rpc, const ClusterState& cluster, const Schema& schema,
                       const Liveness& liveness, const Replica& replica, RingLoad& load)
    : self_(self),
      executor_(executor),
      rpc_(rpc),
      cluster_(cluster),
      schema_(schema),
      liveness_(liveness),
      replica_(replica),
      load_(load) {
  rpc.handle(rpc_method::shard_sizes, [this](RpcRequest) -> Task<Result<Bytes>> { co_return encode(co_await own()); });
}

Bytes ShardSizes::encode(const Told& told) {
  Bytes reply;
  ByteWriter out(reply);
  out.varint(told.sizes.size());
  for (const auto& [id, bytes] : told.sizes) {
    out.varint(id.value);
    out.varint(bytes);
  }
  if (!told.load) return reply;
  out.varint(told.load->size());
  for (const auto& [rule, rates] : *told.load) {
    out.varint(rule.simple ? *rule.simple + 1 : 0);
    out.varint(rule.by_datacenter.size());
    for (const auto& [name, count] : rule.by_datacenter) {
      out.sized(name);
      out.varint(count);
    }
    out.varint(rates.size());
    for (const double rate : rates) out.varint(static_cast<uint64_t>(std::llround(std::max(rate, 0.0) * load_parts)));
  }
  return reply;
}

Result<ShardSizes::Told> ShardSizes::decode(BytesView bytes) {
  ByteReader in(bytes);
  Told told;
  const uint64_t count = in.varint();
  if (count > most_shards) in.fail();
  for (uint64_t i = 0; i < count && !in.failed(); ++i) {
    const ShardId id{in.varint()};
    told.sizes[id] = in.varint();
  }
  if (!in.failed() && !in.at_end()) {
    const uint64_t rules = in.varint();
    if (rules > RingLoad::most_rules) in.fail();
    told.load.emplace();
    for (uint64_t i = 0; i < rules && !in.failed(); ++i) {
      PlacementRule rule;
      if (const uint64_t simple = in.varint(); simple > 0) rule.simple = simple - 1;
      const uint64_t datacenters = in.varint();
      if (datacenters > most_datacenters) in.fail();
      for (uint64_t d = 0; d < datacenters && !in.failed(); ++d) {
        const std::string name(in.sized());
        rule.by_datacenter[name] = in.varint();
      }
      if (in.varint() != RingLoad::cells) in.fail();
      std::vector<double>& rates = (*told.load)[std::move(rule)];
      for (size_t cell = 0; cell < RingLoad::cells && !in.failed(); ++cell)
        rates.push_back(static_cast<double>(in.varint()) / load_parts);
    }
  }
  if (in.failed()) return fail(ErrorCode::corrupt, "an answer about shards is malformed");
  return told;
}

Task<ShardSizes::Told> ShardSizes::own() const {
  Told told;
  load_.advance(executor_.now());
  told.load = load_.rates();
  std::vector<ShardId> held;
  for (const auto& [id, shard] : cluster_.shards())
    if (shard.has_replica(self_)) held.push_back(id);
  for (size_t i = 0; i < held.size(); ++i) {
    if (i % shards_without_yield == shards_without_yield - 1) co_await yield_now();
    const Shard* shard = cluster_.shard(held[i]);
    const Keyspace* keyspace = shard != nullptr ? schema_.keyspace(shard->scope) : nullptr;
    if (keyspace == nullptr) continue;
    uint64_t& bytes = told.sizes[shard->id];
    for (const auto& [name, table] : keyspace->tables)
      for (const auto& [from, to] : key_runs(table->number, shard->range))
        bytes += replica_.file_bytes_between(from, to);
  }
  co_return told;
}

Task<void> ShardSizes::ask(NodeId node, Instant deadline, std::vector<Told>& answers) {
  if (node == self_) {
    answers.push_back(co_await own());
    co_return;
  }
  if (cluster_.level() < balance_feature_level) co_return;
  const auto reply = co_await rpc_.call(node, rpc_method::shard_sizes, {}, deadline, RpcPriority::bulk);
  if (!reply) co_return;
  if (auto told = decode(*reply)) answers.push_back(std::move(*told));
}

Task<std::vector<BalanceScope>> ShardSizes::measure(Instant deadline) {
  std::vector<Told> answers;
  size_t asked = 0;
  {
    TaskGroup asking(executor_);
    for (const auto& [id, node] : cluster_.nodes()) {
      if (!liveness_.up(id)) continue;
      ++asked;
      asking.spawn(ask(id, deadline, answers));
    }
    co_await asking.join();
  }
  std::map<ShardId, std::pair<double, double>> measured;  // bytes, replicas that tell
  for (const Told& told : answers)
    for (const auto& [id, bytes] : told.sizes) {
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
  const bool all_tell = std::ranges::all_of(answers, [](const Told& told) { return told.load.has_value(); });
  if (all_tell && answers.size() == asked) add_load(answers, scopes);
  co_return scopes;
}

/// To the first scope of each rule.
void ShardSizes::add_load(const std::vector<Told>& answers, std::vector<BalanceScope>& scopes) const {
  RingLoad::Rates sums;
  for (const Told& told : answers)
    for (const auto& [rule, rates] : *told.load) {
      std::vector<double>& sum = sums[rule];
      sum.resize(RingLoad::cells);
      for (size_t cell = 0; cell < RingLoad::cells; ++cell) sum[cell] += rates[cell];
    }
  for (BalanceScope& scope : scopes) {
    const auto found = sums.find(scope.rule);
    if (found == sums.end()) continue;
    const auto replicas = static_cast<double>(std::max<size_t>(1, scope.rule.place(0, cluster_.ring()).size()));
    for (size_t cell = 0; cell < RingLoad::cells; ++cell)
      scope.load.emplace_back(RingLoad::end_of(cell), found->second[cell] / replicas);
    sums.erase(found);
  }
}

}  // namespace asterism::datastore
