#include "node/client_faces.h"

#include <boost/json.hpp>

namespace asterism {

constexpr size_t max_prepared = 10'000, max_prepared_bytes = 32 << 20;

static cql::CqlServerOptions cql_options(const NodeConfig& config) {
  cql::CqlServerOptions options;
  options.self = config.id;
  options.cluster_name = config.cluster_name;
  return options;
}

ClientFaces::ClientFaces(Node& node, NodePorts ports, Log log)
    : node_(node),
      ports_(ports),
      log_(std::move(log)),
      prepared_(max_prepared, max_prepared_bytes),
      changes_(cql::make_schema_changes(node.metadata())),
      statements_(cql::Catalog{node.schema(), virtual_tables_}, node.tables(), *changes_, ports.clock, ports.random),
      cql_(cql_options(node.config()), ports.executor, ports.network, statements_, prepared_, node.cluster(),
           node.schema(), node.liveness(), node.metadata().state(), log_.child("cql")) {
  cql::add_system_tables(virtual_tables_,
                         {node.config().id, node.config().cluster_name, node.cluster(), node.schema(), prepared_});
}

Status ClientFaces::listen() {
  (void)ports_;
  TRY_STATUS(cql_.listen(node_.config().cql()));
  return {};
}

void ClientFaces::report(MetricsPage& page) const {
  const cql::CqlCounters& cql = cql_.counters();
  page.gauge("asterism_cql_connections", "Open CQL connections.", static_cast<double>(cql.connections_open));
  page.gauge("asterism_cql_requests_open", "CQL requests under way.", static_cast<double>(cql.requests_open));
  page.counter("asterism_cql_connections_accepted_total", "CQL connections accepted.", cql.connections_accepted);
  page.counter("asterism_cql_received_bytes_total", "Bytes received from CQL clients.", cql.bytes_received);
  page.counter("asterism_cql_sent_bytes_total", "Bytes sent to CQL clients.", cql.bytes_sent);
  for (const auto& [opcode, count] : cql.requests)
    page.counter("asterism_cql_requests_total", "CQL requests by opcode.", count,
                 {{"opcode", cql::wire::to_string(opcode)}});
  for (const auto& [code, count] : cql.errors)
    page.counter("asterism_cql_errors_total", "CQL error answers by code.", count,
                 {{"code", fmt::format("{:#06x}", static_cast<uint32_t>(code))}});
  node_.report(page);
}

}  // namespace asterism
