#include "cli/supervisor.h"

#include <algorithm>
#include <csignal>

#include "cli/first_superuser.h"
#include "cli/output.h"
#include "cli/own_authority.h"

namespace asterism {

/// How long nodes get to end by themselves.
static constexpr Duration term_limit = 1500ms;

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
  TRY(std::string data, absolute_path(options_.data));
  TRY_STATUS(make_folders(data));
  auto locked = FileLock::acquire(data + "/up.lock");
  if (!locked)
    return fail(ErrorCode::invalid_argument, "asterism up already runs on {}: use another folder with --data",
                options_.data);
  lock_.emplace(std::move(*locked));
  TRY(std::vector<NodeConfig> configs, read_or_found_cluster(options_));
  TRY_STATUS(turn_tls_on(options_, configs));
  TRY(admin_password_, turn_authentication_on(options_, configs));
  std::vector<std::string> folders;
  for (NodeConfig& config : configs) {
    folders.push_back(config.data_folder);
    nodes_.push_back({.config = std::move(config), .launch = nullptr, .watch = nullptr});
  }
  adopt_running();
  for (Node& node : nodes_)
    if (!node.watch) TRY_STATUS(check_ports_free(core_, node.config));
  for (Node& node : nodes_)
    if (!node.watch) TRY_STATUS(launch(node));
  announce_ready();
  TRY(folders_, watch_folders(core_, folders, [this] { adopt_running(); }));
  return {};
}

Status Supervisor::launch(Node& node) {
  TRY(node.launch,
      NodeLaunch::start(core_, node.config, true, [this, &node](const Status& status) { became_ready(node, status); }));
  node.state = State::starting;
  return watch(node, node.launch->process());
}

Status Supervisor::watch(Node& node, const ProcessName& process) {
  TRY(node.watch, watch_process(core_, process, [this, &node](ExitStatus status) { ended(node, status); }));
  return {};
}

void Supervisor::became_ready(Node& node, const Status& status) {
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
    if (!announced_) continue;
    if (json_)
      print_line(JsonLine().text("event", "node_up").text("name", node.config.name).number("pid", process->pid).str());
    else
      print_line(fmt::format("{} was started again as process {}", node.config.name, process->pid));
  }
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
  print_line("");
  print_line(fmt::format(
      "  {}   {}",
      bold(fmt::format("cqlsh {}{}", first.address,
                       first.cql_port == NodeConfig().cql_port ? std::string() : fmt::format(" {}", first.cql_port))),
      dim("opens a CQL shell; any Cassandra driver works")));
  if (first.tls.enabled() && file_exists(authority_path(options_.data)))
    print_line(fmt::format("  {}   {}", bold(authority_path(options_.data)), dim("is what clients must trust")));
  if (admin_password_) print_line("  " + password_notice());
  print_line(fmt::format("  {}            {}", bold("Ctrl-C"), dim("stops all nodes; their data stays")));
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
  if (stopping_) return stop_if_ended();
  // The report of a node that failed to start is still in its pipe, which says why.
  if (!was_up) return;
  if (!announced_)
    return fail_start({ErrorCode::closed, fmt::format("{} ended: see {}", node.config.name, log_path(node.config))});
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
    print_line(fmt::format("{} ended{}. Start it again: asterism node start {} --data {}", node.config.name, how,
                           node.config.name, options_.data));
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
