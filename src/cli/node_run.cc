#include "cli/node_run.h"

#include <csignal>

#include "cli/cluster_folder.h"
#include "cli/launch.h"
#include "cli/output.h"
#include "cli/serve.h"
#include "runtime/io.h"
#include "runtime/real/files.h"
#include "runtime/real/log_sink.h"
#include "runtime/task_group.h"
#include "runtime/timeout.h"

namespace asterism {
namespace {

constexpr Duration stop_limit = 1s;

LogLevel level_of(const std::string& name) {
  for (LogLevel level : {LogLevel::debug, LogLevel::info, LogLevel::warning, LogLevel::error})
    if (name == to_string(level)) return level;
  return LogLevel::info;
}

/// Everything that the process owns, in the order in which it may be destroyed from the end.
struct NodeProcess {
  NodeConfig config;
  std::optional<FileLock> lock;
  std::unique_ptr<LogSink> sink, audit_sink;
  RealCore core;
  std::unique_ptr<Disk> disk;
  std::unique_ptr<ServingNode> node;
  TaskGroup tasks{core.executor()};
  bool stopping = false;
  Status outcome;

  Status prepare(const NodeRunOptions& options) {
    TRY(config, load_node_config(options.data));
    if (!options.name.empty() && config.name != options.name)
      return fail(ErrorCode::invalid_argument, "{} belongs to {}, not to {}", options.data, config.name, options.name);
    config.insecure |= options.insecure;
    TRY_STATUS(check_exposure(config));
    auto locked = FileLock::acquire(config.data_folder + "/node.lock");
    if (!locked) return fail(locked.error().code, "{} is already running in {}", config.name, config.data_folder);
    lock.emplace(std::move(*locked));
    TRY_STATUS(write_pid_file(config));
    if (options.report) {
      TRY(sink, FileLogSink::open(log_path(config)));
    } else {
      sink = std::make_unique<DescriptorLogSink>(2);
    }
    TRY(audit_sink, FileLogSink::open(audit_path(config)));
    TRY(disk, core.open_disk(config.data_folder + "/data"));
    return {};
  }
  Audit audit() const { return Audit(Log(*audit_sink, config.name)); }
  Log log() const { return Log(*sink, config.name, level_of(config.log_level)); }
};

void report(const NodeRunOptions& options, const Status& status) {
  if (!status) print_error(explain_port_in_use(status.error()).message);
  if (!options.report) return;
  (void)write_descriptor(child_pipe, launch_report(status) + "\n");
  close_descriptor(child_pipe);
}

Task<void> start(NodeProcess& process, const NodeRunOptions& options) {
  auto started = co_await start_serving(process.core, *process.disk, process.config, options.supervisor_socket,
                                        process.log(), process.audit());
  if (started) {
    process.node = std::move(*started);
    process.log().info("serves CQL on {}", process.config.cql().to_string());
    report(options, {});
    co_return;
  }
  process.outcome = fail(std::move(started.error()));
  process.log().error("cannot start: {}", process.outcome.error().message);
  report(options, process.outcome);
  process.core.stop();
}

Task<Result<bool>> stop_node(ServingNode& node) {
  co_await node.stop();
  co_return true;
}

Task<void> stop(NodeProcess& process) {
  process.log().info("stops");
  if (process.node && !co_await with_timeout(stop_limit, stop_node(*process.node)))
    process.log().warning("did not stop within {} s", std::chrono::duration<double>(stop_limit).count());
  process.core.stop();
}

}  // namespace

int run_node_process(const NodeRunOptions& options) {
  if (options.supervised_by && !end_with_parent(*options.supervised_by, SIGTERM)) return 1;
  raise_descriptor_limit();
  NodeProcess process;
  if (Status prepared = process.prepare(options); !prepared) {
    report(options, prepared);
    return 1;
  }
  process.core.on_signals({SIGTERM, SIGINT}, [&](int) {
    if (!std::exchange(process.stopping, true)) process.tasks.spawn(stop(process));
  });
  process.tasks.spawn(start(process, options));
  process.core.run();
  process.tasks.cancel();
  process.node.reset();
  remove_pid_file(process.config);
  return process.outcome ? 0 : 1;
}

}  // namespace asterism
