// Starting the process of one node and hearing from it when it serves.
#pragma once

#include <memory>

#include "node/node_config.h"
#include "runtime/real/core.h"
#include "runtime/real/process.h"

namespace asterism {

class NodeLaunch {
 public:
  /// Starts `asterism node run`. `ready` is called once from the loop, with the error that the process reported or
  /// with `closed` where it ended without a word. With `supervisor_socket`, where this process answers (supervisor.h),
  /// the node ends when this process does. The child is not reaped: watch it.
  static Result<std::unique_ptr<NodeLaunch>> start(RealCore& core, const NodeConfig& config,
                                                   const std::string& supervisor_socket,
                                                   std::function<void(Status)> ready);
  const ProcessName& process() const { return process_; }

 private:
  NodeLaunch() = default;
  ProcessName process_;
  std::unique_ptr<LineReader> reader_;
};

/// Waits for a process of the node that was killed and still ends, for example behind a sync: until it has, it keeps
/// the node's ports and files. Runs the loop. Errors: timeout.
Status await_killed(RealCore& core, const NodeConfig& config);

/// Starts the process of a node in the background and waits until it serves. Errors: already_exists where it runs or a
/// port is in use; timeout where it runs and does not serve yet; what the process reported.
Result<ProcessName> launch_and_wait(const NodeConfig& config);

/// Ends the process of a node, where it runs: politely at first. It has ended, or was killed, afterwards.
Status stop_process(const NodeConfig& config);

/// The line that a node's process writes to descriptor `child_pipe` once it serves or knows that it never will.
std::string launch_report(const Status& status);

/// What a port that is in use should say: the address and what to try.
Error explain_port_in_use(const Error& error);
/// already_exists where one of the node's ports cannot be listened on.
Status check_ports_free(RealCore& core, const NodeConfig& config);

}  // namespace asterism
