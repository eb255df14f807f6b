// asterism rebalance: nodes get other tokens until all store and do about the same.
#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "cli/ask_nodes.h"
#include "cli/commands.h"
#include "cli/members.h"
#include "cli/output.h"

namespace asterism {
namespace {

constexpr Duration look_limit = 25s;
constexpr size_t steps_most = 64;

struct RebalanceOptions {
  std::string data = ClusterOptions().data;
  bool dry_run = false, json = false;
};

struct Done {
  size_t steps = 0;
  uint64_t shards = 0;
};

double number_at(const boost::json::object& object, std::string_view name) {
  const boost::json::value* value = object.if_contains({name.data(), name.size()});
  return value && value->is_number() ? value->to_number<double>() : 0;
}

/// What GET /balance says.
Result<boost::json::object> look(const std::string& data) {
  TRY(const auto answers, ask_status(data));
  Status last = fail(ErrorCode::unavailable, "no node answers: start the cluster with asterism up");
  for (const NodeAnswer& answer : answers) {
    if (!answer.status || text_member(*answer.status, "state") != "serving") continue;
    auto seen = ask_node(answer.config, {.target = "/balance", .limit = look_limit});
    if (seen) return seen;
    last = fail(seen.error());
  }
  return fail(last.error());
}

/// The node of the step that is under way; "" where there is none.
Result<std::string> under_way(const std::string& data) {
  TRY(const auto answers, ask_status(data));
  const auto change = change_under_way(answers);
  return change && text_member(*change, "what") == "rebalance" ? text_member(*change, "node") : std::string();
}

bool load_matters(const boost::json::object& seen) {
  const boost::json::value* matters = seen.if_contains("load_matters");
  return matters && matters->is_bool() && matters->get_bool();
}

void print_table(const boost::json::object& seen) {
  constexpr const char* row = "  {:10}{:>10}{:>10}{:>12}{:>10}{:>16}";
  const auto share = [](double value) { return fmt::format("{:.1f} %", value * 100); };
  const double mean = number_at(seen, "load_mean");
  const auto load = [&](double value) { return mean > 0 ? share(value) : "-"; };
  print_line(dim(fmt::format(fmt::runtime(row), "node", "stores", "then", "load", "then", "tokens moved")));
  for (const boost::json::value& value : array_member(seen, "nodes")) {
    if (!value.is_object()) continue;
    const boost::json::object& node = value.get_object();
    print_line(fmt::format(fmt::runtime(row), text_member(node, "name"), share(number_at(node, "share")),
                           share(number_at(node, "share_after")), load(number_at(node, "load_share")),
                           load(number_at(node, "load_share_after")), number_at(node, "tokens_moved")));
  }
  print_line(dim("  100 % is the mean of a datacenter's nodes"));
  print_line(dim(fmt::format("  load: of replicas, as of reading {:.0f} small rows a second by node{}", mean,
                             load_matters(seen) ? "" : "; too little to move anything for")));
}

Status run_steps(const RebalanceOptions& options, Done& done) {
  for (size_t step = 0; step < steps_most; ++step) {
    TRY(const boost::json::object seen, look(options.data));
    TRY(std::string node, under_way(options.data));
    if (node.empty()) {
      const boost::json::array& steps = array_member(seen, "steps");
      if (steps.empty()) return {};
      TRY_STATUS(post_to_cluster(options.data, "/members/rebalance", {}));
      TRY(node, under_way(options.data));
      if (node.empty() && steps.front().is_string()) node = printable(std::string_view(steps.front().get_string()));
    }
    TRY(const ChangeEnd end, wait_for_change(options.data, node, options.json));
    // Where nothing has moved yet, the way back takes no time to be seen.
    TRY(const boost::json::object then, look(options.data));
    if (end.cancelled || text_member(then, "ring") == text_member(seen, "ring"))
      return fail(ErrorCode::closed, "the step of {} was cancelled: {} steps before it stay", node, done.steps);
    ++done.steps;
    done.shards += end.shards;
  }
  return {};
}

/// What the busiest node does more than the others, where that is worth a word.
std::string load_words(const boost::json::object& seen) {
  if (!load_matters(seen)) return "";
  return fmt::format("; the busiest does {:.0f} % more than the mean", number_at(seen, "load_excess") * 100);
}

void print_outcome(const RebalanceOptions& options, const Done& done, const boost::json::object& before,
                   const boost::json::object& after) {
  const double was = number_at(before, "unevenness"), is = number_at(after, "unevenness");
  if (options.json) {
    JsonLine line;
    line.text("event", "rebalanced").number("steps", static_cast<int64_t>(done.steps));
    line.number("shards_moved", static_cast<int64_t>(done.shards));
    line.raw("unevenness_before", fmt::format("{:.4f}", was)).raw("unevenness", fmt::format("{:.4f}", is));
    line.raw("load_excess_before", fmt::format("{:.4f}", number_at(before, "load_excess")));
    line.raw("load_excess", fmt::format("{:.4f}", number_at(after, "load_excess")));
    return print_line(line.str());
  }
  if (done.steps == 0)
    return print_line(fmt::format("nothing moved: no node stores more than {:.1f} % off the mean, or no step helps{}",
                                  is * 100, load_words(after)));
  print_line(
      fmt::format("no node stores more than {:.1f} % off the mean, where it was {:.1f} %: {} shards moved in {} "
                  "steps{}",
                  is * 100, was * 100, done.shards, done.steps, load_words(after)));
}

Status run(const RebalanceOptions& options) {
  TRY(const boost::json::object before, look(options.data));
  if (options.dry_run) {
    if (options.json) {
      print_line(boost::json::serialize(before));
      return {};
    }
    print_table(before);
    const size_t steps = array_member(before, "steps").size();
    print_line(steps == 0 ? "  no step would help enough" : fmt::format("  {} steps lead there", steps));
    return {};
  }
  Done done;
  TRY_STATUS(run_steps(options, done));
  TRY(const boost::json::object after, look(options.data));
  print_outcome(options, done, before, after);
  return {};
}

}  // namespace

void add_rebalance(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<RebalanceOptions>();
  CLI::App* rebalance =
      app.add_subcommand("rebalance", "Give nodes other tokens until all store and do about the same");
  rebalance->add_option("--data", options->data, "The cluster's folder")->capture_default_str();
  rebalance->add_flag("--dry-run", options->dry_run,
                      "Only show what each node stores and does, and what it would then");
  rebalance->add_flag("--json", options->json, "Print one line of JSON");
  rebalance->footer(
      "A step moves at most four tokens of one node, with the shards that follow from it; asterism node cancel turns "
      "the\n"
      "one that is under way back. The cluster makes the same steps by itself where a node stores more than 10 % off\n"
      "the mean for a minute, or the busiest does more than 30 % above the mean for five, unless asterism settings "
      "balancer off.\n"
      "Load is what replicas do for clients; it is evened only where that leaves what nodes store even.");
  when_chosen(*rebalance, chosen, [options] { return run(*options); });
}

}  // namespace asterism
