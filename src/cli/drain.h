// Getting a node of this machine ready to be stopped, and stopping it: asterism node drain and stop.
#pragma once

#include "cli/commands.h"
#include "node/node_config.h"

namespace asterism {

void add_drain_commands(CLI::App& node, Chosen& chosen);

/// Ends the process where it serves no clients because it was drained; else nothing happens.
Status stop_drained(const NodeConfig& config);

}  // namespace asterism
