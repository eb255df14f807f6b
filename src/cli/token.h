// Making, listing and revoking join tokens: asterism node token.
#pragma once

#include "cli/commands.h"

namespace asterism {

void add_token_command(CLI::App& node, Chosen& chosen);

}  // namespace asterism
