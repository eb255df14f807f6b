#include "cli/commands.h"

#include <CLI/CLI.hpp>

#include "cli/output.h"

namespace asterism {

void when_chosen(CLI::App& command, Chosen& chosen, std::function<Status()> run) {
  command.callback([run = std::move(run), &chosen] {
    chosen = [run] {
      Status done = run();
      if (!done) print_error(done.error().message);
      return done ? 0 : 1;
    };
  });
}

}  // namespace asterism
