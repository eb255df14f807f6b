#include "node/node_config.h"

#include <algorithm>
#include <set>

#include "gateway/scram.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace asterism {
namespace {

constexpr size_t max_members = 1000;

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 &&
         std::ranges::all_of(name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

/// Datacenters are names in replication settings too, where drivers and people use capitals and underscores.
bool is_place_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

bool is_address(std::string_view address) {
  return !address.empty() && address.size() <= 45 && std::ranges::all_of(address, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == '.' || c == ':';
  });
}

/// Reads the settings of one table and remembers which ones it was asked for.
class TableReader {
 public:
  explicit TableReader(const toml::table& table) : table_(table) {}

  Result<std::string> text(std::string_view key) {
    TRY(const toml::node* node, find(key));
    if (auto value = node->value_exact<std::string>()) return *value;
    return fail(ErrorCode::invalid_argument, "node.toml line {}: {} must be a text", line(*node), key);
  }
  Result<std::string> text_or(std::string_view key, const std::string& otherwise) {
    known_.insert(key);
    return table_.contains(key) ? text(key) : Result<std::string>(otherwise);
  }
  Result<uint32_t> number(std::string_view key, uint32_t most) {
    TRY(const toml::node* node, find(key));
    auto value = node->value_exact<int64_t>();
    if (value && *value >= 1 && *value <= most) return static_cast<uint32_t>(*value);
    return fail(ErrorCode::invalid_argument, "node.toml line {}: {} must be a number from 1 to {}", line(*node), key,
                most);
  }
  Result<uint32_t> number_or(std::string_view key, uint32_t most, uint32_t otherwise) {
    known_.insert(key);
    return table_.contains(key) ? number(key, most) : Result<uint32_t>(otherwise);
  }
  Result<bool> flag_or(std::string_view key, bool otherwise) {
    known_.insert(key);
    const toml::node* node = table_.get(key);
    if (node == nullptr) return otherwise;
    if (auto value = node->value_exact<bool>()) return *value;
    return fail(ErrorCode::invalid_argument, "node.toml line {}: {} must be true or false", line(*node), key);
  }
  Result<uint16_t> port(std::string_view key) {
    TRY(uint32_t value, number(key, UINT16_MAX));
    return static_cast<uint16_t>(value);
  }
  const toml::table* table(std::string_view key) {
    known_.insert(key);
    const toml::node* node = table_.get(key);
    return node == nullptr ? nullptr : node->as_table();
  }
  Result<const toml::array*> tables(std::string_view key) {
    TRY(const toml::node* node, find(key));
    const toml::array* array = node->as_array();
    if (array && array->is_homogeneous(toml::node_type::table) && array->size() <= max_members) return array;
    return fail(ErrorCode::invalid_argument, "node.toml line {}: {} must be 1 to {} tables", line(*node), key,
                max_members);
  }
  Status no_others() const {
    for (auto&& [key, node] : table_)
      if (!known_.contains(key.str()))
        return fail(ErrorCode::invalid_argument, "node.toml line {}: unknown setting {}", line(node), key.str());
    return {};
  }

 private:
  static uint32_t line(const toml::node& node) { return node.source().begin.line; }
  Result<const toml::node*> find(std::string_view key) {
    known_.insert(key);
    if (const toml::node* node = table_.get(key)) return node;
    return fail(ErrorCode::invalid_argument, "node.toml: the setting {} is missing", key);
  }

  const toml::table& table_;
  std::set<std::string_view> known_;
};

Result<NodePlace> read_place(TableReader& in) {
  NodePlace place;
  TRY(place.datacenter, in.text_or("datacenter", default_place.datacenter));
  TRY(place.rack, in.text_or("rack", default_place.rack));
  return place;
}

Result<TlsConfig> read_tls(const toml::table* table) {
  TlsConfig tls;
  if (table == nullptr) return tls;
  TableReader in(*table);
  TRY(tls.certificate, in.text("certificate"));
  TRY(tls.key, in.text("key"));
  TRY(tls.ca, in.text_or("ca", tls.ca));
  TRY(tls.client, in.text_or("client", tls.client));
  TRY(tls.nodes, in.text_or("nodes", tls.nodes));
  TRY_STATUS(in.no_others());
  return tls;
}

std::string format_tls(const TlsConfig& tls) {
  if (!tls.enabled()) return {};
  return fmt::format("\n[tls]\ncertificate = \"{}\"\nkey = \"{}\"\nca = \"{}\"\nclient = \"{}\"\nnodes = \"{}\"\n",
                     tls.certificate, tls.key, tls.ca, tls.client, tls.nodes);
}

/// A path that TOML needs not escape.
bool is_path(std::string_view path) {
  return path.size() <= 4096 && std::ranges::none_of(path, [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '"' || c == '\\';
         });
}

Status check_tls(const TlsConfig& tls) {
  if (tls.client != "off" && tls.client != "optional" && tls.client != "required")
    return fail(ErrorCode::invalid_argument, "tls.client '{}' must be off, optional or required", tls.client);
  if (!is_path(tls.certificate) || !is_path(tls.key) || !is_path(tls.ca) || !is_path(tls.nodes))
    return fail(ErrorCode::invalid_argument,
                "paths in [tls] must be without quotes, backslashes and control characters");
  if (tls.certificate.empty() != tls.key.empty())
    return fail(ErrorCode::invalid_argument, "tls.certificate and tls.key belong together");
  if (!tls.nodes.empty() && !tls.enabled())
    return fail(ErrorCode::invalid_argument, "tls.nodes needs tls.certificate and tls.key");
  if (tls.client != "off" && tls.ca.empty())
    return fail(ErrorCode::invalid_argument, "tls.client = \"{}\" needs tls.ca, which signed them", tls.client);
  return {};
}

std::string format_place(const NodePlace& place) {
  return fmt::format("datacenter = \"{}\"\nrack = \"{}\"\n", place.datacenter, place.rack);
}

Result<MemberConfig> read_member(const toml::table& table) {
  TableReader in(table);
  MemberConfig member;
  TRY(member.id.value, in.number("id", UINT32_MAX));
  TRY(member.name, in.text("name"));
  TRY(member.address, in.text("address"));
  TRY(member.rpc_port, in.port("rpc_port"));
  TRY(member.place, read_place(in));
  TRY_STATUS(in.no_others());
  return member;
}

}  // namespace

bool is_loopback(std::string_view address) { return address.starts_with("127.") || address == "::1"; }

Address NodeConfig::http() const {
  const bool open = !authentication || insecure || is_loopback(address);
  return {open ? address : "127.0.0.1", http_port};
}

Status check_node_config(const NodeConfig& config) {
  auto invalid = [](const std::string& what) { return fail(ErrorCode::invalid_argument, "{}", what); };
  if (!config.id) return invalid("node_id must not be 0");
  if (!is_name(config.name)) return invalid(fmt::format("name '{}' must be 1 to 64 of [a-z0-9-]", config.name));
  if (!is_name(config.cluster_name))
    return invalid(fmt::format("cluster_name '{}' must be 1 to 64 of [a-z0-9-]", config.cluster_name));
  if (!is_address(config.address)) return invalid(fmt::format("address '{}' is not an IP address", config.address));
  if (!is_place_name(config.place.datacenter) || !is_place_name(config.place.rack))
    return invalid(fmt::format("datacenter '{}' and rack '{}' must be 1 to 64 of [A-Za-z0-9_-]",
                               config.place.datacenter, config.place.rack));
  if (std::set{config.cql_port, config.http_port, config.rpc_port}.size() != 3)
    return invalid("cql_port, http_port and rpc_port must differ");
  const auto levels = {"debug", "info", "warning", "error"};
  if (std::ranges::none_of(levels, [&](std::string_view level) { return level == config.log_level; }))
    return invalid(fmt::format("log_level '{}' must be debug, info, warning or error", config.log_level));
  if (config.memory_mib < least_memory_mib || config.memory_mib > most_memory_mib)
    return invalid(
        fmt::format("memory_mib {} must be from {} to {}", config.memory_mib, least_memory_mib, most_memory_mib));
  if (!config.admin.empty() && !parse_verifier(config.admin))
    return invalid("admin must be a password's verifier, as asterism up writes it");
  TRY_STATUS(check_tls(config.tls));
  std::set<NodeId> ids;
  std::set<std::string> names;
  bool has_self = false;
  for (const MemberConfig& member : config.seeds) {
    if (!is_name(member.name) || !is_address(member.address) || !is_place_name(member.place.datacenter) ||
        !is_place_name(member.place.rack) || !ids.insert(member.id).second || !names.insert(member.name).second)
      return invalid(fmt::format("member '{}' is wrong or there twice", member.name));
    has_self |= member == MemberConfig{config.id, config.name, config.address, config.rpc_port, config.place};
  }
  if (!has_self)
    return invalid(
        fmt::format("the members do not contain node '{}' itself, or differ from its settings", config.name));
  return {};
}

Status check_exposure(const NodeConfig& config) {
  if (config.insecure || is_loopback(config.address)) return {};
  std::string wrong;
  if (!config.authentication) wrong += "\n  Anybody there could read and write everything: set authentication = true.";
  if (!config.tls.enabled())
    wrong += "\n  Passwords and data would be readable on their way: add [tls] with certificate and key.";
  if (config.tls.nodes.empty())
    wrong += fmt::format(
        "\n  Anybody who reaches {} could speak as a node: add nodes = \"ca.pem\" to [tls], an authority "
        "that signs\n  nothing but nodes.",
        config.rpc().to_string());
  if (wrong.empty()) return {};
  return fail(
      ErrorCode::invalid_argument,
      "{} would listen on {}, which is not a loopback address.{}\n  If all that is as you want it, set insecure "
      "= true in node.toml, or start it with --insecure.",
      config.name, config.address, wrong);
}

Result<NodeConfig> parse_node_config(std::string_view text) {
  toml::parse_result parsed = toml::parse(text);
  if (!parsed)
    return fail(ErrorCode::invalid_argument, "node.toml line {}: {}", parsed.error().source().begin.line,
                parsed.error().description());
  TableReader in(parsed.table());
  NodeConfig config;
  TRY(config.id.value, in.number("node_id", UINT32_MAX));
  TRY(config.name, in.text("name"));
  TRY(config.cluster_name, in.text("cluster_name"));
  TRY(config.address, in.text("address"));
  TRY(config.cql_port, in.port("cql_port"));
  TRY(config.http_port, in.port("http_port"));
  TRY(config.rpc_port, in.port("rpc_port"));
  TRY(config.log_level, in.text("log_level"));
  TRY(config.memory_mib, in.number_or("memory_mib", most_memory_mib, config.memory_mib));
  TRY(config.place, read_place(in));
  TRY(config.authentication, in.flag_or("authentication", config.authentication));
  TRY(config.admin, in.text_or("admin", config.admin));
  TRY(config.most_feature_level, in.number_or("most_feature_level", newest_feature_level, config.most_feature_level));
  TRY(config.insecure, in.flag_or("insecure", config.insecure));
  TRY(config.tls, read_tls(in.table("tls")));
  TRY(config.joined, in.flag_or("joined", config.joined));
  TRY(const toml::array* members, in.tables("member"));
  TRY_STATUS(in.no_others());
  for (const toml::node& member : *members) {
    TRY(MemberConfig read, read_member(*member.as_table()));
    config.seeds.push_back(std::move(read));
  }
  TRY_STATUS(check_node_config(config));
  return config;
}

// Names, places and addresses hold no character that TOML would need escaped: check_node_config sees to it.
std::string format_node_config(const NodeConfig& config) {
  std::string text = "# Written by `asterism up`. Change it while the node is stopped.\n";
  text +=
      fmt::format("node_id = {}\nname = \"{}\"\ncluster_name = \"{}\"\n", config.id, config.name, config.cluster_name);
  text += fmt::format("address = \"{}\"\ncql_port = {}\nhttp_port = {}\nrpc_port = {}\nlog_level = \"{}\"\n",
                      config.address, config.cql_port, config.http_port, config.rpc_port, config.log_level);
  text += fmt::format("memory_mib = {}\n", config.memory_mib);
  text += format_place(config.place);
  if (config.authentication) text += "authentication = true\n";
  if (!config.admin.empty()) text += fmt::format("admin = \"{}\"\n", config.admin);
  if (config.insecure) text += "insecure = true\n";
  if (config.most_feature_level != newest_feature_level)
    text += fmt::format("most_feature_level = {}\n", config.most_feature_level);
  if (config.joined) text += "joined = true\n";
  text += format_tls(config.tls);
  for (const MemberConfig& member : config.seeds)
    text += fmt::format("\n[[member]]\nid = {}\nname = \"{}\"\naddress = \"{}\"\nrpc_port = {}\n{}", member.id,
                        member.name, member.address, member.rpc_port, format_place(member.place));
  return text;
}

}  // namespace asterism
