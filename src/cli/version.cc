#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/output.h"

namespace asterism {

const char* version() { return ASTERISM_VERSION; }

void add_version(CLI::App& app, Chosen& chosen) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("version", "Print the version");
  command->add_flag("--json", *json, "Print one line of JSON");
  command->callback([json, &chosen] {
    chosen = [json] {
      print_line(*json ? JsonLine().text("version", version()).str() : fmt::format("asterism {}", version()));
      return 0;
    };
  });
}

}  // namespace asterism
