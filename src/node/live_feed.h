// The node's view of the cluster, pushed to consoles while there are any.
#pragma once

#include <boost/json/object.hpp>

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "cluster/cluster_state.h"
#include "datastore/cql/event_source.h"
#include "gateway/websocket_connection.h"
#include "node/node.h"
#include "runtime/task_group.h"

namespace asterism {

/// Messages, each a JSON object with "type": "view" (every half second and when a node goes up or down; with "change"
/// and "moves", as change_report.h makes them, while members change), and, when they are new to the console, "schema",
/// "shards" (of the keyspace that it chose by {"keyspace": "…"}) and "events". What a console has not taken when the
/// next view is made is left out, so a slow one costs no memory. With no console there is no work but keeping the last
/// events. Used by one core.
class LiveFeed {
 public:
  LiveFeed(Node& node, Executor& executor, NodeHost* host);
  LiveFeed(const LiveFeed&) = delete;
  ~LiveFeed();

  /// Serves one console until it goes away.
  Task<void> serve(WebSocketConnection& socket);

 private:
  static constexpr size_t events_max = 100;
  static constexpr Duration push_every = 500ms;

  struct Happened {
    uint64_t number;
    int64_t at_us;
    std::string kind, text;
  };
  struct Peer {
    std::optional<boost::json::object> load;
    Instant heard{0};
    bool asking = false;
    std::string state;  // that was shown last
  };
  struct Console;

  void note(std::string kind, std::string text);
  void node_changed(NodeId node, bool up);
  void metadata_changed();
  void schema_changed();
  void members_changed();
  void watch_counters();
  Task<void> push_loop();
  void ask_others();
  Task<void> ask(NodeId node);
  Task<void> ask_supervisor();
  void publish();
  boost::json::object node_object(const NodeInfo& node);
  std::string_view state_of(const NodeInfo& node, Peer& peer);
  void watch_state(const NodeInfo& node, std::string_view state);
  std::string view_message();
  std::string schema_message() const;
  std::string shards_message(const std::string& keyspace) const;
  std::string events_message(uint64_t after) const;
  Task<Status> send_news(WebSocketConnection& socket, Console& console);
  Task<void> read_choices(WebSocketConnection& socket, std::shared_ptr<Console> console);

  Node& node_;
  Executor& executor_;
  NodeHost* host_;
  std::shared_ptr<LiveFeed*> self_;  // for listeners that cannot be taken back
  std::deque<Happened> events_;
  uint64_t next_event_ = 1;
  cql::Keyspaces keyspaces_;
  uint64_t schema_index_ = 0;
  NodeId leader_;
  uint64_t hints_ = 0, differing_ = 0;
  std::map<NodeId, Peer> peers_;
  std::optional<MemberChange> change_;   // as far as it was told
  std::map<NodeId, std::string> names_;  // of the members, as far as they were told
  std::string supervisor_problem_;
  boost::json::object processes_;  // by name, from the supervisor
  bool asking_supervisor_ = false;
  std::shared_ptr<const std::string> view_;
  uint64_t view_number_ = 0;
  size_t consoles_ = 0;
  WaitQueue wanted_, changed_;
  TaskGroup tasks_;
};

}  // namespace asterism
