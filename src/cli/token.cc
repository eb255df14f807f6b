#include "cli/token.h"

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <charconv>

#include "cli/ask_nodes.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/own_authority.h"
#include "gateway/join_token.h"
#include "runtime/real/certificates.h"
#include "runtime/real/files.h"
#include "runtime/real/secret.h"

namespace asterism {
namespace {

constexpr Duration post_limit = 25s;
constexpr size_t id_bytes = 8;

struct TokenOptions {
  std::string data = ClusterOptions().data;
  std::string expires = "1h";
  uint32_t uses = 1;
  bool list = false;
  std::string revoke;
  bool json = false;
};

/// "90s", "30m", "12h" or "7d".
Result<int64_t> seconds_of(const std::string& text) {
  int64_t number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(read.ptr, static_cast<size_t>(text.data() + text.size() - read.ptr));
  const int64_t factor = unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : unit == "d" ? 86'400 : 0;
  if (read.ec == std::errc() && factor > 0 && number > 0 && number <= join_expiry_most_s / factor)
    return number * factor;
  return fail(ErrorCode::invalid_argument, "--expires {} must be a time like 90s, 30m, 12h or 7d, {}d at most", text,
              join_expiry_most_s / 86'400);
}

/// Asks one node after the other whose folder is here, until one decides.
Result<boost::json::object> ask(const std::string& data, const char* what, const boost::json::object& body) {
  TRY(const std::vector<NodeConfig> nodes, read_cluster(data));
  if (nodes.empty())
    return fail(ErrorCode::not_found, "{} holds no cluster: start one with asterism up --data {}", data, data);
  Error last{ErrorCode::unavailable, "no node answers: start the cluster with asterism up"};
  for (const NodeConfig& node : nodes) {
    if (!running_process(node)) continue;
    auto secret = read_file(secret_path(node), 1024);
    if (!secret) {
      last = secret.error();
      continue;
    }
    boost::json::object with_secret = body;
    with_secret["secret"] = *secret;
    auto done = post_to_node(node, std::string("/tokens/") + what, post_limit, boost::json::serialize(with_secret));
    if (done || done.error().code == ErrorCode::already_exists) return done;
    last = done.error();
  }
  return fail(std::move(last));
}

/// What a machine that joins shall find: the authority that signs nodes. "" where they speak plainly on loopback.
Result<std::string> authority_to_name(const std::string& data) {
  TRY(const std::vector<NodeConfig> nodes, read_cluster(data));
  if (nodes.empty())
    return fail(ErrorCode::not_found, "{} holds no cluster: start one with asterism up --data {}", data, data);
  const NodeConfig& node = nodes.front();
  TRY(const std::string authority, read_authority(node));
  if (authority.empty()) {
    if (!node.tls.enabled() && is_loopback(node.address)) return std::string();
    return fail(ErrorCode::invalid_argument,
                "join tokens need TLS between nodes: [tls] of {} names no authority (nodes = \"ca.pem\")", node.name);
  }
  TRY(const auto certificates, read_certificates(authority));
  return certificates.front().fingerprint;
}

Status make_token(const TokenOptions& options) {
  TRY(const int64_t expires_s, seconds_of(options.expires));
  if (options.uses < 1 || options.uses > join_uses_max)
    return fail(ErrorCode::invalid_argument, "--uses must be 1 to {}", join_uses_max);
  JoinTokenText token{to_hex(secret_bytes(id_bytes)), secret_bytes(join_secret_bytes), {}};
  TRY(token.authority, authority_to_name(options.data));
  TRY_STATUS(ask(options.data, "add",
                 {{"id", token.id},
                  {"hash", to_hex(hash_of_join_secret(token.secret))},
                  {"expires_s", expires_s},
                  {"uses", options.uses}}));
  if (options.json) {
    print_line(JsonLine()
                   .text("event", "token_made")
                   .text("id", token.id)
                   .text("token", token.to_string())
                   .number("expires_in_s", expires_s)
                   .number("uses", options.uses)
                   .str());
    return {};
  }
  print_line(token.to_string());
  if (is_terminal(1))
    (void)write_descriptor(
        2,
        fmt::format("It is shown this once, holds for {} and {} machine{}. Put it into a file on the other machine:\n"
                    "  asterism node start --join ADDRESS --token FILE\n",
                    options.expires, options.uses, options.uses == 1 ? "" : "s"));
  return {};
}

Status list_tokens(const TokenOptions& options) {
  TRY(const boost::json::object answer, ask(options.data, "list", {}));
  if (options.json) {
    print_line(boost::json::serialize(answer));
    return {};
  }
  const boost::json::value* tokens = answer.if_contains("tokens");
  if (!tokens || !tokens->is_array()) return fail(ErrorCode::corrupt, "the node gave no list");
  print_line(dim(fmt::format("  {:18}{:14}{:11}{}", "token", "expires in", "uses left", "used by")));
  for (const boost::json::value& value : tokens->get_array()) {
    if (!value.is_object()) continue;
    const boost::json::object& token = value.get_object();
    std::string machines;
    for (const boost::json::value& machine : array_member(token, "used_by"))
      if (machine.is_object()) machines += (machines.empty() ? "" : ", ") + text_member(machine.get_object(), "name");
    print_line(fmt::format("  {:18}{:14}{:<11}{}", text_member(token, "id"),
                           fmt::format("{} s", integer_member(token, "expires_in_s")),
                           integer_member(token, "uses_left"), machines.empty() ? "-" : machines));
  }
  return {};
}

Status revoke_token(const TokenOptions& options) {
  TRY_STATUS(ask(options.data, "drop", {{"id", options.revoke}}));
  print_line(options.json ? JsonLine().text("event", "token_revoked").text("id", options.revoke).str()
                          : fmt::format("the join token {} is of no use any more", options.revoke));
  return {};
}

}  // namespace

void add_token_command(CLI::App& node, Chosen& chosen) {
  auto options = std::make_shared<TokenOptions>();
  CLI::App* token = node.add_subcommand("token", "Make a token with which another machine joins the cluster");
  token->add_option("--data", options->data, "The cluster's folder")->capture_default_str();
  token->add_option("--expires", options->expires, "For how long it holds: 90s, 30m, 12h, 7d")->capture_default_str();
  token->add_option("--uses", options->uses, "How many machines may use it")->capture_default_str();
  auto* list = token->add_flag("--list", options->list, "Show the tokens that hold, without their secrets");
  token->add_option("--revoke", options->revoke, "End the token with this id")->excludes(list);
  token->add_flag("--json", options->json, "Print one line of JSON");
  when_chosen(*token, chosen, [options] {
    return options->list              ? list_tokens(*options)
           : !options->revoke.empty() ? revoke_token(*options)
                                      : make_token(*options);
  });
}

}  // namespace asterism
