#include <CLI/CLI.hpp>

#include "cli/commands.h"

int main(int count, char** arguments) {
  using namespace asterism;
  CLI::App app("Asterism: many computers that act as one.", "asterism");
  app.set_version_flag("--version", std::string("asterism ") + version());
  app.require_subcommand(1);
  Chosen chosen;
  add_up(app, chosen);
  add_node(app, chosen);
  add_status(app, chosen);
  add_top(app, chosen);
  add_user(app, chosen);
  add_logs(app, chosen);
  add_shards(app, chosen);
  add_rebalance(app, chosen);
  add_settings(app, chosen);
  add_verify(app, chosen);
  add_cql(app, chosen);
  add_import(app, chosen);
  add_export(app, chosen);
  add_snapshot(app, chosen);
  add_restore(app, chosen);
  add_bench(app, chosen);
  add_test(app, chosen);
  add_sim(app, chosen);
  add_version(app, chosen);
  add_completion(app, chosen);
  add_man(app, chosen);
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return chosen();
}
