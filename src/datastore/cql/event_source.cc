#include "datastore/cql/event_source.h"

#include <algorithm>

#include "datastore/cql/system_tables.h"

namespace asterism::cql {

using datastore::Column;
using datastore::Keyspace;
using datastore::Table;
using Change = wire::SchemaChange::Change;
using Target = wire::SchemaChange::Target;

namespace {

bool same_column(const Column& a, const Column& b) {
  return a.id == b.id && a.name == b.name && a.type == b.type && a.kind == b.kind && a.position == b.position &&
         a.descending == b.descending;
}

/// TRUNCATE changes a table's number only, which is nobody's business.
bool same_table(const Table& a, const Table& b) {
  return a.options == b.options && a.dropped.size() == b.dropped.size() &&
         std::ranges::equal(a.columns, b.columns, same_column);
}

using Tables = std::map<std::string, datastore::TablePtr>;

void table_changes(const std::string& keyspace, const Tables& before, const Tables& after,
                   std::vector<wire::SchemaChange>& out) {
  for (const auto& [name, table] : before) {
    auto it = after.find(name);
    if (it == after.end() || it->second->id != table->id)
      out.push_back({Change::dropped, Target::table, keyspace, name, {}});
  }
  for (const auto& [name, table] : after) {
    auto it = before.find(name);
    if (it == before.end() || it->second->id != table->id)
      out.push_back({Change::created, Target::table, keyspace, name, {}});
    else if (it->second != table && !same_table(*it->second, *table))
      out.push_back({Change::updated, Target::table, keyspace, name, {}});
  }
}

}  // namespace

std::vector<wire::SchemaChange> schema_changes(const Keyspaces& before, const Keyspaces& after) {
  std::vector<wire::SchemaChange> changes;
  for (const auto& [name, keyspace] : before) {
    if (after.contains(name)) continue;
    table_changes(name, keyspace.tables, {}, changes);
    changes.push_back({Change::dropped, Target::keyspace, name, {}, {}});
  }
  for (const auto& [name, keyspace] : after) {
    auto it = before.find(name);
    if (it == before.end())
      changes.push_back({Change::created, Target::keyspace, name, {}, {}});
    else if (it->second.replication != keyspace.replication || it->second.durable_writes != keyspace.durable_writes)
      changes.push_back({Change::updated, Target::keyspace, name, {}, {}});
    table_changes(name, it == before.end() ? Tables{} : it->second.tables, keyspace.tables, changes);
  }
  return changes;
}

static wire::InetAddress inet(const Address& address) { return {inet_bytes(address.host), address.port}; }

EventSource::EventSource(NodeId self, Duration up_event_delay, Executor& executor, const ClusterState& cluster,
                         const datastore::Schema& schema, const Liveness& liveness,
                         std::function<void(const wire::Event&)> tell)
    : self_(self),
      up_event_delay_(up_event_delay),
      executor_(executor),
      cluster_(cluster),
      schema_(schema),
      liveness_(liveness),
      tell_(std::move(tell)),
      schema_index_(schema.version_index()),
      keyspaces_(schema.keyspaces()),
      nodes_(addresses()) {
  for (const auto& [id, node] : cluster.nodes())
    if (liveness.up(id)) peers_[id].told_up = true;
  for (const auto& [id, node] : cluster.nodes()) tokens_[id] = node.tokens;
}

std::map<NodeId, Address> EventSource::addresses() const {
  std::map<NodeId, Address> found;
  for (const auto& [id, node] : cluster_.nodes()) {
    Address address{node.host, node.port("cql")};
    if (id != self_ && address.port != 0 && !inet_bytes(address.host).empty()) found[id] = std::move(address);
  }
  return found;
}

void EventSource::metadata_changed() {
  nodes_changed();
  tokens_changed();
  if (schema_index_ == schema_.version_index()) return;
  auto changes = schema_changes(keyspaces_, schema_.keyspaces());
  schema_index_ = schema_.version_index();
  keyspaces_ = schema_.keyspaces();
  for (auto& change : changes) tell_({std::move(change)});
}

void EventSource::nodes_changed() {
  auto now = addresses();
  if (now == nodes_) return;
  auto before = std::exchange(nodes_, std::move(now));
  for (const auto& [id, address] : before) {
    auto it = nodes_.find(id);
    if (it != nodes_.end() && it->second == address) continue;
    tell_({wire::TopologyChange{wire::TopologyChange::Change::removed_node, inet(address)}});
    if (it == nodes_.end()) peers_.erase(id);
  }
  for (const auto& [id, address] : nodes_) {
    auto it = before.find(id);
    if (it == before.end() || it->second != address)
      tell_({wire::TopologyChange{wire::TopologyChange::Change::new_node, inet(address)}});
  }
}

/// Clients look at the ring again for whatever node it is, this one too.
void EventSource::tokens_changed() {
  for (const auto& [id, node] : cluster_.nodes()) {
    auto [known, added] = tokens_.try_emplace(id, node.tokens);
    if (added || known->second == node.tokens) continue;
    known->second = node.tokens;
    tell_({wire::TopologyChange{wire::TopologyChange::Change::moved_node, inet({node.host, node.port("cql")})}});
  }
  std::erase_if(tokens_, [&](const auto& entry) { return !cluster_.nodes().contains(entry.first); });
}

void EventSource::liveness_changed(NodeId node, bool up) {
  Peer& peer = peers_[node];
  if (!up) {
    peer.timer.reset();
    if (std::exchange(peer.told_up, false)) tell_status(node, false);
    return;
  }
  if (peer.told_up) return;
  peer.timer = std::make_unique<Timer>(executor_);
  peer.timer->arm(executor_.now() + up_event_delay_, [this, node] {
    if (!liveness_.up(node)) return;
    peers_[node].told_up = true;
    tell_status(node, true);
  });
}

void EventSource::tell_status(NodeId node, bool up) {
  auto it = nodes_.find(node);
  if (it == nodes_.end()) return;
  using Status = wire::StatusChange::Change;
  tell_({wire::StatusChange{up ? Status::up : Status::down, inet(it->second)}});
}

}  // namespace asterism::cql
