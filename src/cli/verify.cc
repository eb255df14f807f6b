#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <map>

#include "cli/ask_nodes.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace asterism {
namespace {

struct Verdict {
  boost::json::array differences;
  boost::json::array unreachable;  // names of nodes whose replicas could not be compared
  boost::json::value shards, tables;
  std::string asked;
  std::string error;

  bool ok() const { return differences.empty() && unreachable.empty() && error.empty(); }
};

bool contains(const boost::json::array& names, const boost::json::value& name) {
  return std::ranges::find(names, name) != names.end();
}

void take_answer(boost::json::object answer, Verdict& verdict) {
  boost::json::value& differences = answer["differences"];
  if (!differences.is_array()) {
    verdict.error = fmt::format("{} answered without a list of differences", verdict.asked);
    return;
  }
  verdict.differences = std::move(differences.as_array());
  verdict.shards = answer["shards"];
  verdict.tables = answer["tables"];
  for (const boost::json::value& name : array_member(answer, "unreachable"))
    if (!contains(verdict.unreachable, name)) verdict.unreachable.push_back(name);
}

/// The first node that serves clients, else the first that answers at all.
const NodeAnswer* choose(const std::vector<NodeAnswer>& answers) {
  const NodeAnswer* any = nullptr;
  for (const NodeAnswer& answer : answers) {
    if (!answer.status) continue;
    if (text_member(*answer.status, "state") == "serving") return &answer;
    if (!any) any = &answer;
  }
  return any;
}

Verdict verify(const std::vector<NodeAnswer>& answers, Duration limit) {
  Verdict verdict;
  for (const NodeAnswer& answer : answers)
    if (!answer.status) verdict.unreachable.emplace_back(answer.config.name);
  const NodeAnswer* asked = choose(answers);
  if (!asked) {
    verdict.error = "no node answers: start the cluster with asterism up";
    return verdict;
  }
  verdict.asked = asked->config.name;
  auto answer = post_to_node(asked->config, "/verify", limit);
  if (answer)
    take_answer(std::move(*answer), verdict);
  else
    verdict.error = fmt::format("{} could not verify: {}", verdict.asked, answer.error().message);
  return verdict;
}

void print_json(const Verdict& verdict) {
  boost::json::object line{{"ok", verdict.ok()},
                           {"differences", verdict.differences},
                           {"shards", verdict.shards},
                           {"tables", verdict.tables},
                           {"unreachable", verdict.unreachable}};
  if (!verdict.asked.empty()) line["asked"] = verdict.asked;
  if (!verdict.error.empty()) line["error"] = verdict.error;
  print_line(boost::json::serialize(line));
}

/// A cell of the table: strings as they are, lists of them with commas, everything else as JSON.
std::string cell(const boost::json::value* value) {
  if (!value || value->is_null()) return "-";
  if (value->is_string()) return printable({value->get_string().data(), value->get_string().size()});
  if (!value->is_array()) return printable(boost::json::serialize(*value));
  std::string joined;
  for (const boost::json::value& part : value->get_array())
    joined += fmt::format("{}{}", joined.empty() ? "" : ", ", cell(&part));
  return joined;
}

void print_words(const Verdict& verdict) {
  if (!verdict.differences.empty()) {
    constexpr const char* row = "  {:32}{:8}{:16}{:16}{}";
    std::map<std::pair<std::string, std::string>, size_t> unasked;  // how often, by node and reason
    bool headed = false;
    for (const boost::json::value& value : verdict.differences) {
      const boost::json::object object = value.is_object() ? value.get_object() : boost::json::object();
      const boost::json::value* ranges = object.if_contains("ranges");
      if (const std::string why = text_member(object, "what"); ranges && *ranges == 0 && !why.empty()) {
        ++unasked[{cell(object.if_contains("nodes")), why}];
        continue;
      }
      if (!std::exchange(headed, true))
        print_line(dim(fmt::format(fmt::runtime(row), "table", "shard", "nodes", "ranges", "what differs")));
      print_line(fmt::format(fmt::runtime(row), text_member(object, "keyspace") + "." + text_member(object, "table"),
                             cell(object.if_contains("shard")), cell(object.if_contains("nodes")), cell(ranges),
                             cell(object.if_contains("what"))));
    }
    for (const auto& [who, times] : unasked)
      print_line(fmt::format("  {} was not compared in {}: {}", who.first,
                             times == 1 ? "1 shard of a table" : fmt::format("{} shards of tables", times),
                             who.second));
  }
  if (!verdict.error.empty()) print_error(verdict.error);
  for (const boost::json::value& name : verdict.unreachable)
    print_error(fmt::format("{} does not answer: its replicas were not compared", cell(&name)));
  if (verdict.ok())
    print_line(fmt::format("  {}: the replicas of {} table{} in {} shards agree", coloured("ok", Colour::green),
                           cell(&verdict.tables), cell(&verdict.tables) == "1" ? "" : "s", cell(&verdict.shards)));
  else if (!verdict.differences.empty())
    print_line(fmt::format("  {}: {}", coloured("not ok", Colour::red),
                           fmt::format("{} differences", verdict.differences.size())));
}

struct VerifyOptions {
  std::string data = ClusterOptions().data;
  bool json = false;
  int timeout_s = 600;
};

int run_verify(const VerifyOptions& options) {
  auto answers = ask_status(options.data);
  if (!answers) {
    print_error(answers.error().message);
    return 1;
  }
  const Verdict verdict = verify(*answers, std::chrono::seconds(options.timeout_s));
  options.json ? print_json(verdict) : print_words(verdict);
  return verdict.ok() ? 0 : 1;
}

}  // namespace

void add_verify(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<VerifyOptions>();
  CLI::App* verify = app.add_subcommand(
      "verify", "Compare all replicas of everything; exit 1 if any differ or a node cannot be asked");
  verify->add_option("--data", options->data, "The cluster's folder")->capture_default_str();
  verify->add_flag("--json", options->json, "Print one line of JSON");
  verify->add_option("--timeout", options->timeout_s, "Seconds that the comparison may take")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
  verify->callback([options, &chosen] { chosen = [options] { return run_verify(*options); }; });
}

}  // namespace asterism
