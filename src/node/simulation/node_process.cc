#include "node/simulation/node_process.h"

#include "base/hash.h"

namespace asterism::simulation {

constexpr Duration retry_after_failure = 500ms;

uint64_t hash_of_facts(ClusterState& cluster, const datastore::Schema& schema) {
  std::string facts = fmt::format("level {}\n", cluster.level());
  for (const auto& [id, node] : cluster.nodes())
    facts += fmt::format("node {} {} {} {}\n", id, node.host, node.rpc_port, fmt::join(node.tokens, ","));
  for (const auto& [id, shard] : cluster.shards()) {
    facts += fmt::format("shard {} {} {} {} {}", id, shard.scope, shard.range.after, shard.range.to, shard.epoch);
    for (NodeId replica : shard.replicas) facts += fmt::format(" {}", replica);
    for (NodeId replica : shard.target) facts += fmt::format(" to {}{}", replica, shard.settling ? "!" : "");
  }
  for (const auto& [name, keyspace] : schema.keyspaces()) {
    facts += fmt::format("keyspace {} {}\n", name, keyspace.replication_factor());
    for (const auto& [table_name, table] : keyspace.tables) facts += fmt::format("{} {}\n", table_name, table->number);
  }
  return xxh3(facts);
}

NodeProcess::NodeProcess(sim::Machine& machine, NodeConfig config, NodeTuning tuning, uint32_t register_groups,
                         JournalChecker& checker)
    : machine_(machine),
      config_(std::move(config)),
      tuning_(std::move(tuning)),
      register_groups_(register_groups),
      checker_(checker),
      log_(machine.log("")),
      requests_(machine.executor()),
      tasks_(machine.executor()) {
  tasks_.spawn(run());
}

NodeProcess::~NodeProcess() {
  ready_ = false;
  tasks_.cancel();
  requests_.cancel();
  node_.reset();
}

Task<void> NodeProcess::run() {
  while (true) {
    journal_ = std::make_unique<Journal>(config_.name, checker_,
                                         [this] { return hash_of_facts(node_->cluster(), node_->schema()); });
    NodeTuning tuning = tuning_;
    tuning.sections[Journal::section_name] = journal_.get();
    registers_.clear();
    for (uint32_t i = 0; i < register_groups_; ++i) {
      const ShardId group{first_register_group + i};
      tuning.groups[group] = &registers_[group];
    }
    const NodePorts ports{machine_.executor(), machine_.clock(), machine_.random(), machine_.network(),
                          machine_.disk()};
    node_ = std::make_unique<Node>(config_, ports, std::move(tuning), log_);
    Status started = co_await node_->start();
    if (started) {
      ready_ = true;
      log_.info("serves");
      started = fail(co_await node_->failed());
      ready_ = false;
    }
    if (node_->state() == NodeState::left) {
      log_.info("ends: {}", started.error().message);
      co_return;
    }
    log_.error("starts again because of {}", started.error().to_string());
    requests_.cancel();
    node_.reset();
    co_await sleep_for(retry_after_failure);
  }
}

Task<void> NodeProcess::stop() {
  ready_ = false;
  tasks_.cancel();
  requests_.cancel();
  if (node_) co_await node_->stop();
  node_.reset();
}

}  // namespace asterism::simulation
