// asterism settings: what holds for the whole cluster while it runs.
#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "cli/ask_nodes.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace asterism {
namespace {

struct SettingsOptions {
  std::string data = ClusterOptions().data;
  std::string name, value;
  bool json = false;
};

Result<boost::json::object> read_settings(const std::string& data) {
  TRY(const auto answers, ask_status(data));
  const boost::json::object* fresh = freshest(answers);
  if (!fresh) return fail(ErrorCode::unavailable, "no node answers: start the cluster with asterism up");
  const boost::json::value* settings = fresh->if_contains("settings");
  if (!settings || !settings->is_object())
    return fail(ErrorCode::unsupported, "the nodes run an older version, which has no settings");
  return settings->get_object();
}

Status run(const SettingsOptions& options) {
  if (!options.value.empty())
    TRY_STATUS(post_to_cluster(options.data, "/settings", {{"name", options.name}, {"value", options.value}}));
  TRY(boost::json::object settings, read_settings(options.data));
  if (!options.name.empty() && !settings.contains(options.name))
    return fail(ErrorCode::not_found, "there is no setting '{}'", options.name);
  for (auto it = settings.begin(); it != settings.end();)
    it = options.name.empty() || it->key() == std::string_view(options.name) ? it + 1 : settings.erase(it);
  if (options.json) {
    print_line(boost::json::serialize(settings));
    return {};
  }
  for (const auto& [name, value] : settings)
    print_line(fmt::format("  {:24}{}", printable({name.data(), name.size()}),
                           text_member(settings, {name.data(), name.size()})));
  return {};
}

}  // namespace

void add_settings(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<SettingsOptions>();
  CLI::App* settings = app.add_subcommand("settings", "Show or change what holds for the whole cluster while it runs");
  settings->add_option("name", options->name, "Only this setting");
  settings->add_option("value", options->value, "What it shall be");
  settings->add_option("--data", options->data, "The cluster's folder")->capture_default_str();
  settings->add_flag("--json", options->json, "Print one line of JSON");
  settings->footer(
      "balancer: on, or off where nodes shall keep their tokens until asterism rebalance gives them others.\n"
      "move_mib_per_second: of rows, in MiB, that each node fetches and sends at most to catch up with the shards "
      "that\n"
      "move to it (64). It holds at once, also for a change that is under way.");
  when_chosen(*settings, chosen, [options] { return run(*options); });
}

}  // namespace asterism
