// asterism shards: where every shard lies, and what each node has of them.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <map>

#include "cli/ask_nodes.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace asterism {
namespace {

constexpr Duration page_limit = 5s;
/// The cluster may change while the pages are read; then they are read again, so often.
constexpr int attempts_most = 5;
constexpr size_t pages_most = 1000;
constexpr size_t bar_width = 24;

struct ShardOptions {
  std::string keyspace;
  std::string data = ClusterOptions().data;
  bool summary = false, json = false;
};

struct ShardRow {
  uint64_t id = 0;
  std::string keyspace, epoch, mode;
  int64_t after = 0, to = 0;
  std::vector<std::string> replicas, target, caught_up;
  bool settling = false;

  /// Of the ring; {x, x} is all of it.
  double share() const {
    const uint64_t width = static_cast<uint64_t>(to) - static_cast<uint64_t>(after);
    return width == 0 ? 1.0 : std::ldexp(static_cast<double>(width), -64);
  }
};

struct NodeRow {
  std::string name, state;
  size_t shards = 0, primary = 0, coming = 0, going = 0;
  double primary_share = 0, stored_share = 0;  // of the ring, the mean over keyspaces
  std::optional<uint64_t> bytes;
  std::optional<double> work_s;
};

struct Shards {
  uint64_t applied = 0;
  std::map<uint64_t, std::string> names;
  std::vector<ShardRow> rows;
};

uint64_t unsigned_member(const boost::json::object& object, std::string_view name) {
  const boost::json::value* value = object.if_contains({name.data(), name.size()});
  uint64_t number = 0;
  if (value && value->is_number()) {
    boost::json::error_code error;
    number = value->to_number<uint64_t>(error);
  }
  return number;
}

int64_t token_member(const boost::json::object& object, std::string_view name) {
  const std::string text = text_member(object, name);
  int64_t token = 0;
  std::from_chars(text.data(), text.data() + text.size(), token);
  return token;
}

std::vector<std::string> names_member(const Shards& shards, const boost::json::object& object, std::string_view name) {
  std::vector<std::string> names;
  for (const boost::json::value& id : array_member(object, name)) {
    boost::json::error_code error;
    const auto number = id.to_number<uint64_t>(error);
    auto known = shards.names.find(number);
    names.push_back(known == shards.names.end() ? fmt::format("node {}", number) : known->second);
  }
  return names;
}

ShardRow row_of(const Shards& shards, const boost::json::object& object) {
  ShardRow row;
  row.id = unsigned_member(object, "id");
  row.keyspace = text_member(object, "keyspace");
  row.epoch = text_member(object, "epoch");
  row.mode = text_member(object, "mode");
  row.after = token_member(object, "after");
  row.to = token_member(object, "to");
  row.replicas = names_member(shards, object, "replicas");
  if (const boost::json::value* move = object.if_contains("move"); move && move->is_object()) {
    row.target = names_member(shards, move->get_object(), "target");
    row.caught_up = names_member(shards, move->get_object(), "caught_up");
    const boost::json::value* settling = move->get_object().if_contains("settling");
    row.settling = settling && settling->is_bool() && settling->get_bool();
  }
  return row;
}

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  }
  return out;
}

/// All pages, which may come from different versions of the metadata.
Result<Shards> read_pages(const NodeConfig& node, const std::string& keyspace, bool& changed) {
  Shards shards;
  changed = false;
  std::string after;
  for (size_t page = 0; page < pages_most; ++page) {
    std::string target = "/shards";
    if (!keyspace.empty()) target += "?keyspace=" + percent_encoded(keyspace);
    if (!after.empty()) target += (keyspace.empty() ? "?after=" : "&after=") + after;
    TRY(const boost::json::object answer, ask_node(node, {.target = target, .limit = page_limit}));
    const uint64_t applied = unsigned_member(answer, "applied");
    changed |= page > 0 && applied != shards.applied;
    shards.applied = applied;
    for (const boost::json::value& known : array_member(answer, "nodes"))
      if (known.is_object())
        shards.names[unsigned_member(known.get_object(), "id")] = text_member(known.get_object(), "name");
    for (const boost::json::value& shard : array_member(answer, "shards"))
      if (shard.is_object()) shards.rows.push_back(row_of(shards, shard.get_object()));
    const uint64_t next = unsigned_member(answer, "next");
    if (next == 0) return shards;
    after = std::to_string(next);
  }
  return fail(ErrorCode::too_large, "{} has too many shards to list", node.name);
}

Result<Shards> read_shards(const NodeConfig& node, const std::string& keyspace) {
  bool changed = true;
  Result<Shards> shards;
  for (int attempt = 0; changed && attempt < attempts_most; ++attempt) {
    shards = read_pages(node, keyspace, changed);
    if (!shards) return shards;
  }
  std::ranges::sort(shards->rows, {}, [](const ShardRow& row) { return std::tuple(row.keyspace, row.to, row.after); });
  return shards;
}

/// Whom to ask: who has applied most of the metadata.
const NodeAnswer* freshest_node(const std::vector<NodeAnswer>& answers) {
  const boost::json::object* fresh = freshest(answers);
  auto found = std::ranges::find_if(answers, [&](auto& answer) { return answer.status && &*answer.status == fresh; });
  return fresh && found != answers.end() ? &*found : nullptr;
}

Status check_keyspace(const NodeAnswer& node, const std::string& keyspace) {
  const boost::json::value* known = find_member(*node.status, "shards.keyspaces");
  if (keyspace.empty() || !known || !known->is_object() || known->get_object().contains(keyspace)) return {};
  std::string names;
  for (const auto& [name, count] : known->get_object()) names += " " + printable({name.data(), name.size()});
  return fail(ErrorCode::not_found, "there is no keyspace {}: {}", keyspace,
              names.empty() ? "there is none yet" : "there are" + names);
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

void count(const ShardRow& shard, double share, NodeRow& node) {
  const bool has = contains(shard.replicas, node.name);
  if (has) {
    ++node.shards;
    node.stored_share += share;
  }
  if (!shard.replicas.empty() && shard.replicas.front() == node.name) {
    ++node.primary;
    node.primary_share += share;
  }
  if (shard.target.empty()) return;
  const bool shall = contains(shard.target, node.name);
  node.coming += shall && !has ? 1 : 0;
  node.going += has && !shall ? 1 : 0;
}

std::vector<NodeRow> count_nodes(const std::vector<NodeAnswer>& answers, const Shards& shards) {
  std::vector<NodeRow> nodes;
  const boost::json::object* fresh = freshest(answers);
  for (const NodeAnswer& answer : answers) {
    NodeRow& node = nodes.emplace_back(answer.config.name, state_word(answer, fresh));
    const boost::json::value* bytes = answer.status ? find_member(*answer.status, "load.store_bytes") : nullptr;
    if (bytes && bytes->is_int64() && bytes->get_int64() >= 0) node.bytes = static_cast<uint64_t>(bytes->get_int64());
    const boost::json::value* work = answer.status ? find_member(*answer.status, "load.work_s") : nullptr;
    if (work && work->is_number()) node.work_s = work->to_number<double>();
  }
  // Members whose folder is elsewhere.
  for (const auto& [id, name] : shards.names)
    if (std::ranges::find(nodes, name, &NodeRow::name) == nodes.end()) nodes.emplace_back(name, "elsewhere");
  size_t keyspaces = 0;
  for (size_t i = 0; i < shards.rows.size(); ++i)
    keyspaces += i == 0 || shards.rows[i].keyspace != shards.rows[i - 1].keyspace ? 1 : 0;
  for (const ShardRow& shard : shards.rows)
    for (NodeRow& node : nodes) count(shard, shard.share() / static_cast<double>(keyspaces), node);
  return nodes;
}

boost::json::array json_names(const std::vector<std::string>& names) {
  boost::json::array out;
  for (const std::string& name : names) out.emplace_back(name);
  return out;
}

void print_json(const Shards& shards, const std::vector<NodeRow>& nodes, bool summary) {
  boost::json::object line{{"applied", shards.applied}, {"total", shards.rows.size()}};
  boost::json::array rows, summaries;
  for (const ShardRow& shard : shards.rows) {
    boost::json::object row{{"id", shard.id},
                            {"keyspace", shard.keyspace},
                            {"after", std::to_string(shard.after)},
                            {"to", std::to_string(shard.to)},
                            {"replicas", json_names(shard.replicas)},
                            {"epoch", shard.epoch},
                            {"mode", shard.mode}};
    if (!shard.target.empty())
      row["move"] = {{"target", json_names(shard.target)},
                     {"caught_up", json_names(shard.caught_up)},
                     {"settling", shard.settling}};
    rows.push_back(std::move(row));
  }
  for (const NodeRow& node : nodes)
    summaries.push_back({{"name", node.name},
                         {"state", node.state},
                         {"shards", node.shards},
                         {"primary_ranges", node.primary},
                         {"primary_share", node.primary_share},
                         {"stored_share", node.stored_share},
                         {"coming", node.coming},
                         {"going", node.going},
                         {"store_bytes", node.bytes ? boost::json::value(*node.bytes) : boost::json::value()},
                         {"work_s", node.work_s ? boost::json::value(*node.work_s) : boost::json::value()}});
  if (!summary) line["shards"] = std::move(rows);
  line["nodes"] = std::move(summaries);
  print_line(boost::json::serialize(line));
}

void print_shards(const Shards& shards) {
  size_t keyspace_width = 8, replicas_width = 8;
  for (const ShardRow& shard : shards.rows) {
    keyspace_width = std::max(keyspace_width, shard.keyspace.size());
    replicas_width = std::max(replicas_width, fmt::format("{}", fmt::join(shard.replicas, " ")).size());
  }
  const auto line = [&](std::string_view id, std::string_view keyspace, const auto& after, const auto& to,
                        std::string_view replicas, std::string_view epoch, std::string_view mode) {
    return fmt::format("  {:<7}{:<{}}{:<22}{:<22}{:<{}}{:<7}{}", id, keyspace, keyspace_width + 2, after, to, replicas,
                       replicas_width + 2, epoch, mode);
  };
  print_line(dim(line("shard", "keyspace", "after", "to", "replicas", "epoch", "mode")));
  std::string text;
  for (const ShardRow& shard : shards.rows) {
    std::string row = line(std::to_string(shard.id), shard.keyspace, shard.after, shard.to,
                           fmt::format("{}", fmt::join(shard.replicas, " ")), shard.epoch, shard.mode);
    if (!shard.target.empty())
      row += coloured(
          fmt::format("  {} to {}{}", shard.settling ? "settling" : "copying", fmt::join(shard.target, " "),
                      shard.caught_up.empty() ? std::string()
                                              : fmt::format("; caught up: {}", fmt::join(shard.caught_up, " "))),
          Colour::yellow);
    text += row + "\n";
  }
  if (!text.empty()) print_line(text);
}

void print_nodes(const std::vector<NodeRow>& nodes) {
  size_t name_width = 6;
  double most = 0;
  for (const NodeRow& node : nodes) {
    name_width = std::max(name_width, node.name.size());
    most = std::max(most, node.stored_share);
  }
  const auto line = [&](std::string_view name, const std::string& state, const auto& shards, std::string_view moves,
                        const auto& primary, std::string_view owns, std::string_view holds, std::string_view stored,
                        std::string_view load) {
    return fmt::format("  {:<{}}{}{:>7}{:>9}{:>9}{:>9}{:>9}{:>11}{:>10}", name, name_width + 2, state, shards, moves,
                       primary, owns, holds, stored, load);
  };
  print_line(dim(
      line("node", fmt::format("{:<10}", "state"), "shards", "moves", "primary", "owns", "holds", "stored", "load")));
  for (const NodeRow& node : nodes) {
    const Colour colour = node.state == "up" ? Colour::green : node.state == "down" ? Colour::red : Colour::yellow;
    std::string moves;
    if (node.coming > 0) moves = fmt::format("+{}", node.coming);
    if (node.going > 0) moves += fmt::format("{}-{}", moves.empty() ? "" : " ", node.going);
    const auto filled = static_cast<size_t>(most > 0 ? std::lround(node.stored_share / most * bar_width) : 0);
    std::string bar;
    for (size_t i = 0; i < bar_width; ++i) bar += i < filled ? "█" : "░";
    print_line(line(node.name, coloured(fmt::format("{:<10}", node.state), colour), node.shards,
                    moves.empty() ? "-" : moves, node.primary, fmt::format("{:.1f} %", node.primary_share * 100),
                    fmt::format("{:.1f} %", node.stored_share * 100), node.bytes ? size_text(*node.bytes) : "-",
                    node.work_s ? fmt::format("{:.0f}/s", *node.work_s) : "-") +
               "  " + bar);
  }
}

Status show_shards(const ShardOptions& options) {
  TRY(const auto answers, ask_status(options.data));
  const NodeAnswer* asked = freshest_node(answers);
  if (!asked) return fail(ErrorCode::unavailable, "no node answers: start the cluster with asterism up");
  TRY_STATUS(check_keyspace(*asked, options.keyspace));
  const Result<Shards> shards = read_shards(asked->config, options.keyspace);
  if (!shards)
    return fail(shards.error().code, "{} does not tell its shards: {}", asked->config.name, shards.error().message);
  const std::vector<NodeRow> nodes = count_nodes(answers, *shards);
  if (options.json) {
    print_json(*shards, nodes, options.summary);
    return {};
  }
  if (!options.summary) print_shards(*shards);
  print_nodes(nodes);
  return {};
}

}  // namespace

void add_shards(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<ShardOptions>();
  CLI::App* shards = app.add_subcommand("shards", "Show where shards lie and move, and what each node has of them");
  shards->add_option("keyspace", options->keyspace, "Only the shards of this keyspace");
  shards->add_option("--data", options->data, "The cluster's folder")->capture_default_str();
  shards->add_flag("--summary", options->summary, "Only the nodes");
  shards->add_flag("--json", options->json, "Print one line of JSON");
  shards->footer(
      "Of each node: how many shards it stores, +those that come and -those that go while members change, and of how\n"
      "many it is the first replica; which share of the ring it owns as first replica and which it holds in all, both\n"
      "the mean over keyspaces; the bytes of its tables' files, which rows reach some time after they are written;\n"
      "and its load over the last minutes, as of reading so many small rows a second. The bar shows the share that it\n"
      "holds beside the largest.");
  when_chosen(*shards, chosen, [options] { return show_shards(*options); });
}

}  // namespace asterism
