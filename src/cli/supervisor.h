// Runs the nodes of a cluster on this machine, from the foreground: the work of `asterism up`.
#pragma once

#include <deque>
#include <optional>

#include "cli/cluster_folder.h"
#include "cli/launch.h"
#include "runtime/real/core.h"
#include "runtime/real/files.h"
#include "runtime/real/line_socket.h"
#include "runtime/task_group.h"

namespace asterism {

/// Starts every node, announces when all serve, announces each node that ends or that somebody started again, and
/// stops all of them, wherever they came from, on SIGINT or SIGTERM. A node that ended is not started again by itself.
/// Nodes that join meanwhile are its own from then on.
///
/// Nodes ask it over the socket `up.sock` in the cluster's folder, in lines of JSON: {"action": "list"} gives
/// {"nodes": {"n1": {"state": "running", "cut_off": false, "adopted": false}, …}} (running, frozen, starting, down);
/// {"node": "n2", "action": "kill"} (freeze, thaw, start, cut-off, heal) gives {} or {"error": "…"} when it is done;
/// decommission, remove, cancel, and add without a node, do so when the command `asterism node …` that does it has
/// begun. What goes wrong later is the "problem" of the list.
class Supervisor {
 public:
  Supervisor(ClusterOptions options, bool json) : options_(std::move(options)), json_(json) {}
  /// The exit code of the process.
  int run();

 private:
  enum class State : uint8_t { down, starting, up };
  struct Node {
    NodeConfig config;
    State state = State::down;
    std::unique_ptr<NodeLaunch> launch;
    std::unique_ptr<ProcessWatch> watch;  // there while the process lives
    bool cut_off = false;
    bool joined = false;   // since this process began, and was not announced yet
    bool adopted = false;  // somebody else started it: it cannot be cut off
    LineReply started;     // who waits for a start
  };

  Status prepare();
  Status launch(Node& node);
  Status watch(Node& node, const ProcessName& process);
  void announce_up(Node& node);
  void answer(const std::string& question, LineReply reply);
  std::string list() const;
  void act(Node& node, const std::string& action, LineReply reply);
  Task<void> set_isolated(Node& node, bool isolated, LineReply reply);
  void change_members(const std::string& action, const std::string& node, LineReply reply);
  void members_changed(ExitStatus status);
  void ended(Node& node, ExitStatus status);
  void became_ready(Node& node, const Status& status);
  /// Takes on nodes that another process started.
  void adopt_running();
  /// Learns of nodes that joined.
  void look_at_folders();
  Status watch_all();
  void announce_ready();
  std::string password_notice() const;
  void fail_start(const Error& error);
  void begin_stop();
  void signal_all(int signal);
  bool all_ended() const;
  void stop_if_ended();

  ClusterOptions options_;
  bool json_;
  RealCore core_;
  Instant begun_ = core_.clock().now();
  std::optional<FileLock> lock_;
  std::deque<Node> nodes_;  // stay where they are
  std::string data_;
  std::vector<std::string> watched_;
  std::unique_ptr<FolderWatch> folders_;
  std::string socket_;  // its path
  std::unique_ptr<LineServer> server_;
  Timer kill_timer_{core_.executor()}, watch_timer_{core_.executor()}, begun_timer_{core_.executor()};
  std::unique_ptr<ProcessWatch> member_change_;  // the command that goes on
  std::unique_ptr<ProcessWatch> superseded_;     // one whose change is turned back
  LineReply member_reply_;                       // who waits for it to begin
  std::string problem_;
  bool announced_ = false, stopping_ = false;
  std::optional<Error> failure_;
  std::optional<std::string> admin_password_;  // made up by this start
  TaskGroup tasks_{core_.executor()};
};

}  // namespace asterism
