// What a node tells of itself: its status, its load and its metrics.
#include "node/node_parts.h"

#include "node/change_report.h"

#include <algorithm>

namespace asterism {

boost::json::object Node::Parts::load_object() {
  const auto ms = [](Duration time) { return std::chrono::duration<double, std::milli>(time).count(); };
  boost::json::object out{{"state", to_string(state())},
                          {"uptime_s", std::chrono::duration<double>(ports.executor.now() - started).count()}};
  if (!faces) return out;
  const cql::CqlCounters& cql = faces->cql_counters();
  const LoadWindow::Load& lately =
      load.load(ports.executor.now(), coordinator->counters(), cql, loop_lag, anti_entropy->counters().moved_bytes);
  out["reads_s"] = lately.reads_per_s;
  out["writes_s"] = lately.writes_per_s;
  out["failures_s"] = lately.failures_per_s;
  out["median_ms"] = ms(lately.median);
  out["slow_ms"] = ms(lately.slow);
  out["loop_lag_ms"] = ms(lately.lag);
  out["connections"] = cql.connections_open;
  out["hints"] = hints->waiting();
  boost::json::object hints_for;
  for (const auto& [target, count] : hints->waiting_for()) hints_for[std::to_string(target.value)] = count;
  if (!hints_for.empty()) out["hints_for"] = std::move(hints_for);
  out["compared"] = anti_entropy->counters().compared;
  out["differing"] = anti_entropy->counters().differing;
  out["moved_bytes"] = anti_entropy->counters().moved_bytes;
  out["move_mib_s"] = lately.moved_bytes_per_s / (1 << 20);
  const datastore::AntiEntropy::Progress repair = anti_entropy->progress();
  boost::json::object comparison{{"shards", repair.shards}, {"compared", repair.compared}};
  if (repair.last) comparison["last_s"] = std::chrono::duration<double>(ports.executor.now() - *repair.last).count();
  out["comparison"] = std::move(comparison);
  out["store_bytes"] = store->file_bytes();
  service->load().advance(ports.executor.now());
  out["work_s"] = service->load().total();
  if (tuning.host != nullptr) {
    if (auto bytes = tuning.host->resident_bytes()) out["resident_bytes"] = *bytes;
    out["cpu_s"] = std::chrono::duration<double>(tuning.host->processor_time()).count();
  }
  return out;
}

void Node::report(MetricsPage& page) const {
  const Parts& parts = *parts_;
  const auto& replica = parts.replica->counters();
  page.counter("asterism_replica_writes_total", "Mutations taken by this replica.", replica.writes);
  page.counter("asterism_replica_flushes_total", "Flushes of the table store.", replica.flushes);
  page.gauge("asterism_replica_pending_bytes", "Mutations that wait for the log.",
             static_cast<double>(parts.replica->pending_bytes()));
  page.gauge("asterism_replica_work_per_second",
             "Work of this replica for clients over the last minutes, in reads of a small row a second.",
             parts.service->load().total());
  const auto& requests = parts.coordinator->counters();
  page.counter("asterism_coordinator_writes_total", "Writes coordinated here.", requests.writes);
  page.counter("asterism_coordinator_reads_total", "Reads coordinated here.", requests.reads);
  page.counter("asterism_coordinator_failures_total", "Requests that missed their consistency level.",
               requests.failures);
  page.counter("asterism_coordinator_digest_mismatches_total", "Reads whose replicas differed.",
               requests.digest_mismatches);
  page.counter("asterism_coordinator_speculations_total", "Reads asked of one more replica.", requests.speculations);
  const auto& hints = parts.hints->counters();
  page.counter("asterism_hints_stored_total", "Mutations kept for replicas that were down.", hints.stored);
  page.counter("asterism_hints_delivered_total", "Hints delivered.", hints.delivered);
  page.counter("asterism_hints_dropped_total", "Hints given up.", hints.dropped);
  page.gauge("asterism_hints_waiting", "Hints that wait.", static_cast<double>(parts.hints->waiting()));
  const auto& compared = parts.anti_entropy->counters();
  page.counter("asterism_anti_entropy_compared_total", "Comparisons of a table's shard with one peer.",
               compared.compared);
  page.counter("asterism_anti_entropy_differing_total", "Comparisons that found a difference.", compared.differing);
  const auto& moves = parts.mover->counters();
  page.counter("asterism_mover_caught_up_total", "Phases of moves of shards that this node ended.", moves.caught_up);
  page.counter("asterism_mover_failed_total", "Attempts to catch up with a shard that failed.", moves.failed);
  page.counter("asterism_mover_dropped_ranges_total", "Ranges deleted after they moved away.", moves.dropped_ranges);
  page.counter("asterism_mover_bytes_total", "Bytes of rows that travelled for shards that move here.",
               compared.moved_bytes);
  const auto& log = parts.wal->counters();
  page.counter("asterism_wal_records_total", "Records in the write-ahead log.", log.records);
  page.counter("asterism_wal_syncs_total", "Syncs of the write-ahead log.", log.syncs);
  page.counter("asterism_wal_bytes_total", "Bytes written to the write-ahead log.", log.bytes);
  const auto raft = parts.host->counters();
  page.gauge("asterism_raft_groups", "Raft groups on this node.", static_cast<double>(raft.groups));
  page.gauge("asterism_raft_groups_quiet", "Raft groups at rest.", static_cast<double>(raft.quiet));
  page.counter("asterism_raft_messages_total", "Raft messages sent.", raft.messages_sent);
  page.counter("asterism_raft_batches_total", "Batches of Raft messages sent.", raft.batches_sent);
  const datastore::RowCache& cache = parts.replica->cache();
  page.counter("asterism_row_cache_hits_total", "Rows found in the row cache.", cache.hits());
  page.counter("asterism_row_cache_misses_total", "Rows not found in the row cache.", cache.misses());
  page.gauge("asterism_row_cache_bytes", "Bytes of the row cache.", static_cast<double>(cache.bytes()));
  const datastore::SliceCache& slices = parts.replica->slices();
  page.counter("asterism_slice_cache_hits_total", "Parts of slices found in the slice cache.", slices.hits());
  page.counter("asterism_slice_cache_misses_total", "Parts of slices read from the store.", slices.misses());
  page.gauge("asterism_slice_cache_bytes", "Bytes of the slice cache.", static_cast<double>(slices.bytes()));
  page.counter("asterism_wal_batches_total", "Batches of the write-ahead log, each written at once.", log.batches);
  page.gauge("asterism_store_file_bytes", "Bytes of the store's files.",
             static_cast<double>(parts.store->file_bytes()));
  page.gauge("asterism_shards", "Shards of the cluster.", static_cast<double>(parts.cluster.shards().size()));
  page.gauge("asterism_nodes_up", "Nodes that this one finds up, itself included.",
             static_cast<double>(std::ranges::count_if(
                 parts.cluster.nodes(), [&](const auto& entry) { return parts.liveness->up(entry.first); })));
  page.histogram("asterism_loop_lag_seconds", "How late the event loop runs what is due.", parts.loop_lag);
  if (parts.tuning.host != nullptr) {
    page.counter("asterism_process_cpu_seconds_total", "Time that processors worked for the process.",
                 parts.tuning.host->processor_time());
    if (auto bytes = parts.tuning.host->resident_bytes())
      page.gauge("asterism_resident_memory_bytes", "Physical memory of the process.", static_cast<double>(*bytes));
  }
  page.gauge("asterism_store_memory_bytes", "Memory of memtables, block cache and table readers.",
             static_cast<double>(parts.store->approximate_memory()));
}

std::string Node::status_json() {
  Parts& parts = *parts_;
  const auto name_of = [&](NodeId id) {
    const NodeInfo* node = parts.cluster.node(id);
    return node != nullptr ? node->name : std::string();
  };
  boost::json::object status;
  status["name"] = parts.config.name;
  status["id"] = parts.config.id.value;
  status["state"] = to_string(parts.state());
  status["cluster"] = parts.config.cluster_name;
  status["uptime_s"] = static_cast<double>((parts.ports.executor.now() - parts.started).count()) * 1e-9;
  status["metadata"] = {{"leader", name_of(parts.metadata->leader())}, {"applied", parts.metadata->applied_index()}};
  boost::json::array nodes;
  for (const auto& [id, node] : parts.cluster.nodes())
    nodes.push_back({{"name", node.name},
                     {"address", node.host},
                     {"datacenter", node.place.datacenter},
                     {"rack", node.place.rack},
                     {"up", parts.liveness->up(id)}});
  status["nodes"] = std::move(nodes);
  status["next_node"] = parts.cluster.next_node().value;
  if (auto change = change_report(parts.cluster)) status["change"] = std::move(*change);
  status["feature_level"] = {{"active", parts.cluster.level()}, {"supported", parts.supported_level()}};
  boost::json::object settings;
  for (const auto& [name, value] : parts.cluster.settings().list()) settings[name] = value;
  status["settings"] = std::move(settings);
  if (parts.drain_phase == DrainPhase::waiting) status["drain"] = "waiting";
  if (parts.drain_error) status["drain_error"] = *parts.drain_error;
  boost::json::object keyspaces;
  for (const auto& [keyspace, definition] : parts.schema.keyspaces())
    keyspaces[keyspace] = parts.cluster.shards_of(keyspace).size();
  status["shards"] = {{"total", parts.cluster.shards().size()}, {"keyspaces", std::move(keyspaces)}};
  status["hints"] = parts.hints->waiting();
  status["memory_bytes"] = parts.store->approximate_memory();
  status["load"] = parts.load_object();
  status["isolated"] = parts.isolation != nullptr && parts.isolation->isolated();
  return boost::json::serialize(status);
}

}  // namespace asterism
