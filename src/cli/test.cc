#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "cli/output.h"
#include "runtime/real/files.h"
#include "runtime/real/process.h"

namespace asterism {

/// The script beside the sources builds the tests and runs them: this binary lies in <checkout>/build/release.
static int run_tests(const std::vector<std::string>& arguments) {
  const std::string own = own_program();
  const size_t build = own.rfind("/build/release/");
  const std::string script = build == std::string::npos ? "" : own.substr(0, build) + "/asterism";
  if (script.empty() || !file_exists(script)) {
    print_error("the tests belong to a checkout of the sources: run ./asterism test there");
    return 1;
  }
  std::vector<std::string> all{"test"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  print_error(replace_process(script, all).error().message);
  return 1;
}

void add_test(CLI::App& app, Chosen& chosen) {
  CLI::App* test = app.add_subcommand("test", "Build and run the tests of a checkout; arguments go to ctest");
  test->prefix_command();
  test->callback([test, &chosen] { chosen = [test] { return run_tests(test->remaining()); }; });
}

}  // namespace asterism
