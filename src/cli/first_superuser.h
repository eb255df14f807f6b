// Turning authentication on: somebody must be able to log in to make the other users.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/cluster_folder.h"

namespace asterism {

/// Where the options ask for authentication and the cluster does not have it yet, writes it and the verifier of the
/// first superuser's password into every node's settings. Returns the password where it was made up here: it is stored
/// nowhere, so show it. Errors: already_exists where a node runs; invalid_argument and not_found of the password file.
Result<std::optional<std::string>> turn_authentication_on(const ClusterOptions& options,
                                                          std::vector<NodeConfig>& nodes);

}  // namespace asterism
