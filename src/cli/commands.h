// The subcommands. Each source adds its own to the application and, where the user chose it, sets what to run.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"

namespace CLI {
class App;
}

namespace asterism {

/// Returns the process's exit code: 0 success, 1 failure, 2 wrong usage.
using Chosen = std::function<int()>;
/// Where the user chose the command, `run` is what to run; its error is told on standard error.
void when_chosen(CLI::App& command, Chosen& chosen, std::function<Status()> run);

void add_up(CLI::App& app, Chosen& chosen);
void add_logs(CLI::App& app, Chosen& chosen);
void add_man(CLI::App& app, Chosen& chosen);
/// To the application, and to its command `node`.
void add_rebalance(CLI::App& app, Chosen& chosen);
void add_settings(CLI::App& app, Chosen& chosen);
void add_shards(CLI::App& app, Chosen& chosen);
void add_top(CLI::App& app, Chosen& chosen);
void add_user(CLI::App& app, Chosen& chosen);
void add_node(CLI::App& app, Chosen& chosen);
void add_status(CLI::App& app, Chosen& chosen);
void add_verify(CLI::App& app, Chosen& chosen);
void add_import(CLI::App& app, Chosen& chosen);
void add_export(CLI::App& app, Chosen& chosen);
void add_snapshot(CLI::App& app, Chosen& chosen);
void add_restore(CLI::App& app, Chosen& chosen);
void add_bench(CLI::App& app, Chosen& chosen);
void add_test(CLI::App& app, Chosen& chosen);
void add_sim(CLI::App& app, Chosen& chosen);
void add_cql(CLI::App& app, Chosen& chosen);
void add_version(CLI::App& app, Chosen& chosen);
void add_completion(CLI::App& app, Chosen& chosen);

const char* version();

}  // namespace asterism
