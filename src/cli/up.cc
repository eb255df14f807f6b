#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/supervisor.h"

namespace asterism {

void add_up(CLI::App& app, Chosen& chosen) {
  struct Options {
    ClusterOptions cluster;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* up = app.add_subcommand("up", "Start a cluster on this machine and keep it running in the foreground");
  up->add_option("--nodes", options->cluster.nodes, "How many nodes a new cluster gets (3)")
      ->check(CLI::Range(1, max_local_nodes));
  up->add_option("--racks", options->cluster.racks, "Over how many racks a new cluster's nodes are spread (1)")
      ->check(CLI::Range(1, max_local_nodes));
  up->add_option("--datacenters", options->cluster.datacenters,
                 "Over how many datacenters a new cluster's nodes are spread, each with its racks (1)")
      ->check(CLI::Range(1, max_local_nodes));
  up->add_option("--data", options->cluster.data, "The cluster's folder; made where it is missing")
      ->capture_default_str();
  up->add_option("--cql-port", options->cluster.cql_port, "Port for CQL clients (9042)")->check(CLI::Range(1, 65535));
  up->add_option("--http-port", options->cluster.http_port, "Port for HTTP (7070)")->check(CLI::Range(1, 65535));
  up->add_option("--rpc-port", options->cluster.rpc_port, "Port between nodes (7000)")->check(CLI::Range(1, 65535));
  up->add_option("--port-offset", options->cluster.port_offset, "Added to all ports")->check(CLI::Range(0, 65535));
  CLI::Option* authentication =
      up->add_flag("--authentication", options->cluster.authentication,
                   "Clients must log in; the first superuser is admin, whose password is printed once");
  up->add_option("--admin-password-file", options->cluster.admin_password_file,
                 "Its first line is admin's password, which is then not made up and not printed")
      ->needs(authentication);
  up->add_flag("--tls", options->cluster.tls,
               "Clients and nodes speak TLS; certificates come from an authority of the cluster's own, ca.pem");
  up->add_option("--memory", options->cluster.memory_mib,
                 "What each node may take of the machine's memory, in MiB (256)")
      ->check(CLI::Range(least_memory_mib, most_memory_mib));
  up->add_flag("--json", options->json, "Print lines of JSON: one when all nodes serve, then one per event");
  up->callback(
      [options, &chosen] { chosen = [options] { return Supervisor(options->cluster, options->json).run(); }; });
}

}  // namespace asterism
