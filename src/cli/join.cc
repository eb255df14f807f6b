#include "cli/join.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "cli/ask_nodes.h"
#include "cli/launch.h"
#include "cli/look_until.h"
#include "cli/members.h"
#include "cli/node_tls.h"
#include "cli/output.h"
#include "gateway/http_client.h"
#include "gateway/join_token.h"
#include "runtime/io.h"
#include "runtime/real/certificates.h"
#include "runtime/real/files.h"
#include "runtime/real/secret.h"
#include "runtime/real/tls.h"
#include "runtime/task_group.h"

namespace asterism {
namespace {

constexpr Duration ask_limit = 10s, begin_limit = 30s, connect_limit = 5s, loop_margin = 1s;
constexpr Duration serve_limit = 60s;
constexpr size_t token_bytes_max = 1024, members_max = 1000;
constexpr int begin_tries = 3;

/// What one attempt to join has found so far.
struct Joining {
  explicit Joining(const JoinOptions& given) : options(given) {}
  const JoinOptions& options;
  Address member;
  JoinTokenText token;
  RealCore core;
  std::unique_ptr<Network> tls;  // trusts nobody but the authority that the token names
  Bytes claim;                   // what makes this machine the one that began
  std::string folder;
  NodeConfig config;
  bool known = false;  // the cluster has begun to take it

  Network& network() { return tls ? *tls : core.network(); }
  bool plain() const { return token.authority.empty(); }
  std::string claim_path() const { return folder + "/joining.key"; }
};

Result<Address> parse_member(const std::string& text) {
  Address member{text, NodeConfig().http_port};
  const bool brackets = text.starts_with('[');
  const size_t end = brackets ? text.find(']') : std::min(text.find(':'), text.size());
  const bool one_colon = std::ranges::count(text, ':') == 1;
  if (brackets || one_colon) {
    if (end == std::string::npos) return fail(ErrorCode::invalid_argument, "{} is no address", text);
    member.host = text.substr(brackets ? 1 : 0, brackets ? end - 1 : end);
    const std::string_view rest = std::string_view(text).substr(brackets ? end + 1 : end);
    if (!rest.empty()) {
      const char* last = rest.data() + rest.size();
      const auto read = std::from_chars(rest.data() + 1, last, member.port);
      if (rest.front() != ':' || read.ec != std::errc() || read.ptr != last || member.port == 0)
        return fail(ErrorCode::invalid_argument, "{} is no address with a port", text);
    }
  }
  return member;
}

Result<JoinTokenText> read_token(const std::string& path) {
  auto text = read_file(path == "-" ? "/dev/stdin" : path, token_bytes_max);
  if (!text) return fail(text.error().code, "the join token: {}", text.error().message);
  const size_t end = text->find_last_not_of(" \t\r\n");
  auto token = parse_join_token(std::string_view(*text).substr(0, end == std::string::npos ? 0 : end + 1));
  if (!token) return fail(token.error().code, "{} holds no join token as asterism node token prints it", path);
  return token;
}

Task<void> connect_once(Network& network, Address to, Result<Address>& out) {
  auto stream = co_await connect(network, to);
  out = stream ? Result<Address>((*stream)->local_address()) : fail(stream.error());
}

/// From where this machine reaches the member.
Result<std::string> own_address(Joining& joining) {
  Result<Address> found = fail(ErrorCode::timeout, "nobody answers there");
  TaskGroup tasks(joining.core.executor());
  tasks.spawn(connect_once(joining.core.network(), joining.member, found));
  joining.core.run_until([&] { return tasks.size() == 0; }, connect_limit);
  if (!found) return fail(found.error().code, "{}: {}", joining.member.to_string(), found.error().message);
  if (is_loopback(found->host))
    return fail(ErrorCode::invalid_argument, "{} is this machine: say with --address at which address the node listens",
                joining.member.host);
  return found->host;
}

Task<void> call_once(Network& network, HttpCall call, Result<HttpResponse>& out) {
  out = co_await http_call(network, std::move(call));
}

/// Words that fit behind those of the member.
Result<boost::json::object> ask(Joining& joining, Network& network, HttpMethod method, const char* target,
                                const std::string& body, Duration limit) {
  Result<HttpResponse> answer = fail(ErrorCode::timeout, "it did not answer in time");
  TaskGroup tasks(joining.core.executor());
  HttpCall call{.to = joining.member, .method = method, .target = target, .body = body, .limit = limit};
  call.response_bytes_max = 1 << 20;
  tasks.spawn(call_once(network, std::move(call), answer));
  joining.core.run_until([&] { return tasks.size() == 0; }, limit + loop_margin);
  const std::string who = joining.member.to_string();
  if (!answer) return fail(answer.error().code, "{}: {}", who, answer.error().message);
  std::string said = printable(std::string_view(answer->body).substr(0, 500));
  if (answer->status == 409) return fail(ErrorCode::already_exists, "{}: {}", who, said);
  if (answer->status == 403) return fail(ErrorCode::unauthorized, "{}: {}", who, said);
  if (answer->status == 404) return fail(ErrorCode::unsupported, "{} takes nobody with a token", who);
  if (answer->status != 200) return fail(ErrorCode::unavailable, "{}: {}", who, said);
  boost::json::error_code error;
  boost::json::value value = boost::json::parse(answer->body, error);
  if (error || !value.is_object()) return fail(ErrorCode::corrupt, "{} gave no JSON object", who);
  return std::move(value.get_object());
}

Status prepare_folder(Joining& joining) {
  const JoinOptions& options = joining.options;
  TRY(const std::vector<NodeConfig> nodes, read_cluster(options.data));
  for (const NodeConfig& node : nodes)
    if (node.name != joining.config.name)
      return fail(
          ErrorCode::already_exists,
          "{} holds {} already: choose an empty folder with --data, or add a node on this machine with asterism "
          "node add",
          options.data, node.name);
  TRY(const std::string data, absolute_path(options.data));
  joining.folder = data + "/" + joining.config.name;
  if (!nodes.empty()) {
    if (auto process = running_process(nodes.front()); process && !file_exists(joining.claim_path()))
      return fail(ErrorCode::already_exists, "{} is a node already and runs as process {}", nodes.front().name,
                  process->pid);
    if (!file_exists(joining.claim_path()))
      return fail(ErrorCode::already_exists, "{} has joined already: start it with asterism node start {} --data {}",
                  joining.folder, nodes.front().name, options.data);
  }
  return {};
}

/// Has the member show a certificate of the authority that the token names. Nothing secret is sent before that.
Status authenticate_member(Joining& joining) {
  if (joining.plain()) {
    if (!is_loopback(joining.member.host))
      return fail(
          ErrorCode::invalid_argument,
          "this token is of a cluster without TLS, which takes nobody from other machines: {} is not a loopback "
          "address",
          joining.member.host);
    auto said = ask(joining, joining.core.network(), HttpMethod::get, "/join/authority", "", ask_limit);
    if (!said)
      return fail(said.error().code,
                  "{}\n  The token is of a cluster without TLS. Where this one has it, make a token there: nothing was "
                  "told to it.",
                  said.error().message);
    if (text_member(*said, "authority").empty()) return {};
    return fail(ErrorCode::invalid_argument, "{} is a node of a cluster with TLS, and the token of one without",
                joining.member.to_string());
  }
  TRY(auto anybody, make_tls_network(joining.core.network(), joining.core.executor(),
                                     {.certificate = "", .key = "", .authorities = "", .check_certificate = false}));
  auto said = ask(joining, *anybody, HttpMethod::get, "/join/authority", "", ask_limit);
  if (!said)
    return fail(said.error().code, "{}\n  A node with TLS should answer there; the token was not shown to it.",
                said.error().message);
  const boost::json::value* text = said->if_contains("authority");
  std::string pinned;
  if (text != nullptr && text->is_string()) {
    auto certificates = read_certificates(std::string(text->get_string()));
    if (certificates)
      for (const NamedCertificate& one : *certificates)
        if (one.fingerprint == joining.token.authority) pinned = one.certificate;
  }
  if (pinned.empty())
    return fail(ErrorCode::unauthorized,
                "{} is not of the cluster that made this token: its authority is another one. The token was not shown "
                "to it",
                joining.member.to_string());
  TRY_STATUS(make_folders(joining.folder));
  TRY_STATUS(write_file(joining.folder + "/ca.pem", pinned));
  TRY(joining.tls, make_tls_network(joining.core.network(), joining.core.executor(),
                                    {.certificate = "", .key = "", .authorities = joining.folder + "/ca.pem"}));
  return {};
}

/// What this machine says each time: its claim outlives whatever interrupts it.
Result<boost::json::object> credentials(Joining& joining) {
  TRY_STATUS(make_folders(joining.folder));
  if (auto before = read_file(joining.claim_path(), join_secret_bytes); before && before->size() == join_secret_bytes) {
    joining.claim = *before;
  } else {
    joining.claim = secret_bytes(join_secret_bytes);
    TRY_STATUS(write_file(joining.claim_path(), joining.claim));
  }
  return boost::json::object{{"id", joining.token.id},
                             {"secret", to_hex(joining.token.secret)},
                             {"claim", to_hex(joining.claim)},
                             {"name", joining.config.name},
                             {"address", joining.config.address}};
}

Result<uint32_t> number_at(const boost::json::object& object, const char* name, int64_t most) {
  const boost::json::value* value = object.if_contains(name);
  if (value && value->is_int64() && value->get_int64() >= 1 && value->get_int64() <= most)
    return static_cast<uint32_t>(value->get_int64());
  return fail(ErrorCode::corrupt, "the member gave no {}", name);
}

bool flag_at(const boost::json::object& object, const char* name) {
  const boost::json::value* value = object.if_contains(name);
  return value && value->is_bool() && value->get_bool();
}

Result<NodePlace> place_at(const boost::json::object& object) {
  return NodePlace{text_member(object, "datacenter"), text_member(object, "rack")};
}

/// The settings of the node, from what the member said. check_node_config looks at every name and address.
Status take_settings(Joining& joining, const boost::json::object& said) {
  NodeConfig& config = joining.config;
  TRY(config.id.value, number_at(said, "id", UINT32_MAX - 1));
  for (auto [name, port] :
       {std::pair("cql", &config.cql_port), std::pair("http", &config.http_port), std::pair("rpc", &config.rpc_port)}) {
    TRY(const uint32_t number, number_at(said, name, UINT16_MAX));
    *port = static_cast<uint16_t>(number);
  }
  config.cluster_name = text_member(said, "cluster");
  config.authentication = flag_at(said, "authentication");
  config.insecure = joining.options.insecure;
  config.joined = true;
  config.data_folder = joining.folder;
  TRY(config.place, place_at(said));
  if (!joining.options.datacenter.empty()) config.place.datacenter = joining.options.datacenter;
  if (!joining.options.rack.empty()) config.place.rack = joining.options.rack;
  joining.known = flag_at(said, "known");
  const boost::json::value* members = said.if_contains("members");
  if (!members || !members->is_array() || members->get_array().size() > members_max)
    return fail(ErrorCode::corrupt, "the member named no members");
  config.seeds.clear();
  for (const boost::json::value& member : members->get_array()) {
    if (!member.is_object()) return fail(ErrorCode::corrupt, "the member named no members");
    const boost::json::object& one = member.get_object();
    MemberConfig seed;
    TRY(seed.id.value, number_at(one, "id", UINT32_MAX - 1));
    TRY(const uint32_t port, number_at(one, "rpc", UINT16_MAX));
    TRY(seed.place, place_at(one));
    seed.name = text_member(one, "name");
    seed.address = text_member(one, "address");
    seed.rpc_port = static_cast<uint16_t>(port);
    config.seeds.push_back(std::move(seed));
  }
  config.seeds.push_back({config.id, config.name, config.address, config.rpc_port, config.place});
  std::ranges::sort(config.seeds, {}, &MemberConfig::id);
  return check_node_config(config);
}

/// The settings, and with TLS the certificate. They are in the folder afterwards.
Status fetch_settings(Joining& joining) {
  TRY(boost::json::object body, credentials(joining));
  const std::string key_path = joining.folder + "/node.key";
  if (!joining.plain()) {
    if (!file_exists(key_path)) TRY_STATUS(write_file(key_path, make_private_key()));
    TRY(const std::string key, read_file(key_path));
    TRY(const std::string request, make_certificate_request(key, joining.config.name));
    body["request"] = request;
  }
  TRY(const boost::json::object said,
      ask(joining, joining.network(), HttpMethod::post, "/join/settings", boost::json::serialize(body), begin_limit));
  const auto before = load_node_config(joining.folder);
  TRY_STATUS(take_settings(joining, said));
  NodeConfig& config = joining.config;
  if (file_exists(joining.folder + "/data") && (!before || before->id != config.id))
    return fail(ErrorCode::already_exists, "{} holds what a node that is no member any more stored: delete it first",
                joining.folder);
  if (!joining.plain()) {
    const boost::json::value* certificate = said.if_contains("certificate");
    if (!certificate || !certificate->is_string()) return fail(ErrorCode::corrupt, "the member gave no certificate");
    TRY_STATUS(write_file(joining.folder + "/node.pem", std::string(certificate->get_string())));
    config.tls = {.certificate = "node.pem", .key = "node.key", .ca = "", .client = "off", .nodes = "ca.pem"};
    TRY([[maybe_unused]] const auto usable, nodes_tls(joining.core, config));
    TRY(const std::string authority, read_file(joining.folder + "/ca.pem"));
    TRY_STATUS(write_file(joining.folder + "/../ca.pem", authority));
  }
  TRY_STATUS(check_exposure(config));
  if (!running_process(config)) TRY_STATUS(check_ports_free(joining.core, config));
  return save_node_config(config);
}

Status begin_joining(Joining& joining) {
  const NodeConfig& config = joining.config;
  TRY(boost::json::object body, credentials(joining));
  body["node"] = introduction(config);
  TRY([[maybe_unused]] const auto begun,
      ask(joining, joining.network(), HttpMethod::post, "/join/begin", boost::json::serialize(body), begin_limit));
  return {};
}

/// Starts its process, or waits for one that an earlier attempt started: without it that one may end when it serves.
Result<ProcessName> have_it_serve(const std::string& data, const NodeConfig& config) {
  Result<ProcessName> process =
      fail(ErrorCode::timeout, "{} runs but does not serve: see {}", config.name, log_path(config));
  const auto outcome = look_until(serve_limit, [&]() -> std::optional<Status> {
    const auto running = running_process(config);
    if (!running) {
      process = launch_and_wait(config);
      return Status();
    }
    const auto answers = ask_status(data);
    if (!answers) return fail(answers.error());
    if (std::ranges::none_of(*answers, [](const NodeAnswer& answer) { return answer.status.has_value(); }))
      return std::nullopt;
    process = *running;
    return Status();
  });
  if (outcome) TRY_STATUS(*outcome);
  return process;
}

/// "n10-0-0-9": no other node has the address.
std::string name_of(std::string address) {
  std::ranges::replace_if(address, [](char c) { return c == '.' || c == ':'; }, '-');
  return "n" + address;
}

/// Names the folder and the node. Nothing is written yet.
Status begin_here(Joining& joining) {
  const JoinOptions& options = joining.options;
  TRY(joining.member, parse_member(options.member));
  TRY(joining.token, read_token(options.token_file));
  NodeConfig& config = joining.config;
  config.address = options.address;
  if (config.address.empty()) {
    TRY(config.address, own_address(joining));
  }
  config.name = options.name.empty() ? name_of(config.address) : options.name;
  NodeConfig check = config;
  check.id = NodeId{1};
  check.seeds = {{check.id, check.name, check.address, check.rpc_port, check.place}};
  TRY_STATUS(check_node_config(check));
  if (joining.plain() && !is_loopback(config.address))
    return fail(ErrorCode::invalid_argument,
                "this token is of a cluster without TLS, so that {} must be a loopback address", config.address);
  return prepare_folder(joining);
}

}  // namespace

Status join_cluster(const JoinOptions& options) {
  Joining joining(options);
  TRY_STATUS(begin_here(joining));
  TRY_STATUS(authenticate_member(joining));
  TRY_STATUS(make_folders(joining.folder));
  TRY(const FileLock alone, FileLock::acquire(joining.folder + "/joining.lock"));
  // Its process is started when the cluster has begun to take it, and has the certificate of then.
  const auto before = load_node_config(joining.folder);
  const bool started = before && running_process(*before);
  if (started) joining.config = *before;
  Status begun;
  for (int tries = 0; tries < begin_tries && !started; ++tries) {
    TRY_STATUS(fetch_settings(joining));
    begun = joining.known ? Status() : begin_joining(joining);
    // The id may have been taken meanwhile.
    if (begun || begun.error().code != ErrorCode::already_exists) break;
  }
  TRY_STATUS(begun);
  const NodeConfig& config = joining.config;
  auto process = have_it_serve(options.data, config);
  if (!process)
    return fail(process.error().code,
                "{}\n  Try again, or turn the change back with asterism node cancel {} on a machine of the cluster",
                process.error().message, config.name);
  TRY_STATUS(wait_until_member(options.data, config.name, options.json));
  TRY_STATUS(remove_file(joining.claim_path()));
  if (options.json)
    print_line(node_json(config, process->pid));
  else
    print_line(fmt::format("{} is a member of {} and serves CQL on {} as process {}", config.name, config.cluster_name,
                           config.cql().to_string(), process->pid));
  return {};
}

}  // namespace asterism
