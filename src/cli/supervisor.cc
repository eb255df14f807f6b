#include "cli/supervisor.h"

#include <algorithm>
#include <csignal>

#include "cli/output.h"

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
  for (NodeConfig& config : configs)
    nodes_.push_back({.config = std::move(config), .launch = nullptr, .watch = nullptr});
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
      nodes_.push_back({.config = std::move(config), .launch = nullptr, .watch = nullptr});
    }
  }
  adopt_running();
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
      print_line(fmt::format("{} runs as process {}", node.config.name, process->pid));
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
    return print_line(JsonLine()
                          .boolean("ready", true)
                          .raw("seconds", fmt::format("{:.3f}", seconds))
                          .number("pid", current_process().pid)
                          .raw("nodes", "[" + list + "]")
                          .str());
  }
  print_line(bold(fmt::format("Asterism is up: {} nodes in {:.2f} s", nodes_.size(), seconds)) +
             dim(fmt::format("   data in {}", options_.data)));
  print_line("");
  print_line(dim(fmt::format("  {:6}{:22}{:30}{}", "node", "CQL", "HTTP", "process")));
  for (const Node& node : nodes_)
    print_line(fmt::format("  {:6}{:22}{:30}{}", node.config.name, node.config.cql().to_string(),
                           "http://" + node.config.http().to_string(), node.watch->process().pid));
  const NodeConfig& first = nodes_.front().config;
  print_line("");
  print_line(fmt::format(
      "  {}   {}",
      bold(fmt::format("cqlsh {}{}", first.address,
                       first.cql_port == NodeConfig().cql_port ? std::string() : fmt::format(" {}", first.cql_port))),
      dim("opens a CQL shell; any Cassandra driver works")));
  print_line(fmt::format("  {}            {}", bold("Ctrl-C"), dim("stops all nodes; their data stays")));
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
