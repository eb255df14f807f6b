#include "cli/supervisor.h"

#include <algorithm>
#include <boost/json.hpp>
#include <csignal>

#include "cli/first_superuser.h"
#include "cli/output.h"
#include "cli/own_authority.h"
#include "gateway/http_client.h"

namespace asterism {

/// How long nodes get to end by themselves.
static constexpr Duration term_limit = 1500ms;
static constexpr Duration isolate_limit = 2s;
/// A change of members that was not refused by then has begun.
static constexpr Duration begin_limit = 1500ms;
static constexpr size_t words_max = 4096;

static std::string error_line(std::string_view message) { return JsonLine().text("error", message).str(); }

int Supervisor::run() {
  core_.on_signals({SIGINT, SIGTERM, SIGHUP}, [this](int) {
    if (stopping_) return signal_all(SIGKILL);
    begin_stop();
  });
  if (Status prepared = prepare(); !prepared) fail_start(prepared.error());
  stop_if_ended();
  core_.run();
  if (failure_) print_error(explain_port_in_use(*failure_).message);
  if (admin_password_ && !announced_) print_error(password_notice());
  return failure_ ? 1 : 0;
}

Status Supervisor::prepare() {
  TRY(data_, absolute_path(options_.data));
  TRY_STATUS(make_folders(data_));
  auto locked = FileLock::acquire(data_ + "/up.lock");
  if (!locked)
    return fail(ErrorCode::invalid_argument, "asterism up already runs on {}: use another folder with --data",
                options_.data);
  lock_.emplace(std::move(*locked));
  TRY(std::vector<NodeConfig> configs, read_or_found_cluster(options_));
  TRY_STATUS(change_settings(configs, options_));
  TRY_STATUS(turn_tls_on(options_, configs));
  TRY(admin_password_, turn_authentication_on(options_, configs));
  for (NodeConfig& config : configs) nodes_.emplace_back().config = std::move(config);
  socket_ = data_ + "/up.sock";
  TRY(server_, serve_lines(core_, socket_,
                           [this](std::string question, LineReply reply) { answer(question, std::move(reply)); }));
  for (const Node& node : nodes_) TRY_STATUS(await_killed(core_, node.config));
  adopt_running();
  for (Node& node : nodes_)
    if (!node.watch) TRY_STATUS(check_ports_free(core_, node.config));
  for (Node& node : nodes_)
    if (!node.watch) TRY_STATUS(launch(node));
  announce_ready();
  return watch_all();
}

Status Supervisor::watch_all() {
  watched_ = {data_};
  TRY(const std::vector<std::string> names, list_folder(data_));
  for (const std::string& name : names)
    if (name != "up.lock") watched_.push_back(data_ + "/" + name);
  TRY(folders_, watch_folders(core_, watched_, [this] { look_at_folders(); }));
  return {};
}

void Supervisor::look_at_folders() {
  if (auto names = list_folder(data_); names && names->size() != watched_.size()) {
    // The watch cannot be replaced while it calls.
    watch_timer_.arm(core_.clock().now(), [this] {
      (void)watch_all();
      look_at_folders();
    });
  }
  auto configs = read_cluster(data_);
  if (configs) {
    for (NodeConfig& config : *configs) {
      if (std::ranges::any_of(nodes_, [&](const Node& node) { return node.config.id == config.id; })) continue;
      Node& node = nodes_.emplace_back();
      node.config = std::move(config);
      node.joined = announced_;
    }
  }
  adopt_running();
}

Status Supervisor::launch(Node& node) {
  TRY(node.launch, NodeLaunch::start(core_, node.config, socket_,
                                     [this, &node](const Status& status) { became_ready(node, status); }));
  node.state = State::starting;
  node.adopted = false;
  return watch(node, node.launch->process());
}

Status Supervisor::watch(Node& node, const ProcessName& process) {
  TRY(node.watch, watch_process(core_, process, [this, &node](ExitStatus status) { ended(node, status); }));
  return {};
}

void Supervisor::became_ready(Node& node, const Status& status) {
  if (auto reply = std::exchange(node.started, nullptr)) {
    // Started again: what goes wrong is for who asked.
    if (status) {
      node.state = State::up;
      announce_up(node);
    }
    return reply(status ? "{}" : error_line(status.error().message));
  }
  if (!status) return fail_start(status.error());
  node.state = State::up;
  announce_ready();
}

void Supervisor::adopt_running() {
  if (stopping_) return;
  for (Node& node : nodes_) {
    if (node.watch) continue;
    auto process = running_process(node.config);
    if (!process || !watch(node, *process)) continue;
    node.state = State::up;
    node.adopted = true;
    if (announced_) announce_up(node);
  }
}

void Supervisor::announce_up(Node& node) {
  const int pid = node.watch->process().pid;
  if (json_)
    print_line(JsonLine().text("event", "node_up").text("name", node.config.name).number("pid", pid).str());
  else
    print_line(fmt::format("{} {} as process {}", node.config.name,
                           node.joined ? "has come and runs" : "was started again", pid));
  node.joined = false;
}

// Questions of the nodes.

void Supervisor::answer(const std::string& question, LineReply reply) {
  boost::json::error_code bad;
  const boost::json::value value = boost::json::parse(question, bad);
  const boost::json::object* object = bad ? nullptr : value.if_object();
  const auto text = [&](const char* name) -> std::string {
    const boost::json::value* member = object ? object->if_contains(name) : nullptr;
    return member && member->is_string() ? std::string(member->get_string()) : std::string();
  };
  const std::string action = text("action"), name = text("node");
  if (stopping_) return reply(error_line("the cluster stops"));
  if (action == "list") return reply(list());
  if (action == "add") return change_members(action, "", std::move(reply));
  auto found = std::ranges::find(nodes_, name, [](const Node& node) { return node.config.name; });
  if (found == nodes_.end()) return reply(error_line("there is no such node"));
  if (action == "decommission" || action == "remove" || action == "cancel")
    return change_members(action, name, std::move(reply));
  act(*found, action, std::move(reply));
}

std::string Supervisor::list() const {
  boost::json::object nodes;
  for (const Node& node : nodes_) {
    const char* state = !node.watch                         ? "down"
                        : is_stopped(node.watch->process()) ? "frozen"
                        : node.state == State::starting     ? "starting"
                                                            : "running";
    nodes[node.config.name] = {{"state", state}, {"cut_off", node.cut_off}, {"adopted", node.adopted}};
  }
  boost::json::object list{{"nodes", std::move(nodes)}};
  if (!problem_.empty()) list["problem"] = problem_;
  return boost::json::serialize(list);
}

void Supervisor::act(Node& node, const std::string& action, LineReply reply) {
  const int signal = action == "kill" ? SIGKILL : action == "freeze" ? SIGSTOP : action == "thaw" ? SIGCONT : 0;
  if (signal == 0 && action != "start" && action != "cut-off" && action != "heal")
    return reply(error_line("there is no such action"));
  if ((action == "start") == (node.watch != nullptr))
    return reply(error_line(node.config.name + (node.watch ? " is running" : " is down")));
  if (signal != 0) {
    const Status sent = send_signal(node.watch->process(), signal);
    return reply(sent ? "{}" : error_line(sent.error().message));
  }
  if (action != "start") return tasks_.spawn(set_isolated(node, action == "cut-off", std::move(reply)));
  node.started = std::move(reply);
  if (Status launched = launch(node); !launched) became_ready(node, launched);
}

/// The command that people give does it, so that it can be interrupted and go on as theirs can.
void Supervisor::change_members(const std::string& action, const std::string& node, LineReply reply) {
  // One change at a time; cancelling is for the one that goes on.
  if (member_change_ && action != "cancel") return reply(error_line("another change of members is under way"));
  if (auto begun = std::exchange(member_reply_, nullptr)) begun("{}");
  SpawnOptions options;
  options.program = own_program();
  options.arguments = {"node", action};
  if (!node.empty()) options.arguments.push_back(node);
  options.arguments.insert(options.arguments.end(), {"--data", data_, "--json"});
  options.output_path = data_ + "/members.log";
  (void)write_file(options.output_path, "");
  auto child = spawn(options);
  if (!child) return reply(error_line(child.error().message));
  auto watched = watch_process(core_, child->process, [this](ExitStatus status) { members_changed(status); });
  if (!watched) return reply(error_line(watched.error().message));
  // A command whose change is turned back ends by itself, and need not say so.
  if (member_change_)
    if (auto rest = watch_process(core_, member_change_->process(), [this](ExitStatus) { superseded_.reset(); }))
      superseded_ = std::move(*rest);
  member_change_ = std::move(*watched);
  member_reply_ = std::move(reply);
  problem_.clear();
  begun_timer_.arm(core_.clock().now() + begin_limit, [this] {
    if (auto begun = std::exchange(member_reply_, nullptr)) begun("{}");
  });
}

void Supervisor::members_changed(ExitStatus status) {
  begun_timer_.cancel();
  std::string words = "the change of members was interrupted";
  if (auto said = read_file(data_ + "/members.log", words_max); said && !said->empty()) words = *said;
  if (words.starts_with("asterism: ")) words.erase(0, std::string_view("asterism: ").size());
  while (words.ends_with('\n')) words.pop_back();
  const bool done = status.code == 0;
  auto reply = std::exchange(member_reply_, nullptr);
  if (reply) reply(done ? "{}" : error_line(words));
  if (!reply && !done) problem_ = words;
  member_change_.reset();
}

/// The node itself lets go of the others: nobody else can.
Task<void> Supervisor::set_isolated(Node& node, bool isolated, LineReply reply) {
  const auto answer =
      co_await http_call(core_.network(), {.to = node.config.http(),
                                           .method = HttpMethod::post,
                                           .target = "/local/isolated",
                                           .headers = {{"Content-Type", "application/json"}},
                                           .body = isolated ? R"({"isolated":true})" : R"({"isolated":false})",
                                           .limit = isolate_limit});
  if (!answer) co_return reply(error_line(node.config.name + " does not answer: " + answer.error().message));
  if (answer->status == 404) co_return reply(error_line(node.config.name + " was not started by asterism up"));
  if (answer->status != 200) co_return reply(error_line(answer->body));
  node.cut_off = isolated;
  reply("{}");
}

void Supervisor::announce_ready() {
  if (announced_ || stopping_) return;
  if (!std::ranges::all_of(nodes_, [](const Node& node) { return node.state == State::up; })) return;
  announced_ = true;
  const double seconds = std::chrono::duration<double>(core_.clock().now() - begun_).count();
  if (json_) {
    std::string list;
    for (const Node& node : nodes_)
      list += (list.empty() ? "" : ",") + node_json(node.config, node.watch->process().pid);
    JsonLine line;
    line.boolean("ready", true)
        .raw("seconds", fmt::format("{:.3f}", seconds))
        .number("pid", current_process().pid)
        .raw("nodes", "[" + list + "]");
    if (admin_password_) line.text("admin", admin_role).text("admin_password", *admin_password_);
    return print_line(line.str());
  }
  print_line(bold(fmt::format("Asterism is up: {} nodes in {:.2f} s", nodes_.size(), seconds)) +
             dim(fmt::format("   data in {}", options_.data)));
  print_line("");
  print_line(dim(fmt::format("  {:6}{:22}{:30}{}", "node", "CQL", "HTTP", "process")));
  for (const Node& node : nodes_)
    print_line(fmt::format("  {:6}{:22}{:30}{}", node.config.name, node.config.cql().to_string(),
                           (node.config.tls.enabled() ? "https://" : "http://") + node.config.http().to_string(),
                           node.watch->process().pid));
  const NodeConfig& first = nodes_.front().config;
  const std::string port = first.cql_port == NodeConfig().cql_port ? "" : fmt::format(" {}", first.cql_port);
  const auto hint = [](const std::string& command, std::string_view what) {
    print_line(fmt::format("  {}{}   {}", bold(command),
                           std::string(command.size() < 21 ? 21 - command.size() : 0, ' '), dim(what)));
  };
  print_line("");
  hint((first.tls.enabled() ? "https://" : "http://") + first.http().to_string(),
       "opens the console; so does any other node");
  hint("cqlsh " + first.address + port, "opens a CQL shell; any Cassandra driver works");
  if (first.tls.enabled() && file_exists(authority_path(options_.data)))
    hint(authority_path(options_.data), "is what clients must trust");
  if (admin_password_) print_line("  " + password_notice());
  hint("Ctrl-C", "stops all nodes; their data stays");
}

std::string Supervisor::password_notice() const {
  return fmt::format("{}   is the password of {}; it is stored nowhere and shown only now", bold(*admin_password_),
                     admin_role);
}

void Supervisor::ended(Node& node, ExitStatus status) {
  const bool was_up = node.state == State::up;
  const int pid = node.watch->process().pid;
  node.watch.reset();
  node.state = State::down;
  node.cut_off = false;
  if (stopping_) return stop_if_ended();
  // The report of a node that failed to start is still in its pipe, which says why.
  if (!was_up) return;
  if (!announced_)
    return fail_start({ErrorCode::closed, fmt::format("{} ended: see {}", node.config.name, log_path(node.config))});
  if (!file_exists(node.config.data_folder + "/node.toml")) {
    if (json_)
      print_line(JsonLine().text("event", "node_left").text("name", node.config.name).number("pid", pid).str());
    else
      print_line(fmt::format("{} has left the cluster", node.config.name));
    return;
  }
  if (json_) {
    JsonLine line;
    line.text("event", "node_down").text("name", node.config.name).number("pid", pid);
    if (status.signal) line.number("signal", *status.signal);
    if (status.code) line.number("code", *status.code);
    print_line(line.str());
  } else {
    const std::string how = status.signal ? fmt::format(" by signal {}", *status.signal)
                            : status.code ? fmt::format(" with exit code {}", *status.code)
                                          : std::string();
    print_line(as_typed(fmt::format("{} ended{}. Start it again: asterism node start {} --data {}", node.config.name,
                                    how, node.config.name, options_.data)));
  }
  // It may have been started again before its end was seen.
  adopt_running();
}

void Supervisor::fail_start(const Error& error) {
  if (!failure_ && !stopping_) failure_ = error;
  begin_stop();
}

void Supervisor::begin_stop() {
  if (stopping_) return;
  adopt_running();
  stopping_ = true;
  if (member_change_) (void)send_signal(member_change_->process(), SIGTERM);
  signal_all(SIGTERM);
  kill_timer_.arm(core_.clock().now() + term_limit, [this] { signal_all(SIGKILL); });
  stop_if_ended();
}

void Supervisor::signal_all(int signal) {
  for (Node& node : nodes_) {
    if (!node.watch) continue;
    (void)send_signal(node.watch->process(), signal);
    // A stopped process notices SIGTERM only once it goes on.
    (void)send_signal(node.watch->process(), SIGCONT);
  }
}

bool Supervisor::all_ended() const {
  return std::ranges::none_of(nodes_, [](const Node& node) { return node.watch != nullptr; });
}

void Supervisor::stop_if_ended() {
  if (!stopping_ || !all_ended()) return;
  kill_timer_.cancel();
  core_.stop();
}

}  // namespace asterism
