#include "cli/launch.h"

#include <boost/json.hpp>
#include <csignal>

#include "cli/cluster_folder.h"
#include "cli/output.h"

namespace asterism {

constexpr Duration start_limit = 60s;
constexpr Duration stop_limit = 10s, ending_limit = 10s;

std::string launch_report(const Status& status) {
  if (status) return JsonLine().boolean("ready", true).str();
  return JsonLine()
      .boolean("ready", false)
      .number("code", static_cast<int64_t>(status.error().code))
      .text("error", status.error().message)
      .str();
}

static Status read_report(const NodeConfig& config, const std::optional<std::string>& line) {
  boost::system::error_code error;
  boost::json::value report = line ? boost::json::parse(*line, error) : boost::json::value();
  const auto* members = report.if_object();
  if (!line || error || !members)
    return fail(ErrorCode::closed, "{} ended before it served: see {}", config.name, log_path(config));
  const auto* ready = members->if_contains("ready");
  if (ready && ready->is_bool() && ready->get_bool()) return {};
  const auto* code = members->if_contains("code");
  const auto* message = members->if_contains("error");
  const bool known = code && code->is_int64() && code->get_int64() >= 0 &&
                     code->get_int64() <= static_cast<int64_t>(ErrorCode::internal);
  return fail(known ? static_cast<ErrorCode>(code->get_int64()) : ErrorCode::internal, "{}: {}", config.name,
              message && message->is_string() ? std::string_view(message->get_string()) : "unknown error");
}

Result<std::unique_ptr<NodeLaunch>> NodeLaunch::start(RealCore& core, const NodeConfig& config,
                                                      const std::string& supervisor_socket,
                                                      std::function<void(Status)> ready) {
  SpawnOptions options;
  options.program = own_program();
  options.arguments = {"node", "run", "--name", config.name, "--data", config.data_folder, "--report"};
  if (config.insecure) options.arguments.push_back("--insecure");
  if (!supervisor_socket.empty())
    for (const std::string& argument : {std::string("--supervised-by"), std::to_string(current_process().pid),
                                        std::string("--supervisor-socket"), supervisor_socket})
      options.arguments.push_back(argument);
  options.output_path = log_path(config);
  options.detached = true;
  options.with_pipe = true;
  TRY(Child child, spawn(options));
  std::unique_ptr<NodeLaunch> launch(new NodeLaunch());
  launch->process_ = child.process;
  launch->reader_ = read_lines(core, child.pipe, [config, ready = std::move(ready), said = false](auto line) mutable {
    if (std::exchange(said, true)) return;
    ready(read_report(config, line));
  });
  return launch;
}

Status await_killed(RealCore& core, const NodeConfig& config) {
  const auto process = running_process(config);
  if (!process || !is_ending(*process)) return {};
  bool ended = false;
  auto watch = watch_process(core, *process, [&](ExitStatus) { ended = true; });
  if (watch && !core.run_until([&] { return ended; }, ending_limit))
    return fail(ErrorCode::timeout, "{} was killed, but its process {} has not ended for {} s", config.name,
                process->pid, std::chrono::duration<double>(ending_limit).count());
  return {};
}

Result<ProcessName> launch_and_wait(const NodeConfig& config) {
  RealCore core;
  TRY_STATUS(await_killed(core, config));
  if (auto process = running_process(config))
    return fail(ErrorCode::already_exists, "{} is already running as process {}", config.name, process->pid);
  if (Status free = check_ports_free(core, config); !free)
    return fail(free.error().code, "{}\n  Stop what uses it; a node keeps the ports of its node.toml.",
                free.error().message);
  std::optional<Status> ready;
  TRY(auto launch, NodeLaunch::start(core, config, {}, [&](Status status) { ready = std::move(status); }));
  if (!core.run_until([&] { return ready.has_value(); }, start_limit))
    return fail(ErrorCode::timeout, "{} runs as process {} but does not serve yet: see {}", config.name,
                launch->process().pid, log_path(config));
  TRY_STATUS(*ready);
  return launch->process();
}

Status stop_process(const NodeConfig& config) {
  const auto process = running_process(config);
  if (!process) return {};
  RealCore core;
  bool ended = false;
  const auto watch = watch_process(core, *process, [&](ExitStatus) { ended = true; });
  if (!watch) return {};  // it has ended meanwhile
  (void)send_signal(*process, SIGTERM);
  (void)send_signal(*process, SIGCONT);
  core.run_until([&] { return ended; }, stop_limit);
  if (is_alive(*process)) (void)send_signal(*process, SIGKILL);
  return {};
}

Error explain_port_in_use(const Error& error) {
  if (error.code != ErrorCode::already_exists) return error;
  return {error.code, error.message +
                          "\n  Another program uses that port. Stop it, or choose other ports for all nodes with\n"
                          "  --port-offset 100, or single ones with --cql-port, --http-port or --rpc-port.\n"
                          "  If that program is another Asterism, give each its own folder with --data."};
}

Status check_ports_free(RealCore& core, const NodeConfig& config) {
  for (const Address& address : {config.cql(), config.http(), config.rpc()})
    if (auto listener = core.network().listen(address); !listener)
      return fail(listener.error().code, "{}: {}", config.name, listener.error().message);
  return {};
}

}  // namespace asterism
